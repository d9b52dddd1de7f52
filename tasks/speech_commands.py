"""Speech Commands, spoken words: 35 of them, or ten, unknown and silence, in the first or second release."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.audio import read_header
from harness.datasets import Task
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, id_of, inside, root_of
from ._metadata import read_lines
from ._splits import PARTS, hear_sample

VARIANTS = ("v2-35", "v1-12", "v2-12", "v2-12-5h")

#: The words of the second release; the first lacks the last five.
WORDS = (
    *("bed", "bird", "cat", "dog", "down", "eight", "five", "four", "go", "happy", "house", "left", "marvin", "nine"),
    *("no", "off", "on", "one", "right", "seven", "sheila", "six", "stop", "three", "tree", "two", "up", "wow", "yes"),
    *("zero", "backward", "follow", "forward", "learn", "visual"),
)
UNKNOWN, SILENCE = "_unknown_", "_silence_"
TWELVE = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go", UNKNOWN, SILENCE)
NOISE = "_background_noise_"
#: The noise whose silence chooses; that of the other five trains.
VALID_NOISE = "running_tap"
SPEAKER = re.compile(r"(?:.*_)?(?P<speaker>[0-9a-f]{8})_nohash_\d+")
ADDRESS = "http://download.tensorflow.org/data/"
CITED = "HEAR's preprocessing (hearpreprocess/speech_commands.py)"
#: What HEAR keeps of train and validation where it allows five hours.
CAPS = MappingProxyType({"train": 16_000, "valid": 2_000})


HEAR = MappingProxyType({"HEAR": None})
SECOND = MappingProxyType({"seconds": 1.0})


@dataclass(frozen=True)
class Protocol:
    """What a variant takes: the release, twelve labels or all words, whether it is capped; and what is known of it."""

    release: str
    counts: Mapping[str, int]
    benchmarks: Mapping[str, float | None]
    published: Mapping[str, Mapping[str, Any]]
    twelve: bool = True
    capped: bool = False
    unconfirmed: frozenset[str] = frozenset({"hours"})


PROTOCOLS = {
    "v2-35": Protocol(
        "0.02",
        {"train": 84_843, "valid": 9_981, "test": 11_005},
        {"EVAR": None, "BEANS": None},
        {"evar": SECOND},
        twelve=False,
    ),
    "v1-12": Protocol(
        "0.01",
        {"train": 51_088 + 668, "valid": 6_798 + 121, "test": 3_081},
        {"SUPERB": None},
        {"superb": {"gain": -3.0}},
        unconfirmed=frozenset({"hours", "clips", "counts"}),
    ),
    "v2-12": Protocol("0.02", {"train": 84_843 + 668, "valid": 9_981 + 121, "test": 4_890}, HEAR, {"hear": SECOND}),
    "v2-12-5h": Protocol("0.02", {**CAPS, "test": 4_890}, HEAR, {"hear": SECOND}, capped=True),
}


def task(variant: str) -> Task:
    """All words by the official lists, or SUPERB's and HEAR's twelve labels with the test set of their own."""
    protocol = PROTOCOLS[variant]
    clips = sum(protocol.counts.values())
    return Task(
        name=f"speech_commands:{variant}",
        version="1",
        target=Class(TWELVE if protocol.twelve else tuple(sorted(WORDS))),
        splits=PARTS,
        list_clips=partial(_list_twelve if protocol.twelve else _list_words, protocol),
        clips=clips,
        folder=f"speech_commands_v{protocol.release}",
        source=_archives(protocol.release),
        paper="Warden 2018, arXiv 1804.03209",
        licence="CC BY 4.0",
        description="Single words of up to a second; groups are the speakers, whom the official lists keep apart.",
        domain="speech",
        hours=round(clips / 3600, 1),
        counts=protocol.counts,
        unconfirmed=protocol.unconfirmed,
        tables=("validation_list.txt", "testing_list.txt"),
        folding="official lists; silence is every second of the noises that begins at a multiple of half a second, of "
        f"{VALID_NOISE} for validation and of the others for training"
        if protocol.twelve
        else "official lists",
        benchmarks=protocol.benchmarks,
        published=protocol.published,
    )


def _archives(release: str) -> tuple[Archive, ...]:
    main, test = f"speech_commands_v{release}", f"speech_commands_test_set_v{release}"
    sums = ("md5:6b74f3901214cb2c2934e98196829835", "md5:854c580ee90bff80c516491c84544e32")
    known, cited = (sums, CITED) if release == "0.02" else (("", ""), "")
    return tuple(
        Archive(f"{ADDRESS}{name}.tar.gz", into=name, checksum=checksum, cited=cited)
        for name, checksum in zip((main, test), known, strict=True)
    )


def _list_words(protocol: Protocol, folder: Path) -> list[Clip]:
    root, parts = _listed(protocol, folder)
    return [_clip(root, path, part, path.parent.name) for path, part in parts.items()]


def _list_twelve(protocol: Protocol, folder: Path) -> list[Clip]:
    root, parts = _listed(protocol, folder)
    clips = [_clip(root, path, part, _label(path)) for path, part in parts.items() if part != "test"]
    clips += _silence(root)
    if protocol.capped:
        stems = {part: {_stem(clip): clip for clip in clips if clip.fold == part} for part in CAPS}
        clips = [stems[part][stem] for part, most in CAPS.items() for stem in hear_sample(stems[part], part, most)]
    name = f"speech_commands_test_set_v{protocol.release}"
    test = root_of(folder, name, UNKNOWN, f"the test set of Speech Commands v{protocol.release}")
    clips += [_clip(test, path, "test", _label(path), "test/") for path in audio_in(test)]
    return sorted(clips, key=lambda clip: clip.id)


def _listed(protocol: Protocol, folder: Path) -> tuple[Path, dict[Path, str]]:
    """The root, and every recording of a word with its part: what the two lists name, and what else lies there."""
    release = protocol.release
    root = root_of(folder, f"speech_commands_v{release}", "validation_list.txt", f"Speech Commands v{release}")
    there = [path for path in audio_in(root) if path.parent.parent == root and path.parent.name in WORDS]
    parts = dict.fromkeys(there, "train")
    for part, name in (("valid", "validation_list.txt"), ("test", "testing_list.txt")):
        parts.update(dict.fromkeys((inside(root, line) for line in read_lines(root / name)), part))
    return root, dict(sorted(parts.items(), key=lambda item: id_of(item[0], root)))


def _silence(root: Path) -> Iterator[Clip]:
    """Seconds of noise; only the lengths of the files are looked at."""
    for path in audio_in(root / NOISE):
        header = read_header(path)
        for first in range(0, header.frames - header.rate, header.rate // 2):
            start = first / header.rate
            part = "valid" if path.stem == VALID_NOISE else "train"
            yield Clip(f"{id_of(path, root)}-{first}", path, SILENCE, part, path.stem, start, start + 1.0)


def _label(path: Path) -> str:
    word = path.parent.name
    return word if word in TWELVE else UNKNOWN


def _clip(root: Path, path: Path, part: str, label: str, prefix: str = "") -> Clip:
    name = prefix + id_of(path, root)
    speaker = SPEAKER.match(path.name)
    return Clip(name, path, label, part, speaker["speaker"] if speaker else name)


def _stem(clip: Clip) -> str:
    """The name that HEAR gives a file, by which it is sampled: its folder's and its own."""
    return clip.id.replace(NOISE, SILENCE).replace("/", "_")
