"""How cost grows with length, and how two upstreams compare: an exponent, ratios, each with what it rests on."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from harness.points import Point

#: At least so many of the upper lengths are fitted, where there are as many.
LEAST = 4


class Growth(NamedTuple):
    """Cost grows with the ``exponent``-th power of length; ``low`` and ``high`` bound it at 95 %.

    It is fitted to so many ``lengths``, from ``first`` to ``last``.
    """

    exponent: float
    low: float
    high: float
    first: float
    last: float
    lengths: int

    def __str__(self) -> str:
        return f"{self.exponent:.2f} [{self.low:.2f}, {self.high:.2f}]"


def growth(costs: Mapping[float, float]) -> Growth | None:
    """The exponent over the upper half of the lengths, or over :data:`LEAST` of them if that is more.

    A straight line is fitted to the logarithms by least squares, and its slope has a t-interval. At short lengths
    fixed costs and linear terms hide how it grows.

    Args:
        costs: positive costs by length.

    Returns:
        None with fewer than three lengths, which leave no degree of freedom for an interval.
    """
    from scipy.stats import t

    lengths = sorted(costs)
    upper = lengths[-max(LEAST, math.ceil(len(lengths) / 2)) :]
    if len(upper) < 3:
        return None
    x, y = np.log(upper), np.log([costs[n] for n in upper])
    away = x - x.mean()
    slope = float(away @ y / (away @ away))
    residual = y - y.mean() - slope * away
    half = float(t.ppf(0.975, len(x) - 2) * np.sqrt(residual @ residual / (len(x) - 2) / (away @ away)))
    return Growth(slope, slope - half, slope + half, upper[0], upper[-1], len(upper))


def growth_of(curve: Sequence[Point], figure: str) -> Growth | None:
    """The exponent of a figure, such as ``latency_median``, over the measured points of one curve; of time, over those
    that were warmed up."""
    return growth({point.place: cost for point in curve if (cost := point.cost(figure))})


class Saved(NamedTuple):
    """What one upstream saves against another at the longest length at which both were measured and warmed up.

    ``time`` is the median, over pairs of runs that took turns, of one minus the ratio of their seconds; ``low`` and
    ``high`` are the least and the most of these; ``memory`` compares peaks. Shares, and negative for what costs more.
    """

    point: Point
    against: Point
    time: float
    low: float
    high: float
    pairs: int
    memory: float | None

    def __str__(self) -> str:
        pairs = f"{self.pairs} pair{'s' * (self.pairs > 1)} of runs"
        memory = "" if self.memory is None else f"; {_compared('memory', self.memory)}"
        return (
            f"{self.point.upstream} against {self.against.upstream} ({self.against.attention}) at {self.point.length}: "
            f"{_compared('time', self.time, self.low, self.high)}, over {pairs}{memory}"
        )


def _compared(what: str, *shares: float) -> str:
    """A share that is saved and its bounds: in percent, or, of what costs more, as a factor."""
    if shares[0] >= 0:
        told, *ends = (f"{100 * share:.1f}" for share in shares)
        text = f"{what} is less by {told} %"
    else:
        told, *ends = (f"{1 - share:.3g}" for share in shares)
        text, ends = f"{what} is {told} times as much", ends[::-1]
    return f"{text} [{', '.join(ends)}]" if ends else text


def saved(curve: Sequence[Point], against: Sequence[Point]) -> Saved | None:
    """Compare two curves; None where no length was measured of both in turns, and warmed up."""
    partners = {(other.length, other.together): other for other in against if other.warm}
    pairs = [
        (point, partners[point.length, point.together])
        for point in curve
        if point.warm and (point.length, point.together) in partners
    ]
    if not pairs:
        return None
    point, other = pairs[-1]
    shares = [1 - one / two for one, two in zip(point.runs, other.runs, strict=False)]
    peaks = (point.figures.get("peak_bytes"), other.figures.get("peak_bytes"))
    memory = 1 - peaks[0] / peaks[1] if peaks[0] and peaks[1] else None
    return Saved(point, other, statistics.median(shares), min(shares), max(shares), len(shares), memory)
