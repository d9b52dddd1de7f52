"""Heads that compare clips with clips are what scikit-learn and X-ARES say they are."""

from collections.abc import Mapping
from typing import Any, Literal
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor, NearestCentroid

from harness import neighbours
from harness.features import Array, Pooled
from harness.heads import Head, Outputs, Problem, Sample, Score
from harness.neighbours import KNN, Cosine, NearestMean
from harness.types import Class, Slots, Tags, Target, Trials, Value

Doubles = npt.NDArray[np.float64]

ABC = Class(("a", "b", "c"))
COLOUR = Slots(("colour", "size"), (("red", "green", "blue"), ("small", "large")))
TEN = {"k": 10, "temperature": 0.07}


def noise(clips: int = 90, width: int = 6, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 1, (clips, width)).astype(np.float32)


def draws(clips: int, classes: int, seed: int = 3) -> npt.NDArray[np.int64]:
    y: npt.NDArray[np.int64] = np.random.default_rng(seed).integers(0, classes, clips)
    y[:classes] = np.arange(classes)
    return y


def judge(outputs: Outputs) -> Score:
    assert isinstance(outputs, np.ndarray)
    return Score(float(np.nan_to_num(outputs, neginf=-9).mean()), float(len(outputs)))


def problem(target: Target, x: npt.NDArray[Any], y: npt.NDArray[Any]) -> Problem:
    return Problem(target, Sample(Pooled(x[:, None]), y), Pooled(noise(20, x.shape[1], seed=9)[:, None]), judge)


def answer(head: Head, problem: Problem, setting: Mapping[str, Any], x: Array) -> Array:
    out = head.fit(problem, setting).outputs(Pooled(x[:, None]))
    assert isinstance(out, np.ndarray)
    assert out.dtype == np.float32
    return out


def weights(distances: Doubles, temperature: float = 0.07) -> Doubles:
    out: Doubles = np.exp((1 - distances) / temperature)
    return out


# Nearest neighbours.


@pytest.mark.parametrize("k", [1, 3, 10, 90])
@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("classes", [2, 3, 8])
def test_votes_on_classes_are_those_of_scikit_learn(classes: int, temperature: float, k: int) -> None:
    x, y, new = noise(), draws(90, classes), noise(30, seed=1)
    out = answer(KNN(), problem(Class(tuple("abcdefgh"[:classes])), x, y), {"k": k, "temperature": temperature}, new)
    model = KNeighborsClassifier(k, metric="cosine", weights=lambda d: weights(d, temperature)).fit(x.astype(float), y)
    np.testing.assert_allclose(np.exp(out), model.predict_proba(new.astype(float)), rtol=1e-4, atol=1e-12)


def test_votes_on_tags_are_those_of_scikit_learn() -> None:
    x, new = noise(), noise(30, seed=1)
    y = np.stack([draws(90, 2, seed=i) for i in range(4)], axis=1).astype(np.float32)
    out = answer(KNN(), problem(Tags(tuple("abcd")), x, y), TEN, new)
    model = KNeighborsClassifier(10, metric="cosine", weights=weights).fit(x.astype(float), y)
    shares = np.stack([shares[:, 1] for shares in model.predict_proba(new.astype(float))], axis=1)
    np.testing.assert_allclose(1 / (1 + np.exp(-out.astype(np.float64))), shares, rtol=1e-4, atol=1e-12)


def test_votes_on_slots_stand_side_by_side() -> None:
    x, new, colour, size = noise(), noise(30, seed=1), draws(90, 3), draws(90, 2, seed=4)
    out = answer(KNN(), problem(COLOUR, x, np.stack([colour, size], axis=1)), TEN, new)
    one = answer(KNN(), problem(Class(COLOUR.labels[0]), x, colour), TEN, new)
    other = answer(KNN(), problem(Class(COLOUR.labels[1]), x, size), TEN, new)
    np.testing.assert_array_equal(out, np.concatenate([one, other], axis=1))


def test_the_mean_of_values_is_that_of_scikit_learn() -> None:
    x, new = noise(), noise(30, seed=1)
    y = (x[:, 0] + 5).astype(np.float32)
    out = answer(KNN(), problem(Value(), x, y), TEN, new)
    model = KNeighborsRegressor(10, metric="cosine", weights=weights).fit(x.astype(float), y)
    np.testing.assert_allclose(out[:, 0], model.predict(new.astype(float)), rtol=1e-5)


def test_the_length_of_a_vector_does_not_matter() -> None:
    x, y, new = noise(), draws(90, 3), noise(30, seed=1)
    lengths = np.random.default_rng(2).uniform(0.01, 100, (90, 1)).astype(np.float32)
    out = answer(KNN(), problem(ABC, x, y), TEN, new)
    np.testing.assert_allclose(answer(KNN(), problem(ABC, x * lengths, y), TEN, 7 * new), out, rtol=1e-4, atol=1e-4)


