"""The formulas of metrics: how well outputs of heads agree with the targets, as numbers that a bootstrap can weigh.

Each takes scores, targets (as :func:`harness.targets.encode` gives them) and, for each clip, a weight: a clip of
weight 2 counts like two clips, one of weight 0 is not there. Weights (draw, clip) give a value for each draw, from one
look at the scores. Each gives NaN where it is undefined.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.targets import slices
from harness.types import Slots

#: Real numbers and, as logits, minus infinity for what a head has never seen.
Scores = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[Any]
#: (clip,) or (draw, clip); None where every clip counts once.
Weight = npt.NDArray[Any] | None
Table = npt.NDArray[np.float64]
Right = npt.NDArray[np.bool_]
#: A number, or one for each draw.
Value = Any
NAN = float("nan")


def answered_right(scores: Scores, y: Labels) -> Right:
    """Whether the highest score (clip, class) is that of the class ``y`` (clip,)."""
    return np.asarray(scores.argmax(1) == y)


def chroma_right(scores: Scores, y: Labels, *, pitches: Sequence[int]) -> Right:
    """Whether the answer is the right pitch in any octave (HEAR); ``pitches`` are the classes' MIDI numbers."""
    chroma = np.asarray(pitches) % 12
    return np.asarray(chroma[scores.argmax(1)] == chroma[y])


def slots_right(scores: Scores, y: Labels, *, target: Slots) -> Right:
    """Whether every slot is right (SUPERB's intent classification): scores (clip, output), ``y`` (clip, slot)."""
    answers = np.stack([scores[:, part].argmax(1) for part in slices(target)], axis=1)
    return np.asarray((answers == y).all(1))


def balanced_accuracy(scores: Scores, y: Labels, weight: Weight = None) -> Value:
    """The mean recall of the classes that occur in ``y`` (clip,); scores are (clip, class)."""
    right, true, _ = _counts(scores, y, weight)
    return _mean(_ratio(right, true))


def macro_f1(scores: Scores, y: Labels, weight: Weight = None) -> Value:
    """The mean F1 of the classes that occur in ``y`` (clip,) or among the answers; scores are (clip, class)."""
    right, true, answered = _counts(scores, y, weight)
    return _mean(_ratio(2 * right, true + answered))


def mean_average_precision(scores: Scores, y: Labels, weight: Weight = None) -> Value:
    """The average precision of each label, averaged over the labels that occur.

    Scores are (clip, label). ``y`` is 0 or 1 (clip, label), or (clip,) class numbers; then each class is a label, and
    the scores become probabilities first, for labels are compared across clips. Source: HEAR's mAP, scikit-learn's
    ``average_precision_score``: equal scores share one threshold, and nothing is interpolated.
    Those, unlike this, let a label that never occurs lower the mean.
    """

    def precision(label: Ranked) -> Table:
        seen = label.tp + label.above + label.within
        return np.asarray(_ratio((label.gained * _ratio(label.tp, seen, 0.0)).sum(-1), label.tp[..., -1]))

    return _mean_of_labels(map(precision, _ranked(scores, y, weight)))


def auroc(scores: Scores, y: Labels, weight: Weight = None) -> Value:
    """The area under the ROC of each label, averaged over the labels that some clips have and some have not.

    Scores and ``y`` are those of :func:`mean_average_precision`. Source: HEAR's aucroc.
    """
    return _mean_of_labels(_area(label)[0] for label in _ranked(scores, y, weight))


def d_prime(scores: Scores, y: Labels, weight: Weight = None) -> Value:
    """How many standard deviations apart two normals of that AUROC are: sqrt(2) times its quantile, mean over labels.

    Scores, ``y`` and labels are those of :func:`auroc`. Source: HEAR, where a label without an error makes it infinite.
    Here an AUROC of 0 or 1 counts as half an error among all pairs of a positive and a negative, the usual correction
    for a d' from rates of 0 or 1 (Macmillan and Kaplan 1985).
    """
    from scipy.special import ndtri

    def apart(area: Table, pairs: Table) -> Table:
        least = _ratio(np.full_like(pairs, 0.5), pairs)
        distance: Table = np.sqrt(2) * ndtri(np.clip(area, least, 1 - least))
        return distance

    return _mean_of_labels(apart(*_area(label)) for label in _ranked(scores, y, weight))


