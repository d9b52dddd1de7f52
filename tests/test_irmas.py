"""IRMAS: names say all of what trains, and files of labels beside them what scores."""

from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.registry import load_task
from harness.tasks import irmas

import trees

Refused = Callable[[str], AbstractContextManager[None]]

IRMAS = load_task("irmas")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trees.write("irmas", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "label", "recording"),
    [
        ("[cla][cla]0189__2.wav", "cla", "0189"),
        ("[cel][cla]0001__1.wav", "cel", "0001"),
        ("008__[cel][nod][cla]0058__1.wav", "cel", "0058"),
        ("[gac][dru][pop_roc]1234__3.WAV", "gac", "1234"),
    ],
)
def test_names_tell_instrument_and_recording(name: str, label: str, recording: str) -> None:
    found = irmas.NAME.fullmatch(name)
    assert found is not None
    assert (found["label"], found["recording"]) == (label, recording)


def test_excerpts_of_a_recording_train_or_choose_together(folder: Path) -> None:
    where = defaultdict(set)
    for clip in IRMAS.list_clips(folder):
        where[clip.group].add(clip.fold)
    assert {"valid"} in where.values()
    assert all(len(folds) == 1 for folds in where.values())


def test_all_instruments_of_what_scores_are_told(folder: Path) -> None:
    clips = [clip for clip in IRMAS.list_clips(folder) if clip.fold == "test"]
    assert [clip.target for clip in clips] == [("cel",), ("voi", "cel")] * 3
    assert {clip.group for clip in clips} == {f"0{part} - A Song, [live] at No.5" for part in (1, 2, 3)}


def test_what_scores_without_its_labels_is_refused(folder: Path, refused: Refused) -> None:
    next(folder.rglob("*-2.txt")).unlink()
    with refused("-2.txt cannot be read: No such file"):
        IRMAS.list_clips(folder)


def test_a_name_of_something_else_is_refused(folder: Path, refused: Refused) -> None:
    next(folder.rglob("*0001__1.wav")).rename(folder / "IRMAS-TrainingData" / "cel" / "mix.wav")
    with refused(r"'mix.wav' does not belong in .*cel, where names are like \[cla\]\[cla\]0189__2.wav"):
        IRMAS.list_clips(folder)
