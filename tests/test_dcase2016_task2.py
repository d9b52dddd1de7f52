"""DCASE 2016 task 2: scenes, their events, and how they are dealt."""

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from harness.registry import load_task
from harness.types import SoundEvent

from trees._writing import text

Refused = Callable[[str], AbstractContextManager[None]]

DENSITIES = ((1, 0), (2, 0), (3, 0), (3, 1), (4, 1), (5, 1))
SCENES = [(ebr, nec, poly) for ebr in (-6, 0, 6) for nec, poly in DENSITIES]


@pytest.fixture
def whole(tmp_path: Path) -> Path:
    """The annotations of all 72 scenes."""
    for root, kinds in (
        ("dcase2016_task2_train_dev/dcase2016_task2_dev", ("dev_1",)),
        ("dcase2016_task2_test_public", ("test_1", "test_2", "test_3")),
    ):
        for kind in kinds:
            for ebr, nec, poly in SCENES:
                name = f"{kind}_ebr_{ebr}_nec_{nec}_poly_{poly}.txt"
                text(tmp_path / root / "annotation" / name, ("0.50\t1.04\tclearthroat", "1.00\t2.25\tkeys"))
    return tmp_path


@pytest.mark.parametrize("name", ["dcase2016_task2", "dcase2016_task2:hear"])
def test_parts_are_as_large_as_published(whole: Path, name: str) -> None:
    task = load_task(name)
    assert Counter(clip.fold for clip in task.list_clips(whole)) == task.counts


@pytest.mark.parametrize("place", [0, 1, 2])
def test_training_and_validation_have_every_loudness_density_and_kind(whole: Path, place: int) -> None:
    found: dict[str, set[str]] = {"train": set(), "valid": set()}
    for clip in load_task("dcase2016_task2").list_clips(whole):
        if clip.fold != "test":
            found[clip.fold].add(clip.id.removeprefix("dev_1_").split("_")[1::2][place])
    assert found["train"] == found["valid"] == {str(scene[place]) for scene in SCENES}


def test_events_are_read_in_seconds_and_may_overlap(whole: Path) -> None:
    clip = load_task("dcase2016_task2").list_clips(whole)[0]
    assert clip.target == (SoundEvent("clearthroat", 0.5, 1.04), SoundEvent("keys", 1.0, 2.25))
    assert clip.path.parent.name == "sound" and clip.path.stem == clip.id


def test_a_time_that_is_none_is_refused(whole: Path, refused: Refused) -> None:
    text(whole / "dcase2016_task2_test_public" / "annotation" / "test_9.txt", ("soon\t1.0\tkeys",))
    with refused(r"test_9\.txt gives a time that is no number of seconds"):
        load_task("dcase2016_task2").list_clips(whole)


def test_a_folder_without_annotations_is_refused(whole: Path, refused: Refused) -> None:
    for path in (whole / "dcase2016_task2_test_public" / "annotation").iterdir():
        path.unlink()
    with refused("holds no annotation of DCASE 2016 task 2"):
        load_task("dcase2016_task2").list_clips(whole)
