"""Intervals, paired tests and ranks that know of test sampling alone: whole groups are resampled, across all folds."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

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


def interval(
    rescore: Rescore, count: int, point: float, *, share: bool = True, draws: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The interval of any score, from what it becomes when each of ``count`` groups counts so many times.

    Args:
        rescore: from how often each group counts, (draw, group), to the scores, (draw,); NaN where undefined.
        count: how many groups there are.
        point: the score itself.
        share: whether the score lies between 0 and 1, and so must its interval.
        draws: how many times groups are drawn.
        seed: of the draws.
    """
    if count < FEW:
        return _few(rescore, count, point, (0.0, 1.0) if share else (-np.inf, np.inf))
    return _bootstrap(rescore, count, draws, seed)


def paired(
    a: Rescore,
    b: Rescore,
    swapped: Swapped,
    count: int,
    points: tuple[float, float],
    *,
    draws: int = RESAMPLES,
    seed: int = 0,
) -> Paired:
    """Whether two scores of the same test clips differ."""
    difference = points[0] - points[1]
    found = interval(lambda weights: a(weights) - b(weights), count, difference, share=False, draws=draws, seed=seed)
    if count < FEWEST_SWAPPED:
        return Paired(difference, found, None, f"none: swapping {count} groups gives no p below 0.05")
    every = 2**count <= draws
    patterns = _patterns(count) if every else _coins(count, draws, seed)
    # Sums in another order differ in their last digits; what cannot be computed counts against a difference.
    least = abs(difference) * (1 - 1e-9) - 1e-12
    hits = sum(int((~(np.abs(swapped(flags)) < least)).sum()) for flags in patterns)
    if every:
        return Paired(difference, found, hits / 2**count, f"all {2**count:,} swaps of {count} groups")
    return Paired(difference, found, (1 + hits) / (1 + draws), f"{draws:,} random swaps of {count} groups")


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


def one_by_one(score: Callable[[Table], float]) -> Rescore:
    """A :data:`Rescore` of a function that takes one draw, (group,), at a time."""
    return lambda weights: np.array([score(weight) for weight in weights], np.float64)


def accuracy_rescore(correct: Table, folds: Sequence[int], groups: Sequence[str]) -> tuple[Rescore, int]:
    """What an accuracy that is averaged over folds becomes, and how many groups there are.

    Args:
        correct: per answered clip, the share of seeds that got it right.
        folds: per clip, which split tested it.
        groups: per clip, its group.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    fold = np.asarray(folds)
    right = np.zeros((len(names), fold.max() + 1))
    clips = np.zeros_like(right)
    np.add.at(right, (group, fold), correct)
    np.add.at(clips, (group, fold), 1)

    def rescore(weights: Table) -> Table:
        return mean_of_folds(weights @ right, weights @ clips)

    return rescore, len(names)


def accuracy_interval(correct: Table, folds: Sequence[int], groups: Sequence[str], seed: int = 0) -> Interval:
    """The interval of an accuracy that is averaged over folds; see :func:`accuracy_rescore` and :func:`interval`."""
    rescore, count = accuracy_rescore(correct, folds, groups)
    return interval(rescore, count, float(rescore(np.ones((1, count)))[0]), seed=seed)


def mean_of_folds(right: Table, clips: Table) -> Table:
    """Each fold's share, (draw, fold), averaged over the folds that were drawn."""
    share = np.divide(right, clips, out=np.zeros_like(right), where=clips > 0)
    tested = (clips > 0).sum(1)
    scores: Table = np.divide(share.sum(1), tested, out=np.full(len(share), np.nan), where=tested > 0)
    return scores


def _few(rescore: Rescore, count: int, point: float, bounds: tuple[float, float]) -> Interval:
    if count == 1:
        return Interval(None, None, LEVEL, "none: one group", count)
    left_out = _scores(rescore, 1 - np.eye(count))
    if not np.isfinite(left_out).all():
        return Interval(None, None, LEVEL, f"none: undefined without one of {count} groups", count)
    error = np.sqrt((count - 1) / count * np.square(left_out - left_out.mean()).sum())
    half = _t(count) * float(error)
    low, high = max(bounds[0], point - half), min(bounds[1], point + half)
    return Interval(low, high, LEVEL, f"jackknife t over {count} groups: few", count)


def _bootstrap(rescore: Rescore, count: int, draws: int, seed: int) -> Interval:
    scores = np.concatenate([_scores(rescore, weights) for weights in _drawn(count, draws, seed)])
    low, high = np.nanquantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), LEVEL, f"bootstrap over {count} groups, {draws:,} resamples", count)


def _scores(rescore: Rescore, weights: Table) -> Table:
    scores = np.asarray(rescore(weights), np.float64)
    if scores.shape != (len(weights),):
        raise ValueError(f"of {len(weights)} draws a score each was to come, and {scores.shape} came")
    return scores


def _sizes(count: int, draws: int) -> Iterator[int]:
    """How many draws at once."""
    size = max(1, _AT_ONCE // count)
    return (min(size, draws - start) for start in range(0, draws, size))


def _drawn(count: int, draws: int, seed: int) -> Iterator[Table]:
    """How often each group is drawn, of as many as there are, with replacement: (draw, group) at a time."""
    rng = np.random.default_rng(seed)
    for size in _sizes(count, draws):
        drawn = rng.integers(count, size=(size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def _patterns(count: int) -> Iterator[Flags]:
    yield (np.arange(2**count)[:, None] >> np.arange(count) & 1).astype(bool)


def _coins(count: int, draws: int, seed: int) -> Iterator[Flags]:
    rng = np.random.default_rng(seed)
    for size in _sizes(count, draws):
        yield rng.integers(2, size=(size, count), dtype=np.int8).astype(bool)


def _t(count: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, count - 1))
