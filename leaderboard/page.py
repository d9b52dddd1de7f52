"""The leaderboard page: one HTML file that needs no server, beside the same tables as Markdown and CSV."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from plotly.offline import get_plotlyjs

from harness.errors import UserError
from harness.export import to_csv, to_markdown
from harness.files import write_atomically
from harness.points import Point
from harness.types import Result

from .contamination import marked
from .cost import cost_parts, cost_sheets
from .groups import NO_PAIRS, Pairs
from .markup import html, note
from .reference import beside
from .reference_table import beside_sheets
from .sections import Part, parts
from .style import DRAW, STYLE
from .summary import sheet as summary_sheet
from .summary import summaries
from .table import sheets

_TITLE = "Frozen audio representations"
_ABOUT = "What frozen audio encoders know: a task trains only a small head on their features, never the encoder."
_NOTE = (
    "Scores come with a confidence interval; where intervals overlap, the order may be chance. Results with a badge "
    "are never ranked with clean ones: leaky and test-selected ones are ranked among those with the same badges, "
    "others (such as untrained, partial or contaminated) are shown but not ranked."
)
# The page holds all it needs, so the browser may refuse every request, whatever a result file smuggles in.
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


def build(results: Sequence[Result], out: Path, pairs: Pairs = NO_PAIRS, points: Sequence[Point] = ()) -> list[Path]:
    """Write the page, the Markdown and the CSV into a folder, and return their paths.

    ``pairs`` are paired tests of results by their keys; without them ranks are by score alone. ``points`` are what
    upstreams cost.

    Raises:
        UserError: there are no results, or the folder cannot be written.
    """
    if not results and not points:
        raise UserError("there are no results to show: `harness run` makes them")
    results = [marked(result) for result in results]
    measured, averaged = sheets(results, pairs), map(summary_sheet, summaries(results))
    texts = {
        "index.html": _page([*parts(results, pairs), *cost_parts(points, results)]),
        "leaderboard.md": to_markdown([*averaged, *measured, *beside_sheets(beside(results)), *cost_sheets(points)]),
        "leaderboard.csv": to_csv(measured),
    }
    for name, text in texts.items():
        try:
            write_atomically(out / name, text.encode())
        except OSError as error:
            raise UserError(f"the folder {out} cannot be written: {error.strerror}") from error
    return [out / name for name in texts]


def _page(shown: Sequence[Part]) -> str:
    sections = (f'<section id="{n}">\n{part.body}</section>\n' for n, part in enumerate(shown))
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
{note(_NOTE)}<nav><dl>{_links(shown)}</dl></nav>
{"".join(sections)}
<script>{get_plotlyjs()}</script>
<script>{DRAW}</script>
</body>
</html>
"""


def _links(shown: Sequence[Part]) -> str:
    """Each task with links to its sections."""
    rows = []
    for topic, these in groupby(enumerate(shown), key=lambda numbered: numbered[1].topic):
        links = (f'<a href="#{n}">{html(part.link)}</a>' for n, part in these)
        rows.append(f"<dt>{html(topic)}</dt><dd>{''.join(links)}</dd>")
    return "".join(rows)
