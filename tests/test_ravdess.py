"""RAVDESS: what names say, and what is left out."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.registry import load_task

import trees

Refused = Callable[[str], AbstractContextManager[None]]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    trees.write("ravdess", tmp_path)
    return tmp_path


def test_songs_and_a_second_copy_of_the_tree_are_left_out(root: Path) -> None:
    clips = load_task("ravdess").list_clips(root)
    assert Counter(clip.group for clip in clips) == {f"{actor:02}": 3 for actor in range(1, 25)}
    assert {clip.id.partition("/")[0] for clip in clips} == {f"Actor_{actor:02}" for actor in range(1, 25)}


def test_an_emotion_is_the_third_number_of_a_name(root: Path) -> None:
    labels = {clip.id.split("-")[2]: clip.target for clip in load_task("ravdess").list_clips(root)}
    assert labels == {"01": "neutral", "03": "happy", "08": "surprised"}


def test_every_actor_is_in_one_of_five_folds_of_both_sexes(root: Path) -> None:
    folds: dict[str, set[str]] = {}
    for clip in load_task("ravdess").list_clips(root):
        folds.setdefault(clip.fold, set()).add(clip.group)
    assert sorted(map(len, folds.values())) == [4, 5, 5, 5, 5]
    assert all(len({int(actor) % 2 for actor in actors}) == 2 for actors in folds.values())


def test_a_name_of_another_kind_is_refused(root: Path, refused: Refused) -> None:
    (root / "Actor_01" / "03-01-09-01-01-01-01.wav").write_bytes(b"")
    with refused("'03-01-09-01-01-01-01.wav' does not belong in .*Actor_01, where names are like 03-01-06"):
        load_task("ravdess").list_clips(root)
