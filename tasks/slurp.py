"""SLURP, requests to a home assistant: about 72,400 recordings, 60 intents, official split."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.datasets import Task
from harness.errors import UserError
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import inside, root_of
from ._metadata import read_json, read_json_lines
from ._splits import PARTS

VARIANTS = ("",)

#: Each scenario's actions.
ACTIONS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "alarm": ("query", "remove", "set"),
        "audio": ("volume_down", "volume_mute", "volume_other", "volume_up"),
        "calendar": ("query", "remove", "set"),
        "cooking": ("query", "recipe"),
        "datetime": ("convert", "query"),
        "email": ("addcontact", "query", "querycontact", "sendemail"),
        "general": ("greet", "joke", "quirky"),
        "iot": (
            *("cleaning", "coffee", "hue_lightchange", "hue_lightdim", "hue_lightoff", "hue_lighton", "hue_lightup"),
            *("wemo_off", "wemo_on"),
        ),
        "lists": ("createoradd", "query", "remove"),
        "music": ("dislikeness", "likeness", "query", "settings"),
        "news": ("query",),
        "play": ("audiobook", "game", "music", "podcasts", "radio"),
        "qa": ("currency", "definition", "factoid", "maths", "stock"),
        "recommendation": ("events", "locations", "movies"),
        "social": ("post", "query"),
        "takeaway": ("order", "query"),
        "transport": ("query", "taxi", "ticket", "traffic"),
        "weather": ("query",),
    }
)
LABELS = tuple(f"{scenario}_{action}" for scenario, own in ACTIONS.items() for action in own)
FOLDS = MappingProxyType({"train": "train", "devel": "valid", "test": "test"})
ADDRESS = "https://raw.githubusercontent.com/pswietojanski/slurp/master/dataset/slurp/"
METADATA = "metadata.json"
KEYS = ("scenario", "action", "recordings")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="slurp",
        version="1",
        target=Class(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=72_396,
        folder="slurp",
        source=(
            *(Archive(f"{ADDRESS}{name}", loose=True) for name in (*(f"{part}.jsonl" for part in FOLDS), METADATA)),
            Archive("https://zenodo.org/records/4274930/files/slurp_real.tar.gz"),
        ),
        paper="Bastianelli et al. 2020, arXiv 2011.13205",
        licence="CC BY-NC 4.0, its texts CC BY 4.0",
        description="Recorded (not synthetic) requests; intents are scenario and action, not the field of that name, "
        "which says something else of a few. Groups are the speakers, where metadata.json tells them.",
        domain="speech",
        hours=58,
        counts=MappingProxyType({"train": 50_628, "valid": 8_690, "test": 13_078}),
        unconfirmed=frozenset({"clips", "counts", "hours"}),
        tables=(*(f"{part}.jsonl" for part in FOLDS), METADATA),
        leaks="speaker",
        folding="official, by sentence",
        benchmarks=MappingProxyType({"ARCH": None}),
        published=MappingProxyType({"arch": {"seconds": 10.0}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, ("slurp", "dataset/slurp", "slurp-master/dataset/slurp"), "train.jsonl", "SLURP")
    audio = (
        next((place for place in (root, folder, folder / "audio") if (place / "slurp_real").is_dir()), root)
        / "slurp_real"
    )
    speakers = _speakers(root / METADATA)
    clips = [
        Clip(Path(name).stem, inside(audio, name), label, fold, speakers.get(name, name))
        for part, fold in FOLDS.items()
        for name, label in _recordings(root / f"{part}.jsonl")
    ]
    return sorted(clips, key=lambda clip: clip.id)


def _recordings(table: Path) -> Iterator[tuple[str, str]]:
    """Every recording of every sentence, and its intent."""
    for number, sentence in enumerate(read_json_lines(table), 1):
        if lacking := [key for key in KEYS if key not in sentence]:
            raise UserError(f"row {number} of {table} lacks {lacking[0]!r}: it has {', '.join(sentence)}")
        for recording in sentence["recordings"]:
            yield recording["file"], f"{sentence['scenario']}_{sentence['action']}"


def _speakers(path: Path) -> Mapping[str, str]:
    sentences: Mapping[str, Any] = read_json(path)
    return {
        name: recording["usrid"]
        for sentence in sentences.values()
        for name, recording in sentence["recordings"].items()
        if recording.get("usrid")
    }
