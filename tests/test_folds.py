"""Folds that are made: groups stay whole, labels are alike in all, and nothing depends on the clips' order."""

from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import pytest

from harness.folds import grouped_folds, rarest

Refused = Callable[[str], AbstractContextManager[None]]


def drawn(seed: int, *, clips: int = 120, groups: int = 30, labels: int = 4) -> tuple[list[str], list[str]]:
    """Labels and groups by chance, a group's labels mostly alike."""
    rng = np.random.default_rng(seed)
    own = rng.integers(labels, size=groups)
    chosen = rng.integers(groups, size=clips)
    heard = np.where(rng.random(clips) < 0.7, own[chosen], rng.integers(labels, size=clips))
    return [f"l{label}" for label in heard], [f"g{group}" for group in chosen]


@pytest.mark.parametrize("seed", range(5))
def test_no_group_lies_in_two_folds(seed: int) -> None:
    labels, groups = drawn(seed)
    places = defaultdict(set)
    for group, fold in zip(groups, grouped_folds(labels, groups), strict=True):
        places[group].add(fold)
    assert all(len(folds) == 1 for folds in places.values())


@pytest.mark.parametrize("alone", [False, True], ids=["grouped", "alone"])
@pytest.mark.parametrize("seed", range(3))
def test_folds_do_not_depend_on_the_order_of_the_clips(seed: int, alone: bool) -> None:
    labels, groups = drawn(seed)
    groups = [f"clip {i}" for i in range(len(labels))] if alone else groups
    folds = grouped_folds(labels, groups)
    order = np.random.default_rng(seed).permutation(len(labels)).tolist()
    shuffled = grouped_folds([labels[i] for i in order], [groups[i] for i in order])
    assert shuffled == [folds[i] for i in order]


def test_another_seed_makes_other_folds() -> None:
    labels, groups = drawn(0)
    assert grouped_folds(labels, groups, seed=0) == grouped_folds(labels, groups, seed=0)
    assert grouped_folds(labels, groups, seed=0) != grouped_folds(labels, groups, seed=1)


def test_every_fold_holds_each_label_equally_often_where_no_clips_share_a_group() -> None:
    labels = ["bark"] * 50 + ["meow"] * 25
    folds = grouped_folds(labels, [f"clip {i}" for i in range(75)])
    expected = {(label, fold): times for label, times in (("bark", 10), ("meow", 5)) for fold in "12345"}
    assert Counter(zip(labels, folds, strict=True)) == expected


def test_labels_are_spread_evenly_over_grouped_folds() -> None:
    labels = [label for label in ("bark", "meow") for _ in range(100)]
    groups = [f"{label}{i // 5}" for i, label in enumerate(labels)]
    counts = Counter(zip(labels, grouped_folds(labels, groups), strict=True))
    assert set(counts.values()) == {20}


@pytest.mark.parametrize(("groups", "folds"), [(3, 3), (4, 4), (5, 5), (9, 5)])
def test_there_are_five_folds_or_as_many_as_groups(groups: int, folds: int) -> None:
    made = grouped_folds(["bark", "meow"] * groups, [f"g{i // 2}" for i in range(2 * groups)])
    assert set(made) == set("12345"[:folds])


@pytest.mark.parametrize("groups", [0, 1, 2])
def test_fewer_than_three_groups_are_refused(groups: int, refused: Refused) -> None:
    with refused(f"three groups or more are needed to make folds, .*: there are {groups}"):
        grouped_folds(["bark"] * 9, [f"g{i % groups}" for i in range(9)] if groups else [])


@pytest.mark.parametrize("seed", range(20))
def test_every_fold_holds_clips_however_few_groups_there_are(seed: int) -> None:
    labels, groups = drawn(seed, clips=16, groups=5, labels=12)
    assert len(set(grouped_folds(labels, groups))) == min(5, len(set(groups)))


def test_a_fold_that_stratification_leaves_empty_is_filled() -> None:
    labels = ["10", "11", "7", "10", "9", "10", "6", "6", "6", "10", "8", "0", "6", "8", "10", "6"]
    groups = ["0", "3", "1", "1", "2", "0", "4", "4", "4", "0", "2", "3", "4", "2", "0", "4"]
    assert set(grouped_folds([f"l{x}" for x in labels], [f"g{x}" for x in groups])) == set("12345")


def test_labels_too_rare_for_every_fold_are_dealt_all_the_same() -> None:
    labels = [f"l{i // 2}" for i in range(12)]
    folds = grouped_folds(labels, [f"clip {i}" for i in range(12)])
    assert sorted(Counter(folds).values()) == [2, 2, 2, 3, 3]


def test_a_clip_stands_for_the_rarest_of_its_tags() -> None:
    assert rarest([("a", "b"), ("a",), ("a", "c"), (), ("b", "c")]) == ["b", "a", "c", "", "b"]
