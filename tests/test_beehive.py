"""Beehives: names, the beginnings of recordings, and what chooses."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import soundfile

from harness.registry import load_task

import trees

Refused = Callable[[str], AbstractContextManager[None]]


def test_what_chooses_is_the_end_of_each_day_and_has_both_states(tmp_path: Path) -> None:
    trees.write("beehive", tmp_path)
    chosen = [clip for clip in load_task("beehive").list_clips(tmp_path) if clip.fold.endswith("-valid")]
    assert {clip.id[-8:] for clip in chosen} == {"11_30_00"}
    assert Counter((clip.fold, clip.target) for clip in chosen) == {
        (f"hive{hive}-valid", state): 1 for hive in (1, 3) for state in ("NOQUEEN", "QUEEN")
    }


def test_no_hive_both_learns_and_is_tested() -> None:
    for split in load_task("beehive").splits:
        assert {fold[:5] for fold in (*split.train, *split.valid)}.isdisjoint(fold[:5] for fold in split.test)


def test_of_a_long_recording_the_first_half_minute_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "Hive3_28_07_2017_QueenBee____10_10_00.wav"
    soundfile.write(path, np.random.default_rng(0).uniform(-1, 1, 31 * 8000), 8000)
    stops = [load_task(name).list_clips(tmp_path)[0].stop for name in ("beehive", "beehive:full")]
    assert stops == [30.0, None]


def test_recordings_of_the_annotated_release_are_refused(tmp_path: Path, refused: Refused) -> None:
    soundfile.write(tmp_path / "Hive3_20_07_2017_QueenBee_H3_audio___06_10_00.wav", np.zeros(80), 8000)
    with refused("does not belong in"):
        load_task("beehive").list_clips(tmp_path)
