"""Gunshots of 7 firearms, each heard by 4 microphones: which one is it? 88 clips, one firearm left out at a time."""

import re
from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType

from harness.audio import read_mono
from harness.datasets import Task, rotation
from harness.errors import UserError
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, name_parts, root_of

VARIANTS = ("",)

ADDRESS = "https://zenodo.org/records/3997406/files/"
CITED = "HEAR's preprocessing (hearsecrettasks/gunshot_triangulation.py)"
#: The authors' recordings, one for each microphone, with their MD5.
RECORDINGS = MappingProxyType(
    {
        "mic1": ("mic1raw.wav", "e2f4acad742278c973e9c190fee03b5f"),
        "mic2": ("mic2raw16b.wav", "184d888f457f331f592eeb4ee5fa12e2"),
        "mic3": ("mic3raw.wav", "db2ffa4fdf8b42b98c208670f4578b4b"),
        "mic4": ("mic4raw.wav", "571da84eecf397bf0356a24400769ced"),
    }
)
LABELS = tuple(RECORDINGS)
#: HEAR's folds in their order.
FIREARMS = ("fid3", "fid2", "fid5", "fid4", "fid1", "fid7", "fid6")
SHOTS, RATE = 22, 48_000
#: Where the recordings' common time begins in each, in samples.
BEGINNINGS = MappingProxyType(
    {"mic1": 15_764_451 - RATE, "mic2": 13_764_742 - RATE, "mic3": 9_334_032 - RATE, "mic4": 6_794_611 - RATE}
)
#: A sample as loud as that is a shot, unless it comes so soon after one.
LOUD, APART = 0.8, 25_000
#: A clip begins so long before its shot; both in samples.
BEFORE, LENGTH = RATE // 8, RATE * 3 // 2
CUT = re.compile(rf"(?P<mic>{'|'.join(LABELS)})_shot\d+_(?P<firearm>fid[1-7])\.(?i:wav)")


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="gunshot",
        version="1",
        target=Class(LABELS),
        splits=rotation(FIREARMS),
        list_clips=_list_clips,
        clips=len(LABELS) * SHOTS,
        folder="gunshot",
        source=tuple(
            Archive(f"{ADDRESS}{name}", loose=True, checksum=f"md5:{md5}", cited=CITED)
            for name, md5 in RECORDINGS.values()
        ),
        paper="Cooper and Shaw 2020, doi 10.5281/zenodo.3997406",
        licence="unknown",
        description="Shots in an open field, cut from four long recordings as HEAR does; groups are the firearms, each "
        "of which is a fold.",
        domain="events",
        hours=len(LABELS) * SHOTS * LENGTH / RATE / 3600,
        counts={firearm: 16 if firearm == "fid1" else 12 for firearm in FIREARMS},
        benchmarks=MappingProxyType({"HEAR": None}),
        published=MappingProxyType({"hear": {"seconds": 1.5}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "gunshot_triangulation", ".", "Gunshot Triangulation")
    recordings = {mic: root / name for mic, (name, _) in RECORDINGS.items()}
    raw = any(path.is_file() for path in recordings.values())
    clips = list(_cut_here(recordings) if raw else _cut_before(root))
    if not clips:
        raise UserError(
            f"Gunshot Triangulation is not in {folder}: it holds neither {recordings['mic1'].name} nor clips that were "
            "cut from it"
        )
    return sorted(clips, key=lambda clip: clip.id)


def _cut_before(root: Path) -> Iterator[Clip]:
    """The clips of a copy that holds one file for each."""
    for path in audio_in(root):
        name = name_parts(CUT, path, "mic1_shot0_fid1.wav (microphone, shot, firearm)")
        yield Clip(path.stem, path, name["mic"], name["firearm"], name["firearm"])


def _cut_here(recordings: dict[str, Path]) -> Iterator[Clip]:
    """Stretches of the recordings around the shots that the first microphone heard."""
    for shot, heard in enumerate(_shots(recordings["mic1"])):
        firearm = f"fid{max(0, shot - 1) // 3 + 1}"
        for mic, path in recordings.items():
            start = (BEGINNINGS[mic] + heard - BEFORE) / RATE
            yield Clip(f"{mic}_shot{shot}_{firearm}", path, mic, firearm, firearm, start, start + LENGTH / RATE)


def _shots(path: Path) -> list[int]:
    """The samples of the common time at which shots begin.

    Raises:
        UserError: the recording has another rate or fewer shots.
    """
    import numpy as np

    wave, rate = read_mono(path)
    if rate != RATE:
        raise UserError(f"{path} is at {rate} Hz: shots are cut at {RATE} Hz, at which the authors recorded them")
    shots: list[int] = []
    for sample in np.flatnonzero(np.abs(wave[BEGINNINGS["mic1"] :]) >= LOUD).tolist():
        if len(shots) < SHOTS and (not shots or sample > shots[-1] + APART + 1):
            shots.append(sample)
    if len(shots) < SHOTS:
        raise UserError(f"{path} holds {len(shots)} shots where there must be {SHOTS}: get it anew")
    return shots
