"""Intervals, paired tests and ranks that know of test sampling alone: whole groups are resampled, across all folds."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple, final

import numpy as np
import numpy.typing as npt

from harness.types import Interval

Table = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
#: How often each group counts, (draw, group), to the scores, (draw,); NaN where a score is undefined.
Rescore = Callable[[Table], Table]
#: Which groups are swapped between a and b, (draw, group), to the score of a less that of b, (draw,).
Swapped = Callable[[Flags], Table]

#: Raise it when a change of the code moves intervals: runs are then made anew.
REVISION = "2"
LEVEL = 0.95
RESAMPLES = 10_000
#: Below so many groups a bootstrap is too narrow.
FEW = 10
#: Below so many groups no swapping of them can give a p of 0.05: of five, all 32 patterns give 0.0625 at best.
FEWEST_SWAPPED = 6
#: Entries of the tables of draws that are made at once, 32 MiB of them.
_AT_ONCE = 1 << 22


@final
@dataclass(frozen=True, eq=False)
class Scored:
    """A score of tested clips, and what it becomes when each of ``count`` groups of them counts so many times.

    Draws are the same for all that have as many groups, so that scores of the same clips can be compared.
    """

    point: float
    count: int
    rescore: Rescore
    draws: int = RESAMPLES

    @cached_property
    def resampled(self) -> Table:
        """The score of every draw, (draw,), of as many groups as there are, with replacement."""
        return np.concatenate([self._of(weights) for weights in drawn(self.count, self.draws)])

    @cached_property
    def left_out(self) -> Table:
        """The score without each group, (group,)."""
        return self._of(1 - np.eye(self.count))

    def interval(self, bounds: tuple[float, float] = (-np.inf, np.inf)) -> Interval:
        """The interval of the score, which lies within ``bounds``."""
        return _interval(self.point, self.count, lambda: self.left_out, lambda: self.resampled, bounds)

    def _of(self, weights: Table) -> Table:
        scores = np.asarray(self.rescore(weights), np.float64)
        if scores.shape != (len(weights),):
            raise ValueError(f"of {len(weights)} draws a score each was to come, and {scores.shape} came")
        return scores


class Paired(NamedTuple):
    """How far two scores of the same test clips lie apart: a less b.

    ``p`` is None where there are too few groups for any p below 0.05, and ``method`` then says so.
    """

    difference: float
    interval: Interval
    p: float | None
    method: str


class Rank(NamedTuple):
    """A place among others: one more than how many are significantly better."""

    rank: int
    tied_with_best: bool


def paired(a: Scored, b: Scored, swapped: Swapped | None) -> Paired:
    """Whether two scores of the same groups differ.

    Whole groups are swapped between them, in all ways or in many that are drawn. Where answers cannot be swapped
    (None), p is twice the share of the paired bootstrap beyond a difference of 0.
    """
    count, draws = a.count, min(a.draws, b.draws)
    difference = a.point - b.point
    interval = _interval(
        difference,
        count,
        lambda: a.left_out - b.left_out,
        lambda: a.resampled[:draws] - b.resampled[:draws],
        (-np.inf, np.inf),
    )
    if swapped is None:
        if count < FEW:
            return Paired(difference, interval, None, f"none: {count} groups are too few to resample")
        apart = a.resampled[:draws] - b.resampled[:draws]
        # What cannot be computed counts against a difference.
        below, above = ((1 + int((~(side > 0)).sum())) / (1 + draws) for side in (apart, -apart))
        return Paired(difference, interval, min(1.0, 2 * below, 2 * above), f"bootstrap over {count} groups")
    if count < FEWEST_SWAPPED:
        return Paired(difference, interval, None, f"none: swapping {count} groups gives no p below 0.05")
    every = 2**count <= draws
    # Sums in another order differ in their last digits; what cannot be computed counts against a difference.
    least = abs(difference) * (1 - 1e-9) - 1e-12
    hits = sum(int((~(np.abs(swapped(flags)) < least)).sum()) for flags in _swaps(count, draws, every))
    if every:
        return Paired(difference, interval, hits / 2**count, f"all {2**count:,} swaps of {count} groups")
    return Paired(difference, interval, (1 + hits) / (1 + draws), f"{draws:,} random swaps of {count} groups")


def holm(p: Sequence[float | None]) -> list[float | None]:
    """Adjusted for how many tests there are (Holm 1979); None, where nothing was tested, stays and is not counted."""
    tested = sorted((value, i) for i, value in enumerate(p) if value is not None)
    adjusted: list[float | None] = [None] * len(p)
    largest = 0.0
    for done, (value, i) in enumerate(tested):
        largest = max(largest, min(1.0, (len(tested) - done) * value))
        adjusted[i] = largest
    return adjusted


def rank_groups(
    scores: Sequence[float],
    p: Sequence[Sequence[float | None]],
    *,
    higher_is_better: bool = True,
    alpha: float = 1 - LEVEL,
) -> list[Rank]:
    """Ranks that count only differences which are more than chance."""
    sign = 1 if higher_is_better else -1
    best = max(range(len(scores)), key=lambda i: sign * scores[i], default=0)

    def beats(i: int, j: int) -> bool:
        value = p[i][j]
        return sign * (scores[i] - scores[j]) > 0 and value is not None and value < alpha

    everyone = range(len(scores))
    return [Rank(1 + sum(beats(i, j) for i in everyone), not beats(best, j)) for j in everyone]


def mean_of_folds(scores: Table) -> Table:
    """Scores (draw, fold) averaged over the folds in which they are defined; NaN where they are in none."""
    defined = np.isfinite(scores)
    total, count = np.where(defined, scores, 0).sum(1), defined.sum(1)
    means: Table = np.divide(total, count, out=np.full(len(scores), np.nan), where=count > 0)
    return means


def drawn(count: int, draws: int, seed: int = 0) -> Iterator[Table]:
    """How often each group is drawn, of as many as there are, with replacement: (draw, group) at a time."""
    rng = np.random.default_rng(seed)
    for size in _sizes(count, draws):
        picked = rng.integers(count, size=(size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(picked.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def _interval(
    point: float,
    count: int,
    left_out: Callable[[], Table],
    resampled: Callable[[], Table],
    bounds: tuple[float, float],
) -> Interval:
    """By the bootstrap, or of few groups by the jackknife and Student's t."""
    if count == 1:
        return Interval(None, None, LEVEL, "none: one group", count)
    if count < FEW:
        without = left_out()
        if not np.isfinite(without).all():
            return Interval(None, None, LEVEL, f"none: undefined without one of {count} groups", count)
        error = np.sqrt((count - 1) / count * np.square(without - without.mean()).sum())
        half = _t(count) * float(error)
        low, high = max(bounds[0], point - half), min(bounds[1], point + half)
        return Interval(low, high, LEVEL, f"jackknife t over {count} groups: few", count)
    scores = resampled()
    if not np.isfinite(scores).any():
        return Interval(None, None, LEVEL, f"none: undefined in every draw of {count} groups", count)
    low, high = np.nanquantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), LEVEL, f"bootstrap over {count} groups, {len(scores):,} resamples", count)


def _sizes(count: int, draws: int) -> Iterator[int]:
    """How many draws at once."""
    size = max(1, _AT_ONCE // count)
    return (min(size, draws - start) for start in range(0, draws, size))


def _swaps(count: int, draws: int, every: bool) -> Iterator[Flags]:
    """All ways of swapping groups, or so many that are drawn: (draw, group) at a time."""
    return iter(_coins(count, draws)) if not every else iter([_patterns(count)])


def _patterns(count: int) -> Flags:
    return (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(bool)


@lru_cache(maxsize=2)  # every pair of a table asks for the same
def _coins(count: int, draws: int) -> tuple[Flags, ...]:
    rng = np.random.default_rng(0)
    return tuple(rng.integers(2, size=(size, count), dtype=np.int8).astype(bool) for size in _sizes(count, draws))


def _t(count: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, count - 1))
