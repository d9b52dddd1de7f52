"""The log-mel filterbank against its definition, against the original code's values, and in its corners."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from harness.fbank import FLOOR, Window, fbank, frame_count, mel_filters

Golden = Callable[[str], tuple[Mapping[str, Any], dict[str, Tensor]]]
Noise = Callable[..., Tensor]
Refused = Callable[[str], AbstractContextManager[None]]
WINDOWS: tuple[Window, ...] = get_args(Window)
SILENCE = -15.9424


def plain_fbank(wave: npt.NDArray[np.float64], window: Window, bins: int, rate: int) -> npt.NDArray[np.float64]:
    """The definition, one frame and one filter at a time: (sample,) to (frame, bin)."""
    length, hop = rate * 25 // 1000, rate * 10 // 1000
    size = 1
    while size < length:
        size *= 2
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / (length - 1))
    if window == "povey":
        taper = taper**0.85
    filters = plain_filters(bins, rate, size)
    out = []
    for start in range(0, len(wave) - length + 1, hop):
        frame = wave[start : start + length]
        frame = frame - frame.mean()
        before = np.concatenate([frame[:1], frame[:-1]])
        power = np.abs(np.fft.rfft((frame - 0.97 * before) * taper, size)) ** 2
        out.append(np.log(np.maximum(filters @ power, 1.1920929e-07)))
    return np.stack(out)


def plain_filters(bins: int, rate: int, size: int) -> npt.NDArray[np.float64]:
    def mel(hertz: float) -> float:
        return float(1127 * np.log(1 + hertz / 700))

    low, high = mel(20), mel(rate / 2)
    step = (high - low) / (bins + 1)
    filters = np.zeros((bins, size // 2 + 1))
    for m in range(bins):
        left, centre, right = (low + (m + i) * step for i in range(3))
        for k in range(size // 2):  # the highest has no weight
            at = mel(k * rate / size)
            filters[m, k] = max(0, min((at - left) / (centre - left), (right - at) / (right - centre)))
    return filters


def assert_log_mels_agree(got: Tensor, wanted: npt.ArrayLike, *, worst: float = 1e-2, mean: float = 1e-4) -> None:
    error = np.abs(got.double().numpy() - np.asarray(wanted, dtype=np.float64))
    assert got.shape == error.shape
    assert error.max() <= worst
    assert error.mean() <= mean


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("samples", [400, 401, 559, 560, 16_000])
def test_it_computes_its_definition(noise: Noise, window: Window, samples: int) -> None:
    wave = noise(1, samples)
    assert_log_mels_agree(fbank(wave, window=window)[0], plain_fbank(wave[0].double().numpy(), window, 128, 16_000))


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 32_000, 44_100, 48_000])
@pytest.mark.parametrize("bins", [1, 10, 23, 64, 80, 128])
def test_it_computes_its_definition_with_any_bins_at_any_rate(noise: Noise, rate: int, bins: int) -> None:
    wave = noise(1, rate // 10)
    got = fbank(wave, window="povey", bins=bins, rate=rate)[0]
    assert_log_mels_agree(got, plain_fbank(wave[0].double().numpy(), "povey", bins, rate))


@pytest.mark.parametrize("offset", [0.3, -0.9])
def test_a_constant_offset_is_removed(noise: Noise, offset: float) -> None:
    wave = noise(1, 8000)
    got = fbank(wave + offset, window="hanning")[0]
    assert_log_mels_agree(got, plain_fbank(wave[0].double().numpy(), "hanning", 128, 16_000), worst=3e-2, mean=2e-4)


@pytest.mark.parametrize("window", WINDOWS)
def test_kaldis_integer_scale_is_computed_as_well(noise: Noise, window: Window) -> None:
    wave = noise(1, 8000) * 2**15
    assert_log_mels_agree(fbank(wave, window=window)[0], plain_fbank(wave[0].double().numpy(), window, 128, 16_000))


@pytest.mark.parametrize(
    ("samples", "frames"),
    [(0, 0), (1, 0), (399, 0), (400, 1), (559, 1), (560, 2), (16_000, 98), (160_000, 998), (163_840, 1022)],
)
def test_frames_are_counted_that_lie_wholly_inside(samples: int, frames: int) -> None:
    assert frame_count(samples) == frames


@pytest.mark.parametrize("rate", [8000, 16_000, 22_050, 44_100])
@pytest.mark.parametrize("extra", [0, 1, 159, 160, 4321])
def test_the_count_of_frames_is_what_comes_out(noise: Noise, rate: int, extra: int) -> None:
    wave = noise(1, rate * 25 // 1000 + extra)
    assert fbank(wave, rate=rate, bins=20).shape == (1, frame_count(wave.shape[1], rate), 20)


@pytest.mark.parametrize("samples", [1, 159, 399])
def test_a_wave_shorter_than_one_frame_is_refused(noise: Noise, refused: Refused, samples: int) -> None:
    with refused(f"takes 400 samples, and the wave has {samples}"):
        fbank(noise(1, samples))


@pytest.mark.parametrize("window", WINDOWS)
def test_the_fourth_of_128_filters_is_empty(noise: Noise, window: Window) -> None:
    column = fbank(noise(2, 16_000), window=window)[..., 3]
    torch.testing.assert_close(column, torch.full_like(column, SILENCE), rtol=0, atol=5e-5)


def test_only_the_fourth_of_128_filters_is_empty() -> None:
    assert (mel_filters(128).sum(dim=0) == 0).nonzero().flatten().tolist() == [3]


def test_digital_silence_is_the_floor() -> None:
    silence = fbank(torch.full((1, 4000), 0.25))
    torch.testing.assert_close(silence, torch.full_like(silence, SILENCE), rtol=0, atol=5e-5)
    assert float(np.log(FLOOR)) == pytest.approx(SILENCE, abs=5e-5)


@pytest.mark.parametrize("window", WINDOWS)
def test_a_louder_wave_is_the_same_image_shifted(noise: Noise, window: Window) -> None:
    wave = noise(1, 16_000)
    quiet, loud = fbank(wave, window=window), fbank(wave * 2**15, window=window)
    above = quiet > SILENCE + 1e-3
    assert above.float().mean() > 0.98
    torch.testing.assert_close(loud[above], quiet[above] + 20.79441, rtol=0, atol=1e-5)


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("clips", [1, 2, 7])
def test_a_batch_is_what_its_clips_are_alone(noise: Noise, window: Window, clips: int) -> None:
    waves = noise(clips, 5000)
    alone = torch.cat([fbank(wave[None], window=window) for wave in waves])
    torch.testing.assert_close(fbank(waves, window=window), alone, rtol=0, atol=0)


def test_a_frame_depends_on_its_own_samples_only(noise: Noise) -> None:
    wave = noise(1, 8000)
    other = wave.clone()
    other[:, :1600] = noise(1, 1600, seed=1)
    other[:, 2000:] = noise(1, 6000, seed=2)
    # Its own are 1600 to 1999. That is frame 10; its neighbours are touched.
    torch.testing.assert_close(fbank(other)[:, 10], fbank(wave)[:, 10], rtol=0, atol=1e-4)
    assert not torch.allclose(fbank(other)[:, 11], fbank(wave)[:, 11], atol=1e-2)


def test_the_wave_is_left_as_it_was(noise: Noise) -> None:
    wave = noise(2, 2000)
    before = wave.clone()
    fbank(wave)
    torch.testing.assert_close(wave, before, rtol=0, atol=0)


def test_a_wave_with_gaps_in_memory_gives_the_same(noise: Noise) -> None:
    wave = noise(2, 4000)
    gaps = torch.stack([wave, wave.flip(0)], dim=-1)[..., 0]
    assert not gaps.is_contiguous()
    torch.testing.assert_close(fbank(gaps), fbank(wave), rtol=0, atol=1e-5)


def test_a_tone_is_loudest_where_its_frequency_is() -> None:
    wave = torch.sin(2 * torch.pi * 1000 * torch.arange(16_000) / 16_000)[None]
    centres = mel_filters().T.double() @ torch.linspace(0, 8000, 257, dtype=torch.float64)
    centres /= mel_filters().sum(dim=0)
    loudest = fbank(wave).mean(dim=(0, 1)).argmax()
    assert abs(float(centres[loudest]) - 1000) < 50


@pytest.mark.parametrize("bins", [23, 64, 80, 128])
@pytest.mark.parametrize("rate", [8000, 16_000])
def test_the_filters_are_triangles_in_mel(bins: int, rate: int) -> None:
    size = 256 if rate == 8000 else 512
    np.testing.assert_allclose(mel_filters(bins, rate).T, plain_filters(bins, rate, size), rtol=0, atol=1e-9)


REFERENCE = {
    "hanning": (
        -10.6176021,
        5.8712419,
        {0: -12.1188946, 1: -15.9423847, 4181: -1.2494698, 6272: -15.5090914, 12543: 0.9827482},
    ),
    "povey": (
        9.5579965,
        7.3965421,
        {0: 8.0407543, 1: 5.1924405, 4181: 19.5712376, 6272: 8.1923962, 12543: 21.8269691},
    ),
}


@pytest.mark.parametrize("window", WINDOWS)
def test_the_original_codes_numbers_come_out(tones: Callable[[int], Tensor], window: Window) -> None:
    wave = tones(16_000)[None] * (2**15 if window == "povey" else 1)
    image = fbank(wave, window=window)[0]
    mean, std, values = REFERENCE[window]
    assert image.shape == (98, 128)
    assert float(image.mean()) == pytest.approx(mean, abs=1e-3)
    assert float(image.std(correction=0)) == pytest.approx(std, abs=1e-3)
    for at, value in values.items():
        assert float(image.flatten()[at]) == pytest.approx(value, abs=7e-3)


@pytest.mark.parametrize("clip", [0, 1, 2])
@pytest.mark.parametrize(
    ("group", "window"), [("superb/fbank", "hanning"), ("ast/fbank", "hanning"), ("beats/fbank", "povey")]
)
def test_the_original_codes_images_come_out(golden: Golden, group: str, window: Window, clip: int) -> None:
    _, tensors = golden("fbank-3clips")
    wave = tensors[f"input/waveform_{clip}"][None]
    if group.startswith("ast"):
        wave = wave - wave.mean()
    if group.startswith("beats"):
        wave = wave * 2**15
    assert_log_mels_agree(fbank(wave, window=window)[0], tensors[f"{group}_{clip}"])


@pytest.mark.parametrize("clip", [0, 1, 2])
@pytest.mark.parametrize(
    ("group", "window", "mean", "std"),
    [("ast", "hanning", -4.2677393, 4.5689974), ("beats", "povey", 15.41663, 6.55582)],
)
def test_the_original_codes_normalised_images_come_out(
    golden: Golden, group: str, window: Window, mean: float, std: float, clip: int
) -> None:
    _, tensors = golden("fbank-3clips")
    wave = tensors[f"input/waveform_{clip}"][None]
    wave = wave * 2**15 if group == "beats" else wave - wave.mean()
    image = (fbank(wave, window=window)[0] - mean) / (2 * std)
    assert_log_mels_agree(image, tensors[f"{group}/fbank_norm_{clip}"], worst=1.5e-3, mean=2e-5)


def test_the_original_codes_filters_come_out(golden: Golden) -> None:
    _, tensors = golden("fbank-3clips")
    torch.testing.assert_close(mel_filters().T.float(), tensors["mel_banks"], rtol=0, atol=5e-5)


def test_a_lower_precision_around_it_leaves_it_as_it_is(noise: Callable[..., Tensor]) -> None:
    wave = noise(2, 8000)
    with torch.autocast("cpu", torch.bfloat16):
        inside = fbank(wave)
    torch.testing.assert_close(inside, fbank(wave), rtol=0, atol=0)
