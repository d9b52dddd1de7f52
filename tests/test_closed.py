"""Heads that are solved are what scikit-learn says they are, whatever the classes, tags and features lack."""

from collections.abc import Mapping
from typing import Any
from unittest.mock import Mock

import numpy as np
import numpy.typing as npt
import pytest
import scipy.linalg
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.linear_model import Ridge as Reference

from harness import regressions
from harness.closed import Logistic, Ridge
from harness.features import Array, Features, Frames, Pooled
from harness.heads import Head, Outputs, Problem, Sample, Score
from harness.regressions import NotConverged
from harness.types import Class, Slots, Tags, Target, Trials, Value

Doubles = npt.NDArray[np.float64]

LABELS = ("a", "b", "c", "d", "e", "f", "g", "h")
COLOUR = Slots(("colour", "size"), (("red", "green", "blue"), ("small", "large")))


def noise(clips: int = 90, width: int = 6, seed: int = 0) -> Doubles:
    return np.random.default_rng(seed).normal(0, 1, (clips, width))


def pooled(x: npt.NDArray[Any]) -> Pooled:
    return Pooled(x[:, None].astype(np.float32))


def classes(x: Doubles, count: int, seed: int = 7) -> npt.NDArray[np.int64]:
    """Classes that features tell, not quite; each occurs."""
    rng = np.random.default_rng(seed)
    scores = x @ rng.normal(0, 1, (x.shape[1], count)) + rng.normal(0, 1, (len(x), count))
    y: npt.NDArray[np.int64] = scores.argmax(1)
    y[:count] = np.arange(count)
    return y


def tags(x: Doubles, count: int) -> Array:
    return np.stack([classes(x, 2, seed=i) for i in range(count)], axis=1).astype(np.float32)


def slots(x: Doubles) -> npt.NDArray[np.int64]:
    return np.stack([classes(x, 3), classes(x, 2)], axis=1)


def problem(target: Target, x: Doubles, y: npt.NDArray[Any], valid: Features | None = None) -> Problem:
    def judge(outputs: Outputs) -> Score:
        assert isinstance(outputs, np.ndarray)
        return Score(float(np.nan_to_num(outputs, neginf=-9).mean()), float(len(outputs)))

    return Problem(
        target, Sample(pooled(x), y), pooled(noise(20, x.shape[1], seed=9)) if valid is None else valid, judge
    )


def answer(head: Head, problem: Problem, setting: Mapping[str, Any], x: Doubles) -> Array:
    out = head.fit(problem, setting).outputs(pooled(x))
    assert isinstance(out, np.ndarray)
    assert out.dtype == np.float32
    return out


def softmax(logits: Array) -> Doubles:
    odds = np.exp(logits.astype(np.float64) - logits.max(1, keepdims=True))
    shares: Doubles = odds / odds.sum(1, keepdims=True)
    return shares


def single(x: Doubles) -> Doubles:
    """What is left of float64 in float32, so that both sides see the same numbers."""
    return x.astype(np.float32).astype(np.float64)


# Logistic regression.


