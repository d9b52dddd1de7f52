"""Checkpoints from strangers: read the tensors, run nothing."""

import pickle
import struct
import warnings
import zipfile
from contextlib import AbstractContextManager, nullcontext
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


class Foreign:
    """Stands for an object of a foreign class in a checkpoint: its arguments and its state, and nothing that runs."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        self.arguments, self.state = arguments, dict(keywords)

    def __setstate__(self, state: Any) -> None:
        self.state = state

    @property
    def plain(self) -> Any:
        """What it holds, with every foreign object inside opened likewise: of a settings object, a dict."""
        return _plain(self)


def _plain(value: Any, depth: int = 0) -> Any:
    if depth > 32:  # a loop
        return None
    if isinstance(value, Foreign):
        value = getattr(value, "state", None) or getattr(value, "arguments", None)
    if isinstance(value, dict):
        for inside in ("_content", "_val"):  # how omegaconf keeps its nodes
            if inside in value:
                return _plain(value[inside], depth + 1)
        return {str(name): _plain(each, depth + 1) for name, each in value.items()}
    return value


def read_checkpoint(path: Path, *, with_objects: bool = False) -> dict[str, Any]:
    """The contents of a ``.safetensors`` file or of a torch file that holds only tensors and plain containers, on the
    CPU.

    ``with_objects`` reads files that hold objects of foreign classes too, such as the settings that fairseq writes
    into its checkpoints: each is read as a :class:`Foreign`, and no code of the file's choice runs.

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
        stand_ins = _stand_ins(path) if with_objects else nullcontext()
        with stand_ins, warnings.catch_warnings(action="ignore"):  # it warns of pickles that it then refuses
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


def _stand_ins(path: Path) -> AbstractContextManager[None]:
    """Let every class and function that a file asks for, and that torch does not trust, be a :class:`Foreign`."""
    from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

    # torch types the pairs of an object and the name it goes by as bare callables.
    pairs: Any = [(Foreign, name) for name in get_unsafe_globals_in_checkpoint(path)]
    return safe_globals(pairs)
