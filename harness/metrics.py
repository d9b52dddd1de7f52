"""Metrics: how well outputs of heads agree with the targets, as numbers that a bootstrap can weigh.

Each takes scores, targets (as :func:`harness.targets.encode` gives them) and, for each clip, a weight: a clip of
weight 2 counts like two clips, one of weight 0 is not there. Each gives NaN where it is undefined.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.detection import event_onset_f
from harness.errors import UserError, choices
from harness.targets import kind_of, slices
from harness.types import Class, Slots, Target

#: Real numbers and, as logits, minus infinity for what a head has never seen.
Scores = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[Any]
Weight = npt.NDArray[Any] | None
Table = npt.NDArray[np.float64]
NAN = float("nan")


def accuracy(scores: Scores, y: Labels, weight: Weight = None) -> float:
    """How often the highest score (clip, class) is that of the class ``y`` (clip,)."""
    return _share(scores.argmax(1) == y, weight)


def chroma_accuracy(scores: Scores, y: Labels, weight: Weight = None, *, pitches: Sequence[int]) -> float:
    """How often the answer is the right pitch in any octave (HEAR); ``pitches`` are the classes' MIDI numbers."""
    chroma = np.asarray(pitches) % 12
    return _share(chroma[scores.argmax(1)] == chroma[y], weight)


def all_correct(scores: Scores, y: Labels, weight: Weight = None, *, target: Slots) -> float:
    """How often every slot is right (SUPERB's intent classification): scores (clip, output), ``y`` (clip, slot)."""
    answers = np.stack([scores[:, part].argmax(1) for part in slices(target)], axis=1)
    return _share((answers == y).all(1), weight)


def balanced_accuracy(scores: Scores, y: Labels, weight: Weight = None) -> float:
    """The mean recall of the classes that occur in ``y`` (clip,); scores are (clip, class)."""
    right, true, _ = _counts(scores, y, weight)
    return _mean(right[true > 0] / true[true > 0])


def macro_f1(scores: Scores, y: Labels, weight: Weight = None) -> float:
    """The mean F1 of the classes that occur in ``y`` (clip,) or among the answers; scores are (clip, class)."""
    right, true, answered = _counts(scores, y, weight)
    both = true + answered
    return _mean(2 * right[both > 0] / both[both > 0])


def mean_average_precision(scores: Scores, y: Labels, weight: Weight = None) -> float:
    """The average precision of each label, averaged over the labels that occur.

    Scores are (clip, label). ``y`` is 0 or 1 (clip, label), or (clip,) class numbers; then each class is a label, and
    the scores become probabilities first, for labels are compared across clips. Source: HEAR's mAP, scikit-learn's
    ``average_precision_score``: equal scores share one threshold, and nothing is interpolated.
    Those, unlike this, let a label that never occurs lower the mean.
    """
    tp, fp = _curves(*_by_label(scores, y), weight)
    occurs = tp[:, -1:].sum(1) > 0
    tp, fp = tp[occurs], fp[occurs]
    seen = tp + fp
    precision = np.divide(tp, seen, out=np.zeros_like(tp), where=seen > 0)
    return _mean((np.diff(tp, axis=1, prepend=0) * precision).sum(1) / tp[:, -1:].sum(1))


def auroc(scores: Scores, y: Labels, weight: Weight = None) -> float:
    """The area under the ROC of each label, averaged over the labels that some clips have and some have not.

    Scores and ``y`` are those of :func:`mean_average_precision`. Source: HEAR's aucroc.
    """
    return _mean(_areas(scores, y, weight)[0])


def d_prime(scores: Scores, y: Labels, weight: Weight = None) -> float:
    """How many standard deviations apart two normals of that AUROC are: sqrt(2) times its quantile, mean over labels.

    Scores, ``y`` and labels are those of :func:`auroc`. Source: HEAR, where a label without an error makes it infinite.
    Here an AUROC of 0 or 1 counts as half an error among all pairs of a positive and a negative, the usual correction
    for a d' from rates of 0 or 1 (Macmillan and Kaplan 1985).
    """
    from scipy.special import ndtri

    area, pairs = _areas(scores, y, weight)
    return _mean(np.sqrt(2) * ndtri(area.clip(0.5 / pairs, 1 - 0.5 / pairs)))


def r2(scores: Scores, y: Labels, weight: Weight = None) -> float:
    """The share of the variance of ``y`` (clip,) that the scores (clip, 1) explain; NaN where it does not vary."""
    w = _weights(len(y), weight)
    answers, y, w = scores[w > 0, 0], y[w > 0].astype(np.float64), w[w > 0]
    if not len(y) or (y == y[0]).all():
        return NAN
    return float(1 - w @ (y - answers) ** 2 / (w @ (y - np.average(y, weights=w)) ** 2))