@pytest.mark.parametrize("c", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize("count", [2, 3, 8])
def test_logistic_regression_is_that_of_scikit_learn(c: float, count: int) -> None:
    x, new = single(noise()), single(noise(30, seed=1))
    y = classes(x, count)
    # Another solver, that goes to the very optimum.
    model = LogisticRegression(C=c, tol=1e-10, solver="newton-cholesky").fit(x, y)
    out = answer(Logistic(), problem(Class(LABELS[:count]), x, y), {"C": c}, new)
    np.testing.assert_allclose(softmax(out), model.predict_proba(new), rtol=1e-4, atol=1e-6)


def test_logistic_regression_minimises_its_loss() -> None:
    x = single(noise())
    y = classes(x, 3)
    task = problem(Class(LABELS[:3]), x, y)
    origin = answer(Logistic(), task, {"C": 0.1}, np.zeros((1, 6))).astype(np.float64)
    weights = answer(Logistic(), task, {"C": 0.1}, np.eye(6)) - origin
    weights -= weights.mean(1, keepdims=True)
    # The gradient of the penalised loss: what the fit asks of each weight.
    residual = softmax(answer(Logistic(), task, {"C": 0.1}, x)) - np.eye(3)[y]
    np.testing.assert_allclose(weights / 0.1 + x.T @ residual, 0, atol=1e-3)


@pytest.mark.parametrize("c", [1e-3, 1.0])
def test_each_tag_is_a_logistic_regression_of_its_own(c: float) -> None:
    x, new = single(noise()), single(noise(30, seed=1))
    y = tags(x, 5)
    out = answer(Logistic(), problem(Tags(LABELS[:5]), x, y), {"C": c}, new)
    for i in range(5):
        model = LogisticRegression(C=c, tol=1e-10, solver="newton-cholesky").fit(x, y[:, i])
        np.testing.assert_allclose(out[:, i], model.decision_function(new), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("present", [0, 1])
def test_a_tag_that_all_training_clips_share_gets_their_log_odds(present: int) -> None:
    x = noise(90)
    y = tags(x, 3)
    y[:, 1] = present
    out = answer(Logistic(), problem(Tags(LABELS[:3]), x, y), {"C": 1.0}, noise(30, seed=1))
    assert out[:, 1] == pytest.approx((1 if present else -1) * np.log(90.5 / 0.5))
    assert out[:, [0, 2]].std(0).min() > 0.1


def test_each_slot_is_a_logistic_regression_of_its_own() -> None:
    x, new = noise(), noise(30, seed=1)
    y = slots(x)
    out = answer(Logistic(), problem(COLOUR, x, y), {"C": 0.1}, new)
    colour = answer(Logistic(), problem(Class(COLOUR.labels[0]), x, y[:, 0]), {"C": 0.1}, new)
    size = answer(Logistic(), problem(Class(COLOUR.labels[1]), x, y[:, 1]), {"C": 0.1}, new)
    np.testing.assert_array_equal(out, np.concatenate([colour, size], axis=1))


def test_a_slot_with_one_class_in_training_is_always_answered_so() -> None:
    x = noise()
    y = slots(x)
    y[:, 1] = 1
    out = answer(Logistic(), problem(COLOUR, x, y), {"C": 0.1}, noise(30, seed=1))
    np.testing.assert_array_equal(out[:, 3:], [[-np.inf, 0]] * 30)
    assert set(out[:, :3].argmax(1)) == {0, 1, 2}


def test_a_fit_that_does_not_converge_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.regressions._HALVINGS", -1)
    x = noise()
    with pytest.raises(NotConverged):
        Logistic().fit(problem(Class(LABELS[:3]), x, classes(x, 3)), {"C": 10.0})


@pytest.mark.parametrize("room", [1, 2 * 90 * 6, 2**20])
def test_problems_are_solved_in_parts_where_there_is_no_room_for_all(
    room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.closed._TOGETHER", {"cpu": room})
    monkeypatch.setattr("harness.regressions.TOLERANCE", 1e-10)
    spy = Mock(wraps=regressions.solve)
    monkeypatch.setattr("harness.regressions.solve", spy)
    tasks = [problem(Class(LABELS[:3]), noise(seed=i), classes(noise(seed=i), 3)) for i in range(5)]
    tried = list(Logistic((1.0,)).search(tasks))
    assert [len(call.args[1]) for call in spy.call_args_list] == {1: [1] * 5, 2**20: [5]}.get(room, [2, 2, 1])
    assert [each.problem for each in tried] == list(range(5))
    for each, task in zip(tried, tasks, strict=True):
        out, alone = (fitted.outputs(task.valid) for fitted in (each.fitted, Logistic().fit(task, {"C": 1.0})))
        np.testing.assert_allclose(out, alone, rtol=1e-5, atol=1e-6)


# Ridge regression.


@pytest.mark.parametrize("width", [5, 60])
@pytest.mark.parametrize("clips", [12, 40, 90])
@pytest.mark.parametrize("alpha", [1e-2, 1.0, 1e4])
def test_ridge_regression_is_that_of_scikit_learn(alpha: float, clips: int, width: int) -> None:
    x, new = single(noise(clips, width) + 3), single(noise(30, width, seed=1))
    y = (x[:, :3].sum(1) + 100).astype(np.float32)
    out = answer(Ridge(), problem(Value(), x, y), {"alpha": alpha}, new)
    assert out.shape == (30, 1)
    reference = Reference(alpha=alpha, solver="svd").fit(x, y.astype(np.float64)).predict(new)
    np.testing.assert_allclose(out[:, 0], reference, rtol=1e-6)


@pytest.mark.parametrize("width", [5, 60])
@pytest.mark.parametrize("clips", [12, 90])
@pytest.mark.parametrize("alpha", [1e-2, 1e2])
@pytest.mark.parametrize("count", [3, 8])
def test_ridge_decides_classes_as_scikit_learn_does(count: int, alpha: float, clips: int, width: int) -> None:
    x, new = single(noise(clips, width) + 3), single(noise(30, width, seed=1))
    y = classes(x, count)
    out = answer(Ridge(), problem(Class(LABELS[:count]), x, y), {"alpha": alpha}, new)
    reference = RidgeClassifier(alpha=alpha, solver="svd").fit(x, y).decision_function(new)
    np.testing.assert_allclose(out, reference, rtol=1e-5, atol=1e-6)


def test_ridge_decides_two_classes_as_scikit_learn_does() -> None:
    x, new = single(noise()), single(noise(30, seed=1))
    y = classes(x, 2)
    out = answer(Ridge(), problem(Class(LABELS[:2]), x, y), {"alpha": 1.0}, new)
    reference = RidgeClassifier(alpha=1.0).fit(x, y).decision_function(new)
    np.testing.assert_allclose(out, np.stack([-reference, reference], axis=1), rtol=1e-5, atol=1e-6)


def test_ridge_decides_each_tag_as_scikit_learn_does() -> None:
    x, new = single(noise()), single(noise(30, seed=1))
    y = tags(x, 5)
    out = answer(Ridge(), problem(Tags(LABELS[:5]), x, y), {"alpha": 10.0}, new)
    for i in range(5):
        reference = RidgeClassifier(alpha=10.0).fit(x, y[:, i]).decision_function(new)
        np.testing.assert_allclose(out[:, i], reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("present", [0, 1])
def test_ridge_repeats_a_tag_that_all_training_clips_share(present: int) -> None:
    x = noise()
    y = tags(x, 3)
    y[:, 1] = present
    out = answer(Ridge(), problem(Tags(LABELS[:3]), x, y), {"alpha": 1.0}, noise(30, seed=1))
    assert out[:, 1] == pytest.approx(1 if present else -1)


def test_ridge_decides_slots_side_by_side() -> None:
    x, new = noise(), noise(30, seed=1)
    y = slots(x)
    out = answer(Ridge(), problem(COLOUR, x, y), {"alpha": 1.0}, new)
    colour = answer(Ridge(), problem(Class(COLOUR.labels[0]), x, y[:, 0]), {"alpha": 1.0}, new)
    size = answer(Ridge(), problem(Class(COLOUR.labels[1]), x, y[:, 1]), {"alpha": 1.0}, new)
    np.testing.assert_allclose(out, np.concatenate([colour, size], axis=1), rtol=1e-5)


def test_the_intercept_is_not_penalised() -> None:
    x, new = noise(), noise(30, seed=1)
    y = (x[:, 0] + 1000).astype(np.float32)
    out = answer(Ridge(), problem(Value(), x, y), {"alpha": 1e9}, new)
    assert out[:, 0] == pytest.approx(y.mean(dtype=np.float64), rel=1e-6)


def test_features_far_from_zero_cost_no_precision() -> None:
    x, new = single(noise() + 3000), single(noise(30, seed=1) + 3000)
    y = (x[:, 0] - 3000).astype(np.float32)
    out = answer(Ridge(), problem(Value(), x, y), {"alpha": 1e-2}, new)
    np.testing.assert_allclose(out[:, 0], Reference(alpha=1e-2, solver="svd").fit(x, y).predict(new), atol=1e-6)


@pytest.mark.parametrize("clips", [10, 90])
@pytest.mark.parametrize("constant", [0.0, 1e4])
def test_a_feature_that_is_constant_in_training_counts_for_nothing(constant: float, clips: int) -> None:
    x, new = single(noise(clips, 12)), single(noise(30, 12, seed=1))
    y = classes(x, 3)
    x[:, [2, 5]] = constant
    out = answer(Ridge(), problem(Class(LABELS[:3]), x, y), {"alpha": 1e-2}, new)
    rest = np.delete(np.arange(12), [2, 5])
    without = answer(Ridge(), problem(Class(LABELS[:3]), x[:, rest], y), {"alpha": 1e-2}, new[:, rest])
    np.testing.assert_allclose(out, without, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("clips", "width", "size"), [(90, 6, 6), (12, 60, 12)])
def test_ridge_tries_every_strength_by_one_decomposition(
    clips: int, width: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = Mock(wraps=scipy.linalg.eigh)
    monkeypatch.setattr("scipy.linalg.eigh", spy)
    x = noise(clips, width)
    tried = list(Ridge().search([problem(Value(), x, x[:, 0].astype(np.float32))]))
    assert [each.setting for each in tried] == [{"alpha": 10.0**i} for i in range(-2, 5)]
    assert [call.args[0].shape for call in spy.call_args_list] == [(size, size)]


# Both.

CASES = [
    pytest.param(head, setting, target, id=f"{type(head).__name__}-{kind}")
    for head, setting in ((Logistic((0.1, 1.0)), {"C": 1.0}), (Ridge((0.1, 1.0)), {"alpha": 1.0}))
    for kind, target in {
        "class": Class(LABELS[:3]),
        "tags": Tags(LABELS[:4]),
        "slots": COLOUR,
        "value": Value(),
    }.items()
    if not (isinstance(head, Logistic) and kind == "value")
]


def targets(target: Target, x: Doubles) -> npt.NDArray[Any]:
    match target:
        case Class(labels):
            return classes(x, len(labels))
        case Tags(labels):
            return tags(x, len(labels))
        case Slots():
            return slots(x)
        case _:
            return x[:, 0].astype(np.float32)


@pytest.mark.parametrize(("head", "setting", "target"), CASES)
def test_a_search_tries_what_a_fit_gives(head: Head, setting: Mapping[str, Any], target: Target) -> None:
    x = noise()
    task = problem(target, x, targets(target, x))
    *_, last = head.search([task])
    assert last.setting == setting
    out = last.fitted.outputs(task.valid)
    np.testing.assert_array_equal(out, head.fit(task, setting).outputs(task.valid))
    assert last.score == task.judge(out)


@pytest.mark.parametrize(("head", "setting", "target"), CASES)
def test_a_narrowed_head_tries_that_one_setting(head: Head, setting: Mapping[str, Any], target: Target) -> None:
    x = noise()
    task = problem(target, x, targets(target, x))
    *_, last = head.search([task])
    (alone,) = head.narrowed({"layer": "7", **setting}).search([task])
    assert (alone.setting, alone.score) == (setting, last.score)


@pytest.mark.parametrize(("head", "setting", "target"), CASES)
def test_features_are_left_as_they_are(head: Head, setting: Mapping[str, Any], target: Target) -> None:
    x = noise()
    task = problem(target, x, targets(target, x))
    head.fit(task, setting).outputs(task.valid)
    np.testing.assert_array_equal(task.train.x.vectors, pooled(x).vectors)  # type: ignore[attr-defined]
    np.testing.assert_array_equal(task.train.y, targets(target, x))


@pytest.mark.parametrize(("head", "setting"), [(Logistic(), {"C": 1.0}), (Ridge(), {"alpha": 1.0})])
def test_an_absent_class_is_never_answered(head: Head, setting: Mapping[str, Any]) -> None:
    x = noise()
    y = classes(x, 4)
    kept = (y != 1) & (y != 3)
    out = answer(head, problem(Class(LABELS[:5]), x[kept], y[kept]), setting, x)
    assert set(out.argmax(1)) == {0, 2}
    assert np.isneginf(out[:, [1, 3, 4]]).all()
    assert np.isfinite(out[:, [0, 2]]).all()


@pytest.mark.parametrize(("head", "setting"), [(Logistic(), {"C": 10.0}), (Ridge(), {"alpha": 1e-2})])
def test_one_clip_per_class_is_learned(head: Head, setting: Mapping[str, Any]) -> None:
    x = 3 * noise(8, 20)
    out = answer(head, problem(Class(LABELS), x, np.arange(8)), setting, x)
    assert out.argmax(1).tolist() == list(range(8))


@pytest.mark.parametrize(("head", "setting"), [(Logistic(), {"C": 1.0}), (Ridge(), {"alpha": 1.0})])
def test_one_class_alone_is_always_answered(head: Head, setting: Mapping[str, Any]) -> None:
    out = answer(head, problem(Class(LABELS[:3]), noise(5), np.full(5, 2)), setting, noise(30, seed=1))
    assert (out.argmax(1) == 2).all()
    assert np.isfinite(out[:, 2]).all()


@pytest.mark.parametrize(("head", "setting"), [(Logistic(), {"C": 1.0}), (Ridge(), {"alpha": 1e-2})])
def test_a_clip_far_from_all_others_gets_finite_outputs(head: Head, setting: Mapping[str, Any]) -> None:
    x = noise()
    assert np.isfinite(answer(head, problem(Class(LABELS[:3]), x, classes(x, 3)), setting, 1e6 * x)).all()


@pytest.mark.parametrize("head", [Logistic(), Ridge()])
def test_another_kind_of_target_is_no_target(head: Head) -> None:
    with pytest.raises(TypeError, match="cannot learn Trials"):
        head.fit(problem(Trials(), noise(), np.arange(90)), {"C": 1.0, "alpha": 1.0})


def test_frames_are_no_vectors() -> None:
    import torch

    x = noise()
    fitted = Ridge().fit(problem(Value(), x, x[:, 0]), {"alpha": 1.0})
    with pytest.raises(TypeError, match="there are Frames"):
        fitted.outputs(Frames([[[torch.randn(4, 6)]]]))
