"""Twelve generated sounds in sixty generated rooms: a small task that needs no download."""

import csv
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from harness.datasets import Task, rotation
from harness.types import Class, Clip

from ._metadata import read_table

VARIANTS = ("",)

SEED = 1
RATE = 16_000
SECONDS = (1.0, 1.5, 2.0, 2.5)
FOLDS = ("1", "2", "3", "4", "5")
META = ("filename", "label", "group", "fold")
ROOMS = 60
CLIPS_PER_ROOM = 8

#: Three seconds: the longest clip and the tail of its echo.
FFT_SIZE = 48_000

Wave = NDArray[np.float64]
#: Makes a sound from the time of each sample in seconds, a pitch in Hz, and chance.
Sound = Callable[[Wave, float, Generator], Wave]


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="synthetic",
        version="1",
        target=Class(tuple(SOUNDS)),
        splits=rotation(FOLDS),
        list_clips=list_clips,
        clips=ROOMS * CLIPS_PER_ROOM,
        folder="synthetic-1",
        source=make,
        paper="none",
        licence="generated (Apache-2.0)",
        description="Twelve generated sounds (tones, sweeps, bells, birds, rain, ...), made on the spot.",
        domain="events",
    )


def list_clips(folder: Path) -> list[Clip]:
    """Every clip that ``meta.csv`` names, sorted by id; a clip's group is its room."""
    rows = sorted(read_table(folder / "meta.csv", META), key=lambda row: row["filename"])
    return [
        Clip(
            id=Path(row["filename"]).stem,
            path=folder / "audio" / row["filename"],
            target=row["label"],
            fold=row["fold"],
            group=row["group"],
        )
        for row in rows
    ]


