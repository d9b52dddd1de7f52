"""UrbanSound8K, street sounds: 8,732 slices of up to 4 s in 10 classes, ten official folds."""

from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import root_of
from ._metadata import read_table

VARIANTS = ("",)
TABLE = "metadata/UrbanSound8K.csv"
FOLDS = ("1", "2", "3", "4", "5", "6", "7", "8", "9", "10")

#: The authors' class names, in the order of their numbers.
LABELS = (
    *("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling"),
    *("engine_idling", "gun_shot", "jackhammer", "siren", "street_music"),
)
PUBLISHED = MappingProxyType(
    {"arch": {"seconds": 5.0}, "evar": {"seconds": 4.0}, "xares": {"epochs": 10, "rate": 1e-3, "batch": 32}}
)


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="us8k",
        version="1",
        target=Class(LABELS),
        splits=rotation(FOLDS),
        list_clips=_list_clips,
        clips=8732,
        folder="us8k",
        source=(Archive("https://zenodo.org/records/1203745/files/UrbanSound8K.tar.gz"),),
        paper="Salamon et al. 2014, doi 10.1145/2647868.2655045",
        licence="CC BY-NC 3.0",
        description="Street sounds from Freesound; groups are its recordings.",
        domain="events",
        hours=8.75,
        counts=dict(zip(FOLDS, (873, 888, 925, 990, 936, 823, 838, 806, 816, 837), strict=True)),
        unconfirmed=frozenset({"licence", "counts"}),
        tables=(Path(TABLE).name,),
        benchmarks=MappingProxyType({"ARCH": None, "EVAR": None, "X-ARES": 873}),
        published=PUBLISHED,
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "UrbanSound8K", TABLE, "UrbanSound8K")
    rows = read_table(root / TABLE, ("slice_file_name", "fsID", "fold", "class"))
    return sorted((_clip(root, row) for row in rows), key=lambda clip: clip.id)


def _clip(root: Path, row: dict[str, str]) -> Clip:
    name, fold = row["slice_file_name"], row["fold"]
    return Clip(
        id=f"fold{fold}/{Path(name).stem}",
        path=root / "audio" / f"fold{fold}" / Path(name).name,
        target=row["class"],
        fold=fold,
        group=row["fsID"],
    )