def test_x_ares_normalises_training_clips_feature_by_feature() -> None:
    x, y, new = noise(90, 5) * np.array([1, 2, 30, 4, 50], np.float32), draws(90, 3), noise(30, 5, seed=1)
    out = answer(KNN(normalise="feature"), problem(ABC, x, y), TEN, new)
    for clip, logs in zip(new.astype(float), out, strict=True):
        scores = [clip / np.sqrt((clip**2).sum()) @ (row / np.sqrt((x.astype(float) ** 2).sum(0))) for row in x]
        near = sorted(range(90), key=lambda i: -scores[i])[:10]
        votes = np.zeros(3)
        for i in near:
            votes[y[i]] += np.exp(scores[i] / 0.07)
        np.testing.assert_allclose(np.exp(logs), votes / votes.sum(), rtol=1e-4, atol=1e-12)


def test_the_two_ways_to_normalise_answer_differently() -> None:
    x, y, new = noise() + 2, draws(90, 3), noise(30, seed=1)
    ways: tuple[Literal["clip", "feature"], ...] = ("clip", "feature")
    clip, feature = (answer(KNN(normalise=way), problem(ABC, x, y), TEN, new) for way in ways)
    assert (clip.argmax(1) != feature.argmax(1)).any()


def test_of_equally_similar_clips_the_earlier_count() -> None:
    """Products with unit vectors are exact, in whatever order they are summed."""
    towards = np.arange(300) % 3
    y = np.where(towards == 0, 0, np.where(np.arange(300) < 9, 1, 2))
    x = np.eye(3, dtype=np.float32)
    # The 100 that are alike, and the first 6 of the 200 that have nothing in common with what is asked.
    out = answer(KNN(), problem(ABC, x[towards], y), {"k": 106, "temperature": 1.0}, x[:1])
    same, other = 100 * np.e, 6
    np.testing.assert_allclose(np.exp(out), [np.array([same, other, 0]) / (same + other)], rtol=1e-6, atol=1e-30)


def test_a_similar_clip_counts_before_equally_similar_earlier_ones() -> None:
    x = np.eye(4, dtype=np.float32)[[1, 1, 2, 0]]
    out = answer(KNN(), problem(ABC, x, np.array([0, 1, 1, 2])), {"k": 2, "temperature": 0.5}, x[3:])
    far = 1 / (1 + np.exp(2))
    np.testing.assert_allclose(np.exp(out), [[far, 0, 1 - far]], rtol=1e-6, atol=1e-30)


def test_more_neighbours_than_training_clips_are_all_of_them() -> None:
    x, y, new = noise(7), draws(7, 3), noise(30, seed=1)
    out = answer(KNN(), problem(ABC, x, y), {"k": 30, "temperature": 0.07}, new)
    np.testing.assert_array_equal(out, answer(KNN(), problem(ABC, x, y), {"k": 7, "temperature": 0.07}, new))


def test_neighbours_do_not_depend_on_how_many_clips_are_asked_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y, new = noise(), draws(90, 3), noise(31, seed=1)
    whole = answer(KNN(), problem(ABC, x, y), TEN, new)
    monkeypatch.setattr("harness.neighbours._AT_A_TIME", 4 * 90)
    np.testing.assert_allclose(answer(KNN(), problem(ABC, x, y), TEN, new), whole, rtol=1e-5, atol=1e-5)


def test_classes_without_a_vote_get_finite_outputs_below_all_others() -> None:
    x, y = noise(3), np.arange(3)
    out = answer(KNN(), problem(Class(tuple("abcd")), x, y), {"k": 1, "temperature": 0.07}, x)
    np.testing.assert_allclose(out, np.where(np.eye(3, 4) > 0, 0, np.log(np.finfo(np.float32).tiny)), rtol=1e-6)


def test_tags_that_all_neighbours_share_get_finite_outputs() -> None:
    y = np.array([[1, 0]] * 5, np.float32)
    out = answer(KNN(), problem(Tags(("a", "b")), noise(5), y), TEN, noise(30, seed=1))
    np.testing.assert_allclose(out, [[87.3365, -87.3365]] * 30, rtol=1e-5)


def test_a_clip_without_any_feature_is_like_all_others() -> None:
    x, y = noise(9), np.repeat(np.arange(3), 3)
    out = answer(KNN(), problem(ABC, x, y), TEN, np.zeros((1, 6), np.float32))
    np.testing.assert_allclose(np.exp(out), [[1 / 3] * 3], rtol=1e-6)


@pytest.mark.parametrize("temperature", [1e-4, 1e4])
def test_no_temperature_makes_votes_infinite(temperature: float) -> None:
    x, y = noise(), draws(90, 3)
    out = answer(KNN(), problem(ABC, x, y), {"k": 90, "temperature": temperature}, noise(30, seed=1))
    assert np.isfinite(out).all()


