"""NSynth, single notes of 4 s: 305,979 by eleven families of instruments, or as many as HEAR takes by their pitch."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.datasets import Task
from harness.errors import UserError
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import root_of
from ._metadata import read_json
from ._splits import PARTS, hear_sample

VARIANTS = ("pitch-5h", "pitch-50h", "instrument")
TABLE = "examples.json"
ADDRESS = "http://download.magenta.tensorflow.org/datasets/nsynth/"
#: The parts, and the MD5 of their archives.
SUMS = MappingProxyType(
    {
        "train": "fde6665a93865503ba598b9fac388660",
        "valid": "87e94a00a19b6dbc99cf6d4c0c0cae87",
        "test": "5e6f8719bf7e16ad0a00d518b78af77d",
    }
)

#: The authors' names, in the order of their numbers.
FAMILIES = (
    *("bass", "brass", "flute", "guitar", "keyboard", "mallet", "organ", "reed", "string", "synth_lead", "vocal"),
)
#: The keys of a piano, which are the pitches that HEAR keeps.
PITCHES = range(21, 109)
#: How many notes HEAR keeps of a part for each hour of training and validation.
HOURLY = MappingProxyType({"train": 800, "valid": 100, "test": 100})
HEAR = MappingProxyType({"HEAR": None})
SECONDS = MappingProxyType({"hear": {"seconds": 4.0}})
PUBLISHED = MappingProxyType({"evar": {"seconds": 4.0}, "xares": {"epochs": 10, "rate": 1e-3, "batch": 32}})


@dataclass(frozen=True)
class Protocol:
    """What a variant takes and what is known of it; where HEAR asks for pitches, so many hours to train and choose."""

    counts: Mapping[str, int]
    benchmarks: Mapping[str, float | None]
    published: Mapping[str, Mapping[str, Any]]
    hours: int = 0
    unconfirmed: frozenset[str] = frozenset()


PROTOCOLS = {
    "pitch-5h": Protocol({"train": 4000, "valid": 500, "test": 500}, HEAR, SECONDS, hours=5),
    "pitch-50h": Protocol(
        {"train": 40_000, "valid": 5000, "test": 4060}, HEAR, SECONDS, hours=50, unconfirmed=frozenset({"counts"})
    ),
    "instrument": Protocol(
        {"train": 289_205, "valid": 12_678, "test": 4096},
        {"EVAR": None, "X-ARES": 2000},
        PUBLISHED,
        unconfirmed=frozenset({"counts"}),
    ),
}


def task(variant: str) -> Task:
    """The pitch of as many notes as fill 5 or 50 hours, or the family of every note."""
    protocol = PROTOCOLS[variant]
    clips = sum(protocol.counts.values())
    return Task(
        name=f"nsynth:{variant}",
        version="1",
        target=Class(tuple(map(str, PITCHES)) if protocol.hours else FAMILIES),
        splits=PARTS,
        list_clips=partial(_list_clips, protocol),
        clips=clips,
        folder="nsynth",
        source=tuple(
            Archive(
                f"{ADDRESS}nsynth-{part}.jsonwav.tar.gz",
                checksum=f"md5:{digest}",
                cited="HEAR's preprocessing (nsynth_pitch.py)",
            )
            for part, digest in SUMS.items()
        ),
        paper="Engel et al. 2017, arXiv 1704.01279",
        licence="CC BY 4.0",
        description="Notes of sampled instruments; groups are the instruments, of which those that train are apart. "
        + ("Pitches are MIDI numbers." if protocol.hours else "Only those that train have a synth_lead among them."),
        domain="music",
        hours=clips * 4 / 3600,
        counts=protocol.counts,
        unconfirmed=protocol.unconfirmed,
        tables=(TABLE,),
        metric="pitch_accuracy" if protocol.hours else "",
        folding="official; an instrument in both valid and test counts as two groups, so that only what trains is held "
        "to be apart",
        benchmarks=protocol.benchmarks,
        published=protocol.published,
    )


def _list_clips(protocol: Protocol, folder: Path) -> list[Clip]:
    clips = [clip for part in SUMS for clip in _part(protocol, folder, part)]
    return sorted(clips, key=lambda clip: clip.id)


def _part(protocol: Protocol, folder: Path, part: str) -> Iterator[Clip]:
    """The notes of a part that the protocol takes."""
    root = root_of(folder, f"nsynth-{part}", TABLE, f"NSynth's {part} part")
    notes = read_json(root / TABLE)
    if protocol.hours:
        kept = [name for name, note in notes.items() if _told(root, name, note, "pitch") in PITCHES]
        notes = {name: notes[name] for name in hear_sample(kept, part, protocol.hours * HOURLY[part])}
    for name, note in notes.items():
        instrument = _told(root, name, note, "instrument_str")
        label = str(_told(root, name, note, "pitch" if protocol.hours else "instrument_family_str"))
        group = f"{instrument} (valid)" if part == "valid" else instrument
        yield Clip(f"{part}/{name}", root / "audio" / f"{name}.wav", label, part, group)


def _told(root: Path, name: str, note: Mapping[str, Any], fact: str) -> Any:
    if fact not in note:
        raise UserError(f"{root / TABLE} does not say the {fact} of the note {name!r}")
    return note[fact]
