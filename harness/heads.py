"""The head contract: something light that learns a target from frozen features."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.features import Array, Features
from harness.types import Target

#: Targets as numbers, one row per clip (see :mod:`harness.targets`); of events, (frame, label) of 0 and 1 per clip.
Targets = npt.NDArray[Any]
#: What a head says of clips: (clip, output), or for frame-level heads one (frame, output) per clip.
Outputs = Array | Sequence[Array]


class Sample(NamedTuple):
    """Features of some clips, and their targets as numbers."""

    x: Features
    y: Targets


class Score(NamedTuple):
    """What validation says: ``value`` is higher where it is better; ``loss`` decides between equals.

    ``reading`` is how outputs are best turned into answers, where there is a choice (filters of sound events).
    """

    value: float
    loss: float
    reading: Mapping[str, Any] = MappingProxyType({})

    @property
    def rank(self) -> tuple[float, float]:
        """What the best has the highest of; what is not a number is worse than all."""
        return (np.nan_to_num(self.value, nan=-np.inf), -np.nan_to_num(self.loss, nan=np.inf, posinf=np.inf))


class Fitted(NamedTuple):
    """A head that has learned: features to outputs, and the layer weights it has learned, if any."""

    outputs: Callable[[Features], Outputs]
    layer_weights: tuple[float, ...] = ()


class Tried(NamedTuple):
    """A setting, what validation says of it, and the head that it gave.

    ``problem`` is the number of the problem that it was tried on, ``place`` that of the setting in the head's grid.
    """

    problem: int
    place: int
    setting: Mapping[str, Any]
    score: Score
    fitted: Fitted


@dataclass(frozen=True)
class Problem:
    """All that a head sees while it is chosen: no test clip is in it.

    ``judge`` scores outputs for ``valid``. ``join`` says how the layers of ``x`` become one (``one``, where there is
    one only; ``mean``; ``weighted-sum``; ``conv``), ``pool`` how frames become a vector (``mean``, ``attention``, or
    ``none`` where each frame is answered).
    """

    target: Target
    train: Sample
    valid: Features
    judge: Callable[[Outputs], Score]
    join: str = "one"
    pool: str = "mean"
    seed: int = 0
    device: str = "cpu"


class Head(ABC):
    """Something that learns a target from features. Concrete heads are frozen records of their grid and training."""

    #: Whether two seeds can give two answers.
    random: ClassVar[bool]

    @abstractmethod
    def search(self, problems: Sequence[Problem]) -> Iterator[Tried]:
        """Try every setting on every problem, in any order: learn from its ``train``, score on its ``valid``.

        What comes of a problem does not depend on those beside it, but for rounding.
        """

    @abstractmethod
    def narrowed(self, setting: Mapping[str, Any]) -> "Head":
        """The same head with this one setting, of those that :meth:`search` gave, to try."""

    @abstractmethod
    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Learn from ``problem.train`` with one setting that :meth:`search` gave; nothing is judged."""
