"""NSynth: HEAR's pitches and as many notes as it takes, instruments that train apart from those that do not."""

import json
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest

from harness.datasets import check_groups
from harness.registry import load_task
from harness.tasks import nsynth

import trees

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    trees.write("nsynth", tmp_path)
    return tmp_path


def test_pitches_that_no_piano_has_are_left_out(folder: Path) -> None:
    assert Counter(clip.target for clip in load_task("nsynth:pitch-5h").list_clips(folder)) == {"60": 6, "62": 6}
    assert len(load_task("nsynth:instrument").list_clips(folder)) == 18


def test_as_many_notes_are_drawn_as_fill_the_hours(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(nsynth.PROTOCOLS, "pitch-5h", replace(nsynth.PROTOCOLS["pitch-5h"], hours=1))
    monkeypatch.setattr(nsynth, "HOURLY", {"train": 3, "valid": 2, "test": 1})
    clips = load_task("nsynth:pitch-5h").list_clips(folder)
    assert Counter(clip.fold for clip in clips) == {"train": 3, "valid": 2, "test": 1}


@pytest.mark.parametrize(("variant", "hours"), [("pitch-5h", 5), ("pitch-50h", 50)])
def test_train_and_valid_fill_their_hours(variant: str, hours: int) -> None:
    counts = load_task(f"nsynth:{variant}").counts
    assert (counts["train"] + counts["valid"]) * 4 == hours * 3600


def test_an_instrument_may_choose_and_score_but_not_train_and_score(folder: Path, refused: Refused) -> None:
    task = load_task("nsynth:instrument")
    clips = task.list_clips(folder)
    instruments = {fold: {clip.group for clip in clips if clip.fold == fold} for fold in ("train", "valid", "test")}
    assert instruments["valid"] == {f"{name} (valid)" for name in instruments["test"]}
    check_groups(task, clips)
    with refused("1 group.s. of nsynth:instrument lie in more than one fold"):
        check_groups(task, [*clips, replace(clips[0], id="x", fold="train", group="bass_synthetic_098")])


def test_a_note_without_its_pitch_is_told(folder: Path, refused: Refused) -> None:
    table = folder / "nsynth-test" / "examples.json"
    notes = json.loads(table.read_text())
    del notes["vocal_acoustic_011-060-100"]["pitch"]
    table.write_text(json.dumps(notes))
    with refused("examples.json does not say the pitch of the note 'vocal_acoustic_011-060-100'"):
        load_task("nsynth:pitch-5h").list_clips(folder)