def r2(scores: Scores, y: Labels, weight: Weight = None) -> Value:
    """The share of the variance of ``y`` (clip,) that the scores (clip, 1) explain; NaN where it does not vary."""
    if not len(y):
        return NAN
    w = _weights(len(y), weight)
    true, error = y.astype(np.float64) - float(y[0]), y.astype(np.float64) - scores[:, 0]
    squares, mean = w @ true**2, _ratio(w @ true, w.sum(-1), 0.0)
    varies = squares - mean**2 * w.sum(-1)
    # What rounding leaves of a constant is no variance.
    return 1 - _ratio(w @ error**2, np.where(varies > 1e-12 * squares, varies, 0))


def equal_error_rate(scores: Scores, same: Labels, weight: Weight = None) -> Value:
    """Where as many of the same speakers are missed as of the others pass.

    Scores are (trial,), higher where the speakers are the same, as ``same`` (trial,) says. The ROC is a straight line
    between two neighbouring thresholds, so the rates cross exactly (SUPERB's ASV).
    """
    miss, alarm = _errors(scores, same, weight)
    gap = miss - alarm
    crossed = np.maximum((gap <= 0).argmax(-1, keepdims=True), 1)

    def at(values: Table, place: Labels) -> Value:
        return np.take_along_axis(values, place, -1)[..., 0]

    (before, after), (low, high) = ((at(x, crossed - 1), at(x, crossed)) for x in (gap, alarm))
    return low + _ratio(before, before - after) * (high - low)


def min_dcf(
    scores: Scores,
    same: Labels,
    weight: Weight = None,
    *,
    p_target: float = 0.05,
    c_miss: float = 1,
    c_fa: float = 1,
) -> Value:
    """The detection cost at the best threshold, as a share of what the better of the two constant answers costs.

    Scores and ``same`` are those of :func:`equal_error_rate`; ``p_target`` is how often the speakers are the same.
    Source: NIST's speaker recognition evaluation plans; 0.05, 1 and 1 are VoxSRC's.
    """
    miss, alarm = _errors(scores, same, weight)
    missing, passing = c_miss * p_target, c_fa * (1 - p_target)
    return (missing * miss + passing * alarm).min(-1) / min(missing, passing)


def label_scores(scores: Scores, y: Labels) -> tuple[Scores, Labels]:
    """Scores, of classes their probabilities, and 0 or 1, both (label, clip)."""
    from scipy.special import softmax

    if y.ndim == 2:
        return np.ascontiguousarray(scores.T), y.T
    return np.ascontiguousarray(softmax(scores.astype(np.float64), axis=1).T), y == np.arange(scores.shape[1])[:, None]


def _weights(clips: int, weight: Weight) -> Table:
    return np.ones(clips) if weight is None else weight.astype(np.float64)


def _ratio(part: Value, whole: Value, otherwise: float = NAN) -> Value:
    """``part / whole``, or ``otherwise`` where there is no whole."""
    part, whole = np.broadcast_arrays(np.asarray(part, np.float64), np.asarray(whole, np.float64))
    return np.divide(part, whole, out=np.full(part.shape, otherwise), where=whole != 0)[()]


def _mean(values: Table) -> Value:
    """Over the last axis, of those that are defined."""
    defined = np.isfinite(values)
    return _ratio(np.where(defined, values, 0).sum(-1), defined.sum(-1))


def _mean_of_labels(values: Iterable[Table]) -> Value:
    every = list(values)
    return _mean(np.stack(every, axis=-1)) if every else NAN


