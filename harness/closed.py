"""Heads that are solved, not trained step by step: logistic regression and ridge regression on one vector per clip."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import numpy.typing as npt

from harness.features import Array, Features, Pooled
from harness.heads import Fitted, Head, Problem, Targets, Tried
from harness.types import Class, Slots, Tags, Target, Value

Doubles = npt.NDArray[np.float64]


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
        """One fit for each C."""
        for number, problem in enumerate(problems):
            for place, c in enumerate(self.grid):
                fitted = self.fit(problem, {"C": c})
                yield Tried(number, place, {"C": c}, problem.judge(fitted.outputs(problem.valid)), fitted)

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Solve in float64 to a gradient of 1e-6.

        Raises:
            ConvergenceWarning: the solver did not get there.
        """
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        # In float32 the solver stops early, with outputs that are off by 1 where the penalty is weak.
        x, y = vectors(problem.train.x).astype(np.float64), problem.train.y
        # One thread: the matrices are small, and threads that wait for each other take longer than one alone.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("error", ConvergenceWarning)
            match problem.target:
                case Class(labels):
                    parts = [_multinomial(x, y, len(labels), setting["C"])]
                case Slots(labels=slots):
                    parts = [_multinomial(x, y[:, i], len(labels), setting["C"]) for i, labels in enumerate(slots)]
                case Tags():
                    parts = [_binary(x, tag, setting["C"]) for tag in y.T]
                case _:
                    raise _no_target(self, problem.target)
        weights, bias = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        return _affine(weights.T, bias)


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


def _multinomial(x: Doubles, y: Targets, classes: int, c: float) -> tuple[Doubles, Doubles]:
    """Weights (class, width) and bias (class,)."""
    weights, bias = np.zeros((classes, x.shape[1])), np.full(classes, -np.inf)
    present = np.unique(y)
    bias[present] = 0
    if len(present) > 1:
        coefficients, intercepts = _solved(x, y, c)
        # Of two classes scikit-learn gives the second alone, relative to the first.
        rows = present[-len(coefficients) :]
        weights[rows], bias[rows] = coefficients, intercepts
    return weights, bias


def _binary(x: Doubles, y: Targets, c: float) -> tuple[Doubles, Doubles]:
    """Weights (1, width) and bias (1,)."""
    present = int((y > 0).sum())
    if 0 < present < len(y):
        return _solved(x, y > 0, c)
    return np.zeros((1, x.shape[1])), np.log([(present + 0.5) / (len(y) - present + 0.5)])


def _solved(x: Doubles, y: Targets, c: float) -> tuple[Doubles, Doubles]:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=c, tol=1e-6, max_iter=10_000).fit(x, y)
    return model.coef_, model.intercept_
