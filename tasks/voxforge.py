"""VoxForge, read sentences: which of 6 languages it is, about 176,400 clips, speakers apart."""

import re
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.errors import UserError
from harness.sources import ByHand
from harness.types import Class, Clip

from ._files import audio_in, id_of, root_of
from ._metadata import read_lines
from ._splits import PARTS, tfds_speakers

VARIANTS = ("",)

TABLE = "voxforge_urls.txt"
LABELS = ("de", "en", "es", "fr", "it", "ru")
#: The language stands before Trunk; VoxForge's own site has words for two.
FOLDERS = MappingProxyType({**{label: label for label in LABELS}, "SpeechCorpus": "en", "Russian": "ru"})
URL = re.compile(r"\S*/(?P<folder>[^/]+)/Trunk/\S*/(?P<name>[^/]+)\.tgz")
SHARES = (0.7, 0.1, 0.2)


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="voxforge",
        version="1",
        target=Class(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=176_428,
        folder="voxforge",
        source=ByHand(
            f"download https://storage.googleapis.com/tfds-data/downloads/voxforge/{TABLE} and the 13,837 archives "
            "that it lists",
            f"{TABLE} and, side by side, the folders that the archives unpack to",
        ),
        paper="MacLean, VoxForge, http://www.voxforge.org",
        licence="GPL",
        description="Which language is spoken in a sentence that a volunteer has read; groups are the volunteers by "
        "their names, and all who gave none are one.",
        domain="speech",
        unconfirmed=frozenset({"clips"}),
        tables=(TABLE,),
        folding="TensorFlow Datasets' rule: 70, 10 and 20 % of the speakers in the list of archives; EVAR's split by "
        "archive, in which speakers train and are tested, is not here",
        benchmarks=MappingProxyType({"EVAR": None}),
        published=MappingProxyType({"evar": {"seconds": 5.8}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "voxforge", TABLE, "VoxForge")
    languages = _languages(root / TABLE)
    parts = tfds_speakers({_speaker(name) for name in languages}, SHARES)
    clips = [
        Clip(id_of(path, root), path, language, parts[_speaker(name)], _speaker(name))
        for name, language in languages.items()
        for path in audio_in(root / name)
    ]
    if not clips:
        raise UserError(f"none of the {len(languages):,} folders that {TABLE} names holds audio in {root}")
    return sorted(clips, key=lambda clip: clip.id)


def _languages(table: Path) -> dict[str, str]:
    """The language of every archive in the list."""
    languages: dict[str, str] = {}
    for line in read_lines(table):
        url = URL.fullmatch(line.strip("\"'"))
        if url is None or url["folder"] not in FOLDERS:
            raise UserError(f"{table} has the line {line!r}, which is no address with LANGUAGE/Trunk/.../NAME.tgz")
        languages[url["name"]] = FOLDERS[url["folder"]]
    return languages


def _speaker(name: str) -> str:
    return name.partition("-")[0]
