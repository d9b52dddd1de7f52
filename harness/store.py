"""The feature store: what an encoder made of a clip, found again by the contents of both.

A store holds one shelf per encoder key. A shelf holds shards: safetensors files of a few dozen clips each, named by
the clips they hold, written beside and renamed. The index is what the shards say of themselves, so it cannot disagree
with them.
"""

import hashlib
import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.audio import Header, read_header
from harness.errors import UserError
from harness.files import write_atomically
from harness.shards import content_key, read_shard, read_shard_header, write_shard

if TYPE_CHECKING:
    from torch import Tensor

#: A shard ends at so many clips, or so many seconds of audio.
SHARD_CLIPS = 32
SHARD_SECONDS = 160.0


def file_hash(path: Path) -> str:
    """The SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class AudioFacts(NamedTuple):
    """What is remembered of an audio file while its size and time of change stay the same."""

    sha256: str
    header: Header


class _Row(NamedTuple):
    sha256: str
    frames: int | None
    rate: int | None


class FeatureStore:
    """A folder of shelves, and a memory of file hashes by path, size and time of change."""

    def __init__(self, folder: Path) -> None:
        """Open or make a store.

        Raises:
            UserError: the folder cannot be written.
        """
        self.folder = folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._memory = sqlite3.connect(folder / "files.sqlite", timeout=60, isolation_level=None)
        except (OSError, sqlite3.OperationalError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise UserError(
                f"the feature store {folder} cannot be written ({reason}): choose another with --store"
            ) from error
        # Losing these rows in a power cut costs some hashing; waiting for the disk at every row costs more.
        self._ask("PRAGMA synchronous = OFF")
        self._ask(
            "CREATE TABLE IF NOT EXISTS files (path BLOB PRIMARY KEY, size INTEGER, changed INTEGER,"
            " sha256 TEXT, frames INTEGER, rate INTEGER)"
        )

    def digest(self, path: Path) -> str:
        """The SHA-256 of a file, remembered."""
        if (row := self._recall(path)) is not None:
            return row.sha256
        sha256 = file_hash(path)
        self._remember(path, _Row(sha256, None, None))
        return sha256

    def audio(self, path: Path) -> AudioFacts:
        """Hash and header of an audio file, remembered.

        Raises:
            UserError: the file cannot be read as audio.
        """
        row = self._recall(path)
        if row is None or row.frames is None or row.rate is None:
            header = read_header(path)
            row = _Row(file_hash(path), header.frames, header.rate)
            self._remember(path, row)
            return AudioFacts(row.sha256, header)
        return AudioFacts(row.sha256, Header(row.frames, row.rate))

    def _recall(self, path: Path) -> "_Row | None":
        try:
            stat = path.stat()
        except FileNotFoundError:
            return None
        rows = self._ask(
            "SELECT sha256, frames, rate FROM files WHERE path = ? AND size = ? AND changed = ?",
            (os.fsencode(path.resolve()), stat.st_size, stat.st_mtime_ns),
        )
        return _Row(*rows[0]) if rows else None

    def _remember(self, path: Path, row: "_Row") -> None:
        stat = path.stat()
        self._ask(
            "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)",
            (os.fsencode(path.resolve()), stat.st_size, stat.st_mtime_ns, *row),
        )

    def _ask(self, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        try:
            return self._memory.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            raise UserError(
                f"the feature store {self.folder} cannot be written ({error}): choose another with --store"
            ) from error
        except sqlite3.DatabaseError as error:
            raise UserError(
                f"{self.folder / 'files.sqlite'} is damaged: delete it, it is only a memory of file hashes"
            ) from error

    def shelf(self, encoder: Mapping[str, Any]) -> "Shelf":
        """The features of one encoder, by everything that moves them."""
        return Shelf(self.folder / content_key(encoder)[:32], encoder)

    def close(self) -> None:
        """Let go of the database."""
        self._memory.close()


@dataclass(frozen=True)
class Piece:
    """A clip as the store knows it: the hash of its audio, and how long it is (seconds)."""

    key: str
    seconds: float


def plan_shards(pieces: Sequence[Piece]) -> list[list[str]]:
    """Cut clips into shards of similar length.

    Sorted by duration, up to :data:`SHARD_CLIPS` or :data:`SHARD_SECONDS`.
    """
    shards: list[list[str]] = []
    filled = 0.0
    for piece in sorted(set(pieces), key=lambda piece: (piece.seconds, piece.key)):
        if not shards or len(shards[-1]) == SHARD_CLIPS or filled + piece.seconds > SHARD_SECONDS:
            shards.append([])
            filled = 0.0
        shards[-1].append(piece.key)
        filled += piece.seconds
    return shards


class Shelf:
    """What one encoder has made so far."""

    def __init__(self, folder: Path, encoder: Mapping[str, Any]) -> None:
        self.folder = folder
        self.shards = folder / "shards"
        self.encoder = encoder

    def index(self) -> dict[str, tuple[Path, int]]:
        """Where each clip lies: shard and row. Read from the shards' headers."""
        found: dict[str, tuple[Path, int]] = {}
        for path in sorted(self.shards.glob("*.safetensors")):
            for row, key in enumerate(read_shard_header(path).clips):
                found.setdefault(key, (path, row))
        return found

    def plan(self, pieces: Sequence[Piece]) -> list[list[str]]:
        """The shards that are missing for these clips; each is a list of clip keys.

        Shards that an earlier, interrupted run has planned are finished as planned, so that the same clips meet in
        the same batches and the features come out the same to the last bit.
        """
        there = self.index()
        missing = {piece.key: piece for piece in pieces if piece.key not in there}
        shards = []
        for path in sorted(self.folder.glob("plan-*.json")):
            for shard in _read_plan(path):
                if all(key in missing for key in shard):
                    shards.append(shard)
                    for key in shard:
                        del missing[key]
        if fresh := plan_shards(list(missing.values())):
            with self._writing():
                text = json.dumps(fresh)
                write_atomically(self.folder / f"plan-{content_key(fresh)[:16]}.json", text.encode())
                write_atomically(self.folder / "encoder.json", json.dumps(self.encoder, indent=1).encode())
        return shards + fresh

    def put(self, keys: Sequence[str], layers: "Mapping[str, Sequence[Tensor]]") -> None:
        """Store a shard: for each layer one tensor per clip, (width,) or (frame, width), in the order of ``keys``."""
        self._write(self.shards / f"{content_key(list(keys))[:32]}.safetensors", keys, layers)

    def _write(self, path: Path, keys: Sequence[str], layers: "Mapping[str, Sequence[Tensor]]") -> None:
        with self._writing():
            write_shard(path, keys, layers)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise UserError(
                f"the feature store {self.folder.parent} cannot be written ({error.strerror}): "
                "make room, or choose another with --store"
            ) from error

    def get(self, keys: Sequence[str]) -> "dict[str, list[Tensor]]":
        """The features of clips, in the order of ``keys``: for each layer (0 to L, then ``final``) one tensor per clip.

        Raises:
            UserError: a shard is damaged.
        """
        index = self.index()
        layers: dict[str, list[Tensor]] = {}
        shards = {path: read_shard(path) for path in sorted({index[key][0] for key in keys})}
        for key in keys:
            path, row = index[key]
            for name, rows in shards[path].items():
                layers.setdefault(name, []).append(rows[row])
        return dict(sorted(layers.items(), key=lambda item: (item[0] == "final", len(item[0]), item[0])))

    def size(self) -> int:
        """Bytes on disk."""
        return sum(path.stat().st_size for path in self.shards.glob("*.safetensors"))

    def agree(self, answer: "Mapping[str, Tensor]") -> None:
        """Hold the encoder's answer to the fixed probe signal against its first answer, which is kept.

        Raises:
            UserError: they differ by more than rounding, so old and new features would not fit together.
        """
        path = self.folder / "probe.safetensors"
        if not path.is_file():
            if not all(tensor.isfinite().all() for tensor in answer.values()):
                raise UserError(
                    "the encoder makes features that are not finite of a plain signal, so nothing is stored"
                )
            self._write(path, ["probe"], {name: [tensor] for name, tensor in answer.items()})
            return
        known = read_shard(path)
        if set(known) != set(answer):
            raise UserError(
                f"the features in {self.folder} have the layers {', '.join(sorted(known))}, but the encoder now gives "
                f"{', '.join(sorted(answer))}: raise the upstream's revision, or delete that folder"
            )
        for name, (first,) in known.items():
            scale = float(first.abs().max())
            # Written so that a difference that is not a number counts as one.
            if first.shape != answer[name].shape or not float((first - answer[name]).abs().max()) <= 2e-3 * scale:
                raise UserError(
                    f"the features in {self.folder} were made by an encoder that answers differently in layer {name}, "
                    "though it goes by the same key: raise the upstream's revision, or delete that folder"
                )


def _read_plan(path: Path) -> list[list[str]]:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))
        return [[str(key) for key in shard] for shard in plan]
    except (ValueError, TypeError) as error:
        raise UserError(f"the plan {path} is damaged: delete it, it is made anew") from error