def test_neighbours_are_looked_for_once_for_all_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    spy = Mock(wraps=neighbours._first)
    monkeypatch.setattr(neighbours, "_first", spy)
    tried = list(KNN(temperatures=(0.07, 1.0)).search([problem(ABC, noise(), draws(90, 3))]))
    assert [tuple(each.setting.values()) for each in tried] == [(k, t) for k in (1, 3, 10, 30) for t in (0.07, 1.0)]
    assert spy.call_count == 1


# The nearest class mean.


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_the_nearest_mean_is_that_of_scikit_learn(classes: int) -> None:
    x, y, new = noise() + 5, draws(90, classes), noise(200, seed=1) + 5
    out = answer(NearestMean(), problem(Class(tuple("abcdefgh"[:classes])), x, y), {}, new)
    np.testing.assert_array_equal(out.argmax(1), NearestCentroid().fit(x.astype(float), y).predict(new.astype(float)))


def test_outputs_are_minus_the_squared_distances_to_the_means() -> None:
    x, y, new = noise(), draws(90, 3), noise(30, seed=1)
    out = answer(NearestMean(), problem(ABC, x, y), {}, new)
    for i in range(3):
        centre = x[y == i].astype(float).mean(0)
        np.testing.assert_allclose(out[:, i], [-sum((clip - centre) ** 2) for clip in new], rtol=1e-5)


def test_the_mean_of_one_clip_per_class_is_that_clip() -> None:
    x = noise(8)
    out = answer(NearestMean(), problem(Class(tuple("abcdefgh")), x, np.arange(8)[::-1].copy()), {}, x)
    assert out.argmax(1).tolist() == list(range(8))[::-1]


def test_an_absent_class_has_no_mean() -> None:
    y = np.array([0, 2] * 45)
    out = answer(NearestMean(), problem(Class(tuple("abcd")), noise(), y), {}, noise(30, seed=1))
    assert np.isneginf(out[:, [1, 3]]).all()
    assert np.isfinite(out[:, [0, 2]]).all()


def test_a_feature_that_is_constant_moves_no_mean() -> None:
    x, y, new = noise(), draws(90, 3), noise(30, seed=1)
    x[:, 2] = new[:, 2] = 4
    rest = [0, 1, 3, 4, 5]
    without = answer(NearestMean(), problem(ABC, x[:, rest], y), {}, new[:, rest])
    np.testing.assert_allclose(answer(NearestMean(), problem(ABC, x, y), {}, new), without, rtol=1e-6)


# Verification.


def test_products_of_outputs_are_cosines() -> None:
    x = 5 * noise(30) + 1
    out = answer(Cosine(), problem(Trials(), noise(), draws(90, 9)), {}, x)
    assert out.shape == x.shape
    np.testing.assert_allclose(out @ out.T, cosine_similarity(x.astype(float)), atol=1e-6)


def test_a_silent_clip_is_like_no_other() -> None:
    out = answer(Cosine(), problem(Trials(), noise(), draws(90, 9)), {}, np.zeros((2, 6), np.float32))
    np.testing.assert_array_equal(out, 0)


# All.

CASES = [
    pytest.param(KNN((3, 10)), TEN, ABC, id="KNN"),
    pytest.param(KNN((3, 10), normalise="feature"), TEN, ABC, id="KNN-feature"),
    pytest.param(NearestMean(), {}, ABC, id="NearestMean"),
    pytest.param(Cosine(), {}, Trials(), id="Cosine"),
]


@pytest.mark.parametrize(("head", "setting", "target"), CASES)
def test_a_search_tries_what_a_fit_gives(head: Head, setting: Mapping[str, Any], target: Target) -> None:
    task = problem(target, noise(), draws(90, 3))
    *_, last = head.search([task])
    assert last.setting == setting
    out = head.fit(task, setting).outputs(task.valid)
    np.testing.assert_array_equal(last.fitted.outputs(task.valid), out)
    assert last.score == judge(out)


@pytest.mark.parametrize(("head", "setting", "target"), CASES)
def test_a_narrowed_head_tries_that_one_setting(head: Head, setting: Mapping[str, Any], target: Target) -> None:
    task = problem(target, noise(), draws(90, 3))
    *_, last = head.search([task])
    (alone,) = head.narrowed({"layer": "7", **setting}).search([task])
    assert (alone.setting, alone.score) == (setting, last.score)


@pytest.mark.parametrize(("head", "setting", "target"), CASES)
def test_features_are_left_as_they_are(head: Head, setting: Mapping[str, Any], target: Target) -> None:
    x, new = noise(), noise(30, seed=1)
    x.flags.writeable = new.flags.writeable = False
    answer(head, problem(target, x, draws(90, 3)), setting, new)
    np.testing.assert_array_equal(x, noise())


@pytest.mark.parametrize("head", [KNN(), NearestMean()])
def test_another_kind_of_target_is_no_target(head: Head) -> None:
    with pytest.raises(TypeError, match="Trials"):
        list(head.search([problem(Trials(), noise(), draws(90, 3))]))
