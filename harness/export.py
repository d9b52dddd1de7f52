"""Tables as texts: Markdown, CSV, JSON and LaTeX."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, NamedTuple

NONE = "–"


class Cell(NamedTuple):
    """A text that may be bold or underlined, what follows it plainly, and the numbers of its footnotes."""

    text: str
    rest: str = ""
    bold: bool = False
    underlined: bool = False
    footnotes: tuple[int, ...] = ()


class Column(NamedTuple):
    """A heading, a second line of it, and whether numbers stand below."""

    name: str
    unit: str = ""
    number: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table: ``rows`` are for people, ``records`` hold the same for programs, one plain value for each name.

    ``notes`` are sentences on the whole, ``facts`` what JSON also holds.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    records: tuple[Mapping[str, Any], ...]
    footnotes: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


def to_markdown(sheets: Sequence[Sheet]) -> str:
    """Tables as GitHub and pandoc read them."""
    return "\n".join(map(_markdown, sheets))


def to_csv(sheets: Sequence[Sheet]) -> str:
    """The records of all tables, plain numbers; notes are in the other forms only."""
    records = [record for sheet in sheets for record in sheet.records]
    names = dict.fromkeys(name for record in records for name in record)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(names)
    rows.writerows([_harmless(record.get(name)) for name in names] for record in records)
    return text.getvalue()


def to_json(sheets: Sequence[Sheet]) -> str:
    """One object: the version, and for each table its title, facts, records as ``rows``, and notes."""
    tables = [
        {"title": sheet.title, **sheet.facts, "rows": sheet.records, "notes": [*sheet.footnotes, *sheet.notes]}
        for sheet in sheets
    ]
    return json.dumps({"harness": _version(), "tables": tables}, indent=1, allow_nan=False) + "\n"


def to_latex(sheets: Sequence[Sheet]) -> str:
    """A ``table`` each, with rules of the package booktabs."""
    head = f"% made by harness {_version()}; needs \\usepackage{{booktabs}}\n"
    return head + "\n".join(map(_latex, sheets))


#: The forms by their names.
FORMS: Mapping[str, Callable[[Sequence[Sheet]], str]] = {
    "markdown": to_markdown,
    "csv": to_csv,
    "json": to_json,
    "latex": to_latex,
}
#: And by the suffixes of files.
SUFFIXES: Mapping[str, str] = {".md": "markdown", ".csv": "csv", ".json": "json", ".tex": "latex"}


def plain(text: str) -> str:
    """Text of one line without what cannot be seen: control characters, which a terminal would obey, among them."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def mark(number: int) -> str:
    """The sign of a footnote: a, b, ..., z, aa, bb."""
    return chr(ord("a") + number % 26) * (1 + number // 26)


def _markdown(sheet: Sheet) -> str:
    heads = [_as_markdown(f"{column.name}{', ' * bool(column.unit)}{column.unit}") for column in sheet.columns]
    rules = ["---:" if column.number else "---" for column in sheet.columns]
    rows = [heads, rules, *([_markdown_cell(cell) for cell in row] for row in sheet.rows)]
    table = "\n".join("| " + " | ".join(row) + " |" for row in rows)
    footnotes = [f"<sup>{mark(i)}</sup> {_as_markdown(note)}" for i, note in enumerate(sheet.footnotes)]
    return "\n\n".join([f"**{_as_markdown(sheet.title)}**", table, *footnotes, *map(_as_markdown, sheet.notes)]) + "\n"


def _markdown_cell(cell: Cell) -> str:
    text = _as_markdown(cell.text)
    if cell.underlined:
        text = f"<ins>{text}</ins>"
    if cell.bold:
        text = f"**{text}**"
    marks = f"<sup>{','.join(map(mark, cell.footnotes))}</sup>" if cell.footnotes else ""
    return " ".join(filter(None, [text, _as_markdown(cell.rest)])) + marks


def _latex(sheet: Sheet) -> str:
    heads = [[_as_latex(column.name) for column in sheet.columns]]
    if any(column.unit for column in sheet.columns):
        heads.append([_as_latex(column.unit) for column in sheet.columns])
    footnotes = " ".join(rf"\textsuperscript{{{mark(i)}}} {_as_latex(n)}." for i, n in enumerate(sheet.footnotes))
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{'. '.join(map(_as_latex, [sheet.title, *sheet.notes]))}.}}",
        rf"\label{{tab:{re.sub('[^a-z0-9]+', '-', sheet.title.lower()).strip('-')}}}",
        rf"\begin{{tabular}}{{{''.join('r' if column.number else 'l' for column in sheet.columns)}}}",
        r"\toprule",
        *map(_latex_row, heads),
        r"\midrule",
        *(_latex_row(map(_latex_cell, row)) for row in sheet.rows),
        r"\bottomrule",
        r"\end{tabular}",
        *([rf"\par\smallskip\footnotesize {footnotes}"] if footnotes else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _latex_cell(cell: Cell) -> str:
    text = _as_latex(cell.text)
    if cell.underlined:
        text = rf"\underline{{{text}}}"
    if cell.bold:
        text = rf"\textbf{{{text}}}"
    marks = rf"\textsuperscript{{{','.join(map(mark, cell.footnotes))}}}" if cell.footnotes else ""
    return " ".join(filter(None, [text, _as_latex(cell.rest)])) + marks


def _latex_row(cells: Iterable[str]) -> str:
    line = " & ".join(cells)
    # What ends a row or draws a rule would take a [ or * that follows for its own.
    return ("{}" if line.lstrip()[:1] in ("[", "*") else "") + line + r" \\"


_LATEX = {
    **{c: f"\\{c}" for c in "{}%&#_$"},
    **{c: f"\\symbol{{{ord(c)}}}" for c in '"`'},
    **{"\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}"},
    **{"<": "\\textless{}", ">": "\\textgreater{}", "|": "\\textbar{}"},
    **{"-": "-{}", "–": "--", "±": "$\\pm$", "↓": "$\\downarrow$", "×": "$\\times$", "≤": "$\\leq$"},
}


def _as_latex(text: str) -> str:
    """Text as it is, in which nothing is a command, ends a cell, or ends an argument."""
    signs = "".join(map(re.escape, _LATEX.keys() - {"-"}))
    return re.sub(f"-(?=-)|[{signs}]", lambda found: _LATEX[found[0]], plain(text))


def _as_markdown(text: str) -> str:
    """Text that Markdown cannot take for a table, a link, emphasis, code, mathematics or HTML."""
    return re.sub(
        r"[&<>|`*~$\\]|(?<![^\W_])_|_(?![^\W_])|\](?=[(\[])", lambda found: f"&#{ord(found[0])};", plain(text)
    )


def _harmless(value: Any) -> Any:
    """A spreadsheet runs text that begins like a formula; and a line break could begin a row."""
    if not isinstance(value, str):
        return value
    text = plain(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def _version() -> str:
    return version("frozen-audio-harness")
