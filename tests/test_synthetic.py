"""The generated task: its data are what its record says, always the same, and fair to every fold."""

from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest
import soundfile

from harness.datasets import load_clips
from harness.tasks import synthetic
from harness.types import Clip

TASK = synthetic.task("")


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    synthetic.make(folder)
    return folder


@pytest.fixture(scope="session")
def clips(folder: Path) -> list[Clip]:
    return load_clips(TASK, folder)


def test_the_data_hold_as_many_clips_as_the_record_says(clips: list[Clip]) -> None:
    assert len(clips) == TASK.clips


def test_clips_are_sorted_by_id(clips: list[Clip]) -> None:
    assert clips == sorted(clips, key=lambda clip: clip.id)


def test_the_data_are_the_same_bytes_every_time(folder: Path, tmp_path: Path) -> None:
    synthetic.make(tmp_path)
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    assert len(files) == TASK.clips + 1
    assert all((folder / file).read_bytes() == (tmp_path / file).read_bytes() for file in files)


def test_every_fold_holds_every_label_equally_often(clips: list[Clip]) -> None:
    counts = Counter((clip.fold, clip.target) for clip in clips)
    assert len(counts) == len(synthetic.FOLDS) * len(TASK.target.labels)
    assert len(set(counts.values())) == 1


def test_no_group_lies_in_two_folds(clips: list[Clip]) -> None:
    places = {(clip.group, clip.fold) for clip in clips}
    assert len(places) == len({clip.group for clip in clips}) == synthetic.ROOMS


def test_a_room_holds_no_label_twice(clips: list[Clip]) -> None:
    labels = defaultdict(list)
    for clip in clips:
        labels[clip.group].append(clip.target)
    assert all(len(set(heard)) == len(heard) == synthetic.CLIPS_PER_ROOM for heard in labels.values())


def test_every_length_occurs_in_every_fold(clips: list[Clip]) -> None:
    found = {(clip.fold, soundfile.info(clip.path).duration) for clip in clips}
    assert found == {(fold, seconds) for fold in synthetic.FOLDS for seconds in synthetic.SECONDS}


def test_every_clip_is_16_khz_mono_16_bit(clips: list[Clip]) -> None:
    infos = [soundfile.info(clip.path) for clip in clips]
    assert {(info.samplerate, info.channels, info.subtype) for info in infos} == {(16_000, 1, "PCM_16")}


def test_no_clip_is_silent_or_clipped(clips: list[Clip]) -> None:
    peaks = [np.abs(soundfile.read(clip.path)[0]).max() for clip in clips]
    assert min(peaks) > 0.02
    assert max(peaks) < 0.9


def test_no_two_clips_are_alike(clips: list[Clip]) -> None:
    assert len({clip.path.read_bytes() for clip in clips}) == len(clips)


@pytest.mark.parametrize(("label", "sign"), [("rise", 1), ("fall", -1)])
def test_a_sweep_goes_the_way_its_label_says(label: str, sign: int) -> None:
    time = np.arange(0, 2, 1 / synthetic.RATE)
    wave = synthetic.SOUNDS[label](time, 400.0, np.random.default_rng(0))
    # Short frames: where the strongest frequency moves, it mostly moves the label's way.
    frames = np.lib.stride_tricks.sliding_window_view(wave, 800)[::800] * np.hanning(800)
    loudest = np.abs(np.fft.rfft(frames, 8192)).argmax(axis=1)
    assert np.median(np.sign(np.diff(loudest))) == sign
