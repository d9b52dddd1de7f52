"""HEAR's published layout: one parser for scenes and events, parts and folds."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

import harness
from harness.datasets import load_clips
from harness.registry import load_task
from harness.types import Class, Events, SoundEvent, Tags

from trees._writing import as_json, sound, table

Refused = Callable[[str], AbstractContextManager[None]]

SCENE = {
    "task_name": "spoken_digit",
    "version": "v1.0.10",
    "embedding_type": "scene",
    "prediction_type": "multiclass",
    "split_mode": "trainvaltest",
    "sample_duration": 0.25,
    "evaluation": ["top1_acc"],
}
PARTS = ("train", "valid", "test")


def write(folder: Path, parts: dict[str, dict[str, Any]], labels: tuple[str, ...], **metadata: Any) -> Path:
    """A task as HEAR's archives unpack."""
    root = folder / "spoken_digit-v1.0.10-full"
    as_json(root / "task_metadata.json", SCENE | metadata)
    table(root / "labelvocabulary.csv", [("idx", "label"), *enumerate(labels)])
    for part, content in parts.items():
        as_json(root / f"{part}.json", content)
        for name, label in content.items():
            sound(root / "48000" / part / name, str(label), rate=48_000)
            sound(root / "16000" / part / name, str(label))
    return root


def digits(parts: tuple[str, ...] = PARTS) -> dict[str, dict[str, Any]]:
    """Labels as JSON's numbers, as HEAR writes them."""
    return {part: {f"{part}-{digit}-{take}.wav": [digit] for digit in (3, 7) for take in "ab"} for part in parts}


def test_a_scene_of_one_label_runs(tmp_path: Path, folders: dict[str, str]) -> None:
    root = write(tmp_path, digits(), ("3", "7"))
    result = harness.run("mel", f"hear:{root}", **folders)
    assert (result.metric, result.data["clips"], result.badges) == ("accuracy", 12, ())


def test_labels_are_text_and_audio_is_read_at_the_highest_rate(tmp_path: Path) -> None:
    root = write(tmp_path, digits(), ("3", "7"))
    task = load_task(f"hear:{root}")
    clip = load_clips(task, root)[0]
    assert task.target == Class(("3", "7"))
    assert (clip.id, clip.target, clip.fold) == ("test-3-a", "3", "test")
    assert clip.path == root / "48000" / "test" / "test-3-a.wav"


def test_folds_turn(tmp_path: Path) -> None:
    root = write(tmp_path, digits(("fold00", "fold01", "fold02")), ("3", "7"))
    assert [split.test for split in load_task(f"hear:{root}").splits] == [("fold00",), ("fold01",), ("fold02",)]


def test_several_labels_are_tags(tmp_path: Path) -> None:
    parts = {part: {f"{part}.wav": ["a", "b"]} for part in PARTS}
    root = write(tmp_path, parts, ("a", "b"), prediction_type="multilabel", evaluation=["mAP", "d_prime"])
    task = load_task(f"hear:{root}")
    assert (task.target, task.metric) == (Tags(("a", "b")), "map")
    assert load_clips(task, root)[0].target == ("a", "b")


@pytest.mark.parametrize(
    ("theirs", "ours"), [("event_onset_200ms_fms", "event_onset_f"), ("event_onset_50ms_fms", "note_onset_f")]
)
def test_events_are_in_milliseconds(tmp_path: Path, theirs: str, ours: str) -> None:
    parts = {part: {f"{part}.wav": [{"label": "a", "start": 12.0, "end": 340.0}]} for part in PARTS}
    root = write(tmp_path, parts, ("a",), embedding_type="event", evaluation=[theirs])
    task = load_task(f"hear:{root}")
    assert (task.target, task.metric) == (Events(("a",)), ours)
    assert load_clips(task, root)[0].target == (SoundEvent("a", 0.012, 0.34),)


def test_the_length_that_hear_cuts_to_is_its_own(tmp_path: Path) -> None:
    root = write(tmp_path, digits(), ("3", "7"))
    assert load_task(f"hear:{root}").published["hear"] == {"seconds": 0.25}


def test_two_copies_are_one_task(tmp_path: Path) -> None:
    roots = [write(tmp_path / name, digits(), ("3", "7")) for name in ("one", "two")]
    assert len({load_task(f"hear:{root}").name for root in roots}) == 1


BAD: dict[str, tuple[dict[str, Any], dict[str, dict[str, Any]], str]] = {
    "a missing part": ({}, digits(("train", "valid")), "there is no test.json in .* unpacked to its end"),
    "two folds": ({}, digits(("fold00", "fold01")), "has 2 folds"),
    "an unknown kind": ({"embedding_type": "song"}, digits(), "embedding_type 'song'"),
    "an unknown metric": ({"evaluation": ["bleu"]}, digits(), "asks for the metric 'bleu'"),
    "two labels of one": ({}, digits() | {"test": {"x.wav": [3, 7]}}, "the clip 'x.wav' has 2 labels"),
    "a way out": ({}, digits() | {"test": {"x.wav": [3], "../../y.wav": [7]}}, r"the file '../../y.wav'"),
    "an unknown label": ({}, digits() | {"test": {"x.wav": [9]}}, "does not know the label '9'"),
}


@pytest.mark.parametrize(("metadata", "parts", "sentence"), BAD.values(), ids=BAD.keys())
def test_what_hear_does_not_write_is_refused(
    tmp_path: Path, refused: Refused, metadata: dict[str, Any], parts: dict[str, dict[str, Any]], sentence: str
) -> None:
    root = write(tmp_path, parts, ("3", "7"), **metadata)
    with refused(sentence):
        load_clips(load_task(f"hear:{root}"), root)


def test_a_folder_of_something_else_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("there is no task_metadata.json in"):
        load_task(f"hear:{tmp_path}")
