"""Fitting: on every split choose on its own validation clips, refit where the protocol does, answer its test once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from harness.features import Features, Rows, Scale
from harness.heads import Fitted, Head, Problem, Sample, Score
from harness.scoring import Answers, Scoring
from harness.splits import AnySplit
from harness.types import Candidate, FoldScore

#: Raise it when a change of the code moves scores: runs are then made anew.
REVISION = "2"


@dataclass(frozen=True)
class Data:
    """What there is to learn from: inputs to choose between, and what they should give.

    ``tested`` are the same inputs as test clips are heard, which differs from ``inputs`` only where a published
    recipe treats them differently. ``join`` and ``pool`` as in :class:`harness.heads.Problem`.
    """

    inputs: Mapping[str, Features]
    tested: Mapping[str, Features]
    join: str
    pool: str
    scoring: Scoring


@dataclass(frozen=True)
class Method:
    """How a head is chosen and fitted; the settings of a protocol that concern fitting."""

    head: Head
    standardise: Literal["no", "training", "training and validation"] = "training"
    refit: bool = True
    device: str = "cpu"

    def scale(self, x: Features, train: Rows, valid: Rows) -> Scale | None:
        """What standardises features, by the clips that the method says."""
        if self.standardise == "no":
            return None
        return x.scale(train if self.standardise == "training" else np.union1d(train, valid))


@dataclass(frozen=True)
class Outcome:
    """What one split gave: answers to its test clips (``rows``), what was tried, and what was chosen.

    ``valid`` is what validation said of the chosen one.
    """

    fold: FoldScore
    rows: Rows
    answers: Answers
    valid: Score
    candidates: tuple[Candidate, ...]
    layer_weights: tuple[float, ...]


@dataclass(frozen=True)
class Choice:
    """An input and a setting, the head that they gave, and all that were tried."""

    valid: Score
    layer: str
    setting: Mapping[str, object]
    fitted: Fitted
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True)
class Visible:
    """All that selection sees of a split: there is no way from here to its test clips.

    ``sign`` is -1 where the metric is better the lower it is, which a judge's score is not.
    """

    problems: Mapping[str, Problem]
    sign: int

    @classmethod
    def of(cls, data: Data, train: Rows, valid: Rows, method: Method, seed: int) -> "Visible":
        """Every input, scaled as the method says."""
        problems = {}
        for layer, x in data.inputs.items():
            scale = method.scale(x, train, valid)
            problems[layer] = Problem(
                data.scoring.target,
                Sample(_scaled(x.rows(train), scale), data.scoring.y[train]),
                _scaled(x.rows(valid), scale),
                data.scoring.judge(valid),
                data.join,
                data.pool,
                seed,
                method.device,
            )
        return cls(problems, data.scoring.sign)


def choose(visible: Visible, head: Head, *, index: int) -> Choice:
    """Try every input and setting.

    The best metric on the validation clips wins, then the lower loss, then the first.
    """
    candidates, best = [], None
    for layer, problem in visible.problems.items():
        for tried in head.search(problem):
            setting = {"layer": layer, **tried.setting, **tried.score.reading}
            value = visible.sign * tried.score.value
            candidates.append(Candidate(index, problem.seed, setting, value if np.isfinite(value) else None))
            if best is None or tried.score.rank > best[0].rank:
                best = (tried.score, layer, setting, tried.fitted)
    if best is None:
        raise ValueError("there is nothing to choose from")
    return Choice(*best, tuple(candidates))


def fit_split(data: Data, split: AnySplit, method: Method, *, index: int = 0, seed: int = 0) -> Outcome:
    """Run one split: choose, refit on training and validation clips if the method does, answer the test clips."""
    choice = choose(Visible.of(data, split.train, split.valid, method, seed), method.head, index=index)
    train, fitted = split.train, choice.fitted
    if method.refit:
        train = np.sort(np.concatenate([split.train, split.valid]))
        winner = replace(data, inputs={choice.layer: data.inputs[choice.layer]})
        again = Visible.of(winner, train, split.valid, method, seed)
        fitted = method.head.fit(again.problems[choice.layer], choice.setting)
    scale = method.scale(data.inputs[choice.layer], train, split.valid)
    outputs = fitted.outputs(_scaled(data.tested[choice.layer].rows(split.test), scale))

    reading = {name: choice.setting[name] for name in data.scoring.readings()[0]}
    answers = data.scoring.read(outputs, split.test, reading)
    score = data.scoring.measure(data.scoring.metric, answers)
    fold = FoldScore(split.folds, score, len(split.test), {**choice.setting, "seed": seed})
    return Outcome(fold, split.test, answers, choice.valid, choice.candidates, fitted.layer_weights)


def _scaled(x: Features, scale: Scale | None) -> Features:
    return x if scale is None else x.scaled(scale)


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation, or None of fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
