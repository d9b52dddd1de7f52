"""Mean and standard deviation of log-mel frames: a baseline without weights."""

from typing import TYPE_CHECKING

from harness.cards import Card, Variant, Weights
from harness.models import Layers, Upstream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BINS = 128


class Mel(Upstream):
    """Mean and standard deviation over the clip of 128 Kaldi log-mel bins: one vector of 256 numbers."""

    card = Card(paper="Davis and Mermelstein 1980", licence="Apache-2.0")
    variants = {"": Variant(parameters=0, widths=(2 * BINS,), frame_rate=None)}
    reads = ()
    dtypes = {}
    revision = "1"

    def __init__(self, weights: Weights, device: "torch.device") -> None:
        from ._statistics import FRAME, SAMPLE_RATE

        super().__init__(weights, device)
        self.sample_rate, self.shortest = SAMPLE_RATE, FRAME
        self.widths, self.final_width, self.frame_rate = (2 * BINS,), 2 * BINS, None

    def forward(self, wave: "Tensor") -> Layers:
        """One frame a clip."""
        from ._statistics import clip_statistics, log_mel_frames

        return clip_statistics(log_mel_frames(wave, BINS))


UPSTREAM = Mel
