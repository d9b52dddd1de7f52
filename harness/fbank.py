"""Kaldi's log-mel filterbank in torch: float32, any device, no torchaudio.

Source: Kaldi ``compute-fbank-feats`` with its defaults (25 ms frames every 10 ms, pre-emphasis 0.97, snipped edges,
no energy) and no dither.
"""

import math
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from harness.errors import UserError

#: Raise it when a change of the code moves features: they are then made anew.
REVISION = "1"
PRE_EMPHASIS = 0.97
LOWEST = 20.0
#: The log of this number stands for silence.
FLOOR = torch.finfo(torch.float32).eps

Window = Literal["hanning", "povey"]


def frame_count(samples: int, rate: int = 16_000) -> int:
    """How many 25 ms frames, 10 ms apart, lie wholly inside a wave; 0 if none does."""
    length, hop = _frame(rate)
    return max(0, 1 + (samples - length) // hop)


def fbank(wave: Tensor, *, window: Window = "povey", bins: int = 128, rate: int = 16_000) -> Tensor:
    """Natural log of the mel power spectrum.

    Args:
        wave: (clip, sample), float32, at ``rate`` Hz. Kaldi's integer scale is the caller's matter.
        window: ``povey`` is Kaldi's default, ``hanning`` to the power 0.85.
        bins: mel filters from 20 Hz to half the rate, low to high.
        rate: Hz.

    Returns:
        (clip, frame, bin), float32.

    Raises:
        UserError: the wave is shorter than one frame.
    """
    length, _ = _frame(rate)
    if wave.shape[-1] < length:
        raise UserError(f"a log-mel frame takes {length} samples, and the wave has {wave.shape[-1]}")
    with torch.autocast(wave.device.type, enabled=False):  # in a lower precision its low end would be noise
        if wave.device.type == "cpu":
            # One clip's frames stay in the cache, a batch's do not: see benchmarks/fbank.py.
            return torch.stack([_fbank(clip, window, bins, rate) for clip in wave])
        return _fbank(wave, window, bins, rate)


def _fbank(wave: Tensor, window: Window, bins: int, rate: int) -> Tensor:
    length, hop = _frame(rate)
    taper, bands = _constants(window, bins, rate, wave.device)
    # Kaldi removes each frame's mean m, then pre-emphasises: (x[n] - m) - 0.97 (x[n-1] - m) = (x[n] - 0.97 x[n-1]) -
    # 0.03 m. So the wave is pre-emphasised once instead of each of its 2.5-fold overlapping frames. The first sample
    # of a frame would need x[-1], but both windows are zero there.
    means = wave.unfold(-1, length, hop).mean(-1, keepdim=True)
    emphasised = torch.nn.functional.pad(wave[..., 1:] - PRE_EMPHASIS * wave[..., :-1], (1, 0))
    frames = emphasised.unfold(-1, length, hop)
    padded = wave.new_zeros(*frames.shape[:-1], _fft_size(length))
    torch.sub(frames, means, alpha=1 - PRE_EMPHASIS, out=padded[..., :length])
    padded[..., :length] *= taper
    spectrum = torch.view_as_real(torch.fft.rfft(padded)).square_()
    # Adding re^2 and im^2 is left to the matrix product, whose filters are doubled for it.
    power = spectrum.flatten(-2)
    mels = torch.cat([power[..., band.bins] @ band.filters for band in bands], dim=-1)
    return mels.clamp_(min=FLOOR).log_()


def mel_filters(bins: int = 128, rate: int = 16_000) -> Tensor:
    """Kaldi's triangular filters, (FFT bin, mel bin), float64.

    The triangles are linear in mel, not in Hz; the highest FFT bin has no weight; with 128 filters one of them covers
    no bin at all.
    """
    size = _fft_size(_frame(rate)[0])

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    ends = mel(torch.tensor([LOWEST, rate / 2], dtype=torch.float64))
    step = (ends[1] - ends[0]) / (bins + 1)
    left = ends[0] + step * torch.arange(bins, dtype=torch.float64)
    at = mel(torch.arange(size // 2 + 1, dtype=torch.float64) * rate / size)[:, None]
    filters = torch.minimum((at - left) / step, (left + 2 * step - at) / step).clamp(min=0)
    filters[-1] = 0
    return filters


class _Band(NamedTuple):
    """Some neighbouring mel filters, and the stretch of the spectrum that they see."""

    bins: slice
    filters: Tensor


@cache
def _constants(window: Window, bins: int, rate: int, device: torch.device) -> tuple[Tensor, list[_Band]]:
    length, _ = _frame(rate)
    taper = torch.hann_window(length, periodic=False, dtype=torch.float64)
    if window == "povey":
        taper = taper**0.85
    # The filter matrix is nearly empty: eight narrow products cost a third of one wide one on a CPU. A GPU prefers one.
    bands = []
    for filters in mel_filters(bins, rate).to(device, torch.float32).chunk(8 if device.type == "cpu" else 1, dim=1):
        seen = filters.any(dim=1).nonzero()
        first, last = int(seen[0]), int(seen[-1])
        doubled = filters[first : last + 1].repeat_interleave(2, dim=0)
        bands.append(_Band(slice(2 * first, 2 * last + 2), doubled))
    return taper.to(device, torch.float32), bands


def _frame(rate: int) -> tuple[int, int]:
    return rate * 25 // 1000, rate * 10 // 1000


def _fft_size(length: int) -> int:
    return int(2 ** math.ceil(math.log2(length)))
