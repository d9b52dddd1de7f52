"""SSAMBA: self-supervised audio Mamba, 24 mixers in 12 bidirectional pairs (Shams et al. 2024)."""

import re
from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from harness.cards import Axis, Card, Hub, Training, Variant, Weights, one_of
from harness.errors import UserError
from harness.models import Layers, Upstream, as_they_are, load_strictly

from ._patches import (
    BINS,
    HOP,
    PATCH,
    SAMPLE_RATE,
    STATISTICS,
    Statistics,
    grid_of,
    log_mel,
    samples_of,
    superb_windows,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ._vim import Vim

WIDTHS = {"base": 768, "small": 384, "tiny": 192}
#: The image size of pre-training; the published files tell theirs.
PRETRAINED = (BINS, 1024)
#: Twenty minutes; beyond, a slip of the finger would fill the memory.
MOST_FRAMES = 120_000
#: Keys that pre-training leaves behind: they have no part in the features.
IGNORED = r"v\.head\.|cpredlayer\.|gpredlayer\.|mask_embed|p_input_[ft]dim"
REPOSITORY = "attentionisallyouneed369/ssamba"


class Ssamba(Upstream):
    """SSAMBA (Shams et al. 2024), pre-trained on AudioSet and LibriSpeech by masked spectrogram patches.

    Options: ``size`` (the file's, if it is not given), ``masked`` (which published file), ``stride`` of the patches,
    ``frames`` (fill or crop to so many log-mel frames; the clip's own by default), ``statistics``, ``pad``
    (``superb`` cuts the authors' 10 s windows, normalises, then fills), ``freq`` (average or concatenate the patches
    above each other) and ``network`` (``expert``: as the authors' SUPERB expert runs it, with RMSNorm, dropping the
    file's norm biases, and one final norm).
    """

    axes = (
        one_of("size", *WIDTHS, detected=True),
        Axis("masked", {"400": 400, "300": 300, "250": 250}),
        Axis("stride", {"s16": 16, "s10": 10}),
        Axis("frames", number="t"),
        one_of("statistics", *STATISTICS),
        one_of("pad", "dataset", "superb"),
        one_of("freq", "mean", "concat"),
        one_of("network", "own", "expert"),
    )
    card = Card(
        paper="arXiv 2405.11831",
        licence="BSD-3-Clause",
        training=Training("self-supervised", ("AudioSet", "LibriSpeech")),
        homepage="https://github.com/SiavashShams/ssamba",
    )
    variants = {
        size: Variant(
            parameters=millions,
            widths=(WIDTHS[size],) * 13,
            frame_rate=Fraction(25, 4),
            source=Hub(REPOSITORY, f"ssamba_{size}_400.pth"),
        )
        for size, millions in (("base", 96.7), ("small", 25.35), ("tiny", 6.92))
    }
    dtypes = {"bfloat16": 0.1}  # the stream doubles at every pair, beyond what float16 holds
    revision = "1"
    sample_rate = SAMPLE_RATE
    view = "mean-ln"  # the stream doubles at every pair

    def __init__(  # noqa: PLR0913 (one option for each axis of the name)
        self,
        weights: Weights,
        device: "torch.device",
        *,
        size: str | None = None,
        masked: int = 400,
        stride: int = 16,
        frames: int | None = None,
        statistics: str | tuple[float, float] = "audioset",
        pad: Literal["dataset", "superb"] = "dataset",
        freq: Literal["mean", "concat"] = "mean",
        network: Literal["own", "expert"] = "own",
    ) -> None:
        from torch import nn

        from ._vim import Shape, Vim

        super().__init__(weights, device)
        self.stride, self.freq, self.pad = stride, freq, pad
        self.statistics = Statistics(*(STATISTICS[statistics] if isinstance(statistics, str) else statistics))
        self.norms = 1 if network == "expert" else 2
        self.frames = 1000 if pad == "superb" and frames is None else frames
        if self.frames is not None and not PATCH <= self.frames <= MOST_FRAMES:
            raise UserError(f"ssamba takes {PATCH} to {MOST_FRAMES} frames, not {self.frames}")
        if weights.trained:
            self.network, self.found = _load(weights, size, network)
        else:
            with weights.seeded():
                self.network = Vim(Shape(WIDTHS[size or "base"], 24, nn.LayerNorm, grid_of(PRETRAINED[1], PATCH)))
                self.network.initialise()
            self.found = {"norm": "LayerNorm"}
        self.network.eval().requires_grad_(False).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())

        rows = grid_of(PATCH, stride)[0] if freq == "concat" else 1
        self.final_width = rows * self.network.shape.width
        self.widths = (self.final_width,) * (self.network.shape.depth // 2 + 1)
        self.frame_rate = Fraction(SAMPLE_RATE, HOP * stride)
        self.frame_offset = Fraction(samples_of(PATCH), 2 * SAMPLE_RATE)
        if pad == "superb":
            self.normalise = as_they_are
        else:
            self.normalise = without_mean
            self.shortest = samples_of(PATCH)
            # With a fixed number of frames longer clips are cropped, as the authors do.
            self.longest = None if self.frames else samples_of(self.network.shape.grid[1] * PATCH)

    @classmethod
    def published(cls, *, size: str = "base", masked: int = 400, **_: Any) -> Hub:
        """The authors' file of a size and a number of masked patches."""
        return Hub(REPOSITORY, f"ssamba_{size}_{masked}.pth")

    def forward(self, wave: "Tensor") -> Layers:
        """13 states (the input of pair 0, then every pair's output) and the twice-normalised ``final``.

        No class token.
        """
        if self.pad == "superb":
            assert self.frames is not None
            windows = superb_windows(wave, self.statistics, self.frames)
            parts = [self._encode_image(windows[:, i]) for i in range(windows.shape[1])]
            whole = Layers.join(parts, dim=1)
            wanted = -(-wave.shape[-1] // (HOP * self.stride))
            return Layers(tuple(layer[:, :wanted] for layer in whole.hidden), whole.final[:, :wanted])
        frames = self.frames or max(PATCH, 1 + (wave.shape[-1] - samples_of(1)) // HOP)
        return self._encode_image(log_mel(wave, self.statistics, frames))

    def _encode_image(self, image: "Tensor") -> Layers:
        streams = self.network(image, self.stride)
        grid = grid_of(image.shape[1], self.stride)
        hidden = tuple(self._by_time(stream, grid) for stream in streams)
        return Layers(hidden, self._by_time(self.final(streams[-1]), grid))

    def final(self, stream: "Tensor") -> "Tensor":
        """The authors' final norm, which their pre-training applies twice."""
        for _ in range(self.norms):
            stream = self.network.norm_f(stream)
        return stream

    def _by_time(self, stream: "Tensor", grid: tuple[int, int]) -> "Tensor":
        tokens = stream[:, 1:].reshape(len(stream), *grid, -1)
        return tokens.mean(1) if self.freq == "mean" else tokens.transpose(1, 2).flatten(2)


def without_mean(wave: "Tensor") -> "Tensor":
    """Subtract each clip's mean from its wave (clip, sample)."""
    return wave - wave.mean(-1, keepdim=True)


def _load(weights: Weights, size: str | None, network: str) -> "tuple[Vim, Mapping[str, Any]]":
    """A network from a published file, with width, depth and norm as the file tells, and what was found in it."""
    from torch import Tensor, nn

    from ._vim import Shape, Vim

    state = {key.removeprefix("module."): value for key, value in weights.state_dict().items()}
    for key in ("v.cls_token", "v.pos_embed", "v.layers.0.mixer.A_b_log", "v.layers.0.norm.weight", "p_input_tdim"):
        if key not in state:
            raise UserError(f"{weights.label} is no pre-trained SSAMBA checkpoint: it lacks the key {key!r}")
        if not isinstance(state[key], Tensor):
            raise UserError(f"{weights.label} is no SSAMBA checkpoint: its {key!r} is no tensor")
    token, length = state["v.cls_token"], state["p_input_tdim"]
    if token.ndim != 3 or length.numel() != 1 or length.is_floating_point():
        raise UserError(f"{weights.label} is no SSAMBA checkpoint: its class token or its image size has another shape")
    frames = int(length)
    if not PATCH <= frames <= MOST_FRAMES:
        raise UserError(f"{weights.label} says it was trained on images of {frames} frames, which cannot be")
    width = token.shape[-1]
    if size is not None and WIDTHS[size] != width:
        raise UserError(f"{weights.label} is {width} wide, but ssamba:{size} is {WIDTHS[size]} wide: write ssamba@FILE")
    depth = len({key.split(".")[2] for key in state if re.match(r"v\.layers\.\d+\.", key)})
    if depth % 2:
        raise UserError(f"{weights.label} has {depth} mixers, but SSAMBA's come in pairs")
    centred = "v.layers.0.norm.bias" in state
    ignored = sorted(key for key in state if re.match(IGNORED, key))
    if network == "expert" and centred:
        ignored += [key for key in state if re.fullmatch(r"v\.(layers\.\d+\.norm|norm_f)\.bias", key)]
        centred = False
    grid = grid_of(frames, PATCH)
    vim = Vim(Shape(width, depth, nn.LayerNorm if centred else nn.RMSNorm, grid))
    kept = {key.removeprefix("v."): value for key, value in state.items() if key not in ignored}
    load_strictly(vim, kept, what=weights.label)
    return vim, {"norm": "LayerNorm" if centred else "RMSNorm", "width": width, "depth": depth, "ignored keys": ignored}


UPSTREAM = Ssamba
