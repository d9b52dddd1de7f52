"""A shard: a safetensors file with the features of a few dozen clips, which says what it holds and if it is whole."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from harness.errors import UserError
from harness.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor


def content_key(value: object) -> str:
    """The SHA-256 of a plain value's canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


class ShardHeader(NamedTuple):
    """What a shard's file says of itself: its clips, its checksum, and name, type and shape of each tensor."""

    clips: list[str]
    sha256: str
    tensors: dict[str, Any]


def write_shard(path: Path, keys: Sequence[str], layers: "Mapping[str, Sequence[Tensor]]") -> None:
    """Write a shard whole or not at all: one tensor per layer and clip, (width,) or (frame, width)."""
    import torch
    from safetensors.torch import save

    tensors = {}
    for name, rows in layers.items():
        if rows[0].ndim == 1:
            tensors[name] = torch.stack(list(rows))
        else:
            tensors[name] = torch.cat(list(rows))
            tensors["frames"] = torch.tensor([len(row) for row in rows])
    data = save(tensors)
    start = 8 + int.from_bytes(data[:8], "little")
    header, payload = json.loads(data[8:start]), memoryview(data)[start:]
    digest = _digest(keys, header)
    digest.update(payload)
    about = json.dumps({"clips": list(keys), "sha256": digest.hexdigest()})
    # One entry, and before the rest, as safetensors itself would write it; spaces keep the tensors aligned.
    text = json.dumps({"__metadata__": {"shard": about}, **header}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    write_atomically(path, b"".join((len(text).to_bytes(8, "little"), text, payload)))


def read_shard_header(path: Path) -> ShardHeader:
    """A shard's header, without reading its tensors.

    Raises:
        UserError: the header is damaged.
    """
    with path.open("rb") as file:
        return _header(file, path)


def read_shard(path: Path) -> "dict[str, Sequence[Tensor]]":
    """A shard's features, for each layer one tensor per clip.

    The file is read once, in blocks, to see that it is whole; the tensors map it, so only what is used of them takes
    memory.

    Raises:
        UserError: the shard is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    with path.open("rb") as file:
        shard = _header(file, path)
        digest = hashlib.file_digest(file, lambda: _digest(shard.clips, shard.tensors))
    if digest.hexdigest() != shard.sha256:
        raise _damaged(path)
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise _damaged(path) from error
    frames = tensors.pop("frames", None)
    return {name: list(t) if frames is None else list(t.split(frames.tolist())) for name, t in tensors.items()}


def _header(file: BinaryIO, path: Path) -> ShardHeader:
    """The header of a shard; the file is left where the tensors begin."""
    try:
        tensors = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        about = json.loads(tensors.pop("__metadata__")["shard"])
        shard = ShardHeader(list(about["clips"]), about["sha256"], tensors)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise _damaged(path) from error
    if not all(isinstance(value, str) for value in (*shard.clips, shard.sha256)):
        raise _damaged(path)
    return shard


def _digest(clips: Sequence[str], tensors: Mapping[str, Any]) -> "hashlib._Hash":
    """The beginning of a shard's checksum, of what its header says; the tensors' bytes follow."""
    return hashlib.sha256(content_key([list(clips), tensors]).encode())


def _damaged(path: Path) -> UserError:
    return UserError(f"the shard {path} is damaged (its checksum does not hold): delete it and run again")
