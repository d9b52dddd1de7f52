"""Mean and standard deviation of MFCCs and their differences: a baseline without weights."""

import math

import torch
from torch import Tensor

from harness.models import Card, Layers, Upstream, Weights

from ._statistics import FRAME, SAMPLE_RATE, clip_statistics, log_mel_frames

BINS = 40
COEFFICIENTS = 20


class Mfcc(Upstream):
    """Mean and standard deviation over the clip of 20 MFCCs and their first differences: one vector of 80 numbers."""

    card = Card(paper="Davis and Mermelstein 1980", licence="Apache-2.0", training="none")
    has_weights = False
    revision = "1"
    sample_rate = SAMPLE_RATE

    def __init__(self, weights: Weights, device: torch.device) -> None:
        super().__init__(weights, device)
        self.cosines = cosine_transform(BINS, COEFFICIENTS).to(device)
        self.final_width = 4 * COEFFICIENTS
        self.widths = (self.final_width,)
        self.frame_rate = None
        self.shortest = FRAME

    def forward(self, wave: Tensor) -> Layers:
        """One frame a clip."""
        cepstra = log_mel_frames(wave, BINS) @ self.cosines
        differences = cepstra.diff(dim=1, prepend=cepstra[:, :1])
        return clip_statistics(torch.cat([cepstra, differences], dim=-1))


def cosine_transform(bins: int, coefficients: int) -> Tensor:
    """The first columns of the orthonormal type-II discrete cosine transform, (bin, coefficient)."""
    angle = torch.outer(torch.arange(bins, dtype=torch.float64) + 0.5, torch.arange(coefficients)) * math.pi / bins
    cosines = angle.cos() * math.sqrt(2 / bins)
    cosines[:, 0] /= math.sqrt(2)
    return cosines.float()


UPSTREAM = Mfcc