def share(right: Right, weight: Weight) -> Value:
    """The share of right answers (clip,)."""
    w = _weights(len(right), weight)
    return _ratio(w @ right, w.sum(-1))


def _counts(scores: Scores, y: Labels, weight: Weight) -> tuple[Table, Table, Table]:
    """How often each class is answered rightly, occurs, and is answered: (class,) or (draw, class)."""
    from scipy.sparse import csr_array

    w, answers, clips = _weights(len(y), weight), scores.argmax(1), np.arange(len(y))

    def counted(labels: Labels, counts: Labels) -> Table:
        table = csr_array((counts.astype(np.float64), (clips, labels)), shape=scores.shape)
        total: Table = w @ table
        return total

    ones = np.ones(len(y))
    return counted(y, answers == y), counted(y, ones), counted(answers, ones)


class Ranked(NamedTuple):
    """What stands at each threshold that some positive just reaches, from the highest on: ([draw,] threshold).

    The positives that just reach it (``gained``), those that score at least as high (``tp``), the negatives that score
    higher (``above``) and as high (``within``); and all negatives together, ([draw]).
    """

    gained: Table
    tp: Table
    above: Table
    within: Table
    negatives: Table


def _ranked(scores: Scores, y: Labels, weight: Weight) -> Iterator[Ranked]:
    """Of every label that some clip has."""
    for scores_of, y_of in zip(*label_scores(scores, y), strict=True):
        order = np.argsort(-scores_of)
        ranked, positive = scores_of[order], y_of[order] > 0
        if not positive.any():
            continue
        starts = np.append(0, 1 + np.flatnonzero(ranked[1:] != ranked[:-1]))  # equal scores share a threshold
        ends = np.append(starts[1:], len(ranked))
        tie = np.searchsorted(starts, np.flatnonzero(positive), side="right") - 1
        firsts = np.flatnonzero(np.diff(tie, prepend=-1))
        reached = tie[firsts]
        w = _weights(len(scores_of), weight)[..., order]
        gained = np.add.reduceat(w[..., positive], firsts, axis=-1)
        below = np.concatenate([np.zeros_like(w[..., :1]), (w * ~positive).cumsum(-1)], axis=-1)
        above = below[..., starts[reached]]
        yield Ranked(gained, gained.cumsum(-1), above, below[..., ends[reached]] - above, below[..., -1])


def _curve(scores: Scores, y: Labels, weight: Weight) -> tuple[Table, Table]:
    """How many positives and how many negatives score at least as high as each of the scores, from the highest on.

    Scores and ``y`` are (clip,); equal scores are one.
    """
    order = np.argsort(-scores)
    ranked = scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    w, positive = _weights(len(scores), weight)[..., order], y[order] > 0
    tp, fp = ((w * of).cumsum(-1)[..., ends] for of in (positive, ~positive))
    return tp, fp


def _area(label: Ranked) -> tuple[Table, Table]:
    """The area under a ROC, and how many pairs of a positive and a negative it is a share of."""
    pairs = label.tp[..., -1] * label.negatives
    beaten = label.negatives[..., None] - label.above - label.within / 2
    return _ratio((label.gained * beaten).sum(-1), pairs), pairs


def _errors(scores: Scores, same: Labels, weight: Weight) -> tuple[Table, Table]:
    """The rates of misses and of false alarms, from the threshold that passes none; NaN where one is undefined."""
    lead = () if weight is None else weight.shape[:-1]
    if not len(scores):
        return np.full((*lead, 2), NAN), np.full((*lead, 2), NAN)
    tp, fp = _curve(scores, same, weight)
    defined = (tp[..., -1:] > 0) & (fp[..., -1:] > 0)
    hit, alarm = (_ratio(np.where(defined, x, NAN), np.where(defined, x[..., -1:], 1)) for x in (tp, fp))
    start = np.where(defined, 0.0, NAN)
    return np.concatenate([1 - start, 1 - hit], axis=-1), np.concatenate([start, alarm], axis=-1)
