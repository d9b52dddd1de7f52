"""Heads that are solved, not trained step by step: logistic regression and ridge regression on one vector per clip."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, final

import numpy as np
import numpy.typing as npt

from harness.features import Array, Features, Pooled, Rows
from harness.heads import Fitted, Head, Problem, Targets, Tried
from harness.types import Class, Slots, Tags, Target, Value

Doubles = npt.NDArray[np.float64]


#: How many numbers of features are solved for together: on a CPU what its caches hold, on a GPU its memory.
_TOGETHER = {"cpu": 2**20, "cuda": 2**28}


@final
@dataclass(frozen=True)
class Logistic(Head):
    """Logistic regression with an L2 penalty: multinomial for classes and for each slot, binary for each tag.

    ``grid`` holds scikit-learn's C, the inverse of the penalty's strength. A class that is absent from training is
    never answered: its output is minus infinity. A tag that all training clips have, or none, gets their log-odds,
    with half a clip added on either side to keep them finite.
    """

    grid: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    random = False

    def narrowed(self, setting: Mapping[str, Any]) -> "Logistic":
        """With one C."""
        return Logistic((setting["C"],))

    def search(self, problems: Sequence[Problem]) -> Iterator[Tried]:
        """Every C; problems with as many clips and widths are solved together, as many as there is room for."""
        for some in _together(problems):
            for number, heads in zip(some, self._solved([problems[i] for i in some]), strict=True):
                for place, (c, fitted) in enumerate(zip(self.grid, heads, strict=True)):
                    score = problems[number].judge(fitted.outputs(problems[number].valid))
                    yield Tried(number, place, {"C": c}, score, fitted)

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Solve until no number of the mean loss' gradient, along the axes of the features' covariance, is above 1e-6.

        Raises:
            harness.regressions.NotConverged: the solver did not get there.
        """
        ((fitted,),) = self.narrowed(setting)._solved([problem])
        return fitted

    def _solved(self, problems: Sequence[Problem]) -> list[list[Fitted]]:
        """For each of some problems of one shape a head for each C."""
        import torch

        from harness.regressions import Basis, solve

        alike: dict[tuple[int, bool], list[tuple[int, _Part]]] = {}
        heads: list[list[tuple[Doubles, Doubles]]] = []
        for number, problem in enumerate(problems):
            bias, parts = self._parts(problem.target, problem.train.y)
            heads.append([(np.zeros((len(bias), problem.train.x.width)), bias.copy()) for _ in self.grid])
            for part in parts:
                alike.setdefault((len(part.outputs), part.exclusive), []).append((number, part))
        x = np.stack([vectors(problem.train.x) for problem in problems])
        basis = Basis(torch.from_numpy(x).to(problems[0].device, torch.float64))
        for (_, exclusive), some in alike.items():
            fits = torch.tensor([number for number, _ in some], device=problems[0].device)
            y = torch.from_numpy(np.stack([part.hits for _, part in some], dtype=np.float64)).to(problems[0].device)
            for place, point in enumerate(solve(basis, fits, y, self.grid, exclusive=exclusive)):
                for (number, part), weights, bias in zip(some, *basis.back(fits, point), strict=True):
                    heads[number][place][0][part.outputs] = weights.cpu()
                    heads[number][place][1][part.outputs] = bias.cpu()
        return [[_affine(weights.T, bias) for weights, bias in each] for each in heads]

    def _parts(self, target: Target, y: Targets) -> tuple[Doubles, "list[_Part]"]:
        """The bias of each output that has no regression, and the regressions of the others."""
        match target:
            case Class(labels):
                return _classes(y, len(labels))
            case Slots(labels=slots):
                biases, parts = zip(*(_classes(y[:, i], len(names)) for i, names in enumerate(slots)), strict=True)
                firsts = np.cumsum([0, *map(len, biases[:-1])])
                moved = [
                    part._replace(outputs=part.outputs + at)
                    for at, some in zip(firsts, parts, strict=True)
                    for part in some
                ]
                return np.concatenate(biases), moved
            case Tags():
                clips, present = len(y), (y > 0).sum(0)
                some = np.flatnonzero((present > 0) & (present < clips))
                odds = np.log((present + 0.5) / (clips - present + 0.5))
                return odds, [_Part(some, y.T[some] > 0, exclusive=False)] if len(some) else []
            case _:
                raise _no_target(self, target)


