"""Many logistic regressions at once are those of scikit-learn one by one, however ill the features are."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression

from harness import regressions
from harness.regressions import TOLERANCE, WAY, Basis, NotConverged, solve

Doubles = npt.NDArray[np.float64]
#: For each fit weights (output, width) and bias (output,).
Solved = list[tuple[Doubles, Doubles]]


def noise(clips: int, width: int, seed: int) -> Doubles:
    return np.random.default_rng(seed).normal(0, 1, (clips, width))


def scaled(clips: int, width: int, seed: int) -> Doubles:
    """Features far from zero whose scales differ a thousandfold."""
    x: Doubles = noise(clips, width, seed) * np.geomspace(0.03, 30, width) + np.linspace(-50, 50, width)
    return x


def correlated(clips: int, width: int, seed: int) -> Doubles:
    """Features that nearly repeat each other, and two that do, and one that is constant."""
    x = noise(clips, 1, seed) + 0.01 * noise(clips, width, seed + 50)
    x[:, 1], x[:, 2] = x[:, 0], 7.0
    return x


FEATURES: list[Any] = [
    pytest.param(lambda seed: noise(90, 6, seed), id="tall"),
    pytest.param(lambda seed: noise(20, 30, seed), id="wide"),
    pytest.param(lambda seed: scaled(90, 8, seed), id="scales"),
    pytest.param(lambda seed: correlated(90, 8, seed), id="correlated"),
    pytest.param(lambda seed: correlated(20, 30, seed), id="wide and correlated"),
]
Draw = Callable[[int], Doubles]


def classes(x: Doubles, count: int) -> npt.NDArray[np.int64]:
    """Classes that features tell, not quite; each occurs."""
    rng = np.random.default_rng(7)
    unit = (x - x.mean(0)) / np.maximum(x.std(0), 1e-9)
    scores = unit @ rng.normal(0, 1, (x.shape[1], count)) + rng.normal(0, 2, (len(x), count))
    y: npt.NDArray[np.int64] = scores.argmax(1)
    y[:count] = np.arange(count)
    return y


def onehot(y: npt.NDArray[np.int64], count: int) -> Doubles:
    rows: Doubles = (y == np.arange(count)[:, None]).astype(np.float64)
    return rows


def solved(x: list[Doubles], y: list[Doubles], c: float | tuple[float, ...], *, exclusive: bool) -> list[Solved]:
    """For each C the fits' weights and biases."""
    basis, fits = Basis(torch.from_numpy(np.stack(x))), torch.arange(len(x))
    grid = c if isinstance(c, tuple) else (c,)
    points = solve(basis, fits, torch.from_numpy(np.stack(y)), grid, exclusive=exclusive)
    made = [[own.numpy() for own in basis.back(fits, point)] for point in points]
    return [list(zip(*each, strict=True)) for each in made]


def reference(x: Doubles, y: npt.NDArray[Any], c: float) -> tuple[Doubles, Doubles]:
    """Another solver, that goes to the very optimum; what stands still only because of rounding is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=c, tol=1e-10, solver="newton-cholesky", max_iter=1000).fit(x, y)
    return model.coef_, model.intercept_ - model.intercept_.mean() * (len(model.coef_) > 1)


def close(found: tuple[Doubles, Doubles], expected: tuple[Doubles, Doubles], x: Doubles) -> None:
    """Weights and outputs to 1e-5 of the largest."""
    for one, other in (
        (found[0], expected[0]),
        (x @ found[0].T + found[1], x @ expected[0].T + expected[1]),
    ):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * np.abs(other).max())


@pytest.fixture
def to_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Go on until the gradient is as good as zero, since where penalties are weak much may be left at the usual one."""
    monkeypatch.setattr(regressions, "TOLERANCE", 1e-11)


@pytest.mark.usefixtures("to_the_end")
@pytest.mark.parametrize("count", [3, 6])
@pytest.mark.parametrize("draw", FEATURES)
def test_classes_are_told_as_scikit_learn_tells_them(draw: Draw, count: int) -> None:
    x = [draw(seed) for seed in (1, 2)]
    y = [classes(each, count) for each in x]
    every = solved(x, [onehot(each, count) for each in y], WAY, exclusive=True)
    for c, found in zip(WAY, every, strict=True):
        for i in range(2):
            close(found[i], reference(x[i], y[i], c), x[i])


