"""Fitting: on every split choose on its own validation folds, refit, and answer its test folds once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.errors import UserError
from harness.heads import Head, Labels, Sample, score
from harness.interfaces import Array
from harness.types import Candidate, FoldScore, Split

#: Raise it when a change of the code moves scores: runs are then made anew.
REVISION = "1"


@dataclass(frozen=True)
class Data:
    """What there is to learn from.

    Inputs (clip, layer, width) to choose between, class numbers, and each clip's fold.
    """

    inputs: Mapping[str, Array]
    y: Labels
    folds: npt.NDArray[np.str_]
    classes: int

    def rows(self, folds: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Which clips lie in these folds."""
        return np.isin(self.folds, folds)


@dataclass(frozen=True)
class Outcome:
    """What one split gave: answers to its test clips (``rows``), what was tried, and what was chosen."""

    fold: FoldScore
    rows: npt.NDArray[np.bool_]
    answers: Labels
    candidates: tuple[Candidate, ...]
    layer_weights: tuple[float, ...]


def fit_split(data: Data, split: Split, head: Head, *, index: int = 0, seed: int = 0) -> Outcome:
    """Run one split.

    Every input and setting learns from the training folds and is scored on the validation folds; the best (ties go to
    the lower cross-entropy, then to the first) is refitted on both and answers the test folds. Features are
    standardised by the folds that are learned from.

    Raises:
        UserError: the folds that are learned from, or judged by, are too poor in clips.
    """
    train, valid, test = (data.rows(folds) for folds in (split.train, split.valid, split.test))
    if not (valid.any() and test.any() and len(np.unique(data.y[train])) > 1):
        raise UserError(
            f"the split that tests on fold {', '.join(split.test)} has too few clips to learn from: raise --limit"
        )
    candidates = []
    ranking: list[tuple[float, float]] = []
    for label, x in data.inputs.items():
        scaled = standardised(x, by=train)
        sample, judge = Sample(scaled[train], data.y[train]), Sample(scaled[valid], data.y[valid])
        for setting, accuracy, loss in head.search(sample, judge, data.classes, seed):
            candidates.append(Candidate(index, seed, {"layer": label, **setting}, accuracy))
            ranking.append((accuracy, -loss))
    chosen = candidates[max(range(len(ranking)), key=ranking.__getitem__)]
    scaled = standardised(data.inputs[chosen.setting["layer"]], by=train | valid)
    sample = Sample(scaled[train | valid], data.y[train | valid])
    fitted = head.fit(sample, data.classes, chosen.setting, seed)
    logits = fitted.logits(scaled[test])
    accuracy, _ = score(logits, data.y[test])
    return Outcome(
        FoldScore(split.test, accuracy, int(test.sum()), {**chosen.setting, "seed": seed}),
        test,
        logits.argmax(1),
        tuple(candidates),
        fitted.layer_weights,
    )


def standardised(x: Array, *, by: npt.NDArray[np.bool_]) -> Array:
    """Give every feature of ``x`` (clip, layer, width) mean 0 and variance 1 over the clips ``by``.

    Constant features become 0.
    """
    mean = x[by].mean(0, dtype=np.float64)
    std = x[by].std(0, dtype=np.float64)
    scale = np.where(std > 1e-6 * np.abs(mean).clip(min=1e-6), 1 / np.where(std > 0, std, 1), 0)
    out: Array = ((x - mean) * scale).astype(np.float32)
    return out


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation, or None of fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def chance(y: Labels, classes: int) -> float:
    """The accuracy of always answering the most frequent class."""
    return float(np.bincount(y, minlength=classes).max() / len(y))
