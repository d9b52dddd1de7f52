"""SLURP: what intents are, who speaks, and lines that lack something."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.registry import load_task
from harness.types import Class

import trees

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    trees.write("slurp", tmp_path)
    return tmp_path


def test_there_are_sixty_intents_in_eighteen_scenarios() -> None:
    target = load_task("slurp").target
    assert isinstance(target, Class)
    assert len(set(target.labels)) == len(target.labels) == 60
    assert len({label.partition("_")[0] for label in target.labels}) == 18
    assert list(target.labels) == sorted(target.labels)


def test_an_intent_is_scenario_and_action_whatever_the_field_of_that_name_says(root: Path) -> None:
    labels = {clip.id: clip.target for clip in load_task("slurp").list_clips(root)}
    assert labels["audio--1504200001"] == labels["audio-1504200001-headset"] == "play_music"


def test_a_recording_whose_speaker_is_not_told_is_its_own_group(root: Path) -> None:
    (root / "metadata.json").write_text('{"1": {"recordings": {"audio--1504200001.flac": {"usrid": "FO-488"}}}}')
    groups = {clip.id: clip.group for clip in load_task("slurp").list_clips(root)}
    assert groups["audio--1504200001"] == "FO-488"
    assert groups["audio-1504200001-headset"] == "audio-1504200001-headset.flac"


def test_the_repositorys_folder_may_lie_beside_the_audio(root: Path) -> None:
    task = load_task("slurp")
    before = task.list_clips(root)
    (root / "slurp").mkdir()
    for table in ("train.jsonl", "devel.jsonl", "test.jsonl", "metadata.json"):
        (root / table).rename(root / "slurp" / table)
    assert task.list_clips(root) == before


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        (
            '{"scenario": "play", "recordings": []}',
            "row 1 of .*devel.jsonl lacks 'action': it has scenario, recordings",
        ),
        ("{", "row 1 of .*devel.jsonl cannot be read as JSON"),
    ],
)
def test_a_line_that_lacks_something_is_refused(root: Path, refused: Refused, line: str, sentence: str) -> None:
    (root / "devel.jsonl").write_text(line)
    with refused(sentence):
        load_task("slurp").list_clips(root)
