"""The Vocal Imitation Set: its real table."""

import importlib
from collections import Counter
from pathlib import Path

import pytest

from harness.datasets import check_clips
from harness.registry import load_task

names = importlib.import_module("harness.tasks._vocal_imitation")


@pytest.mark.parametrize("name", ["vocal_imitation", "vocal_imitation:hear"])
def test_the_authors_table_gives_the_published_numbers(shared: Path, name: str) -> None:
    task = load_task(name)
    clips = task.list_clips(shared / "data" / "excerpts" / "vocal_imitation-train")
    check_clips(task, clips)
    counts = Counter(clip.fold for clip in clips)
    assert len(clips) == task.clips and {clip.target for clip in clips} == set(names.LABELS)
    assert (dict(task.counts) or counts) == counts and len({clip.group for clip in clips}) == 470


def test_of_people_who_are_apart_every_fold_has_a_third(shared: Path) -> None:
    clips = load_task("vocal_imitation").list_clips(shared / "data" / "excerpts" / "vocal_imitation-train")
    assert all(abs(count - 1867) < 20 for count in Counter(clip.fold for clip in clips).values())
