"""Fitting: on every split choose on its own validation clips, refit where the protocol does, answer its test once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.errors import UserError
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
    standardise: bool = True
    refit: bool = True
    device: str = "cpu"

    def scale(self, x: Features, by: Rows) -> Scale | None:
        """What standardises features, if the method does so."""
        return x.scale(by) if self.standardise else None


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
    """An input and a setting, the problem and the head that they gave, and all that were tried."""

    valid: Score
    layer: str
    problem: Problem
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
    def of(cls, data: Data, split: AnySplit, method: Method, seed: int) -> "Visible":
        """Every input, standardised if the method does so."""
        problems = {}
        for layer, x in data.inputs.items():
            scale = method.scale(x, split.scaling)
            problems[layer] = Problem(
                data.scoring.target,
                Sample(_scaled(x.rows(split.train), scale), data.scoring.y[split.train]),
                _scaled(x.rows(split.valid), scale),
                data.scoring.judge(split.valid),
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
                best = (tried.score, layer, problem, setting, tried.fitted)
    if best is None:
        raise ValueError("there is nothing to choose from")
    return Choice(*best, tuple(candidates))


def fit_split(data: Data, split: AnySplit, method: Method, *, index: int = 0, seed: int = 0) -> Outcome:
    """Run one split: choose, refit on training and validation clips if the method does, answer the test clips.

    Raises:
        UserError: the metric is not defined on the validation or on the test clips.
    """
    choice = choose(Visible.of(data, split, method, seed), method.head, index=index)
    _check(data, split, choice.valid.value, "validation")
    fitted, by = choice.fitted, split.scaling
    if method.refit:
        by = np.sort(np.concatenate([split.train, split.valid]))
        x = data.inputs[choice.layer]
        sample = Sample(_scaled(x.rows(by), method.scale(x, by)), data.scoring.y[by])
        fitted = method.head.fit(replace(choice.problem, train=sample), choice.setting)
    scale = method.scale(data.inputs[choice.layer], by)
    outputs = fitted.outputs(_scaled(data.tested[choice.layer].rows(split.test), scale))

    reading = {name: choice.setting[name] for name in data.scoring.readings()[0]}
    answers = data.scoring.read(outputs, split.test, reading)
    score = data.scoring.measure(data.scoring.metric, answers)
    _check(data, split, score, "test")
    fold = FoldScore(split.folds, score, len(split.test), {**choice.setting, "seed": seed})
    return Outcome(fold, split.test, answers, choice.valid, choice.candidates, fitted.layer_weights)


def _check(data: Data, split: AnySplit, score: float, part: str) -> None:
    if not np.isfinite(score):
        raise UserError(
            f"{data.scoring.metric} is no number on the {part} clips of the split that tests on fold "
            f"{', '.join(split.folds)}: they lack labels that it needs, or every head has diverged; give that part "
            "clips of every label, raise --limit, or take another head"
        )


def _scaled(x: Features, scale: Scale | None) -> Features:
    return x if scale is None else x.scaled(scale)


def spread(values: Sequence[float]) -> float | None:
    """Sample standard deviation, or None of fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
