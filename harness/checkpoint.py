"""Checkpoints from strangers: read the tensors, run nothing."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

from harness.errors import UserError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The contents of a ``.safetensors`` file or of a torch file that holds only tensors and plain containers, on the CPU.

    Raises:
        UserError: the file is missing, damaged, or wants to run code.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"there is no checkpoint {str(path)!r}")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path.name} holds more than tensors and plain containers, so it is not loaded: loading it could run code"
        ) from error
    except (SafetensorError, RuntimeError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path.name} cannot be read as a checkpoint: it is damaged or no torch file") from error
    if not isinstance(state, dict):
        raise UserError(f"{path.name} holds a {type(state).__name__} where a state dict is expected")
    return state
