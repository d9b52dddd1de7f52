"""Gunshots: the authors' four recordings are cut as HEAR cuts them."""

import importlib
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from harness.audio import read_mono
from harness.registry import load_task

gunshot = importlib.import_module("harness.tasks.gunshot")
Refused = Callable[[str], AbstractContextManager[None]]

#: Where the microphones' common time begins, much earlier than in the authors' recordings.
OFFSETS = {"mic1": 3000, "mic2": 11_000, "mic3": 0, "mic4": 7000}
GAP = 80_000


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, npt.NDArray[np.float64]]]:
    """Writes four recordings of so many shots, and gives their samples."""
    monkeypatch.setattr(gunshot, "BEGINNINGS", OFFSETS)

    def write(shots: int, rate: int = 48_000) -> dict[str, npt.NDArray[np.float64]]:
        rng = np.random.default_rng(0)
        waves = {}
        for mic, (name, _) in gunshot.RECORDINGS.items():
            wave = rng.uniform(-0.5, 0.5, OFFSETS[mic] + (shots + 1) * GAP)
            for shot in range(shots):  # a shot is loud more than once, and its echo is louder
                at = OFFSETS[mic] + 10_000 + shot * GAP + 13 * shot**2
                wave[[at, at + 3, at + 24_000]] = -0.85, 0.9, 0.95
            waves[mic] = np.round(wave * 32_767) / 32_768
            soundfile.write(tmp_path / name, waves[mic], rate)
        return waves

    return write


def hear_cuts(waves: dict[str, npt.NDArray[np.float64]]) -> dict[str, npt.NDArray[np.float64]]:
    """The published procedure, sample by sample."""
    aligned = {mic: wave[OFFSETS[mic] :] for mic, wave in waves.items()}
    starts: list[int] = []
    inside = False
    for place, sample in enumerate(aligned["mic1"].tolist()):
        if not inside and abs(sample) >= 0.8 and len(starts) < 22:
            starts.append(place)
            inside = True
        if inside and place - starts[-1] > 25_000:
            inside = False
    firearms = [1, *(shot // 3 + 1 for shot in range(21))]
    return {
        f"{mic}_shot{shot}_fid{firearms[shot]}": wave[start - 6000 : start - 6000 + 72_000]
        for shot, start in enumerate(starts)
        for mic, wave in aligned.items()
    }


def test_recordings_are_cut_as_hear_cuts_them(
    tmp_path: Path, recorded: Callable[..., dict[str, npt.NDArray[np.float64]]]
) -> None:
    expected = hear_cuts(recorded(23))
    clips = load_task("gunshot").list_clips(tmp_path)
    assert [clip.id for clip in clips] == sorted(expected) and len(clips) == 88
    for clip in clips[::7]:
        np.testing.assert_allclose(read_mono(clip.path, clip.start, clip.stop)[0], expected[clip.id], atol=1e-4)


def test_folds_are_as_large_as_published(tmp_path: Path, recorded: Callable[..., object]) -> None:
    recorded(22)
    task = load_task("gunshot")
    assert Counter(clip.fold for clip in task.list_clips(tmp_path)) == task.counts


def test_a_recording_with_too_few_shots_is_refused(
    tmp_path: Path, recorded: Callable[..., object], refused: Refused
) -> None:
    recorded(5)
    with refused("holds 5 shots where there must be 22"):
        load_task("gunshot").list_clips(tmp_path)


def test_a_recording_at_another_rate_is_refused(
    tmp_path: Path, recorded: Callable[..., object], refused: Refused
) -> None:
    recorded(1, rate=44_100)
    with refused("is at 44100 Hz: shots are cut at 48000 Hz"):
        load_task("gunshot").list_clips(tmp_path)
