"""Beehives: is there a queen? 576 recordings, one of two hives left out at a time; 30 s of each, or with :full all."""

import math
import re
from functools import partial
from pathlib import Path
from types import MappingProxyType

from harness.audio import read_header
from harness.datasets import Task
from harness.errors import UserError
from harness.sources import ByHand
from harness.types import Class, Clip, Split

from ._files import audio_in, name_parts

VARIANTS = ("", "full")

LABELS = ("NOQUEEN", "QUEEN")
HIVES = ("1", "3")
SHORT = 30.0
NAME = re.compile(
    rf"Hive(?P<hive>[{''.join(HIVES)}])[ _](?P<day>\d\d_\d\d_\d{{4}})_(?P<no>NO_)?QueenBee_+\d\d_\d\d_\d\d\.(?i:wav)"
)
SPLITS = tuple(
    Split((f"hive{trains}",), (f"hive{trains}-valid",), (f"hive{tests}", f"hive{tests}-valid"))
    for trains, tests in (HIVES, HIVES[::-1])
)


def task(variant: str) -> Task:
    """The beginning of each recording, or all of it."""
    full = variant == "full"
    return Task(
        name="beehive:full" if full else "beehive",
        version="1",
        target=Class(LABELS),
        splits=SPLITS,
        list_clips=partial(_list_clips, full),
        clips=576,
        folder="beehive",
        source=ByHand(
            "download the four RAR files that begin with Hive1 and Hive3 from https://zenodo.org/records/2667806 and "
            "unpack them",
            "their folders",
        ),
        paper="Nolasco et al. 2019, doi 10.1109/ICASSP.2019.8682981",
        licence="CC BY 4.0",
        description="The hum of two hives, by the hive that is tested; each recording is its own group. In each hive "
        "either state was recorded on one day, and hive 1 at 32 kHz, hive 3 at 44.1 kHz: day and rate give it away.",
        domain="events",
        hours=576 * (600 if full else SHORT) / 3600,
        unconfirmed=frozenset({"licence"}),
        metric="auroc",
        folding="hives; of the one that trains the last tenth of each day chooses (HEAR draws a tenth at random)",
        benchmarks=MappingProxyType({"HEAR": None}),
        published=MappingProxyType({"hear": {"seconds": 600.0 if full else SHORT}}),
    )


def _list_clips(full: bool, folder: Path) -> list[Clip]:
    form = "Hive3_28_07_2017_QueenBee____10_10_00.wav (hive, day, state, time)"
    names = {path: name_parts(NAME, path, form) for path in audio_in(folder)}
    if not names:
        raise UserError(f"there is no recording of a beehive in {folder}: unpack the four RAR files into it")
    chosen = _last({path.stem: f"{name['hive']} {name['day']}" for path, name in names.items()})
    clips = []
    for path, name in names.items():
        fold = f"hive{name['hive']}" + ("-valid" if path.stem in chosen else "")
        label = "NOQUEEN" if name["no"] else "QUEEN"
        clips.append(Clip(path.stem, path, label, fold, path.stem, stop=None if full else _stop(path)))
    return sorted(clips, key=lambda clip: clip.id)


def _last(days: dict[str, str]) -> set[str]:
    """Of recordings by their days, whose names are in the order of time, the last tenth of each day."""
    chosen: set[str] = set()
    for day in set(days.values()):
        own = sorted(stem for stem, other in days.items() if other == day)
        chosen.update(own[-math.ceil(len(own) / 10) :])
    return chosen


def _stop(path: Path) -> float | None:
    """Where its beginning ends; a recording that is no longer is taken whole, and only its header is looked at."""
    header = read_header(path)
    return SHORT if header.frames > SHORT * header.rate else None
