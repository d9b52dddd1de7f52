"""MagnaTagATune: fifty tags by name, MusiCNN's split by folder, with and without what has no tag."""

from pathlib import Path

import pytest

from harness.registry import load_task
from harness.tasks import mtt

import trees


@pytest.mark.parametrize(("name", "clips"), [("mtt", 16), ("mtt:all", 24)])
def test_what_has_no_tag_of_the_fifty_is_kept_by_one_variant_alone(tmp_path: Path, name: str, clips: int) -> None:
    trees.write(name, tmp_path)
    listed = load_task(name).list_clips(tmp_path)
    assert len(listed) == clips
    assert all(clip.target for clip in listed) == (name == "mtt")


def test_a_clip_that_cannot_be_had_is_left_out(tmp_path: Path) -> None:
    trees.write("mtt", tmp_path)
    assert not [clip for clip in load_task("mtt:all").list_clips(tmp_path) if clip.id.startswith("6/")]


def test_excerpts_of_a_song_are_one_group(tmp_path: Path) -> None:
    trees.write("mtt", tmp_path)
    first = load_task("mtt").list_clips(tmp_path)[0]
    assert first.id == "0/the_band-an_album-00-the_song-0-29"
    assert (first.target, first.group) == (("guitar", "slow"), "0/the_band-an_album-00-the_song")


def test_folders_are_dealt_as_musicnn_does() -> None:
    dealt = ["train" if int(place, 16) < 12 else "valid" if int(place, 16) == 12 else "test" for place in mtt.PART]
    assert list(mtt.PART.values()) == dealt
    assert len(mtt.PART) == 16


def test_there_are_fifty_different_tags() -> None:
    assert len(set(mtt.LABELS)) == len(mtt.LABELS) == 50
