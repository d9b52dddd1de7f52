"""Checkpoints from strangers: read the tensors, run nothing."""

import pickle
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from harness.errors import UserError

#: What torch and its unpickler raise on files that are cut short or something else altogether.
_DAMAGED = (
    *(SafetensorError, pickle.UnpicklingError, struct.error, zipfile.BadZipFile),
    *(RuntimeError, EOFError, ValueError, LookupError, AttributeError, OSError, TypeError),
)


#: What it says of a pickle that wants more than tensors: a name to import, or an instruction that torch never writes.
_CODE = ("GLOBAL", "Unsupported operand", "unsupported protocol", "pickle protocol")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The contents of a ``.safetensors`` file or of a torch file that holds only tensors and plain containers, on the
    CPU.

    Raises:
        UserError: the file is missing, damaged, or wants to run code.
    """
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"there is no checkpoint {str(path)!r}")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with warnings.catch_warnings(action="ignore"):  # it warns of pickles that it then refuses
            state = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGED as error:
        # The same exception says that a file is no pickle and that its pickle calls for more than tensors.
        if isinstance(error, pickle.UnpicklingError) and any(word in str(error) for word in _CODE):
            raise UserError(
                f"{path.name} holds more than tensors and plain containers, so it is not loaded: it could run code"
            ) from error
        raise UserError(f"{path.name} cannot be read as a checkpoint: it is damaged or no torch file") from error
    if not (isinstance(state, dict) and all(isinstance(key, str) for key in state)):
        raise UserError(f"{path.name} holds no state dict: that is a dict with names as keys")
    return state
