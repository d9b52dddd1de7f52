"""Measured points: what one length of audio costs on one machine, as one small JSON file each."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.files import write_atomically
from harness.watch import Status
from harness.ways import Length

SCHEMA = 2
#: The folder of points within a folder of results.
FOLDER = "measures"
#: The sentence of a point whose budget was spent by its first forward.
COLD = "one forward, not warmed up"


@dataclass(frozen=True, kw_only=True)
class Point:
    """One upstream at one length, or why there is no figure.

    ``way`` is one of :data:`harness.ways.WAYS`; ``attention`` is ``eager``, ``sdpa`` or, where torch's attention is
    not called, ``own``. ``status`` is ``measured``, or how it ended; ``sentence`` says that and what else is odd.
    Figures that could not be had are absent. ``runs`` are the seconds of each forward; points that share ``together``
    took turns, so that their runs are pairs. ``asked`` are the repeats and budgets that were given, and ``deviations``
    say where a preset was left.
    """

    upstream: str
    way: str
    attention: str
    dtype: str
    batch: int
    length: Length
    status: Status
    sentence: str
    figures: Mapping[str, float]
    runs: tuple[float, ...]
    uncounted: Mapping[str, int]
    together: str
    asked: Mapping[str, float | None]
    preset: str
    deviations: tuple[str, ...]
    hardware: Mapping[str, Any]
    environment: Mapping[str, Any]
    created: str
    schema: int = SCHEMA

    @cached_property
    def fingerprint(self) -> str:
        """The hardware in eight characters."""
        return _digest(self.hardware)[:8]

    @property
    def warm(self) -> bool:
        """Whether what is timed came after a first forward, whose memory is fresh: only then do times compare."""
        return self.status == "measured" and self.sentence != COLD

    def cost(self, figure: str) -> float | None:
        """A figure, if it compares with those of other points: no time of a forward that was not warmed up."""
        return self.figures.get(figure) if self.warm or figure == "peak_bytes" else None

    @property
    def series(self) -> tuple[Any, ...]:
        """What points of one curve have in common: all but the length."""
        return (
            *(self.upstream, self.way, self.attention, self.dtype, self.batch),
            *(self.preset, self.length.unit, self.fingerprint),
        )

    @property
    def place(self) -> float:
        """Where it lies on the axis of its curve: tokens or seconds, as its length was given."""
        return self.figures.get("tokens", self.length.value) if self.length.unit == "tokens" else self.length.value

    @property
    def file_name(self) -> str:
        """One name for one point on one machine: measured again, it is replaced."""
        words = (self.upstream, self.way, self.attention, str(self.length))
        safe = "__".join(
            "".join(c if c.isascii() and (c.isalnum() or c in ".+") else "-" for c in w)[:60] for w in words
        )
        return f"{safe}__{_digest([*self.series, self.length.value])[:12]}.json"


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def write(point: Point, results: Path) -> Path:
    """Write a point into a folder of results, atomically.

    Raises:
        UserError: the folder cannot be written.
    """
    path = results / FOLDER / point.file_name
    try:
        write_atomically(path, (json.dumps(asdict(point), indent=1, allow_nan=False) + "\n").encode())
    except OSError as error:
        raise UserError(
            f"the results folder {results} cannot be written ({error.strerror}): choose another with --results"
        ) from error
    return path


def read(path: Path) -> Point:
    """Read one point.

    Raises:
        UserError: the file is none. Points come from strangers, so every type is looked at.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if given["schema"] != SCHEMA:
            raise UserError(f"{path} has schema {given['schema']!r}, and this version reads {SCHEMA}: measure it anew")
        return TypeAdapter(Point).validate_json(json.dumps(given, allow_nan=False), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is no measured point ({where}: {first['msg']})") from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is no measured point ({type(error).__name__})") from error


def read_all(results: Path) -> list[Point]:
    """Every point in a folder of results, in the order of the file names; none where nothing was measured.

    Raises:
        UserError: a file among them is no point.
    """
    return [read(path) for path in sorted((results / FOLDER).glob("*.json"))]


def curves(points: Sequence[Point]) -> dict[tuple[Any, ...], list[Point]]:
    """Points by the curve that they lie on, each in order of length."""
    found: dict[tuple[Any, ...], list[Point]] = {}
    for point in sorted(points, key=lambda point: point.length):
        found.setdefault(point.series, []).append(point)
    return found
