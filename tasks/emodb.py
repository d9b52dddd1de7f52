"""EmoDB, acted emotions in German: 535 sentences by ten actors, 7 emotions, each actor a fold."""

import re
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, name_parts, root_of

VARIANTS = ("",)

SPEAKERS = ("03", "08", "09", "10", "11", "12", "13", "14", "15", "16")
#: The German words' initials.
EMOTIONS = MappingProxyType(
    {
        "W": "anger",
        "L": "boredom",
        "E": "disgust",
        "A": "fear",
        "F": "happiness",
        "N": "neutral",
        "T": "sadness",
    }
)
NAME = re.compile(rf"(?P<speaker>{'|'.join(SPEAKERS)})[ab][0-9]{{2}}(?P<emotion>[{''.join(EMOTIONS)}])[a-z]\.(?i:wav)")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="emodb",
        version="1",
        target=Class(tuple(EMOTIONS.values())),
        splits=rotation(SPEAKERS),
        list_clips=_list_clips,
        clips=535,
        folder="emodb",
        source=(Archive("http://emodb.bilderbar.info/download/download.zip"),),
        paper="Burkhardt et al. 2005, doi 10.21437/Interspeech.2005-446",
        licence="free, CC0 in a later release",
        description="Ten German sentences in seven acted emotions; groups are the actors.",
        domain="speech",
        unconfirmed=frozenset({"licence"}),
        folding="one actor left out at a time, the next of whom chooses",
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, ("download", "emodb"), "wav", "EmoDB")
    return [_clip(path) for path in audio_in(root / "wav")]


def _clip(path: Path) -> Clip:
    name = name_parts(NAME, path, "03a01Fa.wav")
    return Clip(path.stem, path, EMOTIONS[name["emotion"]], name["speaker"], name["speaker"])
