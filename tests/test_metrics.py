"""Metrics: scikit-learn and plain loops agree, and a clip of weight two counts like two clips."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn import metrics as reference

from harness import formulas
from harness.metrics import DEFAULTS, METRICS, applicable, bind
from harness.targets import kind_of
from harness.types import KINDS, Class, Events, Slots, SoundEvent, Tags, Target, Trials, Value

Table = npt.NDArray[Any]
SEEDS = range(4)
PITCHES = Class(("60", "61", "67", "72", "73"))
TAGS = Tags(("a", "b", "c", "d"))
SLOTS = Slots(("who", "where"), (("a", "b", "c"), ("d", "e")))
TARGETS: dict[str, Target] = {
    "class": PITCHES,
    "tags": TAGS,
    "slots": SLOTS,
    "value": Value(),
    "trials": Trials(),
    "events": Events(("a", "b")),
}
PAIRS = [(name, kind) for name, metric in METRICS.items() for kind in sorted(metric.kinds)]


class Case(NamedTuple):
    """Scores, targets, and whole weights, some of them 0."""

    scores: Any
    y: Any
    weight: Table


def draw(kind: str, seed: int, clips: int = 60) -> Case:
    """Better than chance, with equal scores, a class that is never right and one that the head has never seen."""
    rng = np.random.default_rng(seed)
    weight = rng.integers(0, 4, clips)
    noise = rng.normal(size=(clips, 5)).astype(np.float32)
    match kind:
        case "class":
            y = rng.choice([0, 0, 0, 1, 1, 3, 4], clips)
            noise[np.arange(clips), y] += 1
            noise[:, 4] = -np.inf
            noise[::3] = noise[0]
            return Case(noise, y, weight)
        case "tags":
            tags = (rng.random((clips, 4)) < [0.5, 0.2, 0.0, 1.0]).astype(np.float32)
            return Case(np.round(noise[:, :4] + tags, 1), tags, weight)
        case "slots":
            return Case(noise, np.stack([rng.integers(0, 3, clips), rng.integers(0, 2, clips)], axis=1), weight)
        case "value":
            return Case(noise[:, :1], noise[:, 0] + rng.normal(3, 1, clips).astype(np.float32), weight)
        case "trials":
            same = rng.random(clips) < 0.4
            return Case(np.round(noise[:, 0] + 1.5 * same, 1), same, weight)
        case _:
            found, true = np.empty(clips, object), np.empty(clips, object)
            found[:], true[:] = ([events(rng) for _ in range(clips)] for _ in range(2))
            return Case(found, true, weight)


def events(rng: np.random.Generator) -> tuple[SoundEvent, ...]:
    return tuple(SoundEvent(str(rng.choice(["a", "b"])), t, t + 0.3) for t in rng.uniform(0, 1, 3))


def one_hot(y: Table) -> Table:
    return y if y.ndim == 2 else (y[:, None] == np.arange(5)).astype(np.float64)


def probabilities(scores: Table, y: Table) -> Table:
    power = np.exp(scores.astype(np.float64))
    return scores if y.ndim == 2 else power / power.sum(1, keepdims=True)


def areas(scores: Table, y: Table, w: Table) -> list[float]:
    columns = zip(one_hot(y).T, probabilities(scores, y).T, strict=True)
    return [reference.roc_auc_score(a, b, sample_weight=w) for a, b in columns if 0 < (a * w).sum() < w.sum()]


def precisions(scores: Table, y: Table, w: Table) -> list[float]:
    columns = zip(one_hot(y).T, probabilities(scores, y).T, strict=True)
    return [reference.average_precision_score(a, b, sample_weight=w) for a, b in columns if (a * w).any()]


def recalls(scores: Table, y: Table, w: Table) -> Table:
    there = np.unique(y[w > 0])
    recall: Table = reference.recall_score(
        y, scores.argmax(1), labels=there, average=None, sample_weight=w, zero_division=0
    )
    return recall


def f1(scores: Table, y: Table, w: Table) -> float:
    some, answers = w > 0, scores.argmax(1)
    value = reference.f1_score(y[some], answers[some], average="macro", sample_weight=w[some], zero_division=0)
    return float(value)


REFERENCES: dict[str, Callable[[Table, Table, Table], float]] = {
    "accuracy": lambda s, y, w: reference.accuracy_score(y, s.argmax(1), sample_weight=w),
    "pitch_accuracy": lambda s, y, w: reference.accuracy_score(y, s.argmax(1), sample_weight=w),
    "balanced_accuracy": lambda s, y, w: float(recalls(s, y, w).mean()),
    "macro_f1": f1,
    "map": lambda s, y, w: float(np.mean(precisions(s, y, w))),
    "auroc": lambda s, y, w: float(np.mean(areas(s, y, w))),
    "d_prime": lambda s, y, w: float(np.mean(np.sqrt(2) * norm.ppf(areas(s, y, w)))),
    "r2": lambda s, y, w: reference.r2_score(y.astype(np.float64), s[:, 0], sample_weight=w),
}
REFERRED = [(name, kind) for name, kind in PAIRS if name in REFERENCES and kind != "slots"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "kind"), REFERRED)
def test_scikit_learn_agrees(name: str, kind: str, seed: int) -> None:
    scores, y, weight = draw(kind, seed)
    metric = bind(name, TARGETS[kind])
    real = weight + np.random.default_rng(seed).random(len(weight))
    assert metric(scores, y) == pytest.approx(REFERENCES[name](scores, y, np.ones(len(y))), abs=1e-10)
    assert metric(scores, y, weight) == pytest.approx(REFERENCES[name](scores, y, weight), abs=1e-10)
    assert metric(scores, y, real) == pytest.approx(REFERENCES[name](scores, y, real), abs=1e-10)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_weight_is_so_many_rows(name: str, kind: str, seed: int) -> None:
    scores, y, weight = draw(kind, seed)
    metric = bind(name, TARGETS[kind])
    rows = np.repeat(np.arange(len(y)), weight)
    assert metric(scores, y, weight) == pytest.approx(metric(scores[rows], y[rows]), rel=1e-12)
    assert metric(scores, y, weight) != metric(scores, y)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_weights_of_several_draws_give_what_each_gives_by_itself(name: str, kind: str) -> None:
    scores, y, _ = draw(kind, 0)
    weights = np.random.default_rng(5).integers(0, 3, (6, len(y)))
    weights[2] = 0
    metric = bind(name, TARGETS[kind])
    together = metric(scores, y, weights)
    np.testing.assert_allclose(together, [metric(scores, y, weight) for weight in weights], rtol=1e-12)
    assert np.isnan(together[2])
    assert len(set(together.tolist())) > 3


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_the_order_of_clips_does_not_matter(name: str, kind: str) -> None:
    scores, y, _ = draw(kind, 0)
    order = np.random.default_rng(1).permutation(len(y))
    metric = bind(name, TARGETS[kind])
    assert metric(scores[order], y[order]) == pytest.approx(metric(scores, y), rel=1e-12)


def crossing(scores: Table, same: Table, weight: Table) -> tuple[float, float]:
    """The equal error rate and the lowest cost, by trying every threshold."""
    points = []
    for threshold in [math.inf, *sorted(set(scores.tolist()), reverse=True)]:
        passed = scores >= threshold
        missed = sum(float(w) for w, p, s in zip(weight, passed, same, strict=True) if s and not p)
        alarms = sum(float(w) for w, p, s in zip(weight, passed, same, strict=True) if p and not s)
        points.append((missed / weight[same].sum(), alarms / weight[~same].sum()))
    lowest = min(0.05 * miss + 0.95 * alarm for miss, alarm in points) / 0.05
    for (miss, alarm), (miss_, alarm_) in pairwise(points):
        if miss >= alarm and miss_ <= alarm_:
            left, right = miss * alarm_ - miss_ * alarm, (miss - alarm) - (miss_ - alarm_)
            return float(left / right), float(lowest)
    raise AssertionError("the rates do not cross")


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("seed", range(20))
def test_error_rates_are_those_of_trying_every_threshold(seed: int, weighted: bool) -> None:
    scores, same, weight = draw("trials", seed, 12 + 3 * seed)
    rate, cost = crossing(scores, same, weight if weighted else np.ones(len(same)))
    given = (weight,) if weighted else ()
    assert bind("eer", Trials())(scores, same, *given) == pytest.approx(rate, abs=1e-12)
    assert bind("min_dcf", Trials())(scores, same, *given) == pytest.approx(cost, abs=1e-12)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_equal_error_rate_is_the_root_that_superb_finds(seed: int) -> None:
    scores, same, _ = draw("trials", seed, 300)
    alarm, hit, _ = reference.roc_curve(same, scores)
    root = brentq(lambda x: 1 - x - np.interp(x, alarm, hit), 0, 1)
    assert formulas.equal_error_rate(scores, same) == pytest.approx(root, abs=1e-9)


def hits(true: tuple[SoundEvent, ...], found: tuple[SoundEvent, ...], tolerance: float) -> int:
    """Label by label in the order of time, the earlier of two onsets that lie too far apart being given up."""
    count = 0
    for label in "ab":
        onsets, others = (sorted(event.onset for event in events if event.label == label) for events in (true, found))
        while onsets and others:
            apart = onsets[0] - others[0]
            count += abs(apart) <= tolerance
            for waiting, given_up in ((onsets, apart <= tolerance), (others, apart >= -tolerance)):
                del waiting[: int(given_up)]
    return count


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("name", "tolerance"), [("event_onset_f", 0.2), ("note_onset_f", 0.05)])
def test_events_are_found_as_far_off_as_the_metric_allows(name: str, tolerance: float, seed: int) -> None:
    found, true, weight = draw("events", seed)
    right = weight @ [hits(*pair, tolerance) for pair in zip(true, found, strict=True)]
    expected = 2 * right / (weight @ [len(a) + len(b) for a, b in zip(true, found, strict=True)])
    assert 0 < bind(name, TARGETS["events"])(found, true, weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("scores", "rate"), [([3, 2, 1, 0], 0), ([0, 1, 2, 3], 1), ([1, 1, 1, 1], 0.5)])
def test_the_equal_error_rate_of_clear_cases(scores: list[float], rate: float) -> None:
    assert formulas.equal_error_rate(np.array(scores), np.array([True, True, False, False])) == rate


def test_the_cost_weighs_misses_and_false_alarms() -> None:
    scores, same = np.array([4.0, 3.0, 2.0, 1.0]), np.array([True, False, True, False])
    half_missed, half_passed = 0.05 * 0.5 / 0.05, 0.5 * 0.5 / 0.5
    assert formulas.min_dcf(scores, same) == pytest.approx(half_missed)
    assert formulas.min_dcf(scores, same, p_target=0.5, c_miss=4) == pytest.approx(half_passed)
    assert formulas.min_dcf(-scores, same) == pytest.approx(1)


@pytest.mark.parametrize("worst", [False, True])
def test_a_label_without_an_error_counts_as_half_an_error(worst: bool) -> None:
    y = np.array([1, 1, 0, 0, 0])[:, None]
    scores = np.array([5.0, 4, 3, 2, 1])[:, None]
    expected = np.sqrt(2) * norm.ppf(1 - 1 / 12)
    assert formulas.d_prime(-scores if worst else scores, y) == pytest.approx(-expected if worst else expected)


def test_labels_that_are_all_alike_are_left_out() -> None:
    scores, y, _ = draw("tags", 0)
    assert formulas.auroc(scores, y) == pytest.approx(formulas.auroc(scores[:, :2], y[:, :2]))
    assert formulas.mean_average_precision(scores, y) == pytest.approx(
        formulas.mean_average_precision(scores[:, [0, 1, 3]], y[:, [0, 1, 3]])
    )


def test_classes_are_ranked_by_their_probabilities() -> None:
    # The first class has its higher logit in the second clip, and its higher probability in the first.
    scores = np.array([[1.0, -5.0], [2.0, 6.0]])
    assert formulas.auroc(scores, np.array([0, 1])) == 1
    assert formulas.auroc(scores, np.array([[1, 0], [0, 1]])) == 0.5


def test_a_class_that_was_never_learnt_is_never_answered() -> None:
    scores, y, _ = draw("class", 0)
    assert (y == 4).any()
    assert formulas.balanced_accuracy(scores, np.full_like(y, 4)) == 0
    assert math.isfinite(formulas.d_prime(scores, y))


@pytest.mark.parametrize(("right", "answered", "agrees"), [(60, 72, 1), (73, 61, 1), (60, 61, 0), (67, 73, 0)])
def test_octaves_do_not_matter_to_chroma(right: int, answered: int, agrees: int) -> None:
    classes = [int(label) for label in PITCHES.labels]
    scores = np.eye(5)[[classes.index(answered)]]
    assert bind("chroma_accuracy", PITCHES)(scores, np.array([classes.index(right)])) == agrees


@pytest.mark.parametrize("seed", SEEDS)
def test_an_answer_is_right_when_all_its_slots_are(seed: int) -> None:
    scores, y, weight = draw("slots", seed)
    rows = zip(scores.tolist(), y.tolist(), weight.tolist(), strict=True)
    right = sum(w for row, (who, where), w in rows if (max(row[:3]), max(row[3:])) == (row[who], row[3 + where])) / int(
        weight.sum()
    )
    assert 0 < bind("accuracy", SLOTS)(scores, y, weight) == pytest.approx(right)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_nothing_has_no_score(name: str, kind: str) -> None:
    scores, y, weight = draw(kind, 0)
    metric = bind(name, TARGETS[kind])
    assert math.isnan(metric(scores[:0], y[:0]))
    assert math.isnan(metric(scores, y, np.zeros_like(weight)))


@pytest.mark.parametrize(
    ("name", "kind", "y"),
    [
        ("auroc", "class", np.full(60, 1)),
        ("d_prime", "tags", np.ones((60, 4))),
        ("map", "tags", np.zeros((60, 4))),
        ("r2", "value", np.full(60, 0.1, np.float32)),
        ("eer", "trials", np.ones(60, bool)),
        ("min_dcf", "trials", np.zeros(60, bool)),
    ],
)
def test_what_is_undefined_is_not_a_number(name: str, kind: str, y: Table) -> None:
    scores, _, weight = draw(kind, 0)
    assert math.isnan(bind(name, TARGETS[kind])(scores, y))
    assert math.isnan(bind(name, TARGETS[kind])(scores, y, weight / 7))


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] != "events"])
def test_a_head_that_has_diverged_has_no_score(name: str, kind: str) -> None:
    scores, y, _ = draw(kind, 0)
    scores[7] = np.nan
    assert math.isnan(bind(name, TARGETS[kind])(scores, y))
    assert np.isnan(bind(name, TARGETS[kind])(scores, y, np.ones((3, len(y))))).tolist() == [True] * 3


def test_every_kind_of_target_has_a_metric_that_fits() -> None:
    assert set(DEFAULTS) == set(KINDS)
    assert {kind for metric in METRICS.values() for kind in metric.kinds} == set(KINDS)
    for target in TARGETS.values():
        assert DEFAULTS[kind_of(target)] in applicable(target)
    assert all(metric.name == name for name, metric in METRICS.items())


def test_numbers_as_labels_are_not_taken_for_pitches() -> None:
    assert applicable(PITCHES) == ["accuracy", "balanced_accuracy", "macro_f1", "map", "auroc", "d_prime"]
    assert applicable(TARGETS["events"]) == ["event_onset_f"]


def test_an_unknown_metric_is_refused_with_the_nearest(refused: Callable[[str], Any]) -> None:
    with refused("no metric 'acuracy': did you mean 'accuracy'"):
        bind("acuracy", PITCHES)


def test_a_metric_of_another_kind_is_refused_with_those_that_fit(refused: Callable[[str], Any]) -> None:
    with refused("'accuracy' does not fit a target of the kind 'tags': use map, auroc, d_prime"):
        bind("accuracy", TAGS)


@pytest.mark.parametrize("name", ["pitch_accuracy", "chroma_accuracy"])
@pytest.mark.parametrize("label", ["dog", "128", "-1", "60.5", "²"])
def test_labels_that_are_no_pitches_are_refused(name: str, label: str, refused: Callable[[str], Any]) -> None:
    with refused(f"'{name}' needs MIDI numbers from 0 to 127 as labels, and one is '{label}'"):
        bind(name, Class(("60", label)))
