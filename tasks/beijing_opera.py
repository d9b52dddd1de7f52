"""Beijing opera percussion: 236 strokes of bangu, daluo, naobo and xiaoluo, in five folds."""

import re
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, id_of, name_parts, root_of
from ._splits import hear_folds

VARIANTS = ("",)
TOP = "beijing_opera_percussion_instrument_1.0"
README = "_readme_and_license.txt"

LABELS = ("bangu", "daluo", "naobo", "xiaoluo")
NAME = re.compile(rf"\d+__ajaysm__(?P<label>{'|'.join(LABELS)})-[\w-]+\.(?i:wav)")
FOLDS = tuple(f"fold{number:02}" for number in range(5))


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="beijing_opera",
        version="1",
        target=Class(LABELS),
        splits=rotation(FOLDS),
        list_clips=_list_clips,
        clips=236,
        folder="beijing_opera",
        source=(
            Archive(
                f"https://zenodo.org/records/1285212/files/{TOP}.zip",
                checksum="md5:51dc70d02a06b9d96befadf320a6996f",
                cited="HEAR's preprocessing (beijing_opera.py)",
            ),
        ),
        paper="Tian et al. 2014, doi 10.1109/ICASSP.2014.6853981",
        licence="CC BY 3.0",
        description="Single strokes on four percussion instruments; which of several pieces of one kind was struck is "
        "not known, so each stroke is its own group.",
        domain="music",
        counts={fold: 48 if fold == FOLDS[0] else 47 for fold in FOLDS},
        leaks="instrument",
        folding="HEAR's folds, dealt by file",
        benchmarks={"HEAR": None},
        published=MappingProxyType({"hear": {"seconds": 4.77}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, TOP, README, "Beijing opera percussion")
    labels = {path: name_parts(NAME, path, "205975__ajaysm__naobo-05.wav")["label"] for path in audio_in(root)}
    ids = {id_of(path, root): path for path in labels}
    folds = hear_folds({name: {labels[path]} for name, path in ids.items()}, len(FOLDS))
    clips = (Clip(name, path, labels[path], folds[name], name) for name, path in ids.items())
    return sorted(clips, key=lambda clip: clip.id)
