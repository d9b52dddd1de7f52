"""Clip statistics of spectral frames: the oldest audio representation, and the floor for every learned one."""

import math

import torch
from torch import Tensor
from torch.nn import functional

from harness.fbank import fbank
from harness.models import Layers

SAMPLE_RATE = 16_000
FRAME = 400


def log_mel_frames(wave: Tensor, bins: int) -> Tensor:
    """(clip, sample) to (clip, frame, bin); a clip below one frame is filled with zeros at its end."""
    return fbank(functional.pad(wave, (0, max(0, FRAME - wave.shape[-1]))), window="hanning", bins=bins)


def clip_statistics(frames: Tensor) -> Layers:
    """Mean and standard deviation over time, (clip, frame, width) to one frame of twice the width.

    Layer 0 and ``final`` alike.
    """
    statistics = torch.cat([frames.mean(1), frames.std(1, correction=0)], dim=-1)[:, None]
    return Layers((statistics,), statistics)


def cosine_transform(bins: int, coefficients: int) -> Tensor:
    """The first columns of the orthonormal type-II discrete cosine transform, (bin, coefficient)."""
    angle = torch.outer(torch.arange(bins, dtype=torch.float64) + 0.5, torch.arange(coefficients)) * math.pi / bins
    cosines = angle.cos() * math.sqrt(2 / bins)
    cosines[:, 0] /= math.sqrt(2)
    return cosines.float()
