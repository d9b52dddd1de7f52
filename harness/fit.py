"""Fitting: on every split choose on its own validation clips, refit where the protocol does, answer its test once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.answers import Answers
from harness.errors import UserError
from harness.features import Features, Rows, Scale
from harness.heads import Fitted, Head, Problem, Sample, Score, Tried
from harness.scoring import Scoring
from harness.splits import AnySplit
from harness.types import Candidate, FoldScore

#: Raise it when a change of the code moves scores: runs are then made anew.
REVISION = "3"
#: Is told how many of all problems something is known of.
Progress = Callable[[int, int], None]


def unseen(done: int, total: int) -> None:
    """Progress that nobody looks at."""


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
class Part:
    """What one :class:`Outcome` is of: data, a split of them, its number, and a seed."""

    data: Data
    split: AnySplit
    index: int = 0
    seed: int = 0


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

    ``sign`` is -1 where the metric is better the lower it is, which a judge's score is not; ``index`` is the split's
    number.
    """

    problems: Mapping[str, Problem]
    sign: int
    index: int = 0

    @classmethod
    def of(cls, part: Part, method: Method) -> "Visible":
        """Every input, standardised if the method does so."""
        data, split, problems = part.data, part.split, {}
        for layer, x in data.inputs.items():
            scale = method.scale(x, split.scaling)
            problems[layer] = Problem(
                data.scoring.target,
                Sample(_scaled(x.rows(split.train), scale), data.scoring.y[split.train]),
                _scaled(x.rows(split.valid), scale),
                data.scoring.judge(split.valid),
                data.join,
                data.pool,
                part.seed,
                method.device,
            )
        return cls(problems, data.scoring.sign, part.index)


def choose(visible: Sequence[Visible], head: Head, progress: Progress = unseen) -> list[Choice]:
    """For each of ``visible``, try every input and setting; all are handed to the head together.

    The best metric on the validation clips wins, then the lower loss, then the first.
    """
    offered = [(i, layer, problem) for i, one in enumerate(visible) for layer, problem in one.problems.items()]
    tried: dict[tuple[int, int], Candidate] = {}
    best: dict[int, tuple[tuple[float, ...], Tried]] = {}
    seen: set[int] = set()
    for each in head.search([problem for _, _, problem in offered]):
        i, layer, problem = offered[each.problem]
        value = visible[i].sign * each.score.value
        told = {"layer": layer, **each.setting, **each.score.reading}
        finite = value if np.isfinite(value) else None
        tried[each.problem, each.place] = Candidate(visible[i].index, problem.seed, told, finite)
        # Only the best keeps its head: those of all settings of all layers would not fit into memory.
        rank = (*each.score.rank, -each.problem, -each.place)
        if i not in best or rank > best[i][0]:
            best[i] = (rank, each)
        seen.add(each.problem)
        progress(len(seen), len(offered))
    choices = []
    for i in range(len(visible)):
        _, winner = best[i]
        _, layer, problem = offered[winner.problem]
        candidates = [(at, one) for at, one in tried.items() if offered[at[0]][0] == i]
        ordered = tuple(one for _, one in sorted(candidates, key=lambda pair: pair[0]))
        setting = tried[winner.problem, winner.place].setting
        choices.append(Choice(winner.score, layer, problem, setting, winner.fitted, ordered))
    return choices


def fit_parts(parts: Sequence[Part], method: Method, progress: Progress = unseen) -> list[Outcome]:
    """Of each part choose, refit on training and validation clips if the method does, and answer the test clips.

    What comes of a part does not depend on those beside it, but for rounding.

    Raises:
        UserError: the metric is not defined on the validation or on the test clips of one.
    """
    choices = choose([Visible.of(part, method) for part in parts], method.head, progress)
    return [_answered(part, method, choice) for part, choice in zip(parts, choices, strict=True)]


def _answered(part: Part, method: Method, choice: Choice) -> Outcome:
    data, split = part.data, part.split
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
    fold = FoldScore(split.folds, score, len(split.test), {**choice.setting, "seed": part.seed})
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
