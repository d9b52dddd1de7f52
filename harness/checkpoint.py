"""Checkpoints from strangers: read the tensors, run nothing."""

import pickle
import re
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


#: Names that a file may ask for before it is taken to be hostile.
MOST_NAMES = 200
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


def _plain(value: Any, opened: dict[int, Any] | None = None) -> Any:
    opened = {} if opened is None else opened
    if id(value) in opened:  # each object is opened once, however often it is named; inside itself it is nothing
        return opened[id(value)]
    opened[id(value)] = None
    opened[id(value)] = _open(value, opened)
    return opened[id(value)]


def _open(value: Any, opened: dict[int, Any]) -> Any:
    if isinstance(value, Foreign):
        return _plain(getattr(value, "state", None) or getattr(value, "arguments", None), opened)
    if isinstance(value, dict):
        for inside in ("_content", "_val"):  # how omegaconf keeps its nodes
            if inside in value:
                return _plain(value[inside], opened)
        return {str(name): _plain(each, opened) for name, each in value.items()}
    return [_plain(each, opened) for each in value] if isinstance(value, list | tuple) else value


def read_checkpoint(path: Path, *, with_objects: bool = False) -> dict[str, Any]:
    """The contents of a ``.safetensors`` file or of a torch file that holds only tensors and plain containers, on the
    CPU.

    ``with_objects`` reads files that hold objects of foreign classes too, such as the settings that fairseq writes
    into its checkpoints: each is read as a :class:`Foreign`, and no code of the file's choice runs.

    Raises:
        UserError: the file is missing, damaged, or wants to run code.
    """
    from safetensors.torch import load_file

    if not path.is_file():
        raise UserError(f"there is no checkpoint {str(path)!r}")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        with warnings.catch_warnings(action="ignore"):  # it warns of pickles that it then refuses
            state = _load_with_stand_ins(path) if with_objects else _load(path)
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


def _load(path: Path) -> Any:
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def _load_with_stand_ins(path: Path) -> Any:
    """Let every class and function that a file asks for, and that torch does not trust, be a :class:`Foreign`."""
    from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

    names = list(get_unsafe_globals_in_checkpoint(path)) if zipfile.is_zipfile(path) else []
    while True:
        # torch types the pairs of an object and the name it goes by as bare callables.
        pairs: Any = [(Foreign, name) for name in names]
        try:
            with safe_globals(pairs):
                return _load(path)
        except pickle.UnpicklingError as error:
            # Files in the format before torch 1.6 tell what they ask for one by one.
            asked = re.search(r"GLOBAL (\S+)", str(error))
            if asked is None or asked[1] in names or len(names) > MOST_NAMES:
                raise
            names.append(asked[1])
