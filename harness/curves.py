"""A layer curve as text, as a page, as a table."""

import csv
import io
import json
import math
from dataclasses import asdict
from pathlib import Path

from harness.errors import UserError
from harness.files import write_atomically
from harness.layers import Curve
from harness.results import is_share, shown

_BAR = 32


def draw(curve: Curve) -> str:
    """The curve in lines of text: a bar for each layer's validation score, and its test score with the interval."""
    values = [layer.valid for layer in curve.layers if math.isfinite(layer.valid)]
    low, high = min(values, default=0.0), max(values, default=0.0)
    unit = f"{curve.metric}, %" if is_share(curve.metric) else curve.metric
    lines = [
        f"{curve.upstream} on {curve.task}, protocol {curve.protocol}, {unit}",
        "",
        f"{'layer':<6}  {'validation':<{_BAR + 8}}  test",
    ]
    for layer in curve.layers:
        # The lowest keeps a sliver, so that a bar is never nothing.
        share = 1.0 if high == low else (layer.valid - low) / (high - low)
        length = 1 + round((_BAR - 1) * share) if math.isfinite(layer.valid) else 0
        bar = f"{shown(layer.valid, curve.metric):>6} {'█' * length}"
        ends = layer.interval
        interval = (
            "no interval"
            if ends.low is None or ends.high is None
            else f"[{shown(ends.low, curve.metric)}, {shown(ends.high, curve.metric)}]"
        )
        mark = f"  ← chosen by validation in {layer.chosen} of {curve.fits} fits" if layer.chosen else ""
        lines.append(f"{layer.name:<6}  {bar:<{_BAR + 8}}  {shown(layer.test, curve.metric)} {interval}{mark}")
    lines += ["", f"choosing by validation gives {shown(curve.score, curve.metric)} on the test clips"]
    return "\n".join([*lines, *_notes(curve)])


def _notes(curve: Curve) -> list[str]:
    """The badges in one line, and the remarks."""
    return [*([f"badges: {', '.join(curve.badges)}"] if curve.badges else []), *curve.remarks]


def check_suffix(path: Path) -> None:
    """Refuse a file that is of no form we write, or in no folder.

    Raises:
        UserError: so it is.
    """
    if path.suffix not in _FORMS:
        raise UserError(f"the curve cannot be written as {path.name!r}: end it in {', '.join(_FORMS)}")
    if not path.parent.is_dir():
        raise UserError(f"there is no folder {path.parent} to write {path.name} into")


def write(curve: Curve, path: Path) -> None:
    """Write the curve in the form that the file's suffix names.

    Raises:
        UserError: it names none, or the file cannot be written.
    """
    check_suffix(path)
    try:
        write_atomically(path, _FORMS[path.suffix](curve).encode())
    except OSError as error:
        raise UserError(f"the file {path} cannot be written: {error.strerror}") from error


def to_json(curve: Curve) -> str:
    """Everything the curve holds."""
    return json.dumps(asdict(curve), indent=1) + "\n"


def to_csv(curve: Curve) -> str:
    """One row per layer, plain numbers; badges and remarks are in the other forms only."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["layer", "valid", "test", "low", "high", "chosen"])
    for layer in curve.layers:
        rows.writerow([layer.name, layer.valid, layer.test, layer.interval.low, layer.interval.high, layer.chosen])
    return text.getvalue()


def to_html(curve: Curve) -> str:
    """A page that needs no server: both curves, the interval of the test score, and a ring around what is chosen."""
    from html import escape

    import plotly.graph_objects as go

    factor = 100 if is_share(curve.metric) else 1
    names = [layer.name for layer in curve.layers]
    ends = [(layer.interval.low, layer.interval.high, layer.test) for layer in curve.layers]
    above = [0 if high is None else factor * (high - test) for _, high, test in ends]
    below = [0 if low is None else factor * (test - low) for low, _, test in ends]
    test = go.Scatter(
        x=names,
        y=[factor * layer.test for layer in curve.layers],
        error_y={"array": above, "arrayminus": below, "symmetric": False, "width": 0},
        name="test",
    )
    valid = go.Scatter(
        x=names, y=[factor * layer.valid for layer in curve.layers], name="validation", line={"dash": "dot"}
    )
    chosen = [layer for layer in curve.layers if layer.chosen]
    ring = go.Scatter(
        x=[layer.name for layer in chosen],
        y=[factor * layer.valid for layer in chosen],
        text=[f"{layer.chosen} of {curve.fits}" for layer in chosen],
        name="chosen by validation",
        mode="markers+text",
        textposition="top center",
        marker={"symbol": "circle-open", "size": 16, "line": {"width": 3}},
    )
    title = f"{curve.upstream} on {curve.task}, protocol {curve.protocol}"
    unit = f"{curve.metric}, %" if factor == 100 else curve.metric
    figure = go.Figure([valid, test, ring])
    figure.update_layout(template="simple_white", title=escape(title), yaxis_title=unit)
    figure.update_xaxes(type="category", title="layer")
    notes = "".join(f"<p>{escape(note)}</p>" for note in _notes(curve))
    page: str = figure.to_html(include_plotlyjs=True)
    return page.replace("<body>", f"<body>{notes}", 1)


_FORMS = {".html": to_html, ".csv": to_csv, ".json": to_json}
