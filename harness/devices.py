"""Which device computes."""

from typing import TYPE_CHECKING

from harness.errors import UserError, choices

if TYPE_CHECKING:
    import torch

DEVICES = ("auto", "cpu", "cuda")


def check_device(name: str) -> None:
    """Refuse a device that is unknown or not there; imports torch only to look for a GPU.

    Raises:
        UserError: so it is.
    """
    if name not in DEVICES:
        raise UserError(f"there is no device {name!r}: {choices(name, DEVICES)}")
    if name == "cuda" and not _cuda():
        raise UserError("there is no CUDA device on this machine: use --device cpu or --device auto")


def pick_device(name: str) -> "torch.device":
    """The device that a name means; ``auto`` takes the GPU where there is one.

    Raises:
        UserError: it is unknown or not there.
    """
    check_device(name)
    import torch

    return torch.device("cuda" if name == "cuda" or (name == "auto" and _cuda()) else "cpu")


def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()
