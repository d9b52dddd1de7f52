"""Which device computes."""

from typing import TYPE_CHECKING

from harness.errors import UserError, choices

if TYPE_CHECKING:
    import torch


def pick_device(name: str) -> "torch.device":
    """``auto`` takes the GPU where there is one.

    Raises:
        UserError: the name is unknown, or ``cuda`` is asked for where there is none.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise UserError(f"there is no device {name!r}: {choices(name, ['auto', 'cpu', 'cuda'])}")
    import torch

    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("there is no CUDA device on this machine: use --device cpu or --device auto")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
