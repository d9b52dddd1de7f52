"""The figures of the leaderboard page, on colours that read on a light and on a dark page."""

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import plotly.graph_objects as go

from harness.results import higher_is_better, is_share
from harness.types import Result

from .groups import is_ranked

_BLUE, _GREY = "#3b82f6", "#7b828d"
#: What a curve over layers spans at least, so that differences of a few clips do not look like a finding.
_LEAST = 0.1
_GRID = "rgba(128,128,128,0.2)"


def labels_of(group: Sequence[Result], *fields: str) -> list[str]:
    """The upstream and the badges of each result, between them those fields that differ within the group."""
    varying = [name for name in fields if len({getattr(r, name) for r in group}) > 1]
    labels = [" · ".join([r.upstream, *(getattr(r, name) for name in varying), *r.badges]) for r in group]
    # Two files of one name, or two versions of the data.
    doubled = {label for label in labels if labels.count(label) > 1}
    return [f"{label} · {r.key[:6]}" if label in doubled else label for label, r in zip(labels, group, strict=True)]


def plain(value: Any) -> str:
    """Text for a plot, which would render tags; short, so that a name cannot push the plot away."""
    return escape(str(value)[:60], quote=False)


def framed(traces: Sequence[Any], height: int, **layout: Any) -> go.Figure:
    """Traces as all figures of the page look."""
    # No zoom: on a phone it would swallow the finger that scrolls the page.
    axis = {"fixedrange": True, "gridcolor": _GRID, "zeroline": False, "automargin": True}
    figure = go.Figure(traces, {"template": "none", "height": height, "dragmode": False})
    figure.update_layout(
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": _GREY, "family": "system-ui, sans-serif", "size": 13},
        margin={"l": 10, "r": 10, "t": 10, "b": 40},
    )
    return figure.update_xaxes(axis).update_yaxes(axis).update_layout(**layout)


def score_plot(labels: Sequence[str], group: Sequence[Result]) -> go.Figure:
    """Scores of one metric with their intervals, one row per result.

    Dots are blue if clean, grey if leaky or test-selected, and hollow without a rank. Shares are in percent.
    """
    # Names lie above their dots: beside them they would take half the width of a phone.
    place = {"x": 0, "xref": "paper", "xanchor": "left", "xshift": 3, "yshift": 14, "showarrow": False}
    names = [place | {"y": y, "text": plain(label)} for y, label in enumerate(labels)]
    rows, metric = list(enumerate(group)), group[0].metric
    figure = framed(
        [
            _dots(metric, [(y, r) for y, r in rows if not r.badges], "circle", _BLUE),
            _dots(metric, [(y, r) for y, r in rows if r.badges and is_ranked(r)], "circle", _GREY),
            _dots(metric, [(y, r) for y, r in rows if not is_ranked(r)], "circle-open", _GREY),
        ],
        height=75 + 44 * len(group),
        showlegend=False,
        annotations=names,
        yaxis={"visible": False, "range": [len(group) - 0.6, -1.1]},
    )
    chance = next((r.data["chance"] for r in group if "chance" in r.data), None)
    if isinstance(chance, int | float) and 0 <= chance <= 1:
        line = {"color": _GREY, "width": 1, "dash": "dot"}
        figure.add_vline(_unit(metric) * chance, line=line, layer="below", annotation_text="chance")
    return figure


def _dots(metric: str, rows: Sequence[tuple[int, Result]], symbol: str, color: str) -> go.Scatter:
    unit = _unit(metric)
    low, high = (
        [unit * abs(end - r.score) if (end := getattr(r.interval, side)) is not None else 0 for _, r in rows]
        for side in ("low", "high")
    )
    bars = {"array": high, "arrayminus": low, "symmetric": False, "width": 0, "thickness": 2}
    return go.Scatter(
        x=[unit * r.score for _, r in rows],
        y=[y for y, _ in rows],
        error_x=bars,
        mode="markers",
        marker={"symbol": symbol, "color": color, "size": 10, "line": {"color": color, "width": 2}},
        hovertemplate=f"%{{x{_digits(metric)}}}<extra></extra>",
    )


def _unit(metric: str) -> int:
    """What a value is multiplied by to be shown."""
    return 100 if is_share(metric) else 1


def _digits(metric: str) -> str:
    return ":.1f" if is_share(metric) else ":.3f"


def layer_scores(group: Sequence[Result]) -> pd.DataFrame:
    """Validation scores, one row per layer, one column per upstream.

    A layer's best setting is taken on each split and seed, then the mean: seeds are repeats, not choices.
    """
    tried = pd.DataFrame(
        [
            (label, str(candidate.setting["layer"]), candidate.split, candidate.seed, candidate.valid_score)
            for label, result in zip(labels_of(group, "head"), group, strict=True)
            for candidate in result.candidates
            if candidate.valid_score is not None and _is_layer(str(candidate.setting.get("layer")))
        ],
        columns=["upstream", "layer", "split", "seed", "score"],
    )
    fits = tried.groupby(["upstream", "layer", "split", "seed"])["score"]
    best = fits.max() if higher_is_better(group[0].metric) else fits.min()
    scores = best.groupby(["layer", "upstream"]).mean().unstack()
    return scores.reindex(sorted(scores.index, key=lambda layer: (layer == "final", len(layer), layer)))


def _is_layer(label: str) -> bool:
    """One layer by itself, where a weighted sum calls its input ``0..12``."""
    return label == "final" or label.isdecimal()


def layer_plot(scores: pd.DataFrame, metric: str) -> go.Figure | None:
    """One line per upstream over its layers, with ``final`` set apart; None where there is but one layer."""
    if len(scores) < 2:
        return None
    # An empty place before "final", which is no further layer: no line may lead to it.
    layers = [place for layer in scores.index for place in ([" ", layer] if layer == "final" else [layer])]
    lines = [
        go.Scatter(
            x=layers,
            y=(_unit(metric) * scores[name]).reindex(layers).tolist(),
            name=plain(name),
            mode="lines+markers",
            hovertemplate=f"layer %{{x}}: %{{y{_digits(metric)}}}",
        )
        for name in scores
    ]
    xaxis = {"type": "category", "title": "layer"}
    yaxis = {"range": _range(_unit(metric) * scores.to_numpy(), _unit(metric) * _LEAST)}
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0}
    return framed(lines, 300 + 20 * len(lines), xaxis=xaxis, yaxis=yaxis, legend=legend, showlegend=True)


def _range(values: npt.NDArray[np.float64], least: float) -> list[float]:
    """The ends of an axis that shows all values with a margin, and is never shorter than ``least``."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    margin = max((least - (high - low)) / 2, 0.05 * (high - low))
    return [low - margin, high + margin]


def weight_plot(weights: Sequence[Sequence[float]]) -> go.Figure | None:
    """Learned layer weights, one row per fit; None where there is but one layer."""
    if not any(len(fit) > 1 for fit in weights):
        return None
    shades = go.Heatmap(
        z=weights,
        y=[f"fit {n}" for n, _ in enumerate(weights, 1)],
        colorscale=[[0, "rgba(59,130,246,0.05)"], [1, _BLUE]],
        zmin=0,
        xgap=1,
        ygap=1,
        colorbar={"thickness": 8, "outlinewidth": 0},
        hovertemplate="layer %{x}, %{y}: %{z:.3f}<extra></extra>",
    )
    xaxis = {"title": "layer", "dtick": 1, "showgrid": False}
    return framed([shades], 80 + 24 * len(weights), xaxis=xaxis, yaxis={"autorange": "reversed", "showgrid": False})
