"""The leaderboard page: one HTML file that needs no server, beside the same tables as Markdown and CSV."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from harness.errors import UserError
from harness.files import write_atomically
from harness.types import Result

from .plots import labels_of, layer_plot, layer_scores, score_plot, weight_plot
from .table import grouped, ranking, to_csv, to_markdown

_TITLE = "Frozen audio representations"
_ABOUT = "What frozen audio encoders know: a task trains only a small head on their features, never the encoder."
_NOTE = (
    "Scores are in percent, with a confidence interval. Where intervals overlap, the order may be chance. "
    "Results with a badge (such as untrained or partial) are shown but not ranked."
)
_KINDS = {
    **dict.fromkeys(("Rank", "Score, %", "Fold spread, %", "Parameters, M", "Clips/s"), "number"),
    **dict.fromkeys(("Upstream", "Interval", "Chosen per fold"), "long"),
}
# The page holds all it needs, so the browser may refuse every request, whatever a result file smuggles in.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
_STYLE = """
:root { color-scheme: light dark; --page: #fff; --text: #1c2024; --soft: #646b76; --line: #e3e6ea }
@media (prefers-color-scheme: dark) {
  :root { --page: #14161a; --text: #e6e8eb; --soft: #9aa2ad; --line: #2c3037 }
}
body { margin: 0 auto; padding: 2rem 1rem 4rem; max-width: 84rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: anywhere }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25 }
h2 { margin: 3rem 0 .75rem; font-size: 1.25rem }
h3 { margin: 1rem 0 .25rem; font-size: .85rem; color: var(--soft) }
h2 small, .note, figcaption, th, .unranked { color: var(--soft) }
h2 small { margin-left: .4rem; font-weight: 400 }
a { color: inherit }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem }
.scroll { overflow-x: auto }
.scroll table { width: 100%; border-collapse: collapse; font-size: .9rem; overflow-wrap: normal }
.scroll th, .scroll td { padding: .4rem .5rem; border-bottom: 1px solid var(--line); text-align: left;
  vertical-align: top; white-space: nowrap }
.scroll td.long { min-width: 8rem; max-width: 18rem; white-space: normal; overflow-wrap: break-word }
.scroll th { font-weight: 500; font-size: .8rem }
.scroll .number { text-align: right }
.badge { padding: .05rem .45rem; border: 1px solid currentColor; border-radius: 1rem; font-size: .8em }
figure { margin: 1.5rem 0 0 }
figcaption, .note { font-size: .85rem }
details { margin-top: .4rem; border-top: 1px solid var(--line); padding-top: .4rem }
summary { cursor: pointer }
dl { display: grid; grid-template-columns: minmax(6rem, max-content) 1fr; gap: .15rem 1rem; margin: 0;
  font-size: .85rem }
dt { color: var(--soft) }
dd { margin: 0 }
"""
_DRAW = """
for (const script of document.querySelectorAll("script.plot")) {
  const figure = JSON.parse(script.textContent), place = document.createElement("div");
  script.after(place);
  Plotly.newPlot(place, figure.data, figure.layout, {displayModeBar: false, responsive: true});
}
"""


def build(results: list[Result], out: Path) -> list[Path]:
    """Write the page, the Markdown and the CSV into a folder, and return their paths.

    Raises:
        UserError: there are no results, or the folder cannot be written.
    """
    if not results:
        raise UserError("there are no results to show: `harness run` makes them")
    texts = {
        "index.html": _page(results),
        "leaderboard.md": to_markdown(results),
        "leaderboard.csv": to_csv(results),
    }
    for name, text in texts.items():
        try:
            write_atomically(out / name, text.encode())
        except OSError as error:
            raise UserError(f"the folder {out} cannot be written: {error.strerror}") from error
    return [out / name for name in texts]


def _page(results: Sequence[Result]) -> str:
    groups = grouped(results)
    links = (f'<a href="#{n}">{_html(task)}, {_html(protocol)}</a>' for n, (task, protocol) in enumerate(groups))
    sections = (_section(str(n), *names, group) for n, (names, group) in enumerate(groups.items()))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_TITLE}</title>
<style>{_STYLE}</style>
<noscript><style>figure {{ display: none }}</style></noscript>
</head>
<body>
<h1>{_TITLE}</h1>
<p>{_ABOUT}</p>
<p class="note">{_NOTE}</p>
<nav>{" ".join(links)}</nav>
{"".join(sections)}
<script>{get_plotlyjs()}</script>
<script>{_DRAW}</script>
</body>
</html>
"""


def _section(anchor: str, task: str, protocol: str, group: Sequence[Result]) -> str:
    labels = labels_of(group, "interface", "head")
    weights = [(label, r.layer_weights) for label, r in zip(labels, group, strict=True) if r.layer_weights]
    plots = [
        _plot("Score with its interval, in percent; hollow: not ranked.", score_plot(labels, group)),
        _plot(
            "Score on the validation folds of each layer's best setting, in percent, mean over splits.",
            layer_plot(layer_scores(group)),
        ),
        *(_plot(f"Learned layer weights of {label}, one row per fit.", weight_plot(rows)) for label, rows in weights),
    ]
    details = (_provenance(label, result) for label, result in zip(labels, group, strict=True))
    return f"""<section id="{anchor}">
<h2>{_html(task)} <small>protocol {_html(protocol)}</small></h2>
{_table(group)}
{"".join(plots)}
<h3>Provenance</h3>
{"".join(details)}
</section>
"""


def _html(value: Any) -> str:
    return escape(str(value))


def _table(group: Sequence[Result]) -> str:
    table = ranking(group).drop(columns="Badges")
    rows = [
        "".join(_cell(str(name), text, result.badges) for name, text in cells.items())
        for result, cells in zip(group, table.to_dict("records"), strict=True)
    ]
    marks = ["unranked" if result.badges else "ranked" for result in group]
    head = "".join(f'<th class="{_KINDS.get(name, "")}">{_html(name)}</th>' for name in map(str, table))
    body = "\n".join(f'<tr class="{mark}">{row}</tr>' for mark, row in zip(marks, rows, strict=True))
    return f"""<div class="scroll"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
"""


def _cell(name: str, text: str, badges: Sequence[str]) -> str:
    marks = [f' <span class="badge">{_html(badge)}</span>' for badge in badges if name == "Upstream"]
    return f'<td class="{_KINDS.get(name, "")}">{_html(text)}{"".join(marks)}</td>'


def _provenance(label: str, result: Result) -> str:
    parts: dict[str, Mapping[str, Any]] = {
        "Result": {"key": result.key, "created": result.created},
        "Encoder": result.encoder,
        "Data": result.data,
        "Environment": result.environment,
        "Cost": result.cost,
    }
    lists = (f"<h3>{name}</h3><dl>{_pairs(values)}</dl>" for name, values in parts.items())
    return f"<details><summary>{_html(label)}</summary>{''.join(lists)}</details>"


def _pairs(values: Mapping[str, Any]) -> str:
    texts = {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in values.items()}
    return "".join(f"<dt>{_html(name)}</dt><dd>{_html(text)}</dd>" for name, text in texts.items())


def _plot(caption: str, figure: go.Figure | None) -> str:
    """A figure as data beside its caption; the script at the end of the page draws it."""
    if figure is None:
        return ""
    # "<" occurs in JSON only within text, and without it nothing in the text can close the script.
    data = figure.to_json().replace("<", "\\u003c")
    return f"""<figure>
<figcaption>{_html(caption)}</figcaption>
<script type="application/json" class="plot">{data}</script>
</figure>
"""
