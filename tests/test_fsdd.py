"""Free spoken digits: names say digit, speaker and take, and the official split is told from speakers left out."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.data import ready_folder
from harness.datasets import Task, load_clips, remarks, spanning_groups
from harness.registry import load_task
from harness.types import Clip, Split

Refused = Callable[[str], AbstractContextManager[None]]

OFFICIAL, APART = load_task("fsdd"), load_task("fsdd:speakers")


@pytest.fixture(params=["", "free-spoken-digit-dataset-master"], ids=["contents", "archive"])
def recordings(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where the recordings lie in a task's folder: its contents, or the archive's own folder in it."""
    folder = tmp_path / str(request.param) / "recordings"
    folder.mkdir(parents=True)
    for name in ("7_theo_10", "7_theo_4", "0_jackson_5"):
        (folder / f"{name}.wav").write_bytes(b"not opened here")
    return folder


def test_every_recording_is_a_clip(tmp_path: Path, recordings: Path) -> None:
    assert OFFICIAL.list_clips(tmp_path) == [
        Clip("0_jackson_5", recordings / "0_jackson_5.wav", "0", "valid", "jackson"),
        Clip("7_theo_10", recordings / "7_theo_10.wav", "7", "train", "theo"),
        Clip("7_theo_4", recordings / "7_theo_4.wav", "7", "test", "theo"),
    ]


def test_where_speakers_are_left_out_each_is_a_fold(tmp_path: Path, recordings: Path) -> None:
    assert [clip.fold for clip in APART.list_clips(tmp_path)] == ["jackson", "theo", "theo"]


@pytest.mark.parametrize("name", ["7_nobody_1.wav", "77_theo_1.wav", "7_theo.wav", "7_theo_١.wav"])
def test_a_name_of_another_kind_is_refused(tmp_path: Path, recordings: Path, refused: Refused, name: str) -> None:
    (recordings / name).write_bytes(b"not opened here")
    with refused(f"'{name}' does not belong in .*recordings, where names are like 7_jackson_32.wav"):
        OFFICIAL.list_clips(tmp_path)


def test_a_folder_without_recordings_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused(f"FSDD is not in {tmp_path}: there is no recordings in it"):
        OFFICIAL.list_clips(tmp_path)


def test_the_official_split_is_one_and_says_that_speakers_lie_in_all_of_it() -> None:
    assert OFFICIAL.splits == (Split(("train",), ("valid",), ("test",)),)
    assert (OFFICIAL.leaks, APART.leaks) == ("speaker", "")


def test_each_of_six_speakers_is_tested_once() -> None:
    assert [split.test for split in APART.splits] == [
        (speaker,) for speaker in ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
    ]


# On data of the authors.


@pytest.fixture(scope="module")
def data(shared: Path) -> Path:
    folder = shared / "data"
    if not (folder / "fsdd").is_dir():
        pytest.skip(f"there are no spoken digits in {folder}")
    return ready_folder(OFFICIAL, [str(folder)])


def test_the_official_split_tests_each_speaker_five_times_on_each_digit(data: Path) -> None:
    clips = load_clips(OFFICIAL, data)
    assert Counter(clip.fold for clip in clips) == {"train": 2400, "valid": 300, "test": 300}
    cells = Counter((clip.target, clip.group) for clip in clips if clip.fold == "test")
    assert (len(cells), set(cells.values())) == (60, {5})
    assert len(spanning_groups(clips)) == 6


def test_speakers_left_out_are_in_one_fold_alone(data: Path) -> None:
    clips = load_clips(APART, data)
    assert Counter(clip.fold for clip in clips) == dict.fromkeys((split.test[0] for split in APART.splits), 500)
    assert spanning_groups(clips) == {}


@pytest.mark.parametrize("task", [OFFICIAL, APART], ids=["official", "speakers"])
def test_every_part_of_every_split_has_every_digit(data: Path, task: Task) -> None:
    assert remarks(task, load_clips(task, data)) == []
