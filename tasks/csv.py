"""Your own audio, listed in a table: csv:FILE, with the columns path and label."""

import csv
import hashlib
import io
import math
import os
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple

from harness.datasets import Task
from harness.errors import UserError, choices
from harness.types import Clip

from ._tables import PARTS, absolute, own_task

ARGUMENT = "FILE"
GUIDE = {
    "file": "comma-separated, in UTF-8; its first line names the columns, of which others than these are ignored",
    "path": "the audio file, relative to the table",
    "label": "the clip's label; labels between semicolons make it a task of tags, in which a clip may have none",
    "fold": "optional: three or more folds, which take turns in training, choosing and scoring",
    "split": "optional instead: train, valid (or validation, val, dev) and test; valid may be left to be made of train",
    "group": "optional: what must not be in two folds, such as the speaker; without it, each file is its own group",
    "start, stop": "optional: seconds within the file; a row is then a clip of it",
    "without folds": "five are made, grouped by group and alike in their labels, always the same",
}
COLUMNS = ("path", "label", "fold", "split", "group", "start", "stop")
#: Names of columns that mean one of ours, but are not spelt like it.
OTHERS = {
    **dict.fromkeys(("file", "filename", "file_name", "filepath", "file_path", "audio", "wav"), "path"),
    **dict.fromkeys(("class", "category", "target", "tag", "tags"), "label"),
    **dict.fromkeys(("begin", "onset", "start_time", "start_s"), "start"),
    **dict.fromkeys(("end", "offset", "stop_time", "end_time", "stop_s", "end_s"), "stop"),
    "subset": "split",
}


class Row(NamedTuple):
    """The cells of a line by their columns' names, and how to name the line in a sentence."""

    where: str
    cells: dict[str, str]


def task(text: str) -> Task:
    """The task of a table.

    Raises:
        UserError: the table or a line of it is not as it must be; the sentence names the line.
    """
    file = absolute(text)
    if file.is_dir():
        raise UserError(f"{text!r} is a folder: write folder:{text} for a folder with one folder per label in it")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"the table {text!r} cannot be read: {error.strerror}") from error
    rows = list(_rows(file.name, content))
    if not rows:
        raise UserError(f"{file.name} lists no clips: there is nothing below its first line")
    columns = rows[0].cells
    tags = any(";" in row.cells["label"] for row in rows)
    clips = [_clip(row, tags) for row in rows]
    _refuse_doubles(file.parent, rows, clips)
    folds = "fold" if "fold" in columns else "split" if "split" in columns else ""
    groups = "groups are in the column group" if "group" in columns else "each file is its own group"
    return own_task("csv", file, hashlib.sha256(content).hexdigest(), clips, folds=folds, groups=groups)


def _rows(name: str, content: bytes) -> Iterator[Row]:
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), skipinitialspace=True, strict=True)
        header = [cell.strip() for cell in next(lines, [])]
        _check_header(name, header)
        for cells in lines:
            where = f"line {lines.line_num} of {name}"
            if not any(map(str.strip, cells)):
                continue
            if len(cells) != len(header):
                raise UserError(
                    f"{where} has {len(cells)} cells, and the first line names {len(header)} columns: a cell with a "
                    "comma in it stands between quotes"
                )
            yield Row(where, {column: cell.strip() for column, cell in zip(header, cells, strict=True)})
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is no text in UTF-8: save it as CSV in UTF-8") from error
    except csv.Error as error:
        raise UserError(f"line {lines.line_num} of {name} cannot be read as CSV: {error}") from error


def _check_header(name: str, header: Sequence[str]) -> None:
    if not any(header):
        raise UserError(f"the first line of {name} is empty: it must name the columns path and label")
    if len(header) == 1:
        raise UserError(
            f"{name} has one column only, {header[0]!r}: it needs path and label, with a comma between two columns"
        )
    if doubled := sorted({column for column in header if header.count(column) > 1}):
        raise UserError(f"{name} has the column {doubled[0]!r} more than once")
    for column in header:
        word = column.lower()
        meant = OTHERS.get(word) or next(iter(get_close_matches(word, COLUMNS, 1, 0.85)), None)
        if meant is not None and meant not in header:
            raise UserError(f"{name} has a column {column!r} and none {meant!r}: did you mean {meant!r}? rename it")
    if lacking := [column for column in COLUMNS[:2] if column not in header]:
        raise UserError(f"{name} lacks the column {lacking[0]!r}: it has {', '.join(header)}")
    if "fold" in header and "split" in header:
        raise UserError(f"{name} has both a column 'fold' and a column 'split': keep the one that is to be used")


def _clip(row: Row, tags: bool) -> Clip:
    """A clip whose path is as the table has it."""
    where, cells = row
    for column in ("path", "fold", "split", "group", *(() if tags else ("label",))):
        if not cells.get(column, "given"):
            raise UserError(f"{where} has no {column}")
    part = cells.get("split", "").lower()
    if part and part not in PARTS:
        raise UserError(f"{where} has the split {cells['split']!r}: {choices(part, PARTS)}")
    start, stop = (_seconds(where, column, cells.get(column, "")) for column in ("start", "stop"))
    if stop is not None and (start or 0.0) >= stop:
        raise UserError(f"{where} starts at {start or 0.0} s and stops at {stop} s: it must start before it stops")
    file = _shown(cells["path"])
    stretch = "" if start is None and stop is None else f"#{_text(start)}-{_text(stop)}"
    labels = tuple(dict.fromkeys(label for each in cells["label"].split(";") if (label := each.strip())))
    return Clip(
        id=file + stretch,
        path=Path(cells["path"]),
        target=labels if tags else cells["label"],
        fold=cells.get("fold") or PARTS.get(part, ""),
        group=cells.get("group", file),
        start=start,
        stop=stop,
    )


def _seconds(where: str, column: str, text: str) -> float | None:
    if not text:
        return None
    try:
        seconds = float(text)
    except ValueError as error:
        raise UserError(f"{where} has the {column} {text!r}, which is no number of seconds") from error
    if not 0 <= seconds < math.inf:
        raise UserError(f"{where} has the {column} {text!r}: it must be a number of seconds from 0 on")
    return seconds


def _text(seconds: float | None) -> str:
    return "" if seconds is None else str(seconds)


def _shown(path: str) -> str:
    """A path as results may show it: an absolute one by its base name, and by a hash that tells it from others."""
    if not Path(path).is_absolute():
        return path
    return f"{Path(path).name}-{hashlib.sha256(path.encode()).hexdigest()[:8]}"


def _refuse_doubles(folder: Path, rows: Sequence[Row], clips: Sequence[Clip]) -> None:
    """Refuse a stretch that is listed twice, and a file that is named in two ways and would be two groups."""
    spelt: dict[str, tuple[str, Path]] = {}
    listed: dict[tuple[str, float, float | None], str] = {}
    for (where, _), clip in zip(rows, clips, strict=True):
        file = os.path.normpath(folder / clip.path)
        first, path = spelt.setdefault(file, (where, clip.path))
        if str(path) != str(clip.path):
            raise UserError(f"{where} and {first} name one file in two ways, {str(clip.path)!r} and {str(path)!r}")
        other = listed.setdefault((file, clip.start or 0.0, clip.stop), where)
        if other != where:
            raise UserError(f"{where} lists {clip.id!r} again, after {other}")
