"""Targets become the numbers, the outputs and the losses that scikit-learn would give them."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import log_loss, mean_squared_error

from harness.targets import encode, kind_of, loss, outputs, slices
from harness.types import KINDS, Class, Clip, Events, Label, Slots, SoundEvent, Tags, Target, Trials, Value

Doubles = npt.NDArray[np.float64]

LABELS = ("cat", "ant", "bee", "dog")
ROOMS = Slots(("action", "object", "place"), (("on", "off"), ("lamp", "heat", "music"), ("hall", "bath")))
TARGETS: dict[str, Target] = {
    "class": Class(LABELS),
    "tags": Tags(LABELS),
    "slots": ROOMS,
    "value": Value(),
    "events": Events(LABELS),
    "trials": Trials(),
}


def clips(*given: Label) -> list[Clip]:
    return [Clip(f"{i}.wav", Path(f"{i}.wav"), label, "1", str(i)) for i, label in enumerate(given)]


# Numbers.


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_knows_its_kind(name: str) -> None:
    assert kind_of(TARGETS[name]) == name
    assert set(TARGETS) == set(KINDS)


@pytest.mark.parametrize(
    ("name", "given", "expected", "dtype"),
    [
        ("class", ["bee", "cat", "dog", "cat"], [2, 0, 3, 0], np.int64),
        ("tags", [("dog", "cat"), (), ("ant",)], [[1, 0, 0, 1], [0, 0, 0, 0], [0, 1, 0, 0]], np.float32),
        ("tags", [("bee", "bee")], [[0, 0, 1, 0]], np.float32),
        ("slots", [("off", "music", "hall"), ("on", "lamp", "bath")], [[1, 2, 0], [0, 0, 1]], np.int64),
        ("value", [0.5, -3.0, 7], [0.5, -3.0, 7.0], np.float32),
        ("trials", ["zoe", "bob", "zoe", "ida"], [2, 0, 2, 1], np.int64),
    ],
)
def test_labels_become_numbers(name: str, given: list[Label], expected: list[Any], dtype: type) -> None:
    y = encode(TARGETS[name], clips(*given))
    assert y.dtype == dtype
    assert y.tolist() == expected


CAT, DOG = SoundEvent("cat", 0.0, 1.0), SoundEvent("dog", 0.5, 2.0)


@pytest.mark.parametrize(
    "given", [[(CAT,), (DOG,)], [(CAT, DOG), ()], [(CAT, DOG), (DOG, CAT), (CAT, CAT)], [()], [(DOG,)]]
)
def test_events_stay_what_they_are_one_tuple_for_each_clip(given: list[Label]) -> None:
    y = encode(Events(LABELS), clips(*given))
    assert y.shape == (len(given),)
    assert list(y) == given


@pytest.mark.parametrize("name", ["class", "tags", "slots"])
def test_the_number_of_a_label_does_not_depend_on_the_clips(name: str) -> None:
    given: dict[str, list[Label]] = {
        "class": ["dog", "ant"],
        "tags": [("dog",), ("ant", "bee")],
        "slots": [("on", "music", "bath"), ("on", "heat", "hall")],
    }
    both, one = (encode(TARGETS[name], clips(*labels)) for labels in (given[name], given[name][1:]))
    np.testing.assert_array_equal(both[1:], one)


def test_a_label_that_is_not_the_targets_is_no_number() -> None:
    with pytest.raises(KeyError, match="cow"):
        encode(Class(LABELS), clips("cow"))


# Outputs.


@pytest.mark.parametrize(
    ("name", "count"), [("class", 4), ("tags", 4), ("slots", 7), ("value", 1), ("events", 4), ("trials", 6)]
)
def test_a_head_gives_so_many_numbers(name: str, count: int) -> None:
    assert outputs(TARGETS[name], np.array([2, 5, 0])) == count


def test_slots_share_the_outputs_without_gaps() -> None:
    parts = slices(ROOMS)
    assert [part.stop - part.start for part in parts] == [len(labels) for labels in ROOMS.labels]
    assert parts[0].start == 0
    assert all(one.stop == other.start for one, other in pairwise(parts))
    assert parts[-1].stop == outputs(ROOMS, np.zeros((1, 3)))


# Losses.


def drawn(*shape: int, scale: float = 3.0) -> Doubles:
    return np.random.default_rng(4).normal(0, scale, shape)


def softmax(logits: Doubles) -> Doubles:
    odds = np.exp(logits)
    shares: Doubles = odds / odds.sum(1, keepdims=True)
    return shares


def cross_entropy(logits: Doubles, y: npt.NDArray[Any]) -> float:
    return float(log_loss(y, softmax(logits), labels=range(logits.shape[1])))


def measured(target: Target, out: Doubles, y: npt.NDArray[Any]) -> float:
    return loss(target, torch.from_numpy(out.astype(np.float32)), torch.from_numpy(y)).item()


@pytest.mark.parametrize("target", [Class(LABELS), Trials()])
@pytest.mark.parametrize("clips", [1, 50])
def test_the_loss_of_classes_is_the_cross_entropy(target: Target, clips: int) -> None:
    out, y = drawn(clips, 4), np.random.default_rng(1).integers(0, 4, clips)
    assert measured(target, out, y) == pytest.approx(cross_entropy(out, y), rel=1e-5)


def test_the_loss_of_slots_is_the_sum_of_their_cross_entropies() -> None:
    rng = np.random.default_rng(1)
    out, y = drawn(50, 7), np.stack([rng.integers(0, n, 50) for n in (2, 3, 2)], axis=1)
    expected = sum(cross_entropy(out[:, a:b], y[:, i]) for i, (a, b) in enumerate([(0, 2), (2, 5), (5, 7)]))
    assert measured(ROOMS, out, y) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_one_slot_is_that_of_a_class() -> None:
    out, y = drawn(50, 4), np.random.default_rng(1).integers(0, 4, 50)
    assert measured(Slots(("only",), (LABELS,)), out, y[:, None]) == measured(Class(LABELS), out, y)


@pytest.mark.parametrize("target", [Tags(LABELS), Events(LABELS)])
def test_the_loss_of_tags_is_the_mean_of_their_binary_cross_entropies(target: Target) -> None:
    out, y = drawn(50, 4), np.random.default_rng(1).integers(0, 2, (50, 4)).astype(np.float32)
    likely = 1 / (1 + np.exp(-out))
    expected = np.mean([log_loss(y[:, i], likely[:, i], labels=[0, 1]) for i in range(4)])
    assert measured(target, out, y) == pytest.approx(expected, rel=1e-5)


def test_the_loss_of_values_is_the_mean_squared_error() -> None:
    out, y = drawn(50, 1), drawn(50, scale=2)[::-1].astype(np.float32)
    assert measured(Value(), out, y) == pytest.approx(mean_squared_error(y, out[:, 0]), rel=1e-5)


def test_logits_far_from_zero_cost_what_they_are_wrong_by() -> None:
    out = np.array([[900.0, -900.0], [900.0, -900.0]])
    assert measured(Class(("a", "b")), out, np.array([1, 0])) == pytest.approx(900)
    assert measured(Tags(("a", "b")), out, np.array([[0, 1], [1, 0]], np.float32)) == pytest.approx(450)
