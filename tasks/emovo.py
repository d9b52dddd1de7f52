"""EMOVO, acted emotions in Italian: 588 sentences by six actors, 7 emotions, each actor a fold."""

import re
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import ByHand
from harness.types import Class, Clip

from ._files import audio_in, id_of, name_parts, root_of

VARIANTS = ("",)

SPEAKERS = ("f1", "f2", "f3", "m1", "m2", "m3")
#: The Italian words' beginnings.
EMOTIONS = MappingProxyType(
    {
        "dis": "disgust",
        "gio": "happiness",
        "neu": "neutral",
        "pau": "fear",
        "rab": "anger",
        "sor": "surprise",
        "tri": "sadness",
    }
)
NAME = re.compile(rf"(?P<emotion>{'|'.join(EMOTIONS)})-(?P<speaker>[fm][123])-[a-z][0-9]\.(?i:wav)")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="emovo",
        version="1",
        target=Class(tuple(EMOTIONS.values())),
        splits=rotation(SPEAKERS),
        list_clips=_list_clips,
        clips=588,
        folder="emovo",
        source=ByHand(
            "download EMOVO.zip at http://voice.fub.it/activities/corpora/emovo/index.html", "the folder EMOVO"
        ),
        paper="Costantini et al. 2014, https://aclanthology.org/L14-1478/",
        licence="free for research",
        description="Fourteen Italian sentences in seven acted emotions; groups are the actors.",
        domain="speech",
        counts=dict.fromkeys(SPEAKERS, 98),
        unconfirmed=frozenset({"licence"}),
        folding="one actor left out at a time, the next of whom chooses (ARCH draws a tenth of the training clips)",
        benchmarks=MappingProxyType({"ARCH": None}),
        published=MappingProxyType({"arch": {"seconds": 5.0}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "EMOVO", "f1", "EMOVO")
    paths = [path for speaker in SPEAKERS for path in audio_in(root / speaker)]
    return [_clip(path, root) for path in paths]


def _clip(path: Path, root: Path) -> Clip:
    name = name_parts(NAME, path, "dis-f1-b1.wav")
    return Clip(id_of(path, root), path, EMOTIONS[name["emotion"]], name["speaker"], name["speaker"])