def _together(problems: Sequence[Problem]) -> Iterator[list[int]]:
    """The numbers of problems of one shape on one device, as many as there is room for."""
    alike: dict[tuple[int, int, str], list[int]] = {}
    for number, problem in enumerate(problems):
        alike.setdefault((len(problem.train.x), problem.train.x.width, problem.device), []).append(number)
    for (clips, width, device), numbers in alike.items():
        size = max(1, _TOGETHER[device.partition(":")[0]] // (clips * width))
        yield from (numbers[i : i + size] for i in range(0, len(numbers), size))


class _Part(NamedTuple):
    """Regressions that are solved together: of these outputs, from (output, clip) hits; exclusive ones are one."""

    outputs: Rows
    hits: npt.NDArray[np.bool_]
    exclusive: bool


def _classes(y: Targets, count: int) -> tuple[Doubles, list[_Part]]:
    """Of classes that are absent the bias is minus infinity; of two, the second's logit is relative to the first."""
    present = np.unique(y)
    bias = np.full(count, -np.inf)
    bias[present] = 0
    chosen = present[1:] if len(present) == 2 else present
    return bias, [_Part(chosen, y == chosen[:, None], exclusive=len(chosen) > 1)] if len(present) > 1 else []


@final
@dataclass(frozen=True)
class Ridge(Head):
    """Least squares with an L2 penalty on all but the intercept: of values, or of +1 and -1 for each label.

    ``grid`` holds scikit-learn's alpha, the penalty's strength, above 0. A class that is absent from training is
    never answered: its output is minus infinity.
    """

    grid: tuple[float, ...] = (1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3, 1e4)
    random = False

    def narrowed(self, setting: Mapping[str, Any]) -> "Ridge":
        """With one alpha."""
        return Ridge((setting["alpha"],))

    def search(self, problems: Sequence[Problem]) -> Iterator[Tried]:
        """All alphas of a problem, from one decomposition."""
        for number, problem in enumerate(problems):
            solve = self._solver(problem)
            for place, alpha in enumerate(self.grid):
                fitted = solve(alpha)
                yield Tried(number, place, {"alpha": alpha}, problem.judge(fitted.outputs(problem.valid)), fitted)

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Solve in closed form, in float64."""
        return self._solver(problem)(setting["alpha"])

    def _solver(self, problem: Problem) -> Callable[[float], Fitted]:
        """From alpha to the head, by the eigenvalues of the smaller of the two Gram matrices."""
        from scipy.linalg import eigh

        x, (y, absent) = vectors(problem.train.x).astype(np.float64), self._targets(problem.target, problem.train.y)
        x_mean, y_mean = x.mean(0), y.mean(0)
        x -= x_mean
        y -= y_mean
        wide = x.shape[0] < x.shape[1]
        values, basis = eigh(x @ x.T if wide else x.T @ x)
        left = x.T @ basis if wide else basis
        right = basis.T @ (y if wide else x.T @ y)

        def solve(alpha: float) -> Fitted:
            weights = left @ (right / (values.clip(min=0) + alpha)[:, None])
            return _affine(weights, np.where(absent, -np.inf, y_mean - x_mean @ weights))

        return solve

    def _targets(self, target: Target, y: Targets) -> tuple[Doubles, npt.NDArray[np.bool_]]:
        """What to regress on, (clip, output), and which outputs are of a class that no clip has."""
        match target:
            case Class(labels):
                hits = y[:, None] == np.arange(len(labels))
            case Slots(labels=slots):
                hits = np.concatenate([y[:, i, None] == np.arange(len(names)) for i, names in enumerate(slots)], axis=1)
            case Tags():
                return np.where(y > 0, 1.0, -1.0), np.zeros(y.shape[1], np.bool_)
            case Value():
                return y[:, None].astype(np.float64), np.zeros(1, np.bool_)
            case _:
                raise _no_target(self, target)
        return np.where(hits, 1.0, -1.0), ~hits.any(0)


def vectors(features: Features) -> Array:
    """The one vector (clip, width) that these heads have of each clip.

    Raises:
        TypeError: the features are frames.
        ValueError: they have several layers.
    """
    if not isinstance(features, Pooled):
        raise TypeError(f"one vector per clip is asked for, and there are {type(features).__name__}")
    return features.vectors


def _no_target(head: Head, target: Target) -> TypeError:
    return TypeError(f"{type(head).__name__} cannot learn {type(target).__name__}")


def _affine(weights: Doubles, bias: Doubles) -> Fitted:
    """A head from its weights (width, output) and bias (output,)."""
    return Fitted(lambda features: (vectors(features).astype(np.float64) @ weights + bias).astype(np.float32))
