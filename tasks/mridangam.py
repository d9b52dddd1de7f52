"""Mridangam strokes: 6,977 single strokes of a drum, by ten kinds of stroke or by six tonics."""

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, id_of, name_parts, root_of
from ._splits import hear_folds

VARIANTS = ("stroke", "stroke-tonic-out", "tonic")
TOP = "mridangam_stroke_1.5"

#: What is asked for, by the name of its part of a file's name.
LABELS = MappingProxyType(
    {
        "stroke": ("bheem", "cha", "dheem", "dhin", "num", "ta", "tha", "tham", "thi", "thom"),
        "tonic": ("b", "c", "csh", "d", "dsh", "e"),
    }
)
NAME = re.compile(
    rf"\d+__akshaylaya__(?P<stroke>{'|'.join(LABELS['stroke'])})-(?P<tonic>{'|'.join(LABELS['tonic'])})-\d+\.(?i:wav)"
)
FOLDS = tuple(f"fold{number:02}" for number in range(5))


def task(variant: str) -> Task:
    """HEAR's five folds for strokes or tonics, or strokes with each tonic out in turn."""
    asked, _, out = variant.partition("-")
    return Task(
        name=f"mridangam:{variant}",
        version="1",
        target=Class(LABELS[asked]),
        splits=rotation(LABELS["tonic"] if out else FOLDS),
        list_clips=partial(_list_apart if out else _list_dealt, asked),
        clips=6977,
        folder="mridangam",
        source=(
            Archive(
                f"https://zenodo.org/records/4068196/files/{TOP}.zip",
                checksum="md5:39af55b2476b94c7946bec24331ec01a",
                cited="HEAR's preprocessing (mridangam_stroke.py)",
            ),
        ),
        paper="Anantapadmanabhan et al. 2013, doi 10.1109/ICASSP.2013.6637633",
        licence="CC BY-NC 3.0 in its files, CC BY 3.0 on its page",
        description="Single strokes by one player on drums of six tonics; "
        + ("groups are the tonics, each of which is tested on in turn." if out else "each stroke is its own group."),
        domain="music",
        counts={} if out else {fold: 1396 if fold < "fold02" else 1395 for fold in FOLDS},
        leaks="" if out else "drum",
        folding="by tonic, which is our own way of keeping drums apart" if out else "HEAR's folds, dealt by file",
        benchmarks={} if out else {"HEAR": None},
        published=MappingProxyType({} if out else {"hear": {"seconds": 0.81}}),
    )


def _list_dealt(asked: str, folder: Path) -> list[Clip]:
    root, names = _listed(folder)
    folds = hear_folds({path.stem: {name[asked]} for path, name in names.items()}, len(FOLDS))
    return [
        Clip(id_of(path, root), path, name[asked], folds[path.stem], id_of(path, root)) for path, name in names.items()
    ]


def _list_apart(asked: str, folder: Path) -> list[Clip]:
    root, names = _listed(folder)
    return [Clip(id_of(path, root), path, name[asked], name["tonic"], name["tonic"]) for path, name in names.items()]


def _listed(folder: Path) -> tuple[Path, Mapping[Path, Mapping[str, str]]]:
    """The root, and every recording with the parts of its name."""
    root = root_of(folder, TOP, "B", "Mridangam strokes")
    paths = sorted(audio_in(root), key=lambda path: id_of(path, root))
    return root, {path: name_parts(NAME, path, "224030__akshaylaya__bheem-b-001.wav") for path in paths}
