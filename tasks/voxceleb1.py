"""VoxCeleb1, interviews: 153,516 utterances; which of 1,251 speakers it is, or whether two are of one speaker."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import ByHand
from harness.types import Class, Clip, Trial, Trials

from ._files import inside, root_of
from ._metadata import read_table
from ._splits import PARTS

VARIANTS = ("sid", "verification", "verification-original")

SPEAKERS = tuple(f"id{number}" for number in range(10_001, 11_252))
SPLIT = "iden_split.txt"
FOLDS = MappingProxyType({"1": "train", "2": "valid", "3": "test"})
#: Where archives put the speakers' folders; copies have them all in one.
PLACES = ("dev/wav", "test/wav", "wav")
#: The lists of trials, and how many clips they name beside the 148,642 of the other speakers.
TRIALS = MappingProxyType(
    {"verification": ("veri_test2.txt", 4_708), "verification-original": ("veri_test.txt", 4_715)}
)
DEVELOPMENT = 148_642
SOURCE = ByHand(
    "ask for VoxCeleb1 at https://www.robots.ox.ac.uk/~vgg/data/voxceleb/",
    "dev/wav, test/wav, iden_split.txt, veri_test.txt and veri_test2.txt, as they lie there, in the folder VoxCeleb1",
)


def task(variant: str) -> Task:
    """Identification by the official split, or verification with the cleaned or the original list of trials."""
    return _identification() if variant == "sid" else _verification(variant)


def _identification() -> Task:
    return Task(
        name="voxceleb1:sid",
        version="1",
        target=Class(SPEAKERS),
        splits=PARTS,
        list_clips=_list_identification,
        clips=153_516,
        folder="voxceleb1",
        source=SOURCE,
        paper="Nagrani et al. 2017, arXiv 1706.08612",
        licence="CC BY-SA 4.0, by agreement",
        description="Who speaks; groups are the videos, of which every speaker has some in each part.",
        domain="speech",
        hours=352,
        counts=MappingProxyType({"train": 138_361, "valid": 6_904, "test": 8_251}),
        tables=(SPLIT,),
        folding="official; a video in both train and dev counts as two groups, so that only what is tested is held to "
        "be apart",
        benchmarks=MappingProxyType({"SUPERB": None, "EVAR": None, "X-ARES": 2000}),
        published=MappingProxyType(
            {
                "superb": {"crop": 8.0},
                "evar": {"seconds": 8.2},
                "xares": {"epochs": 10, "rate": 1e-3, "batch": 32, "crop": 6.0},
            }
        ),
    )


def _verification(variant: str) -> Task:
    table, tested = TRIALS[variant]
    original = variant == "verification-original"
    return Task(
        name=f"voxceleb1:{variant}",
        version="1",
        target=Trials(),
        splits=PARTS,
        list_clips=partial(_list_verification, table),
        list_trials=partial(_list_trials, table),
        clips=DEVELOPMENT + tested,
        folder="voxceleb1",
        source=SOURCE,
        paper="Nagrani et al. 2017, arXiv 1706.08612",
        licence="CC BY-SA 4.0, by agreement",
        description="Whether two utterances are of one speaker, of 40 who do not train: "
        + ("the original 37,720 trials, which SUPERB has." if original else "the cleaned 37,611 trials.")
        + " Groups are the speakers.",
        domain="speech",
        hours=352,
        unconfirmed=frozenset({"hours"} if original else {"hours", "clips"}),
        tables=(SPLIT, table),
        folding="of the speakers without trials, in the order of their numbers, the first of every ten chooses and the "
        "others train: no list says which choose",
        benchmarks=MappingProxyType({"SUPERB": None} if original else {}),
        published=MappingProxyType({"superb": {"gain": -3.0, "crop": 8.0}} if original else {}),
    )


def _list_identification(folder: Path) -> list[Clip]:
    root = _root(folder)
    rows = [(FOLDS.get(row["part"], row["part"]), row["file"]) for row in _split(root)]
    training = {_video(name) for fold, name in rows if fold == "train"}
    find = _finder(root)

    def group(fold: str, video: str) -> str:
        return f"{video} (dev)" if fold == "valid" and video in training else video

    clips = [Clip(_id(name), find(name), _speaker(name), fold, group(fold, _video(name))) for fold, name in rows]
    return sorted(clips, key=lambda clip: clip.id)


def _list_verification(table: str, folder: Path) -> list[Clip]:
    root = _root(folder)
    tested = {name for row in _trials(root, table) for name in (row["one"], row["other"])}
    apart = {_speaker(name) for name in tested}
    others = [row["file"] for row in _split(root) if _speaker(row["file"]) not in apart]
    choosing = set(sorted({_speaker(name) for name in others})[::10])
    folds = {name: "valid" if _speaker(name) in choosing else "train" for name in others}
    folds |= dict.fromkeys(tested, "test")
    find = _finder(root)
    clips = [Clip(_id(name), find(name), _speaker(name), fold, _speaker(name)) for name, fold in folds.items()]
    return sorted(clips, key=lambda clip: clip.id)


def _list_trials(table: str, folder: Path) -> list[Trial]:
    rows = _trials(_root(folder), table)
    return [Trial(_id(row["one"]), _id(row["other"]), row["same"] == "1") for row in rows]


def _root(folder: Path) -> Path:
    return root_of(folder, "VoxCeleb1", SPLIT, "VoxCeleb1")


def _split(root: Path) -> list[dict[str, str]]:
    return read_table(root / SPLIT, (), delimiter=" ", header=("part", "file"))


def _trials(root: Path, table: str) -> list[dict[str, str]]:
    return read_table(root / table, (), delimiter=" ", header=("same", "one", "other"))


def _finder(root: Path) -> Callable[[str], Path]:
    """Where a file lies that the lists name; of a speaker who is nowhere, where the authors' archive has most."""
    found = [root / place for place in PLACES if (root / place).is_dir()]
    where = {speaker.name: place for place in found for speaker in place.iterdir()}
    return lambda name: inside(where.get(_speaker(name), root / PLACES[0]), name)


def _speaker(name: str) -> str:
    return name.partition("/")[0]


def _video(name: str) -> str:
    return name.rpartition("/")[0]


def _id(name: str) -> str:
    return name.removesuffix(".wav")
