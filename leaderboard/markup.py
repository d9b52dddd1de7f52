"""Sheets, facts and figures as HTML, in which no text of a result is ever code."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import plotly.graph_objects as go

from harness.export import NONE, Cell, Column, Sheet, mark

_NOTHING: Mapping[str, Sequence[str]] = {}
#: Columns of text: what stays in view, what is folded, and what is folded on wide screens only.
_KINDS = {
    **dict.fromkeys(("Upstream", "Model"), "name long"),
    **dict.fromkeys(("One", "Other"), "long"),
    **dict.fromkeys(("Interval", "Chosen per fold", "Test", "Source", "Remark"), "wide"),
}
#: Of fewer columns than this, a table does not fill the page.
_FEW = 8


def html(value: Any) -> str:
    """A value as text."""
    return escape(str(value))


def table(
    sheet: Sheet,
    *,
    classes: Sequence[str] = (),
    after: Mapping[str, Sequence[str]] = _NOTHING,
    hidden: Sequence[str] = (),
) -> str:
    """A sheet's table, without its title and notes.

    ``classes`` are those of the rows, ``after`` has markup that follows the cells of a column, by its name, and
    ``hidden`` names columns that are left out.
    """
    shown = [i for i, column in enumerate(sheet.columns) if column.name not in hidden]
    columns = [sheet.columns[i] for i in shown]
    rows = []
    kinds = [f' class="{html(name)}"' for name in classes] or [""] * len(sheet.rows)
    for number, row in enumerate(sheet.rows):
        ends = {name: marks[number] for name, marks in after.items()}
        cells = "".join(
            _cell(column, row[i], ends.get(column.name, "")) for i, column in zip(shown, columns, strict=True)
        )
        rows.append(f"<tr{kinds[number]}>{cells}</tr>")
    head = "".join(f"<th{_kind(column)}>{html(_heading(column))}</th>" for column in columns)
    body = "\n".join(rows)
    narrow = ' class="narrow"' if len(columns) < _FEW else ""
    return f"""<div class="scroll"><table{narrow}>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
"""


def facts(values: Mapping[str, Any]) -> str:
    """Names and values; what is no text stands as JSON."""
    texts = {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in values.items()}
    return f"<dl>{''.join(f'<dt>{html(name)}</dt><dd>{html(text or NONE)}</dd>' for name, text in texts.items())}</dl>"


def note(text: str) -> str:
    """A sentence in small print, and nothing of an empty one."""
    return f'<p class="note">{html(text)}</p>\n' if text else ""


def noted(sheet: Sheet) -> str:
    """A sheet's notes and its table, without its title."""
    return "".join((*map(note, sheet.notes), table(sheet)))


def folded(summary: str, inside: str) -> str:
    """What is shown when its summary is clicked, and nothing where there is nothing inside."""
    return f"<details><summary>{html(summary)}</summary>{inside}</details>\n" if inside else ""


def figure(caption: str, drawn: go.Figure | None) -> str:
    """A figure as data beside its caption; the script at the end of the page draws it."""
    if drawn is None:
        return ""
    # "<" occurs in JSON only within text, and without it nothing in the text can close the script.
    data = drawn.to_json().replace("<", "\\u003c")
    return f"""<figure>
<figcaption>{html(caption)}</figcaption>
<script type="application/json" class="plot">{data}</script>
</figure>
"""


def _kind(column: Column) -> str:
    kind = "number" if column.number else _KINDS.get(column.name)
    return f' class="{kind}"' if kind else ""


def _heading(column: Column) -> str:
    return f"{column.name}{', ' * bool(column.unit)}{column.unit}"


def _cell(column: Column, cell: Cell, after: str) -> str:
    text = html(cell.text)
    if cell.underlined:
        text = f"<u>{text}</u>"
    if cell.bold:
        text = f"<b>{text}</b>"
    marks = f"<sup>{','.join(map(mark, cell.footnotes))}</sup>" if cell.footnotes else ""
    return f"<td{_kind(column)}>{' '.join(filter(None, [text, html(cell.rest)]))}{marks}{after}</td>"
