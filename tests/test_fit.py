"""Fitting: every split chooses by its own validation folds, and its test folds are answered once."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harness.datasets import rotation
from harness.fit import Data, chance, fit_split, spread, standardised
from harness.heads import Fitted, Head, Linear, Logistic, Sample, Tried
from harness.interfaces import Array
from harness.types import Split

Refused = Callable[[str], AbstractContextManager[None]]
Mask = npt.NDArray[np.bool_]

FOLDS = ("1", "2", "3", "4")
SPLIT = Split(train=("1", "2"), valid=("3",), test=("4",))
HEADS: list[Head] = [Logistic((0.01, 1.0)), Linear(rates=(1e-2,), steps=40, check=20, projector=16)]


def toy(*, clips: int = 96, classes: int = 3, noise: float = 0.7, seed: int = 0) -> Data:
    """Three layers of which the one called ``1`` knows the class, in four folds that take turns."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(clips) % classes)
    known = np.random.default_rng(99).normal(0, 1, (classes, 1, 5))[y] + rng.normal(0, noise, (clips, 1, 5))
    inputs = {"0": rng.normal(3, 2, (clips, 1, 4)), "1": 5 * known - 3, "final": rng.normal(0, 1, (clips, 1, 6))}
    folds = np.array([FOLDS[i % 4] for i in range(clips)])
    return Data({name: x.astype(np.float32) for name, x in inputs.items()}, y, folds, classes)


class Spy(Head):
    """Remembers what it is given; every setting gets the accuracy and loss that it is told."""

    random = False

    def __init__(self, told: Mapping[str, tuple[float, float]]) -> None:
        self.told = told
        self.searched: list[tuple[Sample, Sample]] = []
        self.fitted: list[tuple[Sample, Mapping[str, Any], int]] = []
        self.answered: list[Array] = []

    def search(self, train: Sample, valid: Sample, classes: int, seed: int) -> Iterator[Tried]:
        self.searched.append((train, valid))
        for name, (accuracy, loss) in self.told.items():
            yield Tried({"name": name}, accuracy, loss)

    def fit(self, train: Sample, classes: int, setting: Mapping[str, Any], seed: int) -> Fitted:
        self.fitted.append((train, setting, seed))

        def logits(x: Array) -> Array:
            self.answered.append(x)
            return np.random.default_rng(0).normal(0, 1, (len(x), classes)).astype(np.float32)

        return Fitted(logits, (0.25, 0.75))


# Standardisation.


@pytest.fixture
def some() -> Mask:
    return np.arange(50) % 3 > 0


