"""EMOVO and EmoDB: what names say, each actor a fold."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.registry import load_task

import trees
from trees._writing import sound

Refused = Callable[[str], AbstractContextManager[None]]

EMOVO = {
    "dis": "disgust",
    "gio": "happiness",
    "neu": "neutral",
    "pau": "fear",
    "rab": "anger",
    "sor": "surprise",
    "tri": "sadness",
}
EMODB = {"W": "anger", "L": "boredom", "E": "disgust", "A": "fear", "F": "happiness", "T": "sadness", "N": "neutral"}


@pytest.mark.parametrize(("code", "emotion"), EMOVO.items())
def test_a_name_of_emovo_begins_with_the_emotion(tmp_path: Path, code: str, emotion: str) -> None:
    sound(tmp_path / "f1" / f"{code}-f1-b1.WAV", seconds=0.01)
    (clip,) = load_task("emovo").list_clips(tmp_path)
    assert (clip.id, clip.target, clip.fold, clip.group) == (f"f1/{code}-f1-b1", emotion, "f1", "f1")


@pytest.mark.parametrize(("code", "emotion"), EMODB.items())
def test_the_sixth_letter_of_a_name_of_emodb_is_the_emotion(tmp_path: Path, code: str, emotion: str) -> None:
    sound(tmp_path / "wav" / f"13b02{code}c.wav", seconds=0.01)
    (clip,) = load_task("emodb").list_clips(tmp_path)
    assert (clip.id, clip.target, clip.fold, clip.group) == (f"13b02{code}c", emotion, "13", "13")


@pytest.mark.parametrize(("name", "actors"), [("emovo", 6), ("emodb", 10)])
def test_each_actor_is_left_out_once_and_another_chooses(name: str, actors: int) -> None:
    splits = load_task(name).splits
    assert len({split.test for split in splits}) == len({split.valid for split in splits}) == len(splits) == actors
    assert all(len(split.train) == actors - 2 for split in splits)


@pytest.mark.parametrize(("name", "path"), [("emovo", "EMOVO/f1/dis-f4-b1.wav"), ("emodb", "wav/07a01Fa.wav")])
def test_names_of_another_kind_are_refused(tmp_path: Path, refused: Refused, name: str, path: str) -> None:
    trees.write(name, tmp_path)
    sound(tmp_path / path, seconds=0.01)
    with refused(f"'{Path(path).name}' does not belong in"):
        load_task(name).list_clips(tmp_path)
