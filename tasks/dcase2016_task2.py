"""DCASE 2016 task 2: when do 11 sounds of an office begin, in 72 synthetic scenes of 2 min; official, or with :hear."""

from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.errors import UserError
from harness.sources import Archive
from harness.types import Clip, Events, SoundEvent

from ._files import root_of
from ._metadata import read_table
from ._splits import PARTS, hear_parts

VARIANTS = ("", "hear")

LABELS = (
    *("clearthroat", "cough", "doorslam", "drawer", "keyboard", "keys", "knock", "laughter", "pageturn", "phone"),
    "speech",
)
COLUMNS = ("onset", "offset", "label")
CITED = "HEAR's preprocessing (hearpreprocess/dcase2016_task2.py)"
ARCHIVES = MappingProxyType(
    {
        "dcase2016_task2_train_dev": "md5:4e1b5e8887159193e8624dec801eb9e7",
        "dcase2016_task2_test_public": "md5:ac98768b39a08fc0c6c2ddd15a981dd7",
    }
)
#: The half of the official development set that chooses; both halves have every loudness and density.
VALID = (
    *("dev_1_ebr_-6_nec_2_poly_0", "dev_1_ebr_-6_nec_3_poly_1", "dev_1_ebr_-6_nec_5_poly_1"),
    *("dev_1_ebr_0_nec_1_poly_0", "dev_1_ebr_0_nec_3_poly_0", "dev_1_ebr_0_nec_5_poly_1"),
    *("dev_1_ebr_6_nec_1_poly_0", "dev_1_ebr_6_nec_3_poly_0", "dev_1_ebr_6_nec_4_poly_1"),
)


def task(variant: str) -> Task:
    """The official sets, or HEAR's mixture of them."""
    hear = variant == "hear"
    return Task(
        name="dcase2016_task2:hear" if hear else "dcase2016_task2",
        version="1",
        target=Events(LABELS),
        splits=PARTS,
        list_clips=partial(_list_clips, hear),
        clips=72,
        folder="dcase2016_task2",
        source=tuple(
            Archive(f"https://archive.org/download/{name}/{name}.zip", checksum=checksum, cited=CITED)
            for name, checksum in ARCHIVES.items()
        ),
        paper="Mesaros et al. 2018, doi 10.1109/TASLP.2017.2778423",
        licence="CC BY 4.0",
        description="Scenes that are put together from recorded sounds, each its own group; "
        + (
            "the same recordings sound in training and test."
            if hear
            else "the official training set of single sounds is not used, the public test set is."
        ),
        domain="events",
        hours=72 * 120 / 3600,
        counts={"train": 44, "valid": 14, "test": 14} if hear else {"train": 9, "valid": 9, "test": 54},
        unconfirmed=frozenset({"licence"}),
        leaks="sound" if hear else "",
        folding="HEAR's rule on all scenes: three fifths, a fifth and a fifth"
        if hear
        else "official test; the official development set in halves, as HEAR's first revision has them, which share "
        "their recordings",
        benchmarks=MappingProxyType({"HEAR": None} if hear else {}),
        published=MappingProxyType({"hear": {"seconds": 120.0}}),
    )


def _list_clips(hear: bool, folder: Path) -> list[Clip]:
    dev = root_of(
        folder, "dcase2016_task2_train_dev", "dcase2016_task2_dev", "the development set of DCASE 2016 task 2"
    )
    test = root_of(folder, "dcase2016_task2_test_public", "annotation", "the public test set of DCASE 2016 task 2")
    notes = [*_notes(dev / "dcase2016_task2_dev"), *_notes(test)]
    mixed = hear_parts([path.stem for path in notes], 0.2, 0.2) if hear else {}
    clips = []
    for path in notes:
        name = path.stem
        part = mixed[name] if hear else "valid" if name in VALID else "train" if name.startswith("dev_") else "test"
        clips.append(Clip(name, path.parents[1] / "sound" / f"{name}.wav", _events(path), part, name))
    return sorted(clips, key=lambda clip: clip.id)


def _notes(root: Path) -> list[Path]:
    """The files that say what is heard in each scene."""
    notes = sorted(path for path in (root / "annotation").glob("*.txt") if not path.name.startswith("."))
    if not notes:
        raise UserError(f"{root / 'annotation'} holds no annotation of DCASE 2016 task 2: was it unpacked to its end?")
    return notes


def _events(path: Path) -> tuple[SoundEvent, ...]:
    try:
        return tuple(
            SoundEvent(row["label"], float(row["onset"]), float(row["offset"]))
            for row in read_table(path, COLUMNS, delimiter="\t", header=COLUMNS)
        )
    except ValueError as error:
        raise UserError(f"{path} gives a time that is no number of seconds: {error}") from error