def noise(seed: int = 0) -> Array:
    """Features (clip, layer, width) of very different place and scale."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (50, 2, 6)) * 10.0 ** np.arange(-3, 3) + rng.normal(0, 10, (2, 6))
    return x.astype(np.float32)


def test_features_get_mean_zero_and_variance_one_over_the_clips_learned_from(some: Mask) -> None:
    out = standardised(noise(), by=some)[some].astype(np.float64)
    np.testing.assert_allclose(out.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(out.std(0), 1, atol=1e-5)


def test_other_clips_do_not_move_the_scale(some: Mask) -> None:
    other = noise()
    other[~some] = noise(seed=1)[~some] * 100
    assert np.array_equal(standardised(other, by=some)[some], standardised(noise(), by=some)[some])


def test_other_clips_are_scaled_by_those_learned_from(some: Mask) -> None:
    x = noise().astype(np.float64)
    expected = (x[~some] - x[some].mean(0)) / x[some].std(0)
    np.testing.assert_allclose(standardised(noise(), by=some)[~some], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0, -7.3, 1e-9, 12345.678])
def test_a_constant_feature_becomes_zero_everywhere(some: Mask, value: float) -> None:
    x = noise()
    x[some, 1, 2] = value
    out = standardised(x, by=some)
    assert not out[:, 1, 2].any()
    assert np.count_nonzero(out.any(0)) == 11


def test_standardised_features_are_floats_of_the_heads_kind(some: Mask) -> None:
    assert standardised(noise(), by=some).dtype == np.float32


# What a split sees.


def test_the_search_learns_from_train_and_is_judged_by_valid() -> None:
    data, spy = toy(), Spy({"a": (0.5, 1.0)})
    fit_split(data, SPLIT, spy)
    train, valid = data.rows(("1", "2")), data.rows(("3",))
    for x, (learned, judged) in zip(data.inputs.values(), spy.searched, strict=True):
        assert np.array_equal(learned.x, standardised(x, by=train)[train])
        assert np.array_equal(judged.x, standardised(x, by=train)[valid])
        assert np.array_equal(learned.y, data.y[train])
        assert np.array_equal(judged.y, data.y[valid])


def test_the_refit_learns_from_train_and_valid() -> None:
    data, spy = toy(), Spy({"a": (0.5, 1.0)})
    fit_split(data, SPLIT, spy, seed=3)
    both = data.rows(("1", "2", "3"))
    ((learned, setting, seed),) = spy.fitted
    assert np.array_equal(learned.x, standardised(data.inputs["0"], by=both)[both])
    assert np.array_equal(learned.y, data.y[both])
    assert (setting["name"], seed) == ("a", 3)


def test_the_test_folds_are_answered_once() -> None:
    data, spy = toy(), Spy({"a": (0.5, 1.0)})
    fit_split(data, SPLIT, spy)
    (x,) = spy.answered
    assert np.array_equal(x, standardised(data.inputs["0"], by=~data.rows(("4",)))[data.rows(("4",))])


def test_an_outcome_is_what_the_test_folds_were_answered() -> None:
    data, spy = toy(), Spy({"a": (0.5, 1.0)})
    outcome = fit_split(data, SPLIT, spy, index=2, seed=3)
    answers = np.random.default_rng(0).normal(0, 1, (24, 3)).argmax(1)
    assert np.array_equal(outcome.answers, answers)
    assert np.array_equal(outcome.rows, data.rows(("4",)))
    assert outcome.fold.score == pytest.approx((answers == data.y[outcome.rows]).mean())
    assert (outcome.fold.test, outcome.fold.clips, outcome.layer_weights) == (("4",), 24, (0.25, 0.75))


def test_everything_that_was_tried_is_told() -> None:
    outcome = fit_split(toy(), SPLIT, Spy({"a": (0.5, 1.0), "b": (0.25, 2.0)}), index=2, seed=3)
    told = [(c.split, c.seed, dict(c.setting), c.valid_score) for c in outcome.candidates]
    assert told == [
        (2, 3, {"layer": layer, "name": name}, accuracy)
        for layer in ("0", "1", "final")
        for name, accuracy in (("a", 0.5), ("b", 0.25))
    ]


# What a split chooses.


def chosen(told: Mapping[str, tuple[float, float]]) -> tuple[Any, Any]:
    found = fit_split(toy(), SPLIT, Spy(told)).fold.chosen
    return found["layer"], found["name"]


def test_the_most_accurate_setting_is_chosen() -> None:
    assert chosen({"a": (0.5, 0.1), "b": (0.75, 9.0), "c": (0.25, 0.1)}) == ("0", "b")


def test_of_equally_accurate_settings_the_one_of_lower_loss_is_chosen() -> None:
    assert chosen({"a": (0.5, 3.0), "b": (0.5, 2.0), "c": (0.25, 1.0)}) == ("0", "b")


def test_of_equal_settings_the_first_of_the_first_layer_is_chosen() -> None:
    assert chosen({"a": (0.25, 3.0), "b": (0.5, 2.0), "c": (0.5, 2.0)}) == ("0", "b")


def test_an_endless_loss_loses_against_any_other() -> None:
    assert chosen({"a": (0.5, float("inf")), "b": (0.5, 50.0)}) == ("0", "b")


@pytest.mark.parametrize("head", HEADS, ids=["logistic", "linear"])
@pytest.mark.parametrize("seed", range(3))
def test_the_layer_that_knows_the_class_is_found(head: Head, seed: int) -> None:
    for split in rotation(FOLDS):
        outcome = fit_split(toy(seed=seed), split, head)
        assert outcome.fold.chosen["layer"] == "1"
        assert outcome.fold.score > 0.7


@pytest.mark.parametrize("head", HEADS, ids=["logistic", "linear"])
def test_what_is_chosen_has_the_best_validation_score(head: Head) -> None:
    outcome = fit_split(toy(noise=3), SPLIT, head, seed=1)
    settings = {**outcome.fold.chosen}
    assert settings.pop("seed") == 1
    (score,) = (c.valid_score for c in outcome.candidates if c.setting == settings)
    assert score == max(c.valid_score for c in outcome.candidates)


def test_layers_of_equal_features_give_the_first(data_twice: Data) -> None:
    assert fit_split(data_twice, SPLIT, HEADS[0]).fold.chosen["layer"] == "early"


@pytest.fixture
def data_twice() -> Data:
    data = toy()
    return replace(data, inputs={"early": data.inputs["1"], "late": data.inputs["1"]})


# Test folds take no part in the choice.


def test_labels_of_the_test_folds_move_nothing_but_the_score() -> None:
    data = toy(noise=2)
    test = data.rows(SPLIT.test)
    y = data.y.copy()
    y[test] = np.random.default_rng(1).permutation(y[test])
    assert not np.array_equal(y, data.y)
    for head in HEADS:
        one, two = fit_split(data, SPLIT, head), fit_split(replace(data, y=y), SPLIT, head)
        assert one.candidates == two.candidates
        assert one.fold.chosen == two.fold.chosen
        assert np.array_equal(one.answers, two.answers)


def test_features_of_the_test_folds_do_not_move_the_choice() -> None:
    data = toy(noise=2)
    test = data.rows(SPLIT.test)
    rng = np.random.default_rng(1)
    inputs = {name: x.copy() for name, x in data.inputs.items()}
    for x in inputs.values():
        x[test] = rng.normal(100, 30, x[test].shape)
    for head in HEADS:
        one, two = fit_split(data, SPLIT, head), fit_split(replace(data, inputs=inputs), SPLIT, head)
        assert one.candidates == two.candidates
        assert one.fold.chosen == two.fold.chosen


def test_an_answer_to_a_test_clip_does_not_depend_on_the_other_test_clips() -> None:
    data = toy(noise=2)
    kept = np.ones(len(data.y), bool)
    kept[np.flatnonzero(data.rows(SPLIT.test))[::2]] = False
    fewer = Data({n: x[kept] for n, x in data.inputs.items()}, data.y[kept], data.folds[kept], data.classes)
    for head in HEADS:
        one, two = fit_split(data, SPLIT, head), fit_split(fewer, SPLIT, head)
        assert np.array_equal(one.answers[1::2], two.answers)


def test_features_without_information_score_at_chance() -> None:
    data = toy(clips=400)
    blind = replace(data, inputs={"0": data.inputs["0"], "final": data.inputs["final"]})
    scores = [fit_split(blind, split, HEADS[0]).fold.score for split in rotation(FOLDS)]
    assert np.mean(scores) == pytest.approx(1 / 3, abs=0.1)


@pytest.mark.parametrize("head", HEADS, ids=["logistic", "linear"])
def test_a_split_that_is_run_again_gives_the_same(head: Head) -> None:
    one, two = (fit_split(toy(noise=2), SPLIT, head, seed=5) for _ in range(2))
    assert (one.fold, one.candidates) == (two.fold, two.candidates)
    assert np.array_equal(one.answers, two.answers)


# Too few clips.


def without(data: Data, gone: Mask) -> Data:
    return Data({n: x[~gone] for n, x in data.inputs.items()}, data.y[~gone], data.folds[~gone], data.classes)


@pytest.mark.parametrize("folds", [("1", "2"), ("3",), ("4",)], ids=["train", "valid", "test"])
def test_a_split_without_clips_is_refused(refused: Refused, folds: tuple[str, ...]) -> None:
    data = toy()
    with refused("the split that tests on fold 4 has too few clips to learn from: raise --limit"):
        fit_split(without(data, data.rows(folds)), SPLIT, HEADS[0])


def test_a_split_that_learns_from_one_class_is_refused(refused: Refused) -> None:
    data = toy()
    with refused("too few clips"):
        fit_split(without(data, data.rows(("1", "2")) & (data.y != 1)), SPLIT, HEADS[0])


@pytest.mark.parametrize("head", HEADS, ids=["logistic", "linear"])
def test_a_class_that_only_the_test_folds_hold_is_scored_as_wrong(head: Head) -> None:
    data = toy(noise=0.1)
    poor = without(data, ~data.rows(SPLIT.test) & (data.y == 2))
    outcome = fit_split(poor, SPLIT, head)
    assert 2 not in outcome.answers
    assert outcome.fold.score == pytest.approx((data.y[data.rows(SPLIT.test)] != 2).mean())


# Small numbers.


def test_the_spread_is_the_sample_standard_deviation() -> None:
    assert spread([1.0, 3.0, 8.0]) == pytest.approx(13**0.5)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_fewer_than_two_values_have_no_spread(values: list[float]) -> None:
    assert spread(values) is None


def test_chance_is_the_share_of_the_most_frequent_class() -> None:
    assert chance(np.array([0, 2, 2, 1, 2]), 5) == 0.6
