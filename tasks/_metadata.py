"""The metadata files of data sets: tables with named columns, JSON, lists."""

import csv
import io
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import UserError

#: The longest cell; the csv module's own limit is shorter than some lists of annotations.
LONGEST_CELL = 1 << 24


def read_table(
    path: Path, columns: Iterable[str], *, delimiter: str = ",", header: Sequence[str] = ()
) -> list[dict[str, str]]:
    """The rows of a table in their order, as cells by the columns' names.

    ``columns`` are those that must be there; others come along. A table that names none is given its ``header``.

    Raises:
        UserError: the table cannot be read, lacks a column, or has a line with too few or too many cells.
    """
    lines = _cells(path, io.StringIO(_text(path), newline=""), delimiter)
    names = list(header) or next(lines, [])
    _check_columns(path, names, columns)
    return list(_rows(path, names, lines))


def each_row(path: Path, columns: Collection[str], *, heads: int = 1) -> Iterator[dict[str, str]]:
    """The rows of a table too large to be held, one by one, with the cells of ``columns`` alone.

    Its first ``heads`` lines name the columns together, such as ``track.genre_top``.

    Raises:
        UserError: as :func:`read_table`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = _cells(path, file, ",")
            names = [".".join(filter(None, parts)) for parts in zip(*islice(lines, heads), strict=False)]
            _check_columns(path, names, columns)
            for row in _rows(path, names, lines):
                yield {name: row[name] for name in columns}
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _cells(path: Path, text: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST_CELL)
    try:
        yield from csv.reader(text, delimiter=delimiter)
    except csv.Error as error:
        raise UserError(f"{path} cannot be read as a table: {error}") from error


def _check_columns(path: Path, names: Sequence[str], columns: Iterable[str]) -> None:
    if lacking := sorted(set(columns) - set(names)):
        raise UserError(f"{path} lacks the column {lacking[0]!r}: it has {', '.join(names) or 'none'}")


def _rows(path: Path, names: Sequence[str], lines: Iterable[list[str]]) -> Iterator[dict[str, str]]:
    for number, cells in enumerate(lines, 1):
        if not cells:
            continue
        if len(cells) != len(names):
            raise UserError(f"row {number} of {path} has {len(cells)} cells, and there are {len(names)} columns")
        yield dict(zip(names, cells, strict=True))


def read_lines(path: Path) -> list[str]:
    """The lines of a list without the spaces around them; empty ones are left out.

    Raises:
        UserError: the list cannot be read.
    """
    return [line for text in _text(path).splitlines() if (line := text.strip())]


def read_json(path: Path) -> Any:
    """What a JSON file holds.

    Raises:
        UserError: it cannot be read, or is no JSON.
    """
    try:
        return json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{path} cannot be read as JSON: {error}") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is no text in UTF-8") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
