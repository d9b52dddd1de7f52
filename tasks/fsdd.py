"""Free spoken digits: 3,000 clips of 10 digits by 6 speakers; the variant speakers tests on speakers never heard."""

import re
from functools import partial
from pathlib import Path

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, name_parts, root_of
from ._splits import PARTS

VARIANTS = ("", "speakers")

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
NAME = re.compile(rf"(?P<digit>[0-9])_(?P<speaker>{'|'.join(SPEAKERS)})_(?P<take>[0-9]+)\.wav")


def task(variant: str) -> Task:
    """The official split, in which each speaker both trains and is tested, or one speaker at a time left out."""
    apart = variant == "speakers"
    return Task(
        name="fsdd:speakers" if apart else "fsdd",
        version="1",
        target=Class(tuple("0123456789")),
        splits=rotation(SPEAKERS) if apart else PARTS,
        list_clips=partial(_list_clips, apart),
        clips=3000,
        folder="fsdd",
        source=(Archive("https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.zip"),),
        paper="Jackson et al., Free Spoken Digit Dataset, https://github.com/Jakobovski/free-spoken-digit-dataset",
        licence="CC BY-SA 4.0",
        description="Spoken English digits; groups are the speakers, "
        + ("each of whom is a fold." if apart else "who are the same in training and test."),
        domain="speech",
        hours=0.36,
        counts=dict.fromkeys(SPEAKERS, 500) if apart else {"train": 2400, "valid": 300, "test": 300},
        leaks="" if apart else "speaker",
        folding=""
        if apart
        else "of each speaker and digit, test: takes 0 to 4 (official); validation: 5 to 9; training: the rest",
    )


def _list_clips(apart: bool, folder: Path) -> list[Clip]:
    root = root_of(folder, "free-spoken-digit-dataset-master", "recordings", "FSDD") / "recordings"
    return sorted((_clip(path, apart) for path in audio_in(root)), key=lambda clip: clip.id)


def _clip(path: Path, apart: bool) -> Clip:
    name = name_parts(NAME, path, "7_jackson_32.wav (digit, speaker, take)")
    take = int(name["take"])
    official = "test" if take < 5 else "valid" if take < 10 else "train"
    return Clip(path.stem, path, name["digit"], name["speaker"] if apart else official, name["speaker"])
