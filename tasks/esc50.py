"""ESC-50, environmental sounds: 2,000 clips in 50 classes, five official folds; the variant esc10 has 400 in 10."""

from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import root_of
from ._metadata import read_table

VARIANTS = ("", "esc10")
TABLE = "meta/esc50.csv"

#: The authors' class names, in the order of their numbers.
LABELS = (
    *("dog", "rooster", "pig", "cow", "frog", "cat", "hen", "insects", "sheep", "crow"),
    *("rain", "sea_waves", "crackling_fire", "crickets", "chirping_birds"),
    *("water_drops", "wind", "pouring_water", "toilet_flush", "thunderstorm"),
    *("crying_baby", "sneezing", "clapping", "breathing", "coughing"),
    *("footsteps", "laughing", "brushing_teeth", "snoring", "drinking_sipping"),
    *("door_wood_knock", "mouse_click", "keyboard_typing", "door_wood_creaks", "can_opening"),
    *("washing_machine", "vacuum_cleaner", "clock_alarm", "clock_tick", "glass_breaking"),
    *("helicopter", "chainsaw", "siren", "car_horn", "engine"),
    *("train", "church_bells", "airplane", "fireworks", "hand_saw"),
)
ESC10 = (0, 1, 10, 11, 12, 20, 21, 38, 40, 41)
#: Four source recordings lie in two folds, always under two labels: the folds are the authors', so they stay as they
#: are.
SPANNING = frozenset({"131943", "134049", "209698", "234879"})
PUBLISHED = MappingProxyType(
    {
        "hear": {"seconds": 5.0},
        "arch": {"seconds": 5.0},
        "evar": {"seconds": 5.0},
        "xares": {"epochs": 10, "rate": 1e-3, "batch": 32},
    }
)


def task(variant: str) -> Task:
    """ESC-50 or its subset ESC-10."""
    small = variant == "esc10"
    return Task(
        name="esc50:esc10" if small else "esc50",
        version="1",
        target=Class(tuple(LABELS[i] for i in ESC10) if small else LABELS),
        splits=rotation(("1", "2", "3", "4", "5")),
        list_clips=_list_esc10 if small else _list_esc50,
        clips=400 if small else 2000,
        folder="esc50",
        source=(Archive("https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip"),),
        paper="Piczak 2015, doi 10.1145/2733373.2806390",
        licence="CC BY 3.0" if small else "CC BY-NC 3.0",
        description="Environmental sounds; groups are the source recordings.",
        domain="events",
        hours=400 * 5 / 3600 if small else 2000 * 5 / 3600,
        counts=dict.fromkeys("12345", 80 if small else 400),
        tables=(Path(TABLE).name,),
        spanning=SPANNING,
        benchmarks={} if small else {"HEAR": None, "ARCH": None, "EVAR": None, "X-ARES": 400, "BEANS": None},
        published=MappingProxyType({}) if small else PUBLISHED,
    )


def _list_esc50(folder: Path) -> list[Clip]:
    return [_clip(root, row) for root, row in _rows(folder)]


def _list_esc10(folder: Path) -> list[Clip]:
    return [_clip(root, row) for root, row in _rows(folder) if row["esc10"] == "True"]


def _rows(folder: Path) -> list[tuple[Path, dict[str, str]]]:
    root = root_of(folder, "ESC-50-master", TABLE, "ESC-50")
    rows = read_table(root / TABLE, ("filename", "fold", "category", "esc10", "src_file"))
    return [(root, row) for row in sorted(rows, key=lambda row: row["filename"])]


def _clip(root: Path, row: dict[str, str]) -> Clip:
    name = row["filename"]
    return Clip(
        id=Path(name).stem,
        path=root / "audio" / Path(name).name,
        target=row["category"],
        fold=row["fold"],
        group=row["src_file"],
    )
