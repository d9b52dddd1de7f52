"""VoxLingua107, spoken languages: stretches of videos in 33 languages, or in the ten of which there is most."""

import re
from collections import Counter
from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.errors import UserError
from harness.folds import grouped_folds
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, id_of, name_parts, root_of
from ._splits import hear_folds

VARIANTS = ("dev", "top10", "top10-hear")

LABELS = (
    *("ar", "az", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "hr", "hu", "hy", "is", "it", "ja", "lt"),
    *("lv", "mk", "nl", "nn", "no", "pl", "pt", "ru", "sl", "sr", "sv", "tr", "uk", "ur", "zh"),
)
#: A video's eleven characters, any of which may be a dash or an underscore; the stretch's number and seconds.
NAME = re.compile(r"(?P<video>.{11})__U__S[0-9]+---[0-9.]+-[0-9.]+\.(?i:wav)")
FOLDS = ("1", "2", "3", "4", "5")
HEAR = ("fold00", "fold01", "fold02", "fold03", "fold04")
#: How many stretches there are, in all and in each of the ten languages that have most. HEAR does not say which they
#: are; the data do.
STRETCHES, MOST = 1609, (100, 100, 100, 100, 100, 100, 99, 95, 93, 85)


def task(variant: str) -> Task:
    """All languages, or ten of them, in folds of videos or in HEAR's."""
    hear, top = variant == "top10-hear", variant != "dev"
    return Task(
        name=f"voxlingua107:{variant}",
        version="1",
        target=Class(LABELS),
        splits=rotation(HEAR if hear else FOLDS),
        list_clips=partial(_list_clips, top, hear),
        clips=sum(MOST) if top else STRETCHES,
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
        description="Which language is spoken in a stretch of a YouTube video; groups are the videos"
        + (". The ten languages with most stretches, of 33 labels." if top else "."),
        domain="speech",
        leaks="video" if hear else "",
        folding="HEAR's rule on the authors' file names, by stretch"
        if hear
        else "five folds of videos, alike in their languages: the authors give none",
        benchmarks=MappingProxyType({"HEAR": None} if hear else {}),
        published=MappingProxyType({"hear": {"seconds": 18.64}} if top else {}),
    )


def _list_clips(top: bool, hear: bool, folder: Path) -> list[Clip]:
    root = root_of(folder, "dev", "ar", "the development set of VoxLingua107")
    paths = [path for label in sorted(LABELS) for path in audio_in(root / label)]
    if top:
        paths = _of_the_largest(paths)
    labels = [path.parent.name for path in paths]
    videos = [name_parts(NAME, path, "kvqbH3DNWlk__U__S102---1313.180-1327.820.wav")["video"] for path in paths]
    if hear:
        dealt = hear_folds({path.stem: {path.parent.name} for path in paths}, len(HEAR))
        folds = [dealt[path.stem] for path in paths]
    else:
        folds = grouped_folds(labels, videos, folds=len(FOLDS))
    return [
        Clip(id_of(path, root), path, label, fold, video)
        for path, label, fold, video in zip(paths, labels, folds, videos, strict=True)
    ]


def _of_the_largest(paths: list[Path]) -> list[Path]:
    """Those of the ten languages that have most of them; of a part of the data, of the ten that have most there.

    Raises:
        UserError: all stretches are there, and the ten have not as many as HEAR's.
    """
    most = Counter(path.parent.name for path in paths).most_common(len(MOST))  # of equals, the first by name
    counts = tuple(count for _, count in most)
    if len(paths) == STRETCHES and counts != MOST:
        raise UserError(
            f"the ten languages of VoxLingua107 with most stretches have {', '.join(map(str, counts))} of them, and "
            f"HEAR's have {', '.join(map(str, MOST))}: get the data anew with `harness data fetch voxlingua107:top10`"
        )
    largest = {label for label, _ in most}
    return [path for path in paths if path.parent.name in largest]
