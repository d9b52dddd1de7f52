"""Splits: which clips train, choose and score under every rule, and that none does two of these unless published."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from harness.datasets import Task, rotation
from harness.splits import RULES, AnySplit, ClipSplit, CompatSplit, splits_of
from harness.types import Class, Clip, Split

Refused = Callable[[str], AbstractContextManager[None]]
FOLDS = ("1", "2", "3", "4", "5")
LABELS = ("a", "b", "c", "d")
SINGLE = (Split(train=("1", "2", "3"), valid=("4",), test=("5",)),)


def task(splits: tuple[Split, ...] = rotation(FOLDS)) -> Task:
    return Task(
        name="toy",
        version="1",
        target=Class(LABELS),
        splits=splits,
        list_clips=lambda folder: [],
        clips=None,
        folder="toy",
        source=None,
        paper="none",
        licence="none",
    )


def some_clips(count: int = 200, folds: tuple[str, ...] = FOLDS) -> list[Clip]:
    """Clips whose folds and labels lie mixed."""
    rng = np.random.default_rng(0)
    order = rng.permutation(count)
    return [
        Clip(f"{i}", Path("none"), LABELS[n // len(folds) % 4], folds[n % len(folds)], f"group {i}")
        for i, n in enumerate(order.tolist())
    ]


CLIPS = some_clips()


def parts(split: AnySplit) -> list[list[int]]:
    return [part.tolist() for part in (split.train, split.valid, split.test)]


def in_folds(*folds: str) -> list[int]:
    return [i for i, clip in enumerate(CLIPS) if clip.fold in folds]


def numbers(*values: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, np.int64)


@pytest.mark.parametrize("overlap", ["train and valid", "train and test", "valid and test"])
def test_a_split_of_clips_with_two_duties_is_refused(overlap: str) -> None:
    given = {name: numbers(3 if name in overlap else i) for i, name in enumerate(("train", "valid", "test"))}
    with pytest.raises(ValueError, match="a clip both trains, chooses or scores"):
        ClipSplit(**given, folds=("5",))


def test_a_clip_that_trains_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="a clip both trains"):
        ClipSplit(numbers(0, 0), numbers(1), numbers(2), ("5",))


def test_a_published_split_may_choose_by_what_it_scores() -> None:
    split = CompatSplit(numbers(0), numbers(1), numbers(1), ("5",), "test-selected")
    assert split.valid.tolist() == split.test.tolist()


@pytest.mark.parametrize("valid", ["5", "1"])
def test_a_tasks_own_split_cannot_give_a_fold_two_duties(valid: str) -> None:
    with pytest.raises(ValueError, match="not kept apart"):
        Split(train=("1", "2"), valid=(valid,), test=("5",))


# The rules.


def test_the_tasks_own_splits_are_its_folds() -> None:
    for split, own in zip(splits_of("the task's own", task(), CLIPS), rotation(FOLDS), strict=True):
        assert type(split) is ClipSplit
        assert parts(split) == [in_folds(*own.train), in_folds(*own.valid), in_folds(*own.test)]
        assert split.folds == own.test


def test_where_the_first_split_chooses_for_all_the_clips_are_those_of_the_task() -> None:
    plain = splits_of("the task's own", task(), CLIPS)
    once = splits_of("the task's own, the first chooses for all", task(), CLIPS)
    assert list(map(parts, once)) == list(map(parts, plain))
    assert {getattr(split, "badge", None) for split in once} == {"test-selected"}


def test_where_validation_is_test_all_other_folds_train() -> None:
    for split, own in zip(splits_of("validation is test", task(), CLIPS), rotation(FOLDS), strict=True):
        tested = in_folds(*own.test)
        assert parts(split) == [sorted(set(range(len(CLIPS))) - set(tested)), tested, tested]
        assert getattr(split, "badge", None) == "test-selected"


def test_a_random_fifth_is_scikit_learns_draw() -> None:
    for split, own in zip(splits_of("a random fifth held out", task(), CLIPS), rotation(FOLDS), strict=True):
        rest = in_folds(*own.train, *own.valid)
        train, valid = train_test_split(rest, test_size=0.2, random_state=42)
        assert parts(split) == [train, valid, in_folds(*own.test)]
        assert len(valid) == 32
        assert getattr(split, "badge", None) == ""


def test_a_random_tenth_has_every_class_in_both_parts() -> None:
    for split, own in zip(splits_of("a random tenth chooses", task(), CLIPS), rotation(FOLDS), strict=True):
        train, valid, test = parts(split)
        assert sorted(train + valid) == in_folds(*own.train, *own.valid)
        assert (len(valid), test) == (16, in_folds(*own.test))
        assert {CLIPS[i].target for i in train} == {CLIPS[i].target for i in valid} == set(LABELS)


def test_a_random_tenth_is_drawn_again_until_every_class_is_in_both_parts() -> None:
    rare = {clip.id for i, clip in enumerate(CLIPS) if i % 4 == 0}
    clips = [clip if clip.id in rare else Clip(clip.id, clip.path, "a", clip.fold, clip.group) for clip in CLIPS]
    redrawn = 0
    for split, own in zip(splits_of("a random tenth chooses", task(), clips), rotation(FOLDS), strict=True):
        assert {clips[i].target for i in split.train} == {clips[i].target for i in split.valid} == set(LABELS)
        rest = [i for i, clip in enumerate(clips) if clip.fold not in own.test]
        redrawn += split.valid.tolist() != train_test_split(rest, test_size=0.1, random_state=0)[1]
    assert redrawn


@pytest.mark.parametrize("rule", RULES)
def test_a_single_split_stays_the_tasks_own_under_every_rule(rule: str) -> None:
    (split,) = splits_of(rule, task(SINGLE), CLIPS)
    assert parts(split) == [in_folds("1", "2", "3"), in_folds("4"), in_folds("5")]
    assert getattr(split, "badge", "") == ""


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_trains_on_a_test_clip(rule: str) -> None:
    for split in splits_of(rule, task(), CLIPS):
        assert not set(split.test.tolist()) & set(split.train.tolist())


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_gives_the_same_splits_every_time(rule: str) -> None:
    assert list(map(parts, splits_of(rule, task(), CLIPS))) == list(map(parts, splits_of(rule, task(), CLIPS)))


@pytest.mark.parametrize("rule", ["the task's own", "a random fifth held out", "a random tenth chooses"])
def test_only_two_rules_let_a_test_fold_choose(rule: str) -> None:
    for split in splits_of(rule, task(), CLIPS):
        assert not set(split.test.tolist()) & set(split.valid.tolist())
        assert getattr(split, "badge", "") == ""


# Too few clips.


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("rule", RULES)
def test_too_few_clips_are_refused_in_a_sentence(rule: str, kept: int, refused: Refused) -> None:
    with refused("too few clips to learn from"):
        splits_of(rule, task(rotation(FOLDS[:3])), some_clips(200, FOLDS[:3])[:kept])


@pytest.mark.parametrize(("gone", "left"), [("1", "0 of 0 label"), ("2", "0 choose"), ("3", "0 score")])
def test_a_split_whose_folds_are_empty_is_refused(gone: str, left: str, refused: Refused) -> None:
    clips = [clip for clip in CLIPS if clip.fold != gone]
    with refused(left):
        splits_of("the task's own", task((Split(train=("1",), valid=("2",), test=("3",)),)), clips)


def test_a_split_that_trains_on_one_label_is_refused(refused: Refused) -> None:
    clips = [clip for clip in CLIPS if clip.target == "a" or clip.fold in ("4", "5")]
    with refused("tests on fold 5 has too few clips to learn from: 30 of 1 label"):
        splits_of("the task's own", task(SINGLE), clips)
