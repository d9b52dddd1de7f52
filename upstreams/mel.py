"""Mean and standard deviation of log-mel frames: a baseline without weights."""

import torch
from torch import Tensor

from harness.models import Card, Layers, Upstream, Weights

from ._statistics import FRAME, SAMPLE_RATE, clip_statistics, log_mel_frames

BINS = 128


class Mel(Upstream):
    """Mean and standard deviation over the clip of 128 Kaldi log-mel bins: one vector of 256 numbers."""

    card = Card(paper="Davis and Mermelstein 1980", licence="Apache-2.0", training="none")
    has_weights = False
    revision = "1"
    sample_rate = SAMPLE_RATE

    def __init__(self, weights: Weights, device: torch.device) -> None:
        super().__init__(weights, device)
        self.final_width = 2 * BINS
        self.widths = (self.final_width,)
        self.frame_rate = None
        self.shortest = FRAME

    def forward(self, wave: Tensor) -> Layers:
        """One frame a clip."""
        return clip_statistics(log_mel_frames(wave, BINS))


UPSTREAM = Mel
