"""VoxLingua107, spoken languages: the 1,609 verified stretches of its development set, 33 languages, by video."""

import re
from pathlib import Path

from harness.datasets import Task, rotation
from harness.folds import grouped_folds
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, id_of, name_parts, root_of

VARIANTS = ("dev",)

LABELS = (
    *("ar", "az", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "hr", "hu", "hy", "is", "it", "ja", "lt"),
    *("lv", "mk", "nl", "nn", "no", "pl", "pt", "ru", "sl", "sr", "sv", "tr", "uk", "ur", "zh"),
)
#: A video's eleven characters, any of which may be a dash or an underscore; the stretch's number and seconds.
NAME = re.compile(r"(?P<video>.{11})__U__S[0-9]+---[0-9.]+-[0-9.]+\.(?i:wav)")
FOLDS = ("1", "2", "3", "4", "5")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="voxlingua107:dev",
        version="1",
        target=Class(LABELS),
        splits=rotation(FOLDS),
        list_clips=_list_clips,
        clips=1609,
        folder="voxlingua107",
        source=(
            Archive(
                "http://bark.phon.ioc.ee/voxlingua107/dev.zip",
                checksum="md5:07fbd4732c97f28c10ec8dcfed4f600e",
                cited="HEAR's preprocessing (hearpreprocess/secrettasks, vox_lingua_top10.py)",
            ),
        ),
        paper="Valk and Alumäe 2021, arXiv 2011.12998",
        licence="CC BY 4.0",
        description="Which language is spoken in a stretch of a YouTube video; groups are the videos. HEAR's ten most "
        "frequent of these languages, in its folds by stretch, are read by hear:FOLDER from its own archive.",
        domain="speech",
        folding="five folds of videos, alike in their languages: the authors give none",
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "dev", "ar", "the development set of VoxLingua107")
    paths = [path for label in sorted(LABELS) for path in audio_in(root / label)]
    labels = [path.parent.name for path in paths]
    videos = [name_parts(NAME, path, "kvqbH3DNWlk__U__S102---1313.180-1327.820.wav")["video"] for path in paths]
    folds = grouped_folds(labels, videos, folds=len(FOLDS))
    return [
        Clip(id_of(path, root), path, label, fold, video)
        for path, label, fold, video in zip(paths, labels, folds, videos, strict=True)
    ]
