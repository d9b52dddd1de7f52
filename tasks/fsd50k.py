"""FSD50K, sounds of all kinds: 51,197 clips of 0.3 to 30 s with any of 200 tags, official train, val and eval."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import Archive
from harness.types import Clip, Tags

from ._files import root_of
from ._fsd50k import LABELS
from ._metadata import read_json, read_table
from ._splits import PARTS

VARIANTS = ("",)
TABLES = ("dev.csv", "eval.csv")
TRUTH, DETAILS = "FSD50K.ground_truth", "FSD50K.metadata"
ADDRESS = "https://zenodo.org/records/4060432/files/"
#: In how many parts each comes.
ARCHIVES = MappingProxyType({"ground_truth": 1, "metadata": 1, "dev_audio": 6, "eval_audio": 2})
PUBLISHED = MappingProxyType(
    {"arch": {"seconds": 10.0}, "evar": {"seconds": 7.6358}, "xares": {"epochs": 10, "rate": 1e-3, "batch": 64}}
)


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="fsd50k",
        version="1",
        target=Tags(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=51_197,
        folder="fsd50k",
        source=tuple(_archive(name, parts) for name, parts in ARCHIVES.items()),
        paper="Fonseca et al. 2022, doi 10.1109/TASLP.2021.3133208",
        licence="CC BY 4.0 as a whole, each clip its own",
        description="Freesound clips tagged in the AudioSet ontology; groups are the uploaders, if FSD50K.metadata is "
        "there, else each clip is its own.",
        domain="events",
        hours=108.3,
        counts=MappingProxyType({"train": 36_796, "valid": 4_170, "test": 10_231}),
        unconfirmed=frozenset({"licence"}),
        tables=TABLES,
        folding="official; an uploader in both train and val counts as two groups, so that only what is tested is "
        "held to be apart",
        benchmarks=MappingProxyType({"HEAR": None, "ARCH": None, "EVAR": None, "X-ARES": 2000}),
        published=PUBLISHED,
    )


def _archive(name: str, parts: int) -> Archive:
    """An archive that may be split: the last part is the one that is named zip."""
    suffixes = [*(f"z{part:02}" for part in range(1, parts)), "zip"]
    first, *more = (f"{ADDRESS}FSD50K.{name}.{suffix}" for suffix in suffixes)
    return Archive(first, more=tuple(more))


def _list_clips(folder: Path) -> list[Clip]:
    truth = root_of(folder, TRUTH, "dev.csv", "FSD50K")
    root = truth.parent if truth.name == TRUTH else folder
    dev = read_table(truth / "dev.csv", ("fname", "labels", "split"))
    test = read_table(truth / "eval.csv", ("fname", "labels"))
    uploaders = {**_uploaders(root, "dev"), **_uploaders(root, "eval")}
    training = {uploaders.get(row["fname"]) for row in dev if row["split"] == "train"}
    clips = []
    for row in dev:
        name, valid = row["fname"], row["split"] == "val"
        uploader = uploaders.get(name, name)
        group = f"{uploader} (val)" if valid and uploader in training else uploader
        clips.append(_clip(root / "FSD50K.dev_audio", row, "valid" if valid else "train", group))
    clips += [_clip(root / "FSD50K.eval_audio", row, "test", uploaders.get(row["fname"], row["fname"])) for row in test]
    return sorted(clips, key=lambda clip: clip.id)


def _uploaders(root: Path, part: str) -> Mapping[str, str]:
    path = root / DETAILS / f"{part}_clips_info_FSD50K.json"
    if not path.is_file():
        return {}
    return {name: str(facts["uploader"]) for name, facts in read_json(path).items()}


def _clip(audio: Path, row: Mapping[str, str], fold: str, group: str) -> Clip:
    name = row["fname"]
    return Clip(name, audio / f"{name}.wav", tuple(row["labels"].split(",")), fold, group)
