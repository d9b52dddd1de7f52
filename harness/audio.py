"""Audio in: decode, mix to mono, resample, apply the clip recipe."""

import struct
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from harness.errors import UserError

Wave = npt.NDArray[np.float32]

#: Raise it when a change of the code moves features: they are then made anew.
REVISION = "1"
RESAMPLER_QUALITY = "HQ"


@dataclass(frozen=True)
class Recipe:
    """What is done to a clip before an upstream sees it. The default leaves it whole.

    ``duration`` (seconds) crops longer clips, from ``offset`` (seconds) on as far as they reach, and fills shorter
    ones with ``padding``: nothing, or zeros at the end. ``gain`` is in dB.
    """

    duration: float | None = None
    offset: float = 0.0
    padding: Literal["none", "zeros"] = "none"
    gain: float = 0.0

    def key(self) -> dict[str, object]:
        """The recipe as plain values, for the keys of what is stored."""
        return asdict(self)

    def seconds(self, given: float) -> float:
        """How long a clip of so many seconds becomes."""
        if self.duration is None:
            return given
        return self.duration if self.padding == "zeros" else min(given, self.duration)

    def __call__(self, wave: Wave, rate: int) -> Wave:
        """Apply the recipe to a mono wave (sample,)."""
        if self.gain:
            wave = wave * np.float32(10 ** (self.gain / 20))
        if self.duration is None:
            return wave
        length = round(self.duration * rate)
        start = max(0, min(round(self.offset * rate), len(wave) - length))
        wave = wave[start : start + length]
        return np.pad(wave, (0, length - len(wave))) if self.padding == "zeros" else wave


@dataclass(frozen=True)
class Header:
    """Length and rate of a file, read without decoding it."""

    frames: int
    rate: int


def read_header(path: Path) -> Header:
    """Read a file's header.

    Raises:
        UserError: the file is missing, empty, cut short, or of a format that libsndfile does not know.
    """
    import soundfile

    if not path.is_file():
        raise UserError(f"the audio file {path} is missing")
    _refuse_cut(path)
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise UserError(f"the audio file {path} cannot be read: {error.error_string.rstrip('.')}") from error
    if info.frames == 0:
        raise UserError(f"the audio file {path} is empty: it has no samples")
    return Header(info.frames, info.samplerate)


def read_mono(path: Path, start: float | None = None, stop: float | None = None) -> tuple[Wave, int]:
    """Decode from ``start`` to ``stop`` (seconds) without decoding the rest, and average the channels.

    Returns the wave (sample,), float32 in [-1, 1], and its rate in Hz.

    Raises:
        UserError: the file cannot be read, holds fewer samples than it declares, or samples that are not finite.
    """
    import soundfile

    header = read_header(path)
    first = round((start or 0.0) * header.rate)
    last = header.frames if stop is None else round(stop * header.rate)
    if not 0 <= first < last <= header.frames:
        length = header.frames / header.rate
        end = "its end" if stop is None else f"{stop} s"
        raise UserError(f"{path} lasts {length:.3f} s, so there is no stretch from {start or 0.0} s to {end} in it")
    try:
        with soundfile.SoundFile(path) as file:
            # An MP3 frame needs those before it, so a seek into the middle would start with the wrong samples.
            skip = first if file.format == "MP3" else 0
            file.seek(first - skip)
            wave = file.read(last - first + skip, dtype="float32", always_2d=True)[skip:]
    except soundfile.LibsndfileError as error:
        raise UserError(f"the audio file {path} cannot be read: {error.error_string.rstrip('.')}") from error
    if len(wave) < last - first:
        raise UserError(f"the audio file {path} is cut short: {len(wave)} of {last - first} samples are there")
    mono: Wave = wave[:, 0] if wave.shape[1] == 1 else wave.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise UserError(f"the audio file {path} holds samples that are not finite (NaN or infinity)")
    return mono, header.rate


def load_wave(path: Path, rate: int, recipe: Recipe, *, start: float | None = None, stop: float | None = None) -> Wave:
    """A clip as an upstream sees it: decoded, mono, at ``rate`` Hz, through the recipe. Shape (sample,)."""
    wave, given = read_mono(path, start, stop)
    out = recipe(resample(wave, given, rate), rate)
    if not len(out):
        raise UserError(f"the audio file {path} is too short: nothing is left of it at {rate} Hz")
    return np.ascontiguousarray(out)


def resample(wave: Wave, given: int, rate: int) -> Wave:
    """Resample a mono wave (sample,) from ``given`` to ``rate`` Hz with soxr."""
    import soxr

    if given == rate:
        return wave
    out: Wave = soxr.resample(wave, given, rate, quality=RESAMPLER_QUALITY)
    return out


@cache
def resampler() -> str:
    """Name, quality and version of the resampler: part of every encoder key, since it moves features."""
    import soxr

    return f"soxr {RESAMPLER_QUALITY} {soxr.__libsoxr_version__}"


def _refuse_cut(path: Path) -> None:
    """Refuse a WAV or Ogg file that was cut short, which libsndfile would read as if it were whole."""
    size = path.stat().st_size
    if size == 0:
        raise UserError(f"the audio file {path} is empty: it has no bytes")
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:] == b"WAVE":
            missing = _wav_bytes_missing(file, size, ">" if head[:4] == b"RIFX" else "<")
            if missing:
                raise UserError(f"the audio file {path} is cut short: {missing:,} bytes of its sound are missing")
        elif head[:4] == b"OggS":
            file.seek(max(0, size - _LONGEST_OGG_PAGE))
            if not _is_last_ogg_page(file.read()):
                raise UserError(f"the audio file {path} is cut short: its stream has no end")


def _is_last_ogg_page(tail: bytes) -> bool:
    """Whether the last page in a file's tail is whole and says that it is the last (RFC 3533, section 6)."""
    page = tail[tail.rfind(b"OggS") :]
    if len(page) < 27 or not page[5] & 4:
        return False
    table = page[27 : 27 + page[26]]
    return len(page) >= 27 + page[26] + sum(table)


_LONGEST_OGG_PAGE = 65_307


def _wav_bytes_missing(file: BinaryIO, size: int, order: str) -> int:
    """How many bytes the sound chunk declares beyond the end of the file; 1 if there is no such chunk."""
    large = 0
    while len(chunk := file.read(8)) == 8:
        name, length = struct.unpack(f"{order}4sI", chunk)
        if name == b"ds64":
            large = int.from_bytes(file.read(16)[8:], "little")
            length -= 16
        elif name == b"data":
            # A recorder that writes to a pipe cannot know the length and leaves the largest number.
            declared = large or (0 if length >= 0x7FFFFF00 else length)
            return max(0, file.tell() + declared - size)
        file.seek(length + length % 2, 1)
    return 1
