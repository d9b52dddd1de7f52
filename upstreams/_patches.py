"""What the spectrogram-patch models share: their images, position tables for images of other sizes, and files.

Source: Gong et al. 2022 (SSAST) and the code published with it, which SSAMBA reuses.
"""

import math
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

from harness.cards import Axis, Weights, one_of
from harness.errors import UserError
from harness.models import Layers, Upstream, as_they_are

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import Tensor, nn

SAMPLE_RATE = 16_000
HOP = 160
FRAME = 400
BINS = 128
PATCH = 16
#: Twenty minutes; beyond, a slip of the finger would fill the memory.
MOST_FRAMES = 120_000
#: The SUPERB experts' windows: ten seconds.
WINDOW = 1000
WIDTHS = {"base": 768, "small": 384, "tiny": 192}
#: Keys of both models' files that pre-training and fine-tuning leave behind: they have no part in the features.
IGNORED = r"v\.head(_dist)?\.|cpredlayer\.|gpredlayer\.|mask_embed$|p_input_[ft]dim$"


class Statistics(NamedTuple):
    """Mean and standard deviation of the log-mel values that the authors normalise with (they divide by twice the
    latter)."""

    mean: float
    std: float

    def normalise(self, log_mel: "Tensor") -> "Tensor":
        """Shift and scale, any shape."""
        return (log_mel - self.mean) / (2 * self.std)


#: Per data set, as published with SSAST and SSAMBA.
STATISTICS = {
    "audioset": Statistics(-4.2677393, 4.5689974),
    "esc50": Statistics(-6.6268077, 5.358466),
    "speech": Statistics(-6.845978, 5.5654526),
    "us8k": Statistics(-5.138443946838379, 4.229961395263672),
}


class Tokens(NamedTuple):
    """What the streams of a network hold: ``layers`` states of ``width``, each with a token for every patch.

    Patches are (bin, frame) large; the position table is for ``frames`` log-mel frames, cut at ``stride``.
    """

    width: int
    layers: int
    patch: tuple[int, int]
    stride: int
    frames: int

    @property
    def grid(self) -> tuple[int, int]:
        """The patches (frequency, time) of the position table."""
        return grid_of(self.frames, self.stride, self.patch)


@dataclass(frozen=True)
class Reading:
    """How clips are read: the options that the models share.

    ``stride`` of the patches (None: that of the position table), ``frames`` (fill or crop to so many log-mel frames;
    None: the clip's own), ``statistics`` (of a data set of the authors'), ``pad`` (``superb`` cuts the authors' windows
    of 10 s, or of ``frames`` frames, normalises, then fills) and ``freq`` (average or concatenate the patches above
    each other).

    Patches lie wholly inside these windows, so that one has up to a token less than its length in time (62 of 62.5 at
    the stride 16, 99 of 100 at 10), and the frames behind it lag by that: this is the authors' arithmetic.
    """

    stride: int | None = None
    frames: int | None = None
    statistics: str = "audioset"
    pad: Literal["dataset", "superb"] = "dataset"
    freq: Literal["mean", "concat"] = "mean"


def reading_axes(strides: Mapping[str, int | None]) -> tuple[Axis, ...]:
    """The axes of :class:`Reading`, with the strides that a model takes, default first."""
    return (
        Axis("stride", strides),
        Axis("frames", number="t"),
        one_of("statistics", *STATISTICS),
        one_of("pad", "dataset", "superb"),
        one_of("freq", "mean", "concat"),
    )


