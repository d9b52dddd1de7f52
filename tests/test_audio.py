"""Audio in: every format, every stretch, every way in which a file can be broken."""

import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile
import soxr

from harness.audio import Recipe, load_wave, read_header, read_mono, resample, resampler

Refused = Callable[[str], AbstractContextManager[None]]

LOSSLESS = [
    ("wav", "PCM_U8", 2**-6),
    ("wav", "PCM_16", 2**-14),
    ("wav", "PCM_24", 2**-22),
    ("wav", "PCM_32", 2**-24),
    ("wav", "FLOAT", 1e-7),
    ("wav", "DOUBLE", 1e-7),
    ("flac", "PCM_16", 2**-14),
    ("flac", "PCM_24", 2**-22),
]
LOSSY = [("ogg", "VORBIS"), ("mp3", "MPEG_LAYER_III")]
FORMATS = [(suffix, subtype) for suffix, subtype, _ in LOSSLESS] + LOSSY


def sound(samples: int, channels: int = 1, seed: int = 0) -> npt.NDArray[np.float32]:
    """Low-passed noise, (sample, channel), that a lossy codec keeps."""
    random = np.random.default_rng(seed)
    rough = random.normal(0, 0.5, (samples + 31, channels))
    smooth = np.apply_along_axis(np.convolve, 0, rough, np.hanning(32) / 16, "valid")
    return smooth.clip(-0.9, 0.9).astype(np.float32)


def tone(hertz: float, rate: int, seconds: float) -> npt.NDArray[np.float32]:
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(round(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(("suffix", "subtype", "step"), LOSSLESS)
def test_a_lossless_file_gives_back_its_samples(tmp_path: Path, suffix: str, subtype: str, step: float) -> None:
    path = tmp_path / f"clip.{suffix}"
    wave = sound(4000)[:, 0]
    soundfile.write(path, wave, 16_000, subtype=subtype)
    read, rate = read_mono(path)
    assert rate == 16_000
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, wave, rtol=0, atol=step)


@pytest.mark.parametrize(("suffix", "subtype"), LOSSY)
def test_a_lossy_file_gives_its_samples_back_in_time(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    wave = sound(32_000)[:, 0]
    soundfile.write(path, wave, 16_000, subtype=subtype)
    read, _ = read_mono(path)
    assert len(read) == len(wave)
    assert np.corrcoef(read, wave)[0, 1] > 0.98


@pytest.mark.parametrize("rate", [8000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 12_345])
def test_any_rate_is_read_as_it_is(tmp_path: Path, rate: int) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(3000), rate)
    wave, given = read_mono(path)
    assert (len(wave), given) == (3000, rate)
    header = read_header(path)
    assert (header.frames, header.rate) == (3000, rate)


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_channels_are_averaged(tmp_path: Path, channels: int, suffix: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    wave = sound(2000, channels)
    soundfile.write(path, wave, 16_000, subtype="PCM_24")
    read, _ = read_mono(path)
    assert read.shape == (2000,)
    np.testing.assert_allclose(read, wave.mean(axis=1), rtol=0, atol=2**-22)


@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
@pytest.mark.parametrize("seconds", [(0.0, 0.5), (0.25, 0.6), (1.0, 1.0001), (1.7, 2.0), (1.5, None), (None, 0.3)])
def test_a_stretch_is_a_slice_of_the_whole(
    tmp_path: Path, suffix: str, subtype: str, seconds: tuple[float | None, float | None]
) -> None:
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, sound(32_000, 2), 16_000, subtype=subtype)
    whole, _ = read_mono(path)
    first, last = ((None if at is None else round(at * 16_000)) for at in seconds)
    stretch, _ = read_mono(path, *seconds)
    np.testing.assert_allclose(stretch, whole[first:last], rtol=0, atol=1e-6)


def test_a_stretch_of_a_tone_in_an_mp3_is_a_slice_of_the_whole(tmp_path: Path) -> None:
    # A tone takes so few bits that the frames lean on many frames before them.
    path = tmp_path / "clip.mp3"
    soundfile.write(path, tone(440, 16_000, 2.0), 16_000)
    whole, _ = read_mono(path)
    stretch, _ = read_mono(path, 0.25, 0.5)
    np.testing.assert_allclose(stretch, whole[4000:8000], rtol=0, atol=1e-6)


def test_a_stretch_is_read_without_decoding_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.flac"
    soundfile.write(path, sound(160_000), 16_000)
    asked: list[int] = []
    read = soundfile.SoundFile.read

    def counting(self: soundfile.SoundFile, frames: int = -1, *args: object, **kwargs: object) -> object:
        asked.append(frames)
        return read(self, frames, *args, **kwargs)

    monkeypatch.setattr(soundfile.SoundFile, "read", counting)
    wave, _ = read_mono(path, 4.0, 4.5)
    assert len(wave) == 8000
    assert asked == [8000]


def test_a_header_is_read_without_decoding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(1000), 16_000)
    monkeypatch.delattr(soundfile.SoundFile, "read")
    assert read_header(path).frames == 1000


