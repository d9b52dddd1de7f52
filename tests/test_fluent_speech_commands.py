"""Fluent Speech Commands: three slots, and an answer is right when all of them are."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

import harness
from harness.datasets import check_clips
from harness.registry import load_task

import trees

Refused = Callable[[str], AbstractContextManager[None]]
NAME = "fluent_speech_commands"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    trees.write(NAME, tmp_path / NAME)
    return tmp_path / NAME


def changed(root: Path, part: str, old: str, new: str) -> None:
    table = root / "fluent_speech_commands_dataset" / "data" / f"{part}_data.csv"
    table.write_text(table.read_text().replace(old, new))


def test_it_is_scored_by_how_often_all_slots_are_right(root: Path, folders: dict[str, str], quick: None) -> None:
    folders["data"] = f"{NAME}={root}"
    assert harness.run("mel", NAME, partial=True, **folders).score == 1.0
    changed(root, "test", "none,none", "none,kitchen")
    assert harness.run("mel", NAME, partial=True, **folders).score == 0.75


def test_a_slot_that_is_filled_otherwise_is_refused(root: Path, refused: Refused) -> None:
    changed(root, "train", "lights,kitchen", "lights,garden")
    with refused("does not know the label 'location=garden'"):
        check_clips(load_task(NAME), load_task(NAME).list_clips(root))


def test_a_table_that_lacks_a_slot_is_refused(root: Path, refused: Refused) -> None:
    changed(root, "valid", ",object,", ",thing,")
    with refused("valid_data.csv lacks the column 'object'"):
        load_task(NAME).list_clips(root)


def test_a_speaker_who_trains_and_is_tested_is_refused(root: Path, refused: Refused) -> None:
    changed(root, "test", ",4aGjX3AG5xcxeL7a,", ",2BqVo8kVB2Skwgyb,")
    with refused("'2BqVo8kVB2Skwgyb' .folds test, train."):
        check_clips(load_task(NAME), load_task(NAME).list_clips(root))
