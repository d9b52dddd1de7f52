"""Mean and standard deviation of MFCCs and their differences: a baseline without weights."""

from typing import TYPE_CHECKING

from harness.cards import Card, Variant, Weights
from harness.models import Layers, Upstream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

BINS = 40
COEFFICIENTS = 20


class Mfcc(Upstream):
    """Mean and standard deviation over the clip of 20 MFCCs and their first differences: one vector of 80 numbers."""

    card = Card(paper="Davis and Mermelstein 1980", licence="Apache-2.0")
    variants = {"": Variant(parameters=0, widths=(4 * COEFFICIENTS,), frame_rate=None)}
    reads = ()
    dtypes = {}
    revision = "1"

    def __init__(self, weights: Weights, device: "torch.device") -> None:
        from ._statistics import FRAME, SAMPLE_RATE, cosine_transform

        super().__init__(weights, device)
        self.cosines = cosine_transform(BINS, COEFFICIENTS).to(device)
        self.sample_rate, self.shortest = SAMPLE_RATE, FRAME
        self.widths, self.final_width, self.frame_rate = (4 * COEFFICIENTS,), 4 * COEFFICIENTS, None

    def forward(self, wave: "Tensor") -> Layers:
        """One frame a clip."""
        import torch

        from ._statistics import clip_statistics, log_mel_frames

        cepstra = log_mel_frames(wave, BINS) @ self.cosines
        differences = cepstra.diff(dim=1, prepend=cepstra[:, :1])
        return clip_statistics(torch.cat([cepstra, differences], dim=-1))


UPSTREAM = Mfcc
