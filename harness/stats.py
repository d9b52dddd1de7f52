"""Intervals that cover test sampling: whole groups are resampled, across all folds."""

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from harness.types import Interval

Table = npt.NDArray[np.float64]

#: Raise it when a change of the code moves intervals: runs are then made anew.
REVISION = "1"
LEVEL = 0.95
RESAMPLES = 10_000
#: Of scores that take longer to compute anew than an accuracy.
SLOW_RESAMPLES = 1_000
#: Below so many groups a bootstrap is too narrow.
FEW = 10


def accuracy_interval(correct: Table, folds: Sequence[int], groups: Sequence[str], seed: int = 0) -> Interval:
    """The interval of an accuracy that is averaged over folds.

    Args:
        correct: per answered clip, the share of seeds that got it right.
        folds: per clip, which split tested it.
        groups: per clip, its group.
        seed: of the resampling.

    Groups are drawn with replacement from those of all folds together; the accuracy of every fold is computed anew
    and averaged over the folds that were drawn. With fewer than 10 groups it is a t-interval around the score, from
    the groups' accuracies; with one there is none.
    """
    names, group = np.unique(np.asarray(groups), return_inverse=True)
    fold = np.asarray(folds)
    count = len(names)
    right = np.zeros((count, fold.max() + 1))
    clips = np.zeros_like(right)
    np.add.at(right, (group, fold), correct)
    np.add.at(clips, (group, fold), 1)
    if count == 1:
        return Interval(None, None, LEVEL, "none: one group", count)
    if count < FEW:
        point = float((right.sum(0) / clips.sum(0)).mean())
        return _t_interval(point, right.sum(1) / clips.sum(1))
    rng = np.random.default_rng(seed)
    scores = np.concatenate([_resampled(right, clips, rng, 500) for _ in range(RESAMPLES // 500)])
    low, high = np.quantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    method = f"bootstrap over {count} groups, {RESAMPLES:,} resamples"
    return Interval(float(low), float(high), LEVEL, method, count)


def interval(
    rescore: Callable[[Table], float], count: int, point: float, *, share: bool = True, seed: int = 0
) -> Interval:
    """The interval of any score, from what it becomes when each of ``count`` groups counts so many times.

    Args:
        rescore: from how often each group counts (group,) to the score; NaN where it is undefined.
        count: how many groups there are.
        point: the score itself.
        share: whether the score lies between 0 and 1, and so must its interval.
        seed: of the resampling.

    With 10 groups or more a bootstrap over groups; with fewer a t-interval from the jackknife, around the score.
    """
    if count == 1:
        return Interval(None, None, LEVEL, "none: one group", count)
    if count < FEW:
        left_out = np.array([rescore(_without(count, i)) for i in range(count)])
        if not np.isfinite(left_out).all():
            return Interval(None, None, LEVEL, f"none: undefined without one of {count} groups", count)
        error = np.sqrt((count - 1) / count * np.square(left_out - left_out.mean()).sum())
        half = _t(count) * float(error)
        low, high = (max(0.0, point - half), min(1.0, point + half)) if share else (point - half, point + half)
        return Interval(low, high, LEVEL, f"jackknife t over {count} groups: few", count)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(count, np.full(count, 1 / count), size=SLOW_RESAMPLES).astype(np.float64)
    scores = np.array([rescore(weight) for weight in drawn])
    low, high = np.nanquantile(scores, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    method = f"bootstrap over {count} groups, {SLOW_RESAMPLES:,} resamples"
    return Interval(float(low), float(high), LEVEL, method, count)


def _without(count: int, group: int) -> Table:
    weight = np.ones(count)
    weight[group] = 0
    return weight


def _resampled(right: Table, clips: Table, rng: np.random.Generator, times: int) -> Table:
    """The score of ``times`` resamples, from right answers and clips per (group, fold)."""
    drawn = rng.multinomial(len(clips), np.full(len(clips), 1 / len(clips)), size=times)
    tested = drawn @ clips
    accuracy = np.divide(drawn @ right, tested, out=np.full(tested.shape, np.nan), where=tested > 0)
    scores: Table = np.nanmean(accuracy, axis=1)
    return scores


def _t(count: int) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + LEVEL) / 2, count - 1))


def _t_interval(point: float, values: Table) -> Interval:
    count = len(values)
    half = _t(count) * float(values.std(ddof=1)) / math.sqrt(count)
    return Interval(max(0.0, point - half), min(1.0, point + half), LEVEL, f"t over {count} groups: few", count)
