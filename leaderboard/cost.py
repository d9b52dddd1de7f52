"""What upstreams cost, as tables and sections of the page: one for each machine, since no two compare."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.export import NONE, Cell, Column, Sheet
from harness.points import Point
from harness.summary import cells, growths, notes, savings, sentences, uncounted
from harness.types import Result

from .cost_plots import DRAWN, Dot, cost_curves, score_against_cost
from .groups import grouped
from .markup import facts, figure, folded, html, note, table
from .sections import Part
from .table import filled

#: Columns of text; all others hold numbers.
_TEXTS = {"Upstream", "Length", "Way", "Attention", "Dtype", "Remark"}
_ABOUT = (
    "Times are medians of forwards that took turns with the other upstreams of the same length; memory is what a "
    "forward takes beyond the loaded upstream. Way uncut: the whole clip in one forward; windowed: as extraction cuts "
    "it; image: random spectrograms into the network alone. Only points of one machine compare."
)
_COST = "seconds of computing per second of audio"


def cost_sheets(points: Sequence[Point]) -> list[Sheet]:
    """One table for each machine, a row for each point."""
    return [_sheet(group) for group in _machines(points).values()]


def cost_parts(points: Sequence[Point], results: Sequence[Result]) -> list[Part]:
    """One section for each machine: curves over length, scores against cost, and the table."""
    return [Part("cost", _name(group[0]), _section(group, results)) for group in _machines(points).values()]


def _machines(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Points by the fingerprint of their hardware; those of upstreams that never ran have none, and are left out."""
    found: dict[str, list[Point]] = {}
    for point in sorted(points, key=lambda p: (p.preset, p.upstream, p.way, p.attention, p.length)):
        if point.hardware:
            found.setdefault(point.fingerprint, []).append(point)
    return found


def _name(point: Point) -> str:
    hardware = point.hardware
    where = hardware.get("processor") if hardware.get("device") == "cpu" else hardware.get("device")
    threads = f", threads: {hardware.get('threads')}" if hardware.get("device") == "cpu" else ""
    return f"{where}{threads} ({point.fingerprint})"


def _sheet(group: Sequence[Point]) -> Sheet:
    rows = [_row(point) for point in group]
    whole = Sheet(
        title=f"Cost on {_name(group[0])}",
        columns=tuple(Column(name, number=name not in _TEXTS) for name in rows[0]),
        rows=tuple(tuple(Cell(text or NONE) for text in row.values()) for row in rows),
        records=tuple(_record(point) for point in group),
        notes=(_ABOUT, *sentences(group)),
        facts={"hardware": dict(group[0].hardware)},
    )
    return filled(whole)


def _row(point: Point) -> dict[str, str]:
    """The cells of a point, those of its batch and dtype among them, with what is odd about it at the end."""
    told = cells(point)
    remark = told.pop("")
    parameters = point.figures.get("parameters_used", 0) / 1e6
    more = {
        "batch": str(point.batch),
        "dtype": point.dtype,
        "parameters used, M": f"{parameters:.1f}" if parameters else "",
        "load, s": f"{point.figures['load_seconds']:.2g}" if "load_seconds" in point.figures else "",
        "store, kB/s": _store(point),
    }
    return {f"{name[:1].upper()}{name[1:]}": text for name, text in {**told, **more, "remark": remark}.items()}


def _store(point: Point) -> str:
    """What every frame of all layers takes, in float16."""
    size = point.figures.get("store_bytes_per_second frames[all]:float16")
    return f"{size / 1e3:,.1f}" if size is not None else ""


def _record(point: Point) -> Mapping[str, Any]:
    names = ("upstream", "way", "attention", "dtype", "batch", "status", "sentence", "preset", "created")
    values = {name: getattr(point, name) for name in names}
    return values | {"length": str(point.length), "hardware": point.fingerprint} | dict(point.figures)


def _section(group: Sequence[Point], results: Sequence[Result]) -> str:
    sheet = _sheet(group)
    return "".join(
        (
            f"<h2>Cost <small>{html(_name(group[0]))}</small></h2>\n",
            note(_ABOUT),
            *_scores(group, results),
            *_curves(group),
            *map(note, savings(group)),
            *map(note, notes(group)),
            table(sheet),
            folded("How costs grow with length", "".join(map(note, growths(group)))),
            folded("What the MACs leave out", "".join(map(note, uncounted(group)))),
            folded("Hardware and versions", facts({**group[0].hardware, **group[0].environment})),
        )
    )


def _curves(group: Sequence[Point]) -> Iterator[str]:
    """A figure of time and of memory for each preset and unit of length: their axes differ."""
    for preset, unit in dict.fromkeys((point.preset, point.length.unit) for point in group):
        these = [point for point in group if (point.preset, point.length.unit) == (preset, unit)]
        published = "; dotted: published, on its authors' GPU" if preset else ""
        for name, (title, _) in DRAWN.items():
            what = f"{title[:1].upper()}{title[1:]} over length, both logarithmic; dashed: eager attention{published}."
            yield figure(f"Preset {preset}: {what}" if preset else what, cost_curves(these, name))


def _scores(group: Sequence[Point], results: Sequence[Result]) -> Iterator[str]:
    """For each task, scores against the cost of extraction at the one setting that most of its upstreams share."""
    for names, these in grouped(results).items():
        costs = shared_costs(group, {result.upstream for result in these})
        dots = [Dot(result, costs[result.upstream]) for result in these if result.upstream in costs]
        caption = f"{names.task}, protocol {names.protocol}: score against {_COST}; the line is the Pareto front."
        yield figure(caption, score_against_cost(dots, _COST))


def shared_costs(points: Sequence[Point], upstreams: set[str]) -> dict[str, float]:
    """The real-time factor of each upstream at the length, batch and dtype that most of them share, the longest first.

    Extraction's own way counts: windows where a clip is cut; of several attentions, the faster.
    """
    had = [p for p in points if p.upstream in upstreams and p.cost("real_time_factor") and not p.preset]
    settings = {(p.length, p.batch, p.dtype, p.upstream) for p in had}
    shared = Counter((length, batch, dtype) for length, batch, dtype, _ in settings)
    if not shared:
        return {}
    chosen = max(shared, key=lambda setting: (shared[setting], setting))
    alike = [p for p in had if (p.length, p.batch, p.dtype) == chosen]
    windowed = {p.upstream for p in alike if p.way == "windowed"}
    costs: dict[str, float] = {}
    for point in alike:
        if point.way == "windowed" or point.upstream not in windowed:
            cost = point.figures["real_time_factor"]
            costs[point.upstream] = min(cost, costs.get(point.upstream, cost))
    return costs
