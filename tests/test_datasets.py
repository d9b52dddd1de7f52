"""The task contract: official splits, and clips that are held against their task's record."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.datasets import Task, check_clips, load_clips, rotation
from harness.types import Class, Clip, Split

Refused = Callable[[str], AbstractContextManager[None]]

FOLDS = ("1", "2", "3")
CLIPS = [
    Clip(f"{fold}-{label}-{take}", Path(f"{fold}-{label}-{take}.wav"), label, fold, f"group {fold}{take}")
    for fold in FOLDS
    for label in ("bark", "meow")
    for take in ("a", "b")
]
TOY = Task(
    name="toy",
    version="1",
    target=Class(("bark", "meow")),
    splits=rotation(FOLDS),
    list_clips=lambda folder: [replace(clip, path=folder / clip.path) for clip in CLIPS],
    clips=len(CLIPS),
    folder="toy",
    source=None,
    paper="doi 10.1000/toy",
    licence="none",
)


def changed(index: int, **fields: Any) -> list[Clip]:
    """The toy's clips, one of them changed."""
    return [replace(clip, **fields) if i == index else clip for i, clip in enumerate(CLIPS)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file for every clip."""
    for clip in CLIPS:
        (tmp_path / clip.path).write_bytes(b"not opened here")
    return tmp_path


# Splits.


def test_five_folds_turn_as_written_down() -> None:
    assert [(*split.test, *split.valid, split.train) for split in rotation("12345")] == [
        ("1", "2", ("3", "4", "5")),
        ("2", "3", ("1", "4", "5")),
        ("3", "4", ("1", "2", "5")),
        ("4", "5", ("1", "2", "3")),
        ("5", "1", ("2", "3", "4")),
    ]


@pytest.mark.parametrize("count", [3, 5, 10])
def test_every_split_uses_every_fold_once(count: int) -> None:
    folds = [f"fold {i}" for i in range(count)]
    for split in rotation(folds):
        assert sorted([*split.train, *split.valid, *split.test]) == sorted(folds)


@pytest.mark.parametrize("count", [3, 5, 10])
def test_every_fold_tests_once_and_chooses_once(count: int) -> None:
    folds = [f"fold {i}" for i in range(count)]
    assert [fold for split in rotation(folds) for fold in split.test] == folds
    assert sorted(fold for split in rotation(folds) for fold in split.valid) == sorted(folds)


# Clips against the record.


def test_clips_that_are_as_the_record_says_pass(folder: Path) -> None:
    assert load_clips(TOY, folder) == TOY.list_clips(folder)


def test_a_doubled_id_is_named(refused: Refused) -> None:
    with refused("names the clip '1-bark-a' more than once"):
        check_clips(TOY, changed(5, id="1-bark-a"))


def test_an_unknown_label_is_named(refused: Refused) -> None:
    with refused("does not know the label 'moo'"):
        check_clips(TOY, changed(5, target="moo"))


def test_a_fold_that_no_split_uses_is_named(refused: Refused) -> None:
    with refused("no use for, or no clips in, fold '4'"):
        check_clips(TOY, changed(5, fold="4", group="alone"))


def test_a_fold_without_clips_is_named(refused: Refused) -> None:
    with refused("no use for, or no clips in, fold '3'"):
        check_clips(TOY, [clip for clip in CLIPS if clip.fold != "3"])


def test_a_group_in_two_folds_is_named(refused: Refused) -> None:
    with refused(r"leak: 'group 1a' is in the folds 1, 3 \(1 such groups\)"):
        check_clips(TOY, changed(11, group="group 1a"))


def test_a_group_that_is_known_to_span_folds_is_allowed() -> None:
    check_clips(replace(TOY, spanning=frozenset({"group 1a"})), changed(11, group="group 1a"))


def test_knowing_that_one_group_spans_folds_allows_no_other(refused: Refused) -> None:
    with refused("'group 1a'"):
        check_clips(replace(TOY, spanning=frozenset({"group 2a"})), changed(11, group="group 1a"))


def test_missing_clips_are_counted_with_what_to_do(folder: Path, refused: Refused) -> None:
    task = replace(TOY, clips=2000)
    with refused("has 2,000 clips, .* names 12: 1,988 are missing; .*`harness data fetch toy`"):
        load_clips(task, folder)


def test_more_clips_than_the_record_says_are_refused(folder: Path, refused: Refused) -> None:
    with refused("has 11 clips, .* names 12"):
        load_clips(replace(TOY, clips=11), folder)


@pytest.mark.parametrize("gone", [[0], [3, 4], range(12)])
def test_missing_files_are_counted_and_the_first_is_named(folder: Path, refused: Refused, gone: Sequence[int]) -> None:
    for i in gone:
        (folder / CLIPS[i].path).unlink()
    first = folder / CLIPS[gone[0]].path
    with refused(f"{len(gone)} of 12 audio files of toy are missing, the first is {first}"):
        load_clips(TOY, folder)


def test_loaded_clips_are_checked(folder: Path, refused: Refused) -> None:
    def leaky(folder: Path) -> list[Clip]:
        return [replace(clip, path=folder / clip.path) for clip in changed(11, group="group 1a")]

    with refused("leak"):
        load_clips(replace(TOY, list_clips=leaky), folder)


@pytest.mark.parametrize(
    "split",
    [
        Split(("1", "2"), ("2",), ("3",)),
        Split(("1",), ("2",), ("3", "1")),
        Split(("1",), ("2", "3"), ("3",)),
        Split(("1", "2", "3"), (), ("3",)),
    ],
)
def test_a_split_that_does_not_keep_its_folds_apart_is_refused(split: Split, refused: Refused) -> None:
    with refused("not kept apart"):
        check_clips(replace(TOY, splits=(split,)), CLIPS)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_folds_cannot_rotate(count: int) -> None:
    with pytest.raises(ValueError, match="three folds or more"):
        rotation(FOLDS[:count])
