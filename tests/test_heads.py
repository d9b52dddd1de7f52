"""Heads: they are what scikit-learn and SUPERB say they are, and the same seed gives the same answer."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, log_loss
from torch import nn

from harness.heads import HEADS, Fitted, Head, Labels, Linear, Logistic, Sample, check_head, score
from harness.interfaces import Array

Refused = Callable[[str], AbstractContextManager[None]]

LINEAR = Linear(rates=(1e-2, 1e-3), steps=60, check=20, projector=16)
SMALL: list[Head] = [Logistic((0.01, 1.0)), LINEAR]


def toy(
    clips: int = 90, *, classes: int = 3, layers: int = 1, width: int = 6, noise: float = 0.5, seed: int = 0
) -> Sample:
    """Classes around centres that do not depend on the seed, equally clear in every layer."""
    centres = np.random.default_rng(99).normal(0, 1, (classes, layers, width))
    rng = np.random.default_rng(seed)
    y = np.arange(clips) % classes
    x = centres[y] + rng.normal(0, noise, (clips, layers, width))
    return Sample(x.astype(np.float32), y.astype(np.int64))


def buried(informative: int, layers: int = 4, seed: int = 0) -> Sample:
    """A toy of which all layers but one are noise."""
    x, y = toy(120, layers=layers, seed=seed)
    rest = np.arange(layers) != informative
    x[:, rest] = np.random.default_rng(seed + 1).normal(0, 1, x[:, rest].shape)
    return Sample(x, y)


def accuracy(fitted: Fitted, sample: Sample) -> float:
    return score(fitted.logits(sample.x), sample.y)[0]


# Scores.


@pytest.fixture(params=range(3))
def answers(request: pytest.FixtureRequest) -> tuple[Array, Labels]:
    rng = np.random.default_rng(request.param)
    return rng.normal(0, 5, (200, 7)).astype(np.float32), rng.integers(0, 7, 200)


def softmax(logits: Array) -> npt.NDArray[np.float64]:
    odds = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    shares: npt.NDArray[np.float64] = odds / odds.sum(1, keepdims=True)
    return shares


def test_accuracy_is_that_of_scikit_learn(answers: tuple[Array, Labels]) -> None:
    logits, y = answers
    assert score(logits, y)[0] == pytest.approx(accuracy_score(y, logits.argmax(1)))


def test_cross_entropy_is_that_of_scikit_learn(answers: tuple[Array, Labels]) -> None:
    logits, y = answers
    assert score(logits, y)[1] == pytest.approx(log_loss(y, softmax(logits), labels=range(7)), rel=1e-5)


def test_a_score_does_not_depend_on_what_all_logits_share(answers: tuple[Array, Labels]) -> None:
    logits, y = answers
    assert score(logits + np.float32(1000), y) == pytest.approx(score(logits, y), rel=1e-3)


def test_a_class_that_is_never_answered_costs_everything() -> None:
    logits = np.array([[0.3, -np.inf, 0.1], [0.2, -np.inf, 0.9]], np.float32)
    assert score(logits, np.array([1, 2])) == (0.5, np.inf)


# Logistic regression.


@pytest.mark.parametrize("c", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("classes", [2, 3, 8])
def test_logistic_regression_is_that_of_scikit_learn(c: float, classes: int) -> None:
    train, test = toy(classes=classes), toy(classes=classes, seed=1)
    # Another solver, in float64, that goes to the very optimum.
    model = LogisticRegression(C=c, tol=1e-10, solver="newton-cholesky").fit(train.x[:, 0].astype(np.float64), train.y)
    logits = Logistic().fit(train, classes, {"C": c}, seed=0).logits(test.x)
    np.testing.assert_allclose(softmax(logits), model.predict_proba(test.x[:, 0]), rtol=1e-4, atol=1e-6)


def test_logistic_regression_minimises_its_loss() -> None:
    x, y = (array.astype(np.float64) for array in (toy().x[:, 0], toy().y))
    train = toy()
    logits = Logistic().fit(train, 3, {"C": 0.1}, seed=0).logits
    origin = logits(np.zeros((1, 1, 6), np.float32)).astype(np.float64)
    weights = np.concatenate([logits(np.eye(6, dtype=np.float32)[i][None, None]) - origin for i in range(6)])
    weights -= weights.mean(1, keepdims=True)
    # The gradient of the penalised loss: what the fit asks of each weight.
    residual = softmax(logits(train.x)) - np.eye(3)[y.astype(int)]
    np.testing.assert_allclose(weights / 0.1 + x.T @ residual, 0, atol=0.02)


def test_an_absent_class_is_never_answered() -> None:
    x, y = toy(classes=4)
    train = Sample(x[(y != 1) & (y != 3)], y[(y != 1) & (y != 3)])
    logits = Logistic().fit(train, 5, {"C": 1.0}, seed=0).logits(x)
    assert set(logits.argmax(1)) == {0, 2}
    assert np.isneginf(logits[:, [1, 3, 4]]).all()


def test_a_clip_far_from_all_others_gets_finite_logits() -> None:
    fitted = Logistic().fit(toy(), 3, {"C": 1.0}, seed=0)
    assert np.isfinite(fitted.logits(1000 * toy(seed=1).x)).all()


def test_logistic_regression_tries_every_strength() -> None:
    tried = list(Logistic().search(toy(), toy(seed=1), 3, seed=0))
    assert [setting for setting, _, _ in tried] == [{"C": c} for c in (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)]


# SUPERB's head.


def test_the_linear_head_learns_a_separable_toy() -> None:
    fitted = LINEAR.fit(toy(noise=0.2), 3, {"rate": 1e-2, "steps": 60}, seed=0)
    assert accuracy(fitted, toy(noise=0.2, seed=1)) == 1.0


def test_the_linear_head_is_two_linear_layers_trained_by_adam() -> None:
    """One batch that holds all clips, whose order does not matter: a few steps, written down once more."""
    train = toy(30, layers=3)
    torch.manual_seed(5)
    first, second = nn.Linear(6, 16), nn.Linear(16, 3)
    mix = nn.Parameter(torch.zeros(3))
    adam = torch.optim.Adam([mix, *first.parameters(), *second.parameters()], lr=1e-2)

    def logits(x: Array) -> torch.Tensor:
        shares = mix.exp() / mix.exp().sum()
        mixed: torch.Tensor = second(first((torch.from_numpy(x) * shares[:, None]).sum(1)))
        return mixed

    for _ in range(5):
        adam.zero_grad()
        chosen = logits(train.x).log_softmax(1)[torch.arange(30), torch.from_numpy(train.y)]
        (-chosen.mean()).backward()
        adam.step()
    head = Linear(rates=(1e-2,), steps=5, check=5, batch=30, projector=16)
    fitted = head.fit(train, 3, {"rate": 1e-2, "steps": 5}, seed=5)
    np.testing.assert_allclose(fitted.logits(train.x), logits(train.x).detach(), rtol=1e-4, atol=1e-5)


def test_the_linear_head_looks_every_so_many_steps_at_each_rate() -> None:
    tried = list(LINEAR.search(toy(), toy(seed=1), 3, seed=0))
    expected = [{"rate": rate, "steps": steps} for rate in (1e-2, 1e-3) for steps in (20, 40, 60)]
    assert [setting for setting, _, _ in tried] == expected


@pytest.mark.parametrize("layers", [1, 3])
def test_a_look_on_the_way_is_the_fit_to_that_step(layers: int) -> None:
    train, valid = toy(layers=layers), toy(layers=layers, seed=1)
    for setting, *looked in LINEAR.search(train, valid, 3, seed=4):
        assert [*score(LINEAR.fit(train, 3, setting, seed=4).logits(valid.x), valid.y)] == looked


def test_a_fit_answers_the_same_after_another_fit() -> None:
    setting = {"rate": 1e-2, "steps": 20}
    first = LINEAR.fit(toy(), 3, setting, seed=0)
    before = first.logits(toy().x)
    LINEAR.fit(toy(seed=1), 3, setting, seed=1)
    assert np.array_equal(before, first.logits(toy().x))


def test_another_seed_gives_another_answer() -> None:
    setting = {"rate": 1e-2, "steps": 20}
    one, two = (LINEAR.fit(toy(), 3, setting, seed=seed).logits(toy().x) for seed in (0, 1))
    assert not np.allclose(one, two)


def test_layer_weights_sum_to_one() -> None:
    weights = LINEAR.fit(toy(layers=5), 3, {"rate": 1e-2, "steps": 60}, seed=0).layer_weights
    assert len(weights) == 5
    assert sum(weights) == pytest.approx(1)


@pytest.mark.parametrize("informative", range(4))
def test_layer_weights_favour_the_layer_that_helps(informative: int) -> None:
    fitted = LINEAR.fit(buried(informative), 3, {"rate": 1e-2, "steps": 60}, seed=0)
    assert int(np.argmax(fitted.layer_weights)) == informative
    assert max(fitted.layer_weights) > 0.3


def test_one_layer_has_no_layer_weights() -> None:
    assert LINEAR.fit(toy(), 3, {"rate": 1e-2, "steps": 20}, seed=0).layer_weights == ()


def test_the_mean_over_frames_gives_the_head_all_it_would_see_in_frames() -> None:
    frames = np.random.default_rng(0).normal(0, 1, (20, 9, 1, 6)).astype(np.float32)
    fitted = LINEAR.fit(toy(), 3, {"rate": 1e-2, "steps": 20}, seed=0)
    pooled_late = np.mean([fitted.logits(frames[:, i]) for i in range(9)], axis=0)
    np.testing.assert_allclose(fitted.logits(frames.mean(1)), pooled_late, atol=1e-5)


# Every head.


@pytest.mark.parametrize("head", SMALL, ids=["logistic", "linear"])
def test_a_head_learns_its_toy(head: Head) -> None:
    *_, (setting, valid_accuracy, _) = head.search(toy(), toy(seed=1), 3, seed=0)
    assert valid_accuracy > 0.8
    assert accuracy(head.fit(toy(), 3, setting, seed=0), toy(seed=2)) > 0.8


@pytest.mark.parametrize("head", SMALL, ids=["logistic", "linear"])
def test_the_same_seed_gives_the_same_answer(head: Head) -> None:
    def run() -> list[Any]:
        return [tuple(tried) for tried in head.search(toy(), toy(seed=1), 3, seed=3)]

    assert run() == run()


@pytest.mark.parametrize("head", SMALL, ids=["logistic", "linear"])
def test_the_global_random_state_neither_matters_nor_moves(head: Head) -> None:
    first = list(head.search(toy(), toy(seed=1), 3, seed=0))
    torch.manual_seed(77)
    state = torch.get_rng_state()
    assert list(head.search(toy(), toy(seed=1), 3, seed=0)) == first
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("head", SMALL, ids=["logistic", "linear"])
def test_features_are_left_as_they_are(head: Head) -> None:
    train, valid = toy(), toy(seed=1)
    list(head.search(train, valid, 3, seed=0))
    assert np.array_equal(train.x, toy().x)
    assert np.array_equal(valid.x, toy(seed=1).x)


@pytest.mark.parametrize("head", SMALL, ids=["logistic", "linear"])
def test_logits_have_a_column_for_every_class(head: Head) -> None:
    ((setting, *_), *_) = head.search(toy(), toy(seed=1), 7, seed=0)
    logits = head.fit(toy(), 7, setting, seed=0).logits(toy(11).x)
    assert logits.shape == (11, 7)
    assert logits.dtype == np.float32


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("interface", ["last", "best-layer", "layer:3"])
def test_every_head_follows_the_interfaces_of_one_layer(name: str, interface: str) -> None:
    check_head(name, interface)


def test_a_head_that_sees_one_layer_cannot_learn_a_weighted_sum(refused: Refused) -> None:
    with refused("cannot learn a weighted-sum: use --head linear"):
        check_head("logistic", "weighted-sum")


def test_a_head_that_is_none_is_refused(refused: Refused) -> None:
    with refused("there is no head 'logistics': did you mean 'logistic'"):
        check_head("logistics", "last")
