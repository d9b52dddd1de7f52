"""A shard: a safetensors file with the features of a few dozen clips, which says what it holds and if it is whole."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
    bare = save(tensors)
    digest = _checksum(list(keys), *_split(bare))
    # One entry: safetensors writes several in an order that differs from run to run.
    data = save(tensors, {"shard": json.dumps({"clips": list(keys), "sha256": digest})})
    write_atomically(path, data)


def _split(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """The header of a safetensors file, and its tensors' bytes."""
    length = 8 + int.from_bytes(data[:8], "little")
    header: dict[str, Any] = json.loads(data[8:length])
    return header, memoryview(data)[length:]


def _checksum(clips: Sequence[str], tensors: Mapping[str, Any], payload: memoryview) -> str:
    digest = hashlib.sha256(content_key([clips, tensors]).encode())
    digest.update(payload)
    return digest.hexdigest()


def read_shard_header(path: Path) -> ShardHeader:
    """A shard's header, without reading its tensors.

    Raises:
        UserError: the header is damaged.
    """
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            tensors = json.loads(file.read(length))
        about = json.loads(tensors.pop("__metadata__")["shard"])
        shard = ShardHeader(list(about["clips"]), about["sha256"], tensors)
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise _damaged(path) from error
    if not all(isinstance(value, str) for value in (*shard.clips, shard.sha256)):
        raise _damaged(path)
    return shard


def read_shard(path: Path) -> "dict[str, Sequence[Tensor]]":
    """A shard's features, for each layer one tensor per clip.

    Raises:
        UserError: the shard is damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    shard, data = read_shard_header(path), path.read_bytes()
    if _checksum(shard.clips, shard.tensors, _split(data)[1]) != shard.sha256:
        raise _damaged(path)
    try:
        tensors = load(data)
    except SafetensorError as error:
        raise _damaged(path) from error
    frames = tensors.pop("frames", None)
    return {name: list(t) if frames is None else list(t.split(frames.tolist())) for name, t in tensors.items()}


def _damaged(path: Path) -> UserError:
    return UserError(f"the shard {path} is damaged (its checksum does not hold): delete it and run again")
