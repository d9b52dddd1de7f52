"""VIVAE, vocal bursts: 1,085 cries and laughs of 11 speakers in 6 emotions, one speaker left out at a time."""

import re
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, id_of, name_parts, root_of

VARIANTS = ("",)

LABELS = ("achievement", "anger", "fear", "pain", "pleasure", "surprise")
SPEAKERS = tuple(f"S{number:02}" for number in range(1, 12))
NAME = re.compile(
    rf"(?P<speaker>{'|'.join(SPEAKERS)})_(?P<emotion>{'|'.join(LABELS)})_(?:low|moderate|strong|peak)_\d+\.(?i:wav)"
)


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="vivae",
        version="1",
        target=Class(LABELS),
        splits=rotation(SPEAKERS),
        list_clips=_list_clips,
        clips=1085,
        folder="vivae",
        source=(Archive("https://zenodo.org/records/4066235/files/VIVAE.zip"),),
        paper="Holz et al. 2022, doi 10.1037/emo0001048",
        licence="CC BY-NC-SA 4.0",
        description="Acted emotions in the voice without words, the full set; groups are the speakers, each of whom is "
        "a fold.",
        domain="events",
        unconfirmed=frozenset({"licence"}),
        benchmarks=MappingProxyType({"ARCH": None}),
        published=MappingProxyType({"arch": {"seconds": 5.0}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "VIVAE", "full_set", "VIVAE") / "full_set"
    clips = []
    for path in audio_in(root):
        name = name_parts(NAME, path, "S01_achievement_low_01.wav (speaker, emotion, intensity, number)")
        clips.append(Clip(id_of(path, root), path, name["emotion"], name["speaker"], name["speaker"]))
    return sorted(clips, key=lambda clip: clip.id)
