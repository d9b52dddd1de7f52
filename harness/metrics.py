"""The metrics by name: which fits which kind of target, how it is shown, and what it is as a function."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness import formulas
from harness.detection import event_onset_f
from harness.errors import UserError, choices
from harness.formulas import Labels, Right, Scores, Value, Weight
from harness.targets import kind_of
from harness.types import Class, Slots, Target


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
        Metric("note_onset_f", "the F-measure of notes by pitch and onset, to 50 ms", frozenset({"events"})),
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
    of_pitches = ("pitch_accuracy", "chroma_accuracy", "note_onset_f")
    return [name for name, metric in METRICS.items() if kind_of(target) in metric.kinds and name not in of_pitches]


def bind(name: str, target: Target) -> Callable[..., Value]:
    """The metric of that name as a function of scores, ``y`` and, unless all count alike, ``weight`` (clip,).

    With ``weight`` (draw, clip) it gives a value for each draw.

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


#: Metrics that are a share of right answers.
SHARES = frozenset({"accuracy", "pitch_accuracy", "chroma_accuracy"})
#: Metrics that put clips in order, label by label.
RANKING = frozenset({"map", "auroc", "d_prime"})
_FUNCTIONS: Mapping[str, Callable[..., Value]] = {
    "balanced_accuracy": formulas.balanced_accuracy,
    "macro_f1": formulas.macro_f1,
    "map": formulas.mean_average_precision,
    "auroc": formulas.auroc,
    "d_prime": formulas.d_prime,
    "r2": formulas.r2,
    "eer": formulas.equal_error_rate,
    "min_dcf": formulas.min_dcf,
    "event_onset_f": lambda found, true, weight=None: event_onset_f(true, found, weight),
    "note_onset_f": lambda found, true, weight=None: event_onset_f(true, found, weight, tolerance=0.05),
}


def is_right(name: str, target: Target) -> Callable[[Scores, Labels], Right]:
    """Which clips a metric of :data:`SHARES` counts."""
    if isinstance(target, Slots):
        return partial(formulas.slots_right, target=target)
    if isinstance(target, Class) and name != "accuracy":
        pitches = _pitches(name, target.labels)
        return formulas.answered_right if name == "pitch_accuracy" else partial(formulas.chroma_right, pitches=pitches)
    return formulas.answered_right


def _function(name: str, target: Target) -> Callable[..., Value]:
    if name not in SHARES:
        return _FUNCTIONS[name]
    right = is_right(name, target)
    return lambda scores, y, weight=None: formulas.share(right(scores, y), weight)


def _pitches(name: str, labels: Sequence[str]) -> list[int]:
    for label in labels:
        if not (label.isascii() and label.isdigit() and int(label) < 128):
            raise UserError(f"the metric {name!r} needs MIDI numbers from 0 to 127 as labels, and one is {label!r}")
    return [int(label) for label in labels]


def _unless_nan(function: Callable[..., Value], scores: Any, y: Any, weight: Weight = None) -> Value:
    if isinstance(scores, np.ndarray) and scores.dtype != object and np.isnan(scores).any():
        return np.full(() if weight is None else weight.shape[:-1], formulas.NAN)[()]
    return function(scores, y, weight)
