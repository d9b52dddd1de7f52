"""What trees are written with: generated sound, tables, lists, JSON."""

import csv
import io
import json
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

#: Formats that soundfile does not tell from the suffix.
FORMATS = {".au": "AU", ".aif": "AIFF"}


def sound(path: Path, label: str = "", *, seconds: float = 0.25, rate: int = 16_000, channels: int = 1) -> None:
    """A tone whose pitch is the label's, in noise that is the path's own; the suffix says the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    time = np.arange(round(seconds * rate)) / rate
    pitch = 200 * 2 ** (zlib.crc32(label.encode()) % 40 / 10)
    noise = np.random.default_rng(zlib.crc32(str(path.name).encode())).standard_normal((len(time), channels))
    wave = 0.3 * np.sin(2 * np.pi * pitch * time)[:, None] + 0.02 * noise
    soundfile.write(path, wave, rate, format=FORMATS.get(path.suffix.lower()))


def text(path: Path, lines: Iterable[str]) -> None:
    """A file of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def table(path: Path, rows: Iterable[Sequence[Any]], *, delimiter: str = ",") -> None:
    """A table; the first row names the columns, if the authors' does."""
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator="\n").writerows(rows)
    text(path, out.getvalue().splitlines())


def as_json(path: Path, value: Any) -> None:
    """A JSON file."""
    text(path, [json.dumps(value)])
