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
from harness.results import is_share, shown
from harness.types import Result

from .plots import labels_of, layer_plot, layer_scores, score_plot, weight_plot
from .style import DRAW, STYLE
from .table import NONE, Group, about, grouped, is_ranked, ranking, to_csv, to_markdown, warning

_TITLE = "Frozen audio representations"
_ABOUT = "What frozen audio encoders know: a task trains only a small head on their features, never the encoder."
_NOTE = (
    "Scores come with a confidence interval; where intervals overlap, the order may be chance. Results with a badge "
    "are never ranked with clean ones: leaky and test-selected ones are ranked among those with the same badges, "
    "others (such as untrained or partial) are shown but not ranked."
)
_KINDS = {
    **dict.fromkeys(("Rank", "Score", "Fold spread", "Seed spread", "Parameters, M", "Clips/s"), "number"),
    **dict.fromkeys(("Upstream", "Interval", "Chosen per fold"), "long"),
}
# The page holds all it needs, so the browser may refuse every request, whatever a result file smuggles in.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


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
    sections = (_section(str(n), names, group) for n, (names, group) in enumerate(groups.items()))
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{_TITLE}</title>
<style>{STYLE}</style>
<noscript><style>figure {{ display: none }}</style></noscript>
</head>
<body>
<h1>{_TITLE}</h1>
<p>{_ABOUT}</p>
<p class="note">{_NOTE}</p>
<nav><dl>{_links(list(groups))}</dl></nav>
{"".join(sections)}
<script>{get_plotlyjs()}</script>
<script>{DRAW}</script>
</body>
</html>
"""


def _links(names: Sequence[Group]) -> str:
    """Each task with links to its sections, by protocol, and by metric where one protocol has several."""
    links: dict[str, list[str]] = {}
    for n, (task, protocol, metric) in enumerate(names):
        alone = [(other.task, other.protocol) for other in names].count((task, protocol)) == 1
        text = protocol if alone else f"{protocol}, {metric}"
        links.setdefault(task, []).append(f'<a href="#{n}">{_html(text)}</a>')
    return "".join(f"<dt>{_html(task)}</dt><dd>{''.join(these)}</dd>" for task, these in links.items())


def _section(anchor: str, names: Group, group: Sequence[Result]) -> str:
    labels = labels_of(group, "interface", "head")
    unit = f"{names.metric}{' in %' * is_share(names.metric)}"
    plots = [
        _plot(f"Score ({unit}) with its interval{_legend(group)}.", score_plot(labels, group)),
        _plot(
            f"Score ({unit}) on the validation folds of each layer's best setting, mean over splits.",
            layer_plot(layer_scores(group), names.metric),
        ),
        *(
            _plot(f"Learned layer weights of {label}, one row per fit.", weight_plot(r.layer_weights))
            for label, r in zip(labels, group, strict=True)
        ),
    ]
    details = (_provenance(label, result) for label, result in zip(labels, group, strict=True))
    return f"""<section id="{anchor}">
<h2>{_html(names.task)} <small>protocol {_html(names.protocol)}</small></h2>
<p class="note">{_html(about(group))}</p>
{f'<p class="note"><strong>{_html(warned)}</strong></p>' if (warned := warning(group)) else ""}
{_table(group)}
{"".join(plots)}
<h3>Provenance</h3>
{"".join(details)}
</section>
"""


def _legend(group: Sequence[Result]) -> str:
    """What the dots of the score plot mean, as far as they are not all clean."""
    marks = {
        "; grey: leaky or test-selected": any(r.badges and is_ranked(r) for r in group),
        "; hollow: not ranked": not all(is_ranked(r) for r in group),
    }
    return "".join(text for text, occurs in marks.items() if occurs)


def _html(value: Any) -> str:
    return escape(str(value))


def _table(group: Sequence[Result]) -> str:
    # Badges stand beside the upstream, deviations below the interface.
    table = ranking(group).drop(columns=["Badges", "Deviations"], errors="ignore")
    rows = [
        "".join(_cell(str(name), text, result) for name, text in cells.items())
        for result, cells in zip(group, table.to_dict("records"), strict=True)
    ]
    marks = ["ranked" if is_ranked(result) else "unranked" for result in group]
    head = "".join(f'<th class="{_KINDS.get(name, "")}">{_html(name)}</th>' for name in map(str, table))
    body = "\n".join(f'<tr class="{mark}">{row}</tr>' for mark, row in zip(marks, rows, strict=True))
    return f"""<div class="scroll"><table>
<thead><tr>{head}</tr></thead>
<tbody>
{body}
</tbody>
</table></div>
"""


def _cell(name: str, text: str, result: Result) -> str:
    marks = [f' <span class="badge">{_html(badge)}</span>' for badge in result.badges if name == "Upstream"]
    marks += [f"<small>{_html(sentence)}</small>" for sentence in result.deviations if name == "Interface"]
    return f'<td class="{_KINDS.get(name, "")}">{_html(text)}{"".join(marks)}</td>'


def _provenance(label: str, result: Result) -> str:
    parts: dict[str, Mapping[str, Any]] = {
        "Result": {"key": result.key, "created": result.created},
        "Metrics": {name: f"{shown(value, name)}{' %' * is_share(name)}" for name, value in result.metrics.items()},
        "Encoder": result.encoder,
        "Data": result.data,
        "Method": result.method,
        "Environment": result.environment,
        "Cost": result.cost,
    }
    lists = (f"<h3>{name}</h3><dl>{_pairs(values)}</dl>" for name, values in parts.items())
    return f"<details><summary>{_html(label)}</summary>{''.join(lists)}</details>"


def _pairs(values: Mapping[str, Any]) -> str:
    texts = {k: v if isinstance(v, str) else json.dumps(v, ensure_ascii=False) for k, v in values.items()}
    return "".join(f"<dt>{_html(name)}</dt><dd>{_html(text or NONE)}</dd>" for name, text in texts.items())


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
