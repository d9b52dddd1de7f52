"""Heads that are trained by steps: a network, a training and a grid of settings."""

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, final

import numpy as np

from harness.course import Course, Fit, Lesson, answers
from harness.features import Frames
from harness.heads import Fitted, Head, Problem, Score, Tried
from harness.training import Training

if TYPE_CHECKING:
    from harness.networks import Probe

#: How many numbers fits that are trained together have in hand: on a CPU what its caches hold, on a GPU its memory.
STACK_NUMBERS = {"cpu": 2**22, "cuda": 2**28}


@final
@dataclass(frozen=True)
class Trained(Head):
    """A network of :mod:`harness.networks`, trained for every rate of its training and every point of its grid.

    ``grid`` holds the network's own settings as pairs of a name and a value; where a training has no rates, each
    point has its own ``rate``. Fits of one shape, of whatever problem, rate, point and seed, are trained together.
    """

    network: str
    training: Training
    grid: tuple[tuple[tuple[str, Any], ...], ...] = ((),)
    random: ClassVar[bool] = True

    def settings(self) -> list[dict[str, Any]]:
        """Every setting, in the order in which they are tried."""
        points = [dict(point) for point in self.grid]
        rates = self.training.rates
        return [{"rate": rate, **point} for point in points for rate in rates] if rates else points

    def narrowed(self, setting: Mapping[str, Any]) -> "Trained":
        """The same head with this one setting."""
        own = tuple(self._own(setting).items())
        return replace(self, training=replace(self.training, rates=(setting["rate"],)), grid=(own,))

    def _own(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """The network's own part of a setting."""
        return {name: setting[name] for name, _ in self.grid[0] if name != "rate"}

    def search(self, problems: Sequence[Problem]) -> Iterator[Tried]:
        """One training for each setting; of each the look that the training keeps.

        The setting then says after how many ``steps`` it was and, where the rate follows a schedule, for how many
        ``planned_steps`` that was made.
        """
        lessons = [Lesson(problem) for problem in problems]
        fits = [
            Fit(number, place, lesson, setting)
            for number, lesson in enumerate(lessons)
            for place, setting in enumerate(self.settings())
        ]
        for together in self._stacked(fits):
            yield from self._trained(together)

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Train with one setting for the number of steps that it says, on the schedule that it was found on."""
        length = setting.get("planned_steps", setting["steps"])
        exact = replace(self.training, steps=length, epochs=None, least_steps=0, checks=length, keep="last")
        own = {"rate": setting["rate"], **self._own(setting)}
        course = Course(self.network, exact, [Fit(0, 0, Lesson(problem), own)])
        next(step for step in course.looks() if step == setting["steps"])
        return _fitted(course.probes[0], problem.device)

    def _stacked(self, fits: Sequence[Fit]) -> Iterator[Sequence[Fit]]:
        """Fits that can be trained together, as many at a time as there is room for."""
        alike: dict[tuple[Any, ...], list[Fit]] = {}
        for fit in fits:
            # Clips of several frames differ in length, and those of one problem are read together anyway.
            alone = fit.number if isinstance(fit.lesson.x, Frames) else None
            alike.setdefault((alone, len(fit.lesson.x), *fit.shapes(self.network).values()), []).append(fit)
        for (_, examples, *shapes), group in alike.items():
            room = STACK_NUMBERS[group[0].lesson.problem.device.partition(":")[0]]
            widest = max(shape[0] for shape in shapes if shape)
            size = max(1, room // max(min(self.training.batch, examples) * widest, sum(map(prod, shapes))))
            yield from (group[i : i + size] for i in range(0, len(group), size))

    def _trained(self, fits: Sequence[Fit]) -> Iterator[Tried]:
        """Train to the end, or until patience does; each fit is then what it was at the look that is kept."""
        course = Course(self.network, self.training, fits)
        kept = [Kept(fit, probe, self.training) for fit, probe in zip(fits, course.probes, strict=True)]
        going = kept
        for step in course.looks():
            if self.training.keep == "last" and step < self.training.plan(len(fits[0].lesson.x)).steps:
                continue
            for lesson, run in groupby(going, lambda each: each.fit.lesson):
                some = list(run)
                for each, outputs in zip(some, lesson.answers([one.probe for one in some]), strict=True):
                    each.look(step, lesson.problem.judge(outputs))
            stays = [self.training.patience is None or each.idle < self.training.patience for each in going]
            if not all(stays):
                going = [each for each, goes_on in zip(going, stays, strict=True) if goes_on]
                course.keep(stays)
        for each in kept:
            yield each.tried()


@final
class Kept:
    """The look of a fit that is kept: after which step it was, what validation said, and for how long it has stood."""

    def __init__(self, fit: Fit, probe: "Probe", training: Training) -> None:
        self.fit, self.probe, self._training = fit, probe, training
        self.step, self.score, self.idle = 0, Score(-np.inf, np.inf), 0
        self._state: dict[str, Any] | None = None

    def look(self, step: int, score: Score) -> None:
        """See what validation says now."""
        if self._state is None or self._better(score):
            self.step, self.score, self.idle = step, score, 0
            self._state = copy.deepcopy(self.probe.state_dict())
        else:
            self.idle += 1

    def _better(self, new: Score) -> bool:
        match self._training.keep:
            case "lowest loss":
                return new.rank[1] > self.score.rank[1]
            case "latest best":
                return new.rank[0] >= self.score.rank[0]
            case _:
                return new.rank[0] > self.score.rank[0]

    def tried(self) -> Tried:
        """What came of the fit."""
        fit, lesson = self.fit, self.fit.lesson
        found = {**fit.setting, "steps": self.step}
        if self._training.schedule != "constant":
            found["planned_steps"] = self._training.plan(len(lesson.x)).steps
        if self._state is not None:
            self.probe.load_state_dict(self._state, assign=True)
        return Tried(fit.number, fit.place, found, self.score, _fitted(self.probe, lesson.problem.device))


def _fitted(probe: "Probe", device: str) -> Fitted:
    return Fitted(lambda features: answers([probe], features, device)[0], probe.interface.layer_weights())
