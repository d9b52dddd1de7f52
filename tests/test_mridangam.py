"""Mridangam and Beijing opera: Freesound's names tell the label, and HEAR's rule deals the files themselves."""

import importlib
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.registry import load_task

import trees

rules = importlib.import_module("harness.tasks._splits")
Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trees.write("mridangam", tmp_path)
    return tmp_path


def test_a_file_is_dealt_by_its_name_whatever_its_folder(folder: Path) -> None:
    clips = load_task("mridangam:stroke").list_clips(folder)
    stems = {clip.path.stem: {str(clip.target)} for clip in clips}
    assert {clip.path.stem: clip.fold for clip in clips} == rules.hear_folds(stems, 5)
    assert clips[-1].id.startswith("E/224") and clips[-1].id.endswith("__akshaylaya__thom-e-002")


@pytest.mark.parametrize(
    ("variant", "labels"), [("stroke", {"bheem", "ta", "thom"}), ("tonic", set("bcde") | {"csh", "dsh"})]
)
def test_a_name_tells_stroke_and_tonic(folder: Path, variant: str, labels: set[str]) -> None:
    assert {clip.target for clip in load_task(f"mridangam:{variant}").list_clips(folder)} == labels


def test_a_tonic_that_is_out_is_in_one_fold(folder: Path) -> None:
    task = load_task("mridangam:stroke-tonic-out")
    where = defaultdict(set)
    for clip in task.list_clips(folder):
        where[clip.fold].add(clip.path.parent.name)
    assert where == {"b": {"B"}, "c": {"C"}, "csh": {"C#"}, "d": {"D"}, "dsh": {"D#"}, "e": {"E"}}
    assert [split.test for split in task.splits] == [(tonic,) for tonic in sorted(where)]


@pytest.mark.parametrize(
    ("name", "folder", "clips"),
    [
        ("beijing_opera", "beijing_opera-train", 12),
        ("mridangam:stroke", "mridangam-train", 20),
        ("mridangam:tonic", "mridangam-train", 20),
    ],
)
def test_real_names_are_read(shared: Path, name: str, folder: str, clips: int) -> None:
    root = shared / "data" / "excerpts" / folder
    if not root.is_dir():
        pytest.skip(f"the excerpt is not there: {root}")
    assert len(load_task(name).list_clips(root)) == clips


def test_another_stroke_is_refused(folder: Path, refused: Refused) -> None:
    stroke = next(folder.rglob("*bheem-b-001.wav"))
    stroke.rename(stroke.with_name("224031__akshaylaya__clap-b-001.wav"))
    with refused("'224031__akshaylaya__clap-b-001.wav' does not belong in .*B, where names are like"):
        load_task("mridangam:stroke").list_clips(folder)