class PatchUpstream(Upstream):
    """A network over log-mel patches, with what lies around it: the authors' front ends, limits and frames in time.

    The network maps an image (clip, frame, bin) and a stride to its streams (clip, token, width): special tokens come
    first, patches are frequency-major.
    """

    sample_rate = SAMPLE_RATE

    def __init__(
        self, weights: Weights, device: "torch.device", network: "nn.Module", tokens: Tokens, reading: Reading
    ) -> None:
        super().__init__(weights, device)
        self.network = network.eval().requires_grad_(False).to(device)
        self.parameters = sum(parameter.numel() for parameter in network.parameters())
        self.tokens, self.pad, self.freq = tokens, reading.pad, reading.freq
        self.stride = reading.stride or tokens.stride
        self.statistics = STATISTICS[reading.statistics]
        self.frames = WINDOW if reading.pad == "superb" and reading.frames is None else reading.frames
        least = max(tokens.patch[1], -(-FRAME // HOP) if reading.pad == "superb" else 1)
        if self.frames is not None and not least <= self.frames <= MOST_FRAMES:
            raise UserError(f"images of {least} to {MOST_FRAMES} frames can be made, not of {self.frames}")

        self.tokens_per_frame = grid_of(tokens.frames, self.stride, tokens.patch)[0]
        self.final_width = tokens.width * (self.tokens_per_frame if reading.freq == "concat" else 1)
        self.widths = (self.final_width,) * tokens.layers
        self.frame_rate = Fraction(SAMPLE_RATE, HOP * self.stride)
        self.frame_offset = Fraction(samples_of(tokens.patch[1]), 2 * SAMPLE_RATE)
        if reading.pad == "superb":
            assert self.frames is not None
            self.normalise, self.filled = as_they_are, self.frames * HOP
            # Clips are filled to whole windows anyway.
            self.padding_changes_output = False
        else:
            self.normalise = without_mean
            self.shortest = samples_of(tokens.patch[1])
            self.filled = samples_of(self.frames) if self.frames else 0
            # With a fixed number of frames longer clips are cropped, as the authors do.
            self.longest = None if self.frames else samples_of(tokens.frames)

    @abstractmethod
    def final(self, stream: "Tensor") -> "Tensor":
        """The authors' last norm of the last stream."""

    def forward(self, wave: "Tensor") -> Layers:
        """The input of the first block, the output of each, and the normed ``final``, without special tokens."""
        if self.pad == "superb":
            assert self.frames is not None
            windows = superb_windows(wave, self.statistics, self.frames)
            parts = [self._encode_image(windows[:, i]) for i in range(windows.shape[1])]
            whole = Layers.join(parts, dim=1)
            wanted = -(-wave.shape[-1] // (HOP * self.stride))
            return Layers(tuple(layer[:, :wanted] for layer in whole.hidden), whole.final[:, :wanted])
        frames = self.frames or max(self.tokens.patch[1], 1 + (wave.shape[-1] - FRAME) // HOP)
        return self._encode_image(log_mel(wave, self.statistics, frames))

    def image_shape(self, tokens: int) -> tuple[int, int]:
        """The least image (frame, bin) that is cut in so many patches."""
        return self.tokens.patch[1] + (-(-tokens // self.tokens_per_frame) - 1) * self.stride, BINS

    def answer_image(self, image: "Tensor") -> "tuple[Tensor, int]":
        """The network without what lies around it: the mean of the final patches of an image (clip, frame, bin), which
        is (clip, width), and how many patches there are."""
        patches = math.prod(grid_of(image.shape[1], self.stride, self.tokens.patch))
        with self._computing():
            return self.final(self.network(image, self.stride)[-1])[:, -patches:].mean(1), patches

    def _encode_image(self, image: "Tensor") -> Layers:
        streams = self.network(image, self.stride)
        grid = grid_of(image.shape[1], self.stride, self.tokens.patch)
        hidden = tuple(self._by_time(stream, grid) for stream in streams)
        return Layers(hidden, self._by_time(self.final(streams[-1]), grid))

    def _by_time(self, stream: "Tensor", grid: tuple[int, int]) -> "Tensor":
        patches: Tensor = stream[:, -math.prod(grid) :].unflatten(1, grid)
        return patches.mean(1) if self.freq == "mean" else patches.transpose(1, 2).flatten(2)

    def save(self, path: "Path") -> None:
        """Write the weights as the authors do, under the names of DataParallel, without what only training needs.

        The size of the trained images goes along, as in pre-trained files, where patches lie side by side.
        """
        import torch
        from torch import nn

        state = dict(nn.ModuleDict({"v": self.network}).state_dict())
        if self.tokens.stride == self.tokens.patch[1]:
            state |= {"p_input_fdim": torch.tensor(BINS), "p_input_tdim": torch.tensor(self.tokens.frames)}
        torch.save({f"module.{name}": tensor for name, tensor in state.items()}, path)


def read_state(weights: Weights, model: str, *needed: str) -> "dict[str, Tensor]":
    """A checkpoint without the prefix of DataParallel.

    Raises:
        UserError: it lacks a needed key, or has something else than a tensor there.
    """
    from torch import Tensor

    state = {name.removeprefix("module."): tensor for name, tensor in weights.state_dict().items()}
    for name in needed:
        if name not in state:
            raise UserError(f"{weights.label} is no {model} checkpoint: it lacks the key {name!r}")
        if not isinstance(state[name], Tensor):
            raise UserError(f"{weights.label} is no {model} checkpoint: its {name!r} is no tensor")
    return state


def trained_frames(length: "Tensor", *, what: str) -> int:
    """The length of pre-training's images, as a checkpoint's ``p_input_tdim`` tells it.

    Raises:
        UserError: it is no whole number, or one that cannot be.
    """
    import torch

    whole = isinstance(length, torch.Tensor) and length.dtype in (torch.int32, torch.int64) and length.numel() == 1
    if not whole or length.layout != torch.strided or length.device.type != "cpu":
        raise UserError(f"{what} has a key 'p_input_tdim' that holds no whole number")
    if not PATCH <= (frames := int(length)) <= MOST_FRAMES:
        raise UserError(f"{what} says it was trained on images of {frames} frames, which cannot be")
    return frames


def width_of(token: "Tensor", size: str | None, *, what: str, family: str) -> int:
    """The width of a network, as its class token tells it.

    Raises:
        UserError: the token has another shape, or contradicts the size that was asked for.
    """
    if token.ndim != 3:
        raise UserError(f"{what} has a class token of shape {tuple(token.shape)}, where (1, 1, width) is expected")
    width = token.shape[-1]
    if size is not None and WIDTHS[size] != width:
        raise UserError(f"{what} is {width} wide, but {family}:{size} is {WIDTHS[size]} wide: write {family}@FILE")
    return width


def samples_of(frames: int) -> int:
    """How many samples give exactly so many log-mel frames."""
    return FRAME + (frames - 1) * HOP


def without_mean(wave: "Tensor") -> "Tensor":
    """Subtract each clip's mean from its wave (clip, sample)."""
    return wave - wave.mean(-1, keepdim=True)


def log_mel(wave: "Tensor", statistics: Statistics, frames: int) -> "Tensor":
    """The authors' training front end: (clip, sample) to (clip, frame, bin) of exactly ``frames`` frames.

    Longer clips lose their end. Shorter ones are filled with zeros *before* normalising, so the filling is not what
    silence looks like.
    """
    from torch.nn import functional

    from harness.fbank import fbank

    image = fbank(functional.pad(wave, (0, max(0, FRAME - wave.shape[-1]))), window="hanning")[:, :frames]
    return statistics.normalise(functional.pad(image, (0, 0, 0, frames - image.shape[1])))


def superb_windows(wave: "Tensor", statistics: Statistics, frames: int) -> "Tensor":
    """The front end of the authors' SUPERB experts: (clip, sample) to (clip, window, frame, bin).

    The wave is filled with zeros to whole windows of ``frames`` times 10 ms; each window is normalised and *then*
    filled with zero frames.
    """
    from torch.nn import functional

    from harness.fbank import fbank

    length = frames * HOP
    windows = functional.pad(wave, (0, -wave.shape[-1] % length)).reshape(len(wave), -1, length)
    image = statistics.normalise(fbank(windows.flatten(0, 1), window="hanning"))
    image = functional.pad(image, (0, 0, 0, frames - image.shape[1]))
    return image.reshape(*windows.shape[:2], frames, BINS)


def adapt_positions(table: "Tensor", trained: tuple[int, int], wanted: tuple[int, int]) -> "Tensor":
    """Fit a position table (position, width), frequency-major, to another grid (frequency, time).

    As the authors do it, a shorter time axis cuts the middle out of the table while a longer one stretches it;
    frequency likewise.
    """
    from torch.nn import functional

    if wanted == trained:
        return table
    grid = table.T.reshape(1, -1, *trained)
    (rows, columns), (old_rows, old_columns) = wanted, trained
    if columns < old_columns:
        start = old_columns // 2 - columns // 2
        grid = grid[..., start : start + columns]
    else:
        grid = functional.interpolate(grid, (old_rows, columns), mode="bilinear", align_corners=False)
    if rows < old_rows:
        start = old_rows // 2 - rows // 2
        grid = grid[..., start : start + rows, :]
    else:
        grid = functional.interpolate(grid, (rows, columns), mode="bilinear", align_corners=False)
    return grid[0].flatten(1).T


def grid_of(frames: int, stride: int, patch: tuple[int, int] = (PATCH, PATCH)) -> tuple[int, int]:
    """How many patches (frequency, time) of a size (bin, frame) an image of so many frames has."""
    return (BINS - patch[0]) // stride + 1, (frames - patch[1]) // stride + 1