@pytest.mark.parametrize(
    "stretch", [(-0.1, 0.5), (0.5, 0.5), (0.6, 0.5), (0.5, 1.1), (1.0, None), (2.0, 3.0), (0.0, 0.0)]
)
def test_a_stretch_outside_the_clip_is_refused(
    tmp_path: Path, refused: Refused, stretch: tuple[float, float | None]
) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(16_000), 16_000)
    with refused(r"lasts 1\.000 s, so there is no stretch"):
        read_mono(path, *stretch)


def test_a_missing_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("missing"):
        read_mono(tmp_path / "none.wav")


def test_a_folder_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("missing"):
        read_mono(tmp_path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_file_without_bytes_is_refused(tmp_path: Path, refused: Refused, suffix: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    path.touch()
    with refused("is empty: it has no bytes"):
        read_mono(path)


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_file_without_samples_is_refused(tmp_path: Path, refused: Refused, subtype: str) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(10)[:0], 16_000, subtype=subtype)
    with refused("is empty: it has no samples"):
        read_mono(path)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_a_text_file_with_an_audio_name_is_refused(tmp_path: Path, refused: Refused, suffix: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    path.write_text("this is not sound\n" * 200)
    with refused(f"clip.{suffix} cannot be read"):
        read_mono(path)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("kept", [4, 11, 12, 16, 24, 36, 44, 46, 100, 1000, -1000, -3, -2, -1])
def test_a_truncated_wav_is_refused(tmp_path: Path, refused: Refused, subtype: str, kept: int) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(4000), 16_000, subtype=subtype)
    path.write_bytes(path.read_bytes()[:kept])
    with refused("is cut short" if kept >= 12 or kept < 0 else "cannot be read"):
        read_mono(path)


def test_a_truncated_wav_is_refused_even_for_a_stretch_that_is_there(tmp_path: Path, refused: Refused) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(16_000), 16_000)
    path.write_bytes(path.read_bytes()[:20_000])
    with refused("is cut short"):
        read_mono(path, 0.0, 0.1)


@pytest.mark.parametrize(("form", "endian"), [("RF64", "FILE"), ("WAV", "BIG")])
def test_a_truncated_wav_of_a_rarer_kind_is_refused(tmp_path: Path, refused: Refused, form: str, endian: str) -> None:
    path = tmp_path / "clip.wav"
    soundfile.write(path, sound(4000), 16_000, format=form, endian=endian, subtype="PCM_16")
    path.write_bytes(path.read_bytes()[:-1000])
    with refused("is cut short"):
        read_mono(path)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
def test_a_truncated_ogg_is_refused(tmp_path: Path, refused: Refused, kept: float) -> None:
    path = tmp_path / "clip.ogg"
    soundfile.write(path, sound(48_000), 16_000)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with refused("is cut short"):
        read_mono(path)


@pytest.mark.parametrize("kept", [4, 20, 44, 100, 0.3, 0.7, 0.99])
def test_a_truncated_flac_is_refused(tmp_path: Path, refused: Refused, kept: float) -> None:
    path = tmp_path / "clip.flac"
    soundfile.write(path, sound(32_000), 16_000)
    whole = path.read_bytes()
    path.write_bytes(whole[: kept if isinstance(kept, int) else int(kept * len(whole))])
    with refused("cannot be read|is cut short"):
        read_mono(path)


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.99])
@pytest.mark.parametrize("suffix", ["ogg", "mp3"])
def test_a_truncated_lossy_file_is_refused(tmp_path: Path, refused: Refused, suffix: str, kept: float) -> None:
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, sound(16_000), 16_000)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with refused(f"clip.{suffix}"):
        read_mono(path)


@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_that_are_not_finite_are_refused(tmp_path: Path, refused: Refused, worst: float, channels: int) -> None:
    path = tmp_path / "clip.wav"
    wave = sound(4000, channels)
    wave[2500, -1] = worst
    soundfile.write(path, wave, 16_000, subtype="FLOAT")
    with refused("not finite"):
        read_mono(path)


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0x7FFFFFFF])
def test_a_wav_from_a_pipe_is_read_to_its_end(tmp_path: Path, length: int) -> None:
    path = tmp_path / "clip.wav"
    wave = sound(4000)[:, 0]
    soundfile.write(path, wave, 16_000, subtype="FLOAT")
    data = bytearray(path.read_bytes())
    at = data.index(b"data") + 4
    data[4:8] = data[at : at + 4] = struct.pack("<I", length)
    path.write_bytes(data)
    read, _ = read_mono(path)
    np.testing.assert_array_equal(read, wave)


@pytest.mark.parametrize("comment", [b"one", b"four"])
def test_a_wav_with_a_chunk_before_the_sound_is_read(tmp_path: Path, comment: bytes) -> None:
    path = tmp_path / "clip.wav"
    wave = sound(4000)[:, 0]
    soundfile.write(path, wave, 16_000, subtype="PCM_24")
    data = path.read_bytes()
    at = data.index(b"data")
    padded = comment + b"\0" * (len(comment) % 2)
    data = data[:at] + b"note" + struct.pack("<I", len(comment)) + padded + data[at:]
    path.write_bytes(data[:4] + struct.pack("<I", len(data) - 8) + data[8:])
    read, _ = read_mono(path)
    np.testing.assert_allclose(read, wave, rtol=0, atol=2**-22)


