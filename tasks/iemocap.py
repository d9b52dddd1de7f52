"""IEMOCAP, acted dialogues: 5,531 utterances in 4 emotions by ten actors in five sessions, each of which is a fold."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.errors import UserError
from harness.sources import ByHand
from harness.types import Class, Clip

from ._files import root_of
from ._metadata import read_lines

VARIANTS = ("",)

FOLDS = tuple(f"Session{number}" for number in range(1, 6))
#: SUPERB's four: excitement counts as happiness, and every other code is left out.
EMOTIONS = MappingProxyType({"neu": "neu", "hap": "hap", "exc": "hap", "ang": "ang", "sad": "sad"})
LABELS = ("neu", "hap", "ang", "sad")
#: A dialogue of a session, the letter of who speaks, and the turn's number.
TURN = re.compile(r"(?P<dialogue>Ses0(?P<session>[1-5])[FM]_.+)_(?P<speaker>[FM])[^_]*")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="iemocap",
        version="1",
        target=Class(LABELS),
        splits=rotation(FOLDS),
        list_clips=_list_clips,
        clips=5531,
        folder="iemocap",
        source=ByHand("sign the form at https://sail.usc.edu/iemocap/", "the folder IEMOCAP_full_release"),
        paper="Busso et al. 2008, doi 10.1007/s10579-008-9076-6",
        licence="by signed form, for research",
        description="Neutral, happy (or excited), angry and sad turns of acted dialogues, as most listeners had it; "
        "groups are the actors, two in a session.",
        domain="speech",
        counts=dict(zip(FOLDS, (1085, 1023, 1151, 1031, 1241), strict=True)),
        folding="sessions in turn, another of which chooses (SUPERB draws a fifth of the training clips for that, with "
        "the same speakers)",
        benchmarks=MappingProxyType({"SUPERB": None}),
        published=MappingProxyType({"superb": {"steps": 30_000, "checks": 30}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "IEMOCAP_full_release", "Session1/dialog/EmoEvaluation", "IEMOCAP")
    return sorted((clip for fold in FOLDS for clip in _session(root, fold)), key=lambda clip: clip.id)


def _session(root: Path, fold: str) -> Iterator[Clip]:
    for table in sorted((root / fold / "dialog" / "EmoEvaluation").glob("[!.]*.txt")):
        for line in read_lines(table):
            if line.startswith("["):  # others are of single listeners
                cells = line.split("\t")
                turn = TURN.fullmatch(cells[1]) if len(cells) == 4 else None
                if turn is None:
                    raise UserError(f"{table} has the line {line!r}, which is not: times, turn, emotion, three values")
                if cells[2] in EMOTIONS:
                    path = root / fold / "sentences" / "wav" / turn["dialogue"] / f"{cells[1]}.wav"
                    yield Clip(cells[1], path, EMOTIONS[cells[2]], fold, f"{turn['session']}{turn['speaker']}")
