"""FSDKaggle2018: the padding of the competition's test set, and validation."""

from collections import Counter, defaultdict
from pathlib import Path

from harness.registry import load_task

import trees


def test_test_audio_that_was_never_scored_is_left_out(tmp_path: Path) -> None:
    trees.write("fsd2018", tmp_path)
    clips = load_task("fsd2018").list_clips(tmp_path)
    assert "aaaaaaaa" not in {clip.id for clip in clips}
    assert Counter(clip.fold for clip in clips)["test"] == 3


def test_clips_of_one_sound_are_in_one_part(tmp_path: Path) -> None:
    trees.write("fsd2018", tmp_path)
    where = defaultdict(set)
    for clip in load_task("fsd2018").list_clips(tmp_path):
        where[clip.group].add(clip.fold)
    assert {len(parts) for parts in where.values()} == {1}
    assert {part for parts in where.values() for part in parts} == {"train", "valid", "test"}