def make(folder: Path) -> None:
    """Write ``audio/*.wav`` (16 kHz, mono, 16 bit) and ``meta.csv`` into an empty folder, always the same."""
    labels = tuple(SOUNDS)
    rows = []
    (folder / "audio").mkdir()
    for number in range(ROOMS):
        room = _room(default_rng((SEED, 0, number)))
        turn, fold = divmod(number, len(FOLDS))
        for place in range(CLIPS_PER_ROOM):
            clip = number * CLIPS_PER_ROOM + place
            # A fold's twelve rooms start at twelve different labels, so it holds every label eight times.
            label = labels[(turn + place) % len(labels)]
            wave = _record(SOUNDS[label], room, default_rng((SEED, 1, clip)))
            soundfile.write(folder / "audio" / f"{clip:03}.wav", wave, RATE, subtype="PCM_16")
            rows.append((f"{clip:03}.wav", label, f"room{number:02}", FOLDS[fold]))
    with (folder / "meta.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([META, *rows])


@dataclass(frozen=True)
class Room:
    """What the clips of one recording situation share.

    ``pitch`` is in Hz, ``peak`` the loudest sample there can be, ``snr`` the dB from sound to hiss. At each
    frequency, ``response`` is the gain of a sound, and ``hiss`` that of the white noise behind it.
    """

    pitch: float
    peak: float
    snr: float
    response: NDArray[np.complex128]
    hiss: NDArray[np.float64]


def _room(rng: Generator) -> Room:
    time = np.arange(0, 0.4, 1 / RATE)
    echo = rng.uniform(0.01, 0.03) * rng.standard_normal(len(time)) * np.exp(-time / rng.uniform(0.03, 0.12))
    echo[0] = 1
    hertz = np.fft.rfftfreq(FFT_SIZE, 1 / RATE).clip(min=50)
    # A gain in dB for each octave above 50 Hz, as a microphone and a wall would give.
    gain = np.interp(np.log2(hertz / 50), np.arange(9), rng.normal(0, 5, 9))
    return Room(
        pitch=250 * 2 ** rng.uniform(0, 1.5),
        peak=10 ** rng.uniform(-1.2, -0.1),
        snr=rng.uniform(20, 35),
        response=np.fft.rfft(echo, FFT_SIZE) * 10 ** (gain / 20),
        hiss=hertz ** -rng.uniform(0, 1),
    )


def _record(sound: Sound, room: Room, rng: Generator) -> NDArray[np.int16]:
    time = np.arange(0, rng.choice(SECONDS), 1 / RATE)
    pitch = room.pitch * 2 ** rng.uniform(-0.3, 0.3)
    heard = _filter(sound(time, pitch, rng), room.response)
    hiss = _filter(rng.standard_normal(len(time)), room.hiss)
    heard += hiss * (heard.std() / hiss.std() * 10 ** (-room.snr / 20))
    heard *= room.peak * rng.uniform(0.5, 1) / np.abs(heard).max()
    return np.round(heard * 32_767).astype(np.int16)


def _filter(wave: Wave, gains: NDArray[np.inexact]) -> Wave:
    return np.fft.irfft(np.fft.rfft(wave, FFT_SIZE) * gains)[: len(wave)]


def _tone(time: Wave, pitch: float, rng: Generator) -> Wave:
    return _voice(np.full_like(time, pitch), rng)


def _tremolo(time: Wave, pitch: float, rng: Generator) -> Wave:
    return _tone(time, pitch, rng) * (1 + _swing(time, rng.uniform(4, 9), rng))


def _vibrato(time: Wave, pitch: float, rng: Generator) -> Wave:
    octaves = rng.uniform(0.1, 0.25) * _swing(time, rng.uniform(4, 9), rng)
    return _voice(pitch * 2**octaves, rng)


def _siren(time: Wave, pitch: float, rng: Generator) -> Wave:
    octaves = rng.uniform(0.2, 0.4) * np.sign(_swing(time, rng.uniform(1, 2.5), rng))
    return _voice(pitch * 2**octaves, rng)


def _rise(time: Wave, pitch: float, rng: Generator) -> Wave:
    since = _since(time, rng.uniform(0.4, 1), rng)
    octaves = rng.uniform(0.5, 1.5) * (since / since.max() - 0.5)
    return _voice(pitch * 2**octaves, rng)


def _fall(time: Wave, pitch: float, rng: Generator) -> Wave:
    return _rise(time, pitch, rng)[::-1]


def _pluck(time: Wave, pitch: float, rng: Generator) -> Wave:
    return _ring(_since(time, rng.uniform(0.2, 0.5), rng), pitch * np.arange(1, 8), rng.uniform(5, 8))


def _bell(time: Wave, pitch: float, rng: Generator) -> Wave:
    partials = np.array([1, 2, 2.4, 3, 4.5, 5.33, 6.67]) * rng.uniform(0.97, 1.03, 7)
    return _ring(_since(time, rng.uniform(0.5, 0.8), rng), pitch * partials, rng.uniform(1, 3))


def _birds(time: Wave, pitch: float, rng: Generator) -> Wave:
    since = _since(time, rng.uniform(0.15, 0.3), rng)
    # Each call glides for a tenth of a second and is loudest half way.
    octaves = rng.choice((-6, 6)) * (since.clip(max=0.1) - 0.05)
    return _voice(4 * pitch * 2**octaves, rng) * np.exp(-(((since - 0.05) / 0.025) ** 2))


def _knocks(time: Wave, pitch: float, rng: Generator) -> Wave:
    since = _since(time, rng.uniform(0.15, 0.4), rng)
    return _ring(since, (pitch / 3, pitch / 2), rng.uniform(20, 40))


def _ticks(time: Wave, pitch: float, rng: Generator) -> Wave:
    since = _since(time, rng.uniform(0.08, 0.3), rng)
    return rng.standard_normal(len(time)) * np.exp(-since * rng.uniform(200, 500))


def _rain(time: Wave, pitch: float, rng: Generator) -> Wave:
    drops = rng.random(len(time)) < 10 ** rng.uniform(-2.3, -1.3)
    return rng.standard_normal(len(time)) * (0.2 + drops)


SOUNDS: dict[str, Sound] = {
    "tone": _tone,
    "tremolo": _tremolo,
    "vibrato": _vibrato,
    "siren": _siren,
    "rise": _rise,
    "fall": _fall,
    "pluck": _pluck,
    "bell": _bell,
    "birds": _birds,
    "knocks": _knocks,
    "ticks": _ticks,
    "rain": _rain,
}


def _voice(hertz: Wave, rng: Generator) -> Wave:
    """A harmonic sound whose pitch follows ``hertz``, dull or bright by chance."""
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    slope = rng.uniform(1, 3)
    # A harmonic is mute while it lies above what the rate can carry.
    harmonics = [np.sin(n * phase) * (n * hertz < RATE / 2) / n**slope for n in range(1, 9)]
    sound: Wave = np.sum(harmonics, axis=0)
    return sound


def _ring(since: Wave, partials: Iterable[float], decay: float) -> Wave:
    """A struck body: partials in Hz that fade after each stroke, the high ones sooner."""
    fading = [np.sin(2 * np.pi * hz * since) * np.exp(-n * decay * since) / n for n, hz in enumerate(partials, 1)]
    sound: Wave = np.sum(fading, axis=0)
    return sound


def _swing(time: Wave, rate: float, rng: Generator) -> Wave:
    return np.sin(2 * np.pi * (rate * time + rng.random()))


def _since(time: Wave, gap: float, rng: Generator) -> Wave:
    """Seconds since the latest of the events, which come about ``gap`` apart from before the start on."""
    gaps = gap * rng.uniform(0.8, 1.2, 2 + int(time[-1] / (0.8 * gap)))
    events = np.cumsum(gaps) - 1.2 * gap
    return time - events[np.searchsorted(events, time, side="right") - 1]
