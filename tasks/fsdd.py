"""Free spoken digits: 3,000 clips of 10 digits by 6 speakers; the variant speakers tests on speakers never heard."""

import re
from functools import partial
from pathlib import Path

from harness.datasets import Archive, Task, rotation
from harness.errors import UserError
from harness.types import Class, Clip, Split

VARIANTS = ("", "speakers")

SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
NAME = re.compile(rf"([0-9])_({'|'.join(SPEAKERS)})_([0-9]+)\.wav")


def task(variant: str) -> Task:
    """The official split, in which each speaker both trains and is tested, or one speaker at a time left out."""
    apart = variant == "speakers"
    return Task(
        name="fsdd:speakers" if apart else "fsdd",
        version="1",
        target=Class(tuple("0123456789")),
        splits=rotation(SPEAKERS) if apart else (Split(("train",), ("valid",), ("test",)),),
        list_clips=partial(_list_clips, apart),
        clips=3000,
        folder="fsdd",
        source=Archive("https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/heads/master.zip"),
        paper="Jackson et al., Free Spoken Digit Dataset, https://github.com/Jakobovski/free-spoken-digit-dataset",
        licence="CC BY-SA 4.0",
        description="Spoken English digits; groups are the speakers, "
        + ("each of whom is a fold." if apart else "who are the same in training and test."),
        leaks="" if apart else "speaker",
        folding=""
        if apart
        else "of each speaker and digit, test: takes 0 to 4 (official); validation: 5 to 9; training: the rest",
    )


def _list_clips(apart: bool, folder: Path) -> list[Clip]:
    archive = folder / "free-spoken-digit-dataset-master"
    root = (archive if archive.is_dir() else folder) / "recordings"
    if not root.is_dir():
        raise UserError(f"the free spoken digits are not in {folder}: there is no {root.relative_to(folder)} in it")
    return sorted((_clip(path, apart) for path in root.glob("*.wav")), key=lambda clip: clip.id)


def _clip(path: Path, apart: bool) -> Clip:
    name = NAME.fullmatch(path.name)
    if name is None:
        raise UserError(
            f"{path.name!r} is no name of a free spoken digit: it must be DIGIT_SPEAKER_TAKE.wav, where SPEAKER is one "
            f"of {', '.join(SPEAKERS)}"
        )
    digit, speaker, take = name[1], name[2], int(name[3])
    official = "test" if take < 5 else "valid" if take < 10 else "train"
    return Clip(path.stem, path, digit, speaker if apart else official, speaker)
