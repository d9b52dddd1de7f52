"""A part of a task: clips that are absent are left out, and the result says so."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

import harness
from harness.data import ready_folder
from harness.partial import load_present
from harness.registry import load_task
from harness.types import Split

Folders = dict[str, str]
Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def toy(toys: Path, folders: Folders) -> Path:
    """The toy's own folder, of 200 clips."""
    return ready_folder(load_task("toy:right"), [folders["data"]])


def drop(toy: Path, *groups: int) -> None:
    for group in groups:
        for path in toy.glob(f"{group:02}-*.wav"):
            path.unlink()


def test_a_part_is_marked_partial(toy: Path, folders: Folders) -> None:
    drop(toy, 0, 7)
    result = harness.run("mel", "toy:right", partial=True, **folders)
    assert (result.badges, result.data["clips"]) == (("partial",), 192)


def test_where_all_is_there_nothing_is_marked(toy: Path, folders: Folders) -> None:
    assert harness.run("mel", "toy:right", partial=True, **folders).badges == ()


def test_splits_that_cannot_be_done_are_left_out(toy: Path) -> None:
    drop(toy, *range(4, 50, 5))  # all of fold 5
    task, clips, whole = load_present(load_task("toy:right"), toy)
    assert {split.test for split in task.splits} == {("1",), ("2",), ("3",)}
    assert (len(clips), whole) == (160, False)


def test_a_split_keeps_what_is_there_of_its_training_folds(toy: Path) -> None:
    drop(toy, *range(4, 50, 5))
    first = load_present(load_task("toy:right"), toy).task.splits[0]
    assert first == Split(train=("3", "4"), valid=("2",), test=("1",))


def test_where_no_split_can_be_done_folds_are_named(toy: Path, refused: Refused) -> None:
    drop(toy, *(group for group in range(50) if group % 5))
    with refused("40 clips of toy:right in .* lie in 1, and no split of the task can train"):
        load_present(load_task("toy:right"), toy)


def test_where_nothing_is_there_it_is_refused(toy: Path, refused: Refused) -> None:
    drop(toy, *range(50))
    with refused("no clip of toy:right is in"):
        load_present(load_task("toy:right"), toy)


def test_what_is_there_is_checked(toy: Path, refused: Refused) -> None:
    task = load_task("toy:right")
    wrong = replace(task, list_clips=lambda folder: [replace(c, target="e") for c in task.list_clips(folder)])
    with refused("does not know the label 'e'"):
        load_present(wrong, toy)
