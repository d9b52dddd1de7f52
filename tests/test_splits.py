"""Splits: which clips train, choose and score under every rule, and that none does two of these unless published."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.model_selection import train_test_split

from harness.datasets import Task, rotation
from harness.splits import RULES, AnySplit, ClipSplit, CompatSplit, splits_of
from harness.types import Class, Clip, Split, Tags

Refused = Callable[[str], AbstractContextManager[None]]
FOLDS = ("1", "2", "3", "4", "5")
LABELS = ("a", "b", "c", "d")
ONE_OF_THEM, ANY_OF_THEM = Class(LABELS), Tags(LABELS)
SINGLE = (Split(train=("1", "2", "3"), valid=("4",), test=("5",)),)


def task(splits: tuple[Split, ...] = rotation(FOLDS), target: Class | Tags = ONE_OF_THEM) -> Task:
    return Task(
        name="toy",
        version="1",
        target=target,
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


def labels_of(clips: Sequence[Clip], rows: npt.NDArray[np.int64]) -> set[object]:
    return {clips[i].target for i in rows.tolist()}


def numbers(*values: int) -> npt.NDArray[np.int64]:
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
    split = CompatSplit(numbers(0), numbers(1), numbers(1), ("5",), numbers(0), "test-selected")
    assert split.valid.tolist() == split.test.tolist()


@pytest.mark.parametrize("valid", ["5", "1"])
def test_a_tasks_own_split_cannot_give_a_fold_two_duties(valid: str) -> None:
    with pytest.raises(ValueError, match="not kept apart"):
        Split(train=("1", "2"), valid=(valid,), test=("5",))


# The rules.


def test_every_rule_says_what_it_does() -> None:
    assert list(RULES) == ["official", "chosen-once", "valid-is-test", "random-fifth", "random-tenth"]
    assert len({way.summary for way in RULES.values()}) == len(RULES)
    assert all(way.summary for way in RULES.values())


def test_the_tasks_own_splits_are_its_folds() -> None:
    for split, own in zip(splits_of("official", task(), CLIPS), rotation(FOLDS), strict=True):
        assert type(split) is ClipSplit
        assert parts(split) == [in_folds(*own.train), in_folds(*own.valid), in_folds(*own.test)]
        assert split.folds == own.test


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "random-tenth"])
@pytest.mark.parametrize("splits", [rotation(FOLDS), SINGLE])
def test_features_are_standardised_by_the_clips_that_train(rule: str, splits: tuple[Split, ...]) -> None:
    for split in splits_of(rule, task(splits), CLIPS):
        assert split.scaling.tolist() == split.train.tolist()


# HEAR: the first split chooses for all, and its preprocessing has shuffled each fold once.


def test_where_the_first_split_chooses_for_all_the_clips_are_those_of_the_task() -> None:
    plain = splits_of("official", task(), CLIPS)
    once = splits_of("chosen-once", task(), CLIPS)
    for one, other in zip(once, plain, strict=True):
        assert [sorted(part) for part in parts(one)] == parts(other)
        assert parts(one)[1:] == parts(other)[1:]
    assert {split.badge for split in once} == {"test-selected"}


def test_hears_training_clips_come_fold_after_fold_and_in_a_fold_shuffled() -> None:
    for split, own in zip(splits_of("chosen-once", task(), CLIPS), rotation(FOLDS), strict=True):
        folds = [CLIPS[i].fold for i in split.train.tolist()]
        assert folds == [fold for fold in own.train for _ in range(40)]
        for fold in own.train:
            mine = [i for i in split.train.tolist() if CLIPS[i].fold == fold]
            assert sorted(mine) == in_folds(fold)
            assert mine != in_folds(fold)


def test_hears_shuffle_of_a_fold_is_one_for_all_splits_and_seeds() -> None:
    orders: dict[str, set[tuple[int, ...]]] = {fold: set() for fold in FOLDS}
    for seed in (0, 42):
        for split in splits_of("chosen-once", task(), CLIPS, seed):
            for fold in {CLIPS[i].fold for i in split.train.tolist()}:
                orders[fold].add(tuple(i for i in split.train.tolist() if CLIPS[i].fold == fold))
    assert [len(found) for found in orders.values()] == [1] * 5


# X-ARES.


def test_where_validation_is_test_all_other_folds_train() -> None:
    for split, own in zip(splits_of("valid-is-test", task(), CLIPS), rotation(FOLDS), strict=True):
        tested = in_folds(*own.test)
        assert parts(split) == [sorted(set(range(len(CLIPS))) - set(tested)), tested, tested]
        assert split.badge == "test-selected"


# ARCH.


def test_a_random_fifth_is_scikit_learns_draw() -> None:
    for split, own in zip(splits_of("random-fifth", task(), CLIPS), rotation(FOLDS), strict=True):
        rest = in_folds(*own.train, *own.valid)
        train, valid = train_test_split(rest, test_size=0.2, random_state=42)
        assert parts(split) == [train, valid, in_folds(*own.test)]
        assert len(valid) == 32
        assert split.badge == ""


# EVAR.


@pytest.mark.parametrize("seed", [42, 43])
def test_a_random_tenth_has_every_class_in_both_parts(seed: int) -> None:
    for split, own in zip(splits_of("random-tenth", task(), CLIPS, seed), rotation(FOLDS), strict=True):
        train, valid, test = parts(split)
        assert sorted(train + valid) == in_folds(*own.train, *own.valid)
        assert (len(valid), test) == (16, in_folds(*own.test))
        assert labels_of(CLIPS, split.train) == labels_of(CLIPS, split.valid) == set(LABELS)


def test_a_random_tenth_is_another_for_every_seed() -> None:
    drawn = [splits_of("random-tenth", task(), CLIPS, seed) for seed in (42, 43, 44)]
    for same_fold in zip(*drawn, strict=True):
        assert len({tuple(sorted(split.valid.tolist())) for split in same_fold}) == 3
        assert len({tuple(split.test.tolist()) for split in same_fold}) == 1


def test_evar_standardises_folds_by_all_that_is_not_tested_and_a_single_split_by_what_trains() -> None:
    for split, own in zip(splits_of("random-tenth", task(), CLIPS), rotation(FOLDS), strict=True):
        assert split.scaling.tolist() == in_folds(*own.train, *own.valid)
    (single,) = splits_of("random-tenth", task(SINGLE), CLIPS)
    assert single.scaling.tolist() == in_folds("1", "2", "3")


def rare(target: Class | Tags, *, every: int) -> list[Clip]:
    """Clips of which one in ``every`` keeps its label, and all others have the first."""
    given = [clip.target if i % every == 0 else "a" for i, clip in enumerate(CLIPS)]
    return [
        Clip(clip.id, clip.path, (str(label),) if isinstance(target, Tags) else label, clip.fold, clip.group)
        for clip, label in zip(CLIPS, given, strict=True)
    ]


def test_a_random_tenth_is_drawn_again_until_every_class_is_in_both_parts() -> None:
    clips = rare(ONE_OF_THEM, every=4)
    redrawn = 0
    for split, own in zip(splits_of("random-tenth", task(), clips), rotation(FOLDS), strict=True):
        assert labels_of(clips, split.train) == labels_of(clips, split.valid) == set(LABELS)
        rest = [i for i, clip in enumerate(clips) if clip.fold not in own.test]
        redrawn += split.valid.tolist() != train_test_split(rest, test_size=0.1, random_state=0)[1]
    assert redrawn


@pytest.mark.parametrize("target", [ONE_OF_THEM, ANY_OF_THEM])
def test_where_no_random_tenth_has_every_label_the_rule_is_refused(target: Class | Tags, refused: Refused) -> None:
    clips = rare(target, every=40)
    with refused("no random tenth of the 160 training clips of toy holds all its labels.*use --protocol evar"):
        splits_of("random-tenth", task(target=target), clips)


def test_of_tags_single_labels_must_be_in_both_parts_and_not_their_combinations() -> None:
    combined = [(), *((a,) for a in LABELS), *((a, b) for a in LABELS for b in LABELS if a < b), LABELS]
    clips = [
        Clip(clip.id, clip.path, combined[i % len(combined)], clip.fold, clip.group) for i, clip in enumerate(CLIPS)
    ]
    whole = 0
    for split in splits_of("random-tenth", task(target=ANY_OF_THEM), clips):
        for part in (split.train, split.valid):
            assert {tag for i in part.tolist() for tag in combined[i % len(combined)]} == set(LABELS)
        whole += len(labels_of(clips, split.valid)) == len(combined)
    assert not whole


# All.


@pytest.mark.parametrize("rule", RULES)
def test_a_single_split_stays_the_tasks_own_under_every_rule(rule: str) -> None:
    (split,) = splits_of(rule, task(SINGLE), CLIPS)
    assert [sorted(part) for part in parts(split)] == [in_folds("1", "2", "3"), in_folds("4"), in_folds("5")]
    assert split.badge == ""


@pytest.mark.parametrize("rule", RULES)
def test_no_rule_trains_on_a_test_clip(rule: str) -> None:
    for split in splits_of(rule, task(), CLIPS):
        assert not set(split.test.tolist()) & set(split.train.tolist())


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_gives_the_same_splits_every_time(rule: str) -> None:
    first = list(map(parts, splits_of(rule, task(), CLIPS)))
    np.random.seed(5)  # the global state does not matter
    assert list(map(parts, splits_of(rule, task(), CLIPS))) == first


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule != "random-tenth"])
def test_only_evars_splits_depend_on_the_seed_of_the_heads(rule: str) -> None:
    one, other = (list(map(parts, splits_of(rule, task(), CLIPS, seed))) for seed in (0, 42))
    assert one == other


@pytest.mark.parametrize("rule", ["official", "random-fifth", "random-tenth"])
def test_only_two_rules_let_a_test_fold_choose(rule: str) -> None:
    for split in splits_of(rule, task(), CLIPS):
        assert not set(split.test.tolist()) & set(split.valid.tolist())
        assert split.badge == ""


# Too few clips.


@pytest.mark.parametrize("kept", [1, 2])
@pytest.mark.parametrize("rule", RULES)
def test_too_few_clips_are_refused_in_a_sentence(rule: str, kept: int, refused: Refused) -> None:
    with refused(
        "no random tenth of the . training clips" if rule == "random-tenth" else "too few clips to learn from"
    ):
        splits_of(rule, task(rotation(FOLDS[:3])), some_clips(200, FOLDS[:3])[:kept])


@pytest.mark.parametrize(
    ("gone", "left"),
    [("1", "clips that train 0, with 0 different"), ("2", "that choose 0"), ("3", "that are scored 0")],
)
def test_a_split_whose_folds_are_empty_is_refused(gone: str, left: str, refused: Refused) -> None:
    clips = [clip for clip in CLIPS if clip.fold != gone]
    with refused(left):
        splits_of("official", task((Split(train=("1",), valid=("2",), test=("3",)),)), clips)


def test_a_split_that_trains_on_one_label_is_refused(refused: Refused) -> None:
    clips = [clip for clip in CLIPS if clip.target == "a" or clip.fold in ("4", "5")]
    with refused("tests on fold 5 has too few clips to learn from: clips that train 30, with 1 different label"):
        splits_of("official", task(SINGLE), clips)
