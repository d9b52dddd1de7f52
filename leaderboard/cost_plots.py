"""The figures of cost: curves over length on logarithmic axes, and scores against cost with their Pareto front."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import plotly.graph_objects as go

from harness.points import Point, curves
from harness.presets import Published, published
from harness.results import higher_is_better, is_share
from harness.types import Result

from .groups import is_ranked
from .plots import framed, plain

#: What is drawn over length: the figure, the title of its axis, and what it is divided by.
DRAWN = {"latency_median": ("seconds of a forward", 1.0), "peak_bytes": ("peak memory, MB", 1e6)}
_COLOURS = ("#3b82f6", "#f97316", "#10b981", "#a855f7", "#ef4444", "#14b8a6", "#eab308", "#64748b")
_LEGEND = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0}
#: Ticks at 1, 2 and 5.
_LOG = {"type": "log", "dtick": "D2"}
_DASHES = {"own": "solid", "sdpa": "solid", "eager": "dash"}


def cost_curves(points: Sequence[Point], figure: str) -> go.Figure | None:
    """A figure over length, one line for each curve of points of one preset and unit; None where no line has two.

    Attention written in full is dashed; what was published of a preset is dotted, in its upstream's colour.
    """
    title, unit = DRAWN[figure]
    lines = list(_lines(points, figure, unit))
    if not any(len(line.x) > 1 for line in lines):
        return None
    return framed(
        lines,
        360 + 12 * len(lines),
        xaxis={**_LOG, "title": "tokens" if points[0].length.unit == "tokens" else "seconds of audio"},
        yaxis={**_LOG, "title": title},
        legend=_LEGEND,
        showlegend=True,
    )


def _lines(points: Sequence[Point], figure: str, unit: float) -> Iterator[go.Scatter]:
    names = list(dict.fromkeys(point.upstream for point in points))
    colours = {name: _COLOURS[n % len(_COLOURS)] for n, name in enumerate(names)}
    for curve in curves(points).values():
        places = {point.place: cost / unit for point in curve if (cost := point.cost(figure))}
        if places:
            first = curve[0]
            name = " · ".join([first.upstream, *_apart(first)])
            yield _line(name, places, colours[first.upstream], _DASHES.get(first.attention, "solid"))
    for name in names:
        known = [each for each in published(points[0].preset) if (each.upstream, each.figure) == (name, figure)]
        if known:
            places = {each.tokens: each.value / unit for each in known}
            yield _line(f"{name} · published", places, colours[name], "dot", _errors(known, unit))


def _apart(point: Point) -> list[str]:
    """What tells a curve from another of its upstream, where it is not the usual."""
    marks = {point.way: ["uncut", "image"], point.attention: ["own"], point.dtype: ["float32"]}
    return [mark for mark, usual in marks.items() if mark not in usual]


def _line(
    name: str, places: Mapping[float, float], colour: str, dash: str, errors: Mapping[str, Any] | None = None
) -> go.Scatter:
    return go.Scatter(
        x=list(places),
        y=list(places.values()),
        name=plain(name),
        mode="lines+markers",
        line={"color": colour, "dash": dash, "width": 2},
        marker={"color": colour, "size": 6},
        error_y=errors,
        hovertemplate="%{x:,}: %{y:.3g}",
    )


def _errors(known: Sequence[Published], unit: float) -> dict[str, Any]:
    """How far a figure that was read off a plot may be off."""
    return {"array": [each.spread / unit for each in known], "thickness": 1, "width": 0}


class Dot(NamedTuple):
    """A result beside what its upstream costs."""

    result: Result
    cost: float


def front(dots: Sequence[Dot]) -> list[Dot]:
    """The Pareto front of ranked results, cheapest first: of each, none is both cheaper and better."""
    sign = 1 if higher_is_better(dots[0].result.metric) else -1
    best, found = float("-inf"), []
    for dot in sorted(dots, key=lambda dot: (dot.cost, -sign * dot.result.score)):
        if is_ranked(dot.result) and sign * dot.result.score > best:
            best = sign * dot.result.score
            found.append(dot)
    return found


def score_against_cost(dots: Sequence[Dot], title: str) -> go.Figure | None:
    """Scores of one metric over the cost of their upstreams, with the front as a line; None with fewer than two.

    Dots are hollow without a rank; only ranked ones make the front.
    """
    if len(dots) < 2:
        return None
    best = front(dots)
    metric = dots[0].result.metric
    unit = 100 if is_share(metric) else 1
    scores = [unit * dot.result.score for dot in dots]
    line = go.Scatter(
        x=[dot.cost for dot in best],
        y=[unit * dot.result.score for dot in best],
        mode="lines",
        line={"color": _COLOURS[0], "width": 1, "shape": "hv"},
        hoverinfo="skip",
    )
    marks = go.Scatter(
        x=[dot.cost for dot in dots],
        y=scores,
        text=[plain(dot.result.upstream) for dot in dots],
        mode="markers+text",
        textposition="top center",
        marker={
            "symbol": ["circle" if is_ranked(dot.result) else "circle-open" for dot in dots],
            "color": _COLOURS[0],
            "size": 10,
            "line": {"color": _COLOURS[0], "width": 2},
        },
        cliponaxis=False,
        hovertemplate="%{text}: %{y:.1f} at %{x:.3g}<extra></extra>",
    )
    low, span = min(scores), max(scores) - min(scores) or unit
    # Names stand above their dots.
    yaxis = {"title": f"{metric}{', %' * is_share(metric)}", "range": [low - 0.1 * span, low + 1.2 * span]}
    return framed([line, marks], 360, showlegend=False, xaxis={**_LOG, "title": title}, yaxis=yaxis)
