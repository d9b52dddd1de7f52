"""IRMAS, instruments in music: 6,705 excerpts of 3 s of one of eleven train, 2,874 of 5 to 20 s of several score."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import Archive
from harness.types import Clip, Tags

from ._files import audio_in, id_of, name_parts, root_of
from ._metadata import read_lines
from ._splits import PARTS, with_valid

VARIANTS = ("",)
TRAINING = "IRMAS-TrainingData"
TESTING = ("IRMAS-TestingData-Part1", "IRMAS-TestingData-Part2", "IRMAS-TestingData-Part3")
ADDRESS = "https://zenodo.org/records/1290750/files/"
#: The MD5 of the archives.
SUMS = MappingProxyType(
    {
        TRAINING: "4fd9f5ed5a18d8e2687e6360b5f60afe",
        TESTING[0]: "5a2e65520dcedada565dff2050bb2a56",
        TESTING[1]: "afb0c8ea92f34ee653693106be95c895",
        TESTING[2]: "9b3fb2d0c89cdc98037121c25bd5b556",
    }
)

LABELS = ("cel", "cla", "flu", "gac", "gel", "org", "pia", "sax", "tru", "vio", "voi")
#: Instrument, perhaps drums or none, genre, and at the end which recording and which excerpt of it.
NAME = re.compile(
    rf"[^\[]*\[(?P<label>{'|'.join(LABELS)})\](?:\[(?:dru|nod)\])?\[(?:cou_fol|cla|pop_roc|lat_sou|jaz_blu)\]"
    r"(?P<recording>\d+)__\d+\.(?i:wav)"
)
#: The number of the excerpt, at the end of a name of those that score.
EXCERPT = re.compile(r"-\d+$")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="irmas",
        version="1",
        target=Tags(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=6705 + 2874,
        folder="irmas",
        source=tuple(
            Archive(f"{ADDRESS}{name}.zip", checksum=f"md5:{digest}", cited="mirdata (irmas)")
            for name, digest in SUMS.items()
        ),
        paper="Bosch et al. 2012, ISMIR, 559-564",
        licence="CC BY-NC-SA 3.0",
        description="The predominant instruments of songs; one is told of those that train, all of those that score. "
        "Groups are the recordings.",
        domain="music",
        folding="official training and test data; a tenth of the training data, alike in instruments and with "
        "recordings apart, chooses",
        benchmarks={"ARCH": None},
        published=MappingProxyType({"arch": {"seconds": 5.0}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "IRMAS", TRAINING, "IRMAS")
    train = with_valid(sorted(_train(root), key=lambda clip: clip.id))
    return sorted([*train, *_test(root)], key=lambda clip: clip.id)


def _train(root: Path) -> Iterator[Clip]:
    for path in audio_in(root / TRAINING):
        name = name_parts(NAME, path, "[cla][cla]0189__2.wav")
        group = f"{name['label']} {name['recording']}"
        yield Clip(id_of(path, root), path, (name["label"],), "train", group)


def _test(root: Path) -> Iterator[Clip]:
    """What scores: a file of labels lies beside each excerpt."""
    for path in [path for part in TESTING for path in audio_in(root / part)]:
        labels = tuple(dict.fromkeys(read_lines(path.with_suffix(".txt"))))
        yield Clip(id_of(path, root), path, labels, "test", EXCERPT.sub("", path.stem))
