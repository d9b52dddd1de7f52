"""RAVDESS, acted emotions: 1,440 spoken sentences by 24 actors, 8 emotions, five folds of actors."""

import re
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, id_of, name_parts, root_of

VARIANTS = ("",)

#: In the order of their codes, from 01.
LABELS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
NAME = re.compile(
    r"03-(?P<channel>01|02)-(?P<emotion>0[1-8])-(?:01|02)-(?:01|02)-(?:01|02)-(?P<actor>[01][0-9]|2[0-4])\.(?i:wav)"
)
SPEECH = "01"
#: A usual division of the actors in work on this set.
ACTORS = ((2, 5, 14, 15, 16), (3, 6, 7, 13, 18), (10, 11, 12, 19, 20), (8, 17, 21, 23, 24), (1, 4, 9, 22))
FOLDS = tuple(map(str, range(len(ACTORS))))
FOLD_OF = MappingProxyType(
    {f"{actor:02}": fold for fold, actors in zip(FOLDS, ACTORS, strict=True) for actor in actors}
)


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="ravdess",
        version="1",
        target=Class(LABELS),
        splits=rotation(FOLDS),
        list_clips=_list_clips,
        clips=1440,
        folder="ravdess",
        source=(Archive("https://zenodo.org/records/1188976/files/Audio_Speech_Actors_01-24.zip"),),
        paper="Livingstone and Russo 2018, doi 10.1371/journal.pone.0196391",
        licence="CC BY-NC-SA 4.0",
        description="Two sentences, spoken in eight emotions; groups are the actors. Songs beside them are left out.",
        domain="speech",
        hours=1.48,
        counts={fold: 60 * len(actors) for fold, actors in zip(FOLDS, ACTORS, strict=True)},
        folding="five folds of four or five actors; ARCH splits clips at random in the order of a file system, and "
        "X-ARES's four folds of actors are told by its own archives alone",
        benchmarks=MappingProxyType({"ARCH": None, "X-ARES": 360}),
        published=MappingProxyType({"arch": {"seconds": 5.0}, "xares": {"epochs": 10, "rate": 1e-3, "batch": 32}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "Audio_Speech_Actors_01-24", "Actor_01", "RAVDESS")
    paths = [path for actor in sorted(FOLD_OF) for path in audio_in(root / f"Actor_{actor}")]
    names = [name_parts(NAME, path, "03-01-06-01-02-01-12.wav") for path in paths]
    return [
        Clip(id_of(path, root), path, LABELS[int(name["emotion"]) - 1], FOLD_OF[name["actor"]], name["actor"])
        for path, name in zip(paths, names, strict=True)
        if name["channel"] == SPEECH
    ]
