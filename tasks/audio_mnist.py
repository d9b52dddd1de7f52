"""AudioMNIST, spoken digits: 30,000 clips of 10 digits by 60 speakers, in five folds of twelve speakers."""

import re
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, id_of, name_parts, root_of

VARIANTS = ("",)

#: The authors' folds of speakers (soerenab/AudioMNIST, preprocess_data.py).
SPEAKERS = (
    ("12", "47", "59", "15", "27", "41", "04", "11", "21", "31", "44", "50"),
    ("26", "52", "60", "18", "32", "42", "05", "13", "22", "33", "45", "51"),
    ("28", "56", "07", "19", "35", "01", "06", "16", "23", "34", "46", "53"),
    ("36", "57", "09", "24", "37", "02", "08", "17", "29", "39", "48", "54"),
    ("43", "58", "14", "25", "38", "03", "10", "20", "30", "40", "49", "55"),
)
FOLDS = tuple(map(str, range(len(SPEAKERS))))
FOLD_OF = MappingProxyType({speaker: fold for fold, own in zip(FOLDS, SPEAKERS, strict=True) for speaker in own})
NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>0[1-9]|[1-5][0-9]|60)_[0-9]+\.(?i:wav)")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="audio_mnist",
        version="1",
        target=Class(tuple("0123456789")),
        splits=rotation(FOLDS),
        list_clips=_list_clips,
        clips=30_000,
        folder="audio_mnist",
        source=(Archive("https://github.com/soerenab/AudioMNIST/archive/refs/heads/master.zip"),),
        paper="Becker et al. 2018, arXiv 1807.03418",
        licence="MIT",
        description="Spoken English digits; groups are the speakers.",
        domain="speech",
        counts=dict.fromkeys(FOLDS, 6000),
        folding="the authors' five of twelve speakers each, in ARCH's turns: a fold is tested and the next one chooses "
        "(the authors have these two the other way round)",
        benchmarks=MappingProxyType({"ARCH": None}),
        published=MappingProxyType({"arch": {"seconds": 5.0}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, ("AudioMNIST-master", "AudioMNIST"), "data", "AudioMNIST") / "data"
    return [_clip(path, root) for path in audio_in(root)]


def _clip(path: Path, root: Path) -> Clip:
    name = name_parts(NAME, path, "0_01_0.wav (digit, speaker, take)")
    return Clip(id_of(path, root), path, name["digit"], FOLD_OF[name["speaker"]], name["speaker"])
