"""What measured points say, in words and cells: each by itself, how cost grows, and what one upstream saves."""

from collections.abc import Iterator, Sequence
from itertools import product

from harness.growth import growth, growth_of, saved
from harness.points import Point, curves
from harness.presets import PRESETS, published

#: What is fitted over length, with its name for people.
GROWN = {"latency_median": "time", "processor_seconds": "processor time", "peak_bytes": "memory"}


def cells(point: Point) -> dict[str, str]:
    """A point as a row of a table: empty where there is no figure."""
    figures = point.figures

    def told(name: str, unit: float = 1.0) -> str:
        return short(figures[name] / unit) if name in figures else ""

    return {
        "upstream": point.upstream,
        "length": str(point.length),
        "way": point.way,
        "attention": point.attention,
        "seconds": told("latency_median"),
        "p95": told("latency_p95"),
        "published": beside(point, "latency_median", 1),
        "times real time": told("audio_per_second"),
        "memory, MB": told("peak_bytes", 1e6),
        "MB published": beside(point, "peak_bytes", 1e6),
        "GMACs": told("macs", 1e9),
        "joules": told("joules"),
        "runs": str(len(point.runs) or ""),
        "": point.sentence,
    }


def beside(point: Point, figure: str, unit: float) -> str:
    """What was published of a preset's point, if it was."""
    known = (each for each in published(point.preset) if point.length.unit == "tokens")
    return next(
        (
            short(each.value / unit)
            for each in known
            if (each.upstream, each.tokens, each.figure) == (point.upstream, point.length.value, figure)
        ),
        "",
    )


def short(value: float) -> str:
    """A number in three digits, or in whole ones if it has more."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def sentences(points: Sequence[Point]) -> Iterator[str]:
    """What follows from the points of one command, first how costs grow."""
    yield from growths(points)
    yield from savings(points)
    yield from uncounted(points)
    yield from notes(points)


def growths(points: Sequence[Point]) -> Iterator[str]:
    """The exponent of each curve, beside that of what was published of it."""
    for curve in curves(points).values():
        name = f"{curve[0].upstream} ({curve[0].way}, {curve[0].attention})"
        for figure, what in GROWN.items():
            if found := growth_of(curve, figure):
                unit = "tokens" if curve[0].length.unit == "tokens" else "s"
                fitted = f"over {found.lengths} lengths, {found.first:g} to {found.last:g} {unit}"
                printed = growth(
                    {
                        p.tokens: p.value
                        for p in published(curve[0].preset)
                        if (p.upstream, p.figure) == (curve[0].upstream, figure)
                    }
                )
                also = f"; published {printed}" if printed else ""
                yield f"{name}: {what} grows with length to the power {found}, {fitted}{also}."


def savings(points: Sequence[Point]) -> Iterator[str]:
    """Between the pairs of a preset, or between the first upstream and each other, wherever the way is the same."""
    for preset in dict.fromkeys(point.preset for point in points):
        these = [point for point in points if point.preset == preset]
        names = list(dict.fromkeys(point.upstream for point in these))
        pairs = PRESETS[preset].pairs if preset in PRESETS else [(names[0], other) for other in names[1:]]
        for curve, against in product(curves(these).values(), repeat=2):
            if (curve[0].upstream, against[0].upstream) in pairs and _alike(curve[0], against[0]):
                compared = saved(curve, against)
                yield from [f"{compared}."] if compared else []


def _alike(one: Point, other: Point) -> bool:
    """Whether two curves differ in the upstream alone, or in an attention that one of them does not have."""
    return one.way == other.way and (one.attention == other.attention or "own" in (one.attention, other.attention))


def uncounted(points: Sequence[Point]) -> Iterator[str]:
    """What the FLOPs of each upstream leave out."""
    names: dict[tuple[str, ...], list[str]] = {}
    for point in points:
        if point.uncounted:
            known = names.setdefault(tuple(sorted(point.uncounted)), [])
            known += [point.upstream] if point.upstream not in known else []
    for operations, upstreams in names.items():
        yield f"Not in the FLOPs of {', '.join(upstreams)}: {', '.join(operations)}."


def notes(points: Sequence[Point]) -> Iterator[str]:
    """Where a preset was left."""
    for deviation in dict.fromkeys(text for point in points for text in point.deviations):
        yield f"Note: {deviation}."