def equal_error_rate(scores: Scores, same: Labels, weight: Weight = None) -> float:
    """Where as many of the same speakers are missed as of the others pass.

    Scores are (trial,), higher where the speakers are the same, as ``same`` (trial,) says. The ROC is a straight line
    between two neighbouring thresholds, so the rates cross exactly (SUPERB's ASV).
    """
    miss, alarm = _errors(scores, same, weight)
    if not len(miss):
        return NAN
    gap = miss - alarm
    i = int((gap <= 0).argmax())
    return float(alarm[i - 1] + gap[i - 1] / (gap[i - 1] - gap[i]) * (alarm[i] - alarm[i - 1]))


def min_dcf(
    scores: Scores,
    same: Labels,
    weight: Weight = None,
    *,
    p_target: float = 0.05,
    c_miss: float = 1,
    c_fa: float = 1,
) -> float:
    """The detection cost at the best threshold, as a share of what the better of the two constant answers costs.

    Scores and ``same`` are those of :func:`equal_error_rate`; ``p_target`` is how often the speakers are the same.
    Source: NIST's speaker recognition evaluation plans; 0.05, 1 and 1 are VoxSRC's.
    """
    miss, alarm = _errors(scores, same, weight)
    missing, passing = c_miss * p_target, c_fa * (1 - p_target)
    return float((missing * miss + passing * alarm).min() / min(missing, passing)) if len(miss) else NAN


def _weights(clips: int, weight: Weight) -> Table:
    return np.ones(clips) if weight is None else weight.astype(np.float64)


def _mean(values: Table) -> float:
    return float(values.mean()) if len(values) else NAN


def _share(right: npt.NDArray[np.bool_], weight: Weight) -> float:
    w = _weights(len(right), weight)
    return float(w @ right / w.sum()) if w.sum() > 0 else NAN


def _counts(scores: Scores, y: Labels, weight: Weight) -> tuple[Table, Table, Table]:
    """How often each class is answered rightly, occurs, and is answered."""
    w, answers, classes = _weights(len(y), weight), scores.argmax(1), scores.shape[1]
    right, true = (np.bincount(y, of, classes).astype(np.float64) for of in (w * (answers == y), w))
    return right, true, np.bincount(answers, w, classes).astype(np.float64)


def _by_label(scores: Scores, y: Labels) -> tuple[Scores, Labels]:
    """Scores and 0 or 1, both (label, clip)."""
    from scipy.special import softmax

    if y.ndim == 2:
        return np.ascontiguousarray(scores.T), y.T
    return np.ascontiguousarray(softmax(scores.astype(np.float64), axis=1).T), y == np.arange(scores.shape[1])[:, None]


def _curves(scores: Scores, y: Labels, weight: Weight) -> tuple[Table, Table]:
    """How many positives and how many negatives score at least as high as each clip, from the highest on.

    All are (label, clip); clips of one score have the same numbers.
    """
    clips = scores.shape[1]
    order = np.argsort(-scores, axis=1)
    ranked = np.take_along_axis(scores, order, 1)
    last = np.ones(scores.shape, bool)
    last[:, :-1] = ranked[:, 1:] != ranked[:, :-1]
    end = np.minimum.accumulate(np.where(last, np.arange(clips), clips)[:, ::-1], axis=1)[:, ::-1]
    w = _weights(clips, weight)
    positives, negatives = (np.take_along_axis(w * of, order, 1).cumsum(1) for of in (y > 0, y <= 0))
    return np.take_along_axis(positives, end, 1), np.take_along_axis(negatives, end, 1)


def _areas(scores: Scores, y: Labels, weight: Weight) -> tuple[Table, Table]:
    """The area under each label's ROC, and its pairs of a positive and a negative, where there are any."""
    tp, fp = _curves(*_by_label(scores, y), weight)
    pairs = (tp[:, -1:] * fp[:, -1:]).sum(1)
    tp, fp, pairs = tp[pairs > 0], fp[pairs > 0], pairs[pairs > 0]
    before = np.diff(tp, axis=1, prepend=0)
    return (np.diff(fp, axis=1, prepend=0) * (tp - before / 2)).sum(1) / pairs, pairs


def _errors(scores: Scores, same: Labels, weight: Weight) -> tuple[Table, Table]:
    """The rates of misses and of false alarms, from the threshold that passes none; empty where one is undefined."""
    ((tp,), (fp,)) = _curves(scores[None], same[None], weight)
    if not len(tp) or not tp[-1] * fp[-1] > 0:
        return np.empty(0), np.empty(0)
    return np.r_[1, 1 - tp / tp[-1]], np.r_[0, fp / fp[-1]]