@pytest.mark.parametrize(("given", "rate"), [(44_100, 16_000), (8000, 16_000), (16_000, 22_050), (48_000, 32_000)])
def test_resampling_is_soxrs(given: int, rate: int) -> None:
    wave = sound(given)[:, 0]
    np.testing.assert_array_equal(resample(wave, given, rate), soxr.resample(wave, given, rate, quality="HQ"))


def test_a_wave_at_the_wanted_rate_is_not_resampled() -> None:
    wave = sound(1000)[:, 0]
    assert resample(wave, 16_000, 16_000) is wave


@pytest.mark.parametrize(("given", "rate"), [(44_100, 16_000), (8000, 16_000), (48_000, 16_000), (11_025, 16_000)])
def test_resampling_keeps_a_tone_at_its_frequency(given: int, rate: int) -> None:
    wave = resample(tone(1000, given, 1.0), given, rate)
    assert len(wave) == rate
    spectrum = np.abs(np.fft.rfft(wave * np.hanning(len(wave))))
    assert spectrum.argmax() == 1000
    assert spectrum[1000] / len(wave) == pytest.approx(0.125, rel=1e-3)


def test_resampling_removes_what_the_new_rate_cannot_hold() -> None:
    wave = resample(tone(10_000, 44_100, 1.0), 44_100, 16_000)
    assert np.abs(wave[1000:-1000]).max() < 1e-3


def test_the_resampler_tells_name_quality_and_version() -> None:
    name, quality, version = resampler().split()
    assert (name, quality) == ("soxr", "HQ")
    assert version[0].isdigit()


def test_no_recipe_leaves_the_wave_as_it_is() -> None:
    wave = sound(1000)[:, 0]
    np.testing.assert_array_equal(Recipe()(wave, 16_000), wave)


@pytest.mark.parametrize(("offset", "first"), [(0.0, 0), (0.15, 150), (0.3, 300), (0.9, 300)])
def test_a_long_clip_keeps_the_part_that_the_recipe_names(offset: float, first: int) -> None:
    wave = sound(1000)[:, 0]
    np.testing.assert_array_equal(Recipe(0.7, offset)(wave, 1000), wave[first : first + 700])


@pytest.mark.parametrize("offset", [0.0, 0.2])
def test_a_short_clip_stays_short_without_padding(offset: float) -> None:
    wave = sound(300)[:, 0]
    np.testing.assert_array_equal(Recipe(0.7, offset)(wave, 1000), wave)


@pytest.mark.parametrize("seconds", [0.3, 0.7, 1.0])
@pytest.mark.parametrize("recipe", [Recipe(), Recipe(0.7), Recipe(0.7, padding="zeros"), Recipe(0.7, 0.1)])
def test_a_recipe_tells_how_long_a_clip_becomes(recipe: Recipe, seconds: float) -> None:
    assert len(recipe(sound(round(1000 * seconds))[:, 0], 1000)) == round(1000 * recipe.seconds(seconds))


def test_a_short_clip_is_filled_with_zeros_at_its_end() -> None:
    wave = sound(300)[:, 0]
    filled = Recipe(duration=0.7, padding="zeros")(wave, 1000)
    np.testing.assert_array_equal(filled, np.concatenate([wave, np.zeros(400, np.float32)]))


@pytest.mark.parametrize(("gain", "factor"), [(20.0, 10.0), (-20.0, 0.1), (6.0206, 2.0)])
def test_gain_is_in_decibels(gain: float, factor: float) -> None:
    wave = sound(1000)[:, 0]
    louder = Recipe(gain=gain)(wave, 1000)
    assert louder.dtype == np.float32
    np.testing.assert_allclose(louder, factor * wave, rtol=1e-5)


def test_two_recipes_that_differ_have_keys_that_differ() -> None:
    recipes = [Recipe(), Recipe(5.0), Recipe(5.0, 0.5), Recipe(5.0, padding="zeros"), Recipe(gain=1.0)]
    assert len({repr(sorted(recipe.key().items())) for recipe in recipes}) == len(recipes)


@pytest.mark.parametrize(("suffix", "subtype"), FORMATS)
def test_a_clip_is_cut_mixed_resampled_and_put_through_the_recipe(tmp_path: Path, suffix: str, subtype: str) -> None:
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, sound(44_100, 2), 44_100, subtype=subtype)
    recipe = Recipe(duration=0.8, padding="zeros", gain=-6.0)
    wave = load_wave(path, 16_000, recipe, start=0.25, stop=0.75)
    stretch, _ = read_mono(path, 0.25, 0.75)
    np.testing.assert_array_equal(wave, recipe(resample(stretch, 44_100, 16_000), 16_000))
    assert wave.shape == (12_800,)
    assert wave.dtype == np.float32
    assert wave.flags.c_contiguous