@pytest.mark.usefixtures("to_the_end")
@pytest.mark.parametrize("draw", FEATURES)
def test_each_tag_is_told_as_scikit_learn_tells_it(draw: Draw) -> None:
    x = [draw(seed) for seed in (1, 2)]
    y = [np.stack([classes(each + seed, 2) for seed in range(3)]) for each in x]
    y = [np.where(np.arange(3)[:, None] == 1, 1 - each, each) for each in y]
    every = solved(x, [each.astype(np.float64) for each in y], WAY, exclusive=False)
    for c, found in zip(WAY, every, strict=True):
        for (weights, bias), mine, features in zip(found, y, x, strict=True):
            for k in range(3):
                close((weights[k : k + 1], bias[k : k + 1]), reference(features, mine[k], c), features)


@pytest.mark.parametrize("draw", FEATURES)
def test_no_gradient_is_left_above_the_tolerance(draw: Draw) -> None:
    x = draw(1)
    y = onehot(classes(x, 4), 4)
    for c, ((weights, bias),) in zip(WAY, solved([x], [y], WAY, exclusive=True), strict=True):
        logits = x @ weights.T + bias
        wrong: Doubles = softmax(logits, axis=1) - y.T
        gradient = wrong.T @ (x - x.mean(0)) / len(x) + weights / (len(x) * c)
        # Along the axes of their covariance none of the numbers is, so that of all together this is the bound.
        assert np.linalg.norm(gradient, axis=1).max() < TOLERANCE * x.shape[1] ** 0.5
        assert np.abs(wrong.mean(0)).max() < 1.01 * TOLERANCE


def test_what_a_c_gives_does_not_depend_on_the_others() -> None:
    x = [noise(90, 6, 1)]
    y = [onehot(classes(x[0], 3), 3)]
    every = solved(x, y, WAY, exclusive=True)
    for c, ((weights, bias),) in zip(WAY, every, strict=True):
        (((alone, intercept),),) = solved(x, y, c, exclusive=True)
        np.testing.assert_array_equal(weights, alone)
        np.testing.assert_array_equal(bias, intercept)


def alike(found: tuple[Doubles, Doubles], expected: tuple[Doubles, Doubles], share: float) -> None:
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=share * np.abs(other).max())


#: How far rounding may lead apart what is solved as usual, and what is solved to the end.
SHARES = [pytest.param(1e-4, id="usual"), pytest.param(1e-8, id="to the end")]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize("exclusive", [True, False])
def test_a_regression_does_not_depend_on_those_beside_it(
    exclusive: bool, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    if share == 1e-8:
        monkeypatch.setattr(regressions, "TOLERANCE", 1e-13)
    x = [noise(90, 6, seed) * 10.0**-seed for seed in range(4)]
    y = [onehot(classes(each, 3), 3) for each in x]
    for found, *alone in zip(
        solved(x, y, WAY, exclusive=exclusive),
        *(solved([x[i]], [y[i]], WAY, exclusive=exclusive) for i in range(4)),
        strict=True,
    ):
        for mine, (theirs,) in zip(found, alone, strict=True):
            alike(mine, theirs, share)


def test_features_may_be_shared() -> None:
    x = noise(90, 6, 1)
    y = [onehot(classes(x + seed, 3), 3)[[seed, 1 - seed, 2]] for seed in (0, 1)]
    basis = Basis(torch.from_numpy(x[None]))
    (point,) = solve(basis, torch.tensor([0, 0]), torch.from_numpy(np.stack(y)), (1.0,), exclusive=True)
    for found, mine in zip(zip(*basis.back(torch.tensor([0, 0]), point), strict=True), y, strict=True):
        ((alone,),) = solved([x], [mine], 1.0, exclusive=True)
        alike((found[0].numpy(), found[1].numpy()), alone, 1e-4)


@pytest.mark.parametrize("exclusive", [True, False])
def test_a_regression_that_is_not_solved_is_an_error(exclusive: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regressions, "_MOST", {torch.float32: 1, torch.float64: 1})
    x = noise(90, 6, 1)
    with pytest.raises(NotConverged, match="does not fall below 1e-06"):
        solved([x], [onehot(classes(x, 3), 3)], 1.0, exclusive=exclusive)


def test_features_that_are_no_numbers_are_an_error() -> None:
    x = noise(90, 6, 1)
    x[3, 2] = np.nan
    with pytest.raises(RuntimeError, match="failed to converge"):  # torch's, of the eigenvectors
        solved([x], [onehot(classes(np.nan_to_num(x), 3), 3)], 1.0, exclusive=True)