@dataclass(frozen=True)
class Metric:
    """What there is to know of a metric; ``kinds`` are those of :data:`harness.types.KINDS` that it fits.

    ``percent`` says that it is a share, and is shown as one.
    """

    name: str
    summary: str
    kinds: frozenset[str]
    higher_is_better: bool = True
    percent: bool = True


_CLASS, _TAGS, _TRIALS = frozenset({"class"}), frozenset({"class", "tags"}), frozenset({"trials"})
#: All metrics by their names.
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "how often the answer is right; of slots, how often all are", frozenset({"class", "slots"})),
        Metric("balanced_accuracy", "the mean recall of the classes", _CLASS),
        Metric("macro_f1", "the mean F1 of the classes", _CLASS),
        Metric("map", "the mean average precision of the labels", _TAGS),
        Metric("auroc", "the mean area under the labels' ROC", _TAGS),
        Metric("d_prime", "the area under the ROC, in standard deviations", _TAGS, percent=False),
        Metric("pitch_accuracy", "how often the pitch is right", _CLASS),
        Metric("chroma_accuracy", "how often the pitch is right in any octave", _CLASS),
        Metric("r2", "the share of the variance that is explained", frozenset({"value"}), percent=False),
        Metric("eer", "where misses and false alarms are equally frequent", _TRIALS, higher_is_better=False),
        Metric("min_dcf", "the detection cost at the best threshold", _TRIALS, higher_is_better=False, percent=False),
        Metric("event_onset_f", "the F-measure of events by their onsets, to 200 ms", frozenset({"events"})),
    )
}
#: The metric of each kind of target, where a task names none.
DEFAULTS: Mapping[str, str] = {
    "class": "accuracy",
    "tags": "map",
    "slots": "accuracy",
    "value": "r2",
    "trials": "eer",
    "events": "event_onset_f",
}


def applicable(target: Target) -> list[str]:
    """The metrics that make sense of a target as it is.

    A target does not say that the numbers it may have for labels are pitches; a task that knows names those metrics.
    """
    pitches = ("pitch_accuracy", "chroma_accuracy")
    return [name for name, metric in METRICS.items() if kind_of(target) in metric.kinds and name not in pitches]


def bind(name: str, target: Target) -> Callable[..., float]:
    """The metric of that name as a function of scores, ``y`` and, unless all count alike, ``weight`` (clip,).

    Trials are scored by their scores and sameness, both (trial,); events by those found and the true ones, a tuple
    for each clip. A score that is not a number, as a head that has diverged gives, makes the metric NaN.

    Raises:
        UserError: there is no such metric, it does not fit the target, or it needs pitches and labels are none.
    """
    kind = kind_of(target)
    if name not in METRICS:
        raise UserError(f"there is no metric {name!r}: {choices(name, METRICS)}")
    if kind not in METRICS[name].kinds:
        fitting = [known for known, metric in METRICS.items() if kind in metric.kinds]
        raise UserError(f"the metric {name!r} does not fit a target of the kind {kind!r}: use {', '.join(fitting)}")
    return partial(_unless_nan, _function(name, target))


_FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "macro_f1": macro_f1,
    "map": mean_average_precision,
    "auroc": auroc,
    "d_prime": d_prime,
    "r2": r2,
    "eer": equal_error_rate,
    "min_dcf": min_dcf,
    "event_onset_f": lambda found, true, weight=None: event_onset_f(true, found, weight),
}


def _function(name: str, target: Target) -> Callable[..., float]:
    if isinstance(target, Slots):
        return partial(all_correct, target=target)
    if isinstance(target, Class) and name in ("pitch_accuracy", "chroma_accuracy"):
        pitches = _pitches(name, target.labels)
        return accuracy if name == "pitch_accuracy" else partial(chroma_accuracy, pitches=pitches)
    return _FUNCTIONS[name]


def _pitches(name: str, labels: Sequence[str]) -> list[int]:
    for label in labels:
        if not (label.isascii() and label.isdigit() and int(label) < 128):
            raise UserError(f"the metric {name!r} needs MIDI numbers from 0 to 127 as labels, and one is {label!r}")
    return [int(label) for label in labels]


def _unless_nan(function: Callable[..., float], scores: Any, y: Any, weight: Weight = None) -> float:
    if isinstance(scores, np.ndarray) and scores.dtype != object and np.isnan(scores).any():
        return NAN
    return function(scores, y, weight)
