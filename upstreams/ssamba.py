"""SSAMBA: self-supervised audio Mamba, 24 mixers in 12 bidirectional pairs (Shams et al. 2024)."""

import re
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Literal

from harness.cards import Axis, Card, Hub, Training, Variant, Weights, one_of
from harness.errors import UserError
from harness.models import load_strictly

from ._patches import (
    IGNORED,
    PATCH,
    WIDTHS,
    PatchUpstream,
    Reading,
    Tokens,
    grid_of,
    read_state,
    reading_axes,
    trained_frames,
    width_of,
)

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ._vim import Vim

#: Log-mel frames of pre-training; the published files tell theirs.
PRETRAINED = 1024
BIASES = r"v\.(layers\.\d+\.norm|norm_f)\.bias$"
REPOSITORY = "attentionisallyouneed369/ssamba"


class Ssamba(PatchUpstream):
    """SSAMBA (Shams et al. 2024), pre-trained on AudioSet and LibriSpeech by masked spectrogram patches.

    Options: ``size`` (the file's, if it is not given), ``masked`` (which published file), ``stride`` of the patches,
    ``frames`` (fill or crop to so many log-mel frames; the clip's own by default), ``statistics``, ``pad``
    (``superb`` cuts the authors' windows of 10 s, or of ``frames`` frames, normalises, then fills: each has up to a
    token less than its length in time, by which later frames lag), ``freq`` (average or concatenate the patches above
    each other) and ``network`` (``expert``: as the authors' SUPERB expert runs it, with RMSNorm, dropping the
    file's norm biases, and one final norm).
    """

    axes = (
        one_of("size", *WIDTHS, detected=True),
        Axis("masked", {"400": 400, "300": 300, "250": 250}),
        *reading_axes({"s16": 16, "s10": 10}),
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
        for size, millions in (("base", 96.7), ("small", 25.346), ("tiny", 6.92))
    }
    dtypes = {"bfloat16": 0.1}  # the stream doubles at every pair, beyond what float16 holds
    revision = "2"
    view = "mean-ln"  # the stream doubles at every pair

    network: "Vim"

    def __init__(
        self,
        weights: Weights,
        device: "torch.device",
        *,
        size: str | None = None,
        masked: int = 400,
        network: Literal["own", "expert"] = "own",
        **reading: Any,
    ) -> None:
        if weights.trained:
            vim, found = _load(weights, size, network)
        else:
            vim, found = _untrained(weights, size or "base", network), {}
        self.norms = 1 if network == "expert" else 2
        self.found = {"norm": vim.shape.norm.__name__} | found
        tokens = Tokens(vim.shape.width, vim.shape.depth // 2 + 1, (PATCH, PATCH), PATCH, vim.shape.grid[1] * PATCH)
        super().__init__(weights, device, vim, tokens, Reading(**reading))

    @classmethod
    def published(cls, *, size: str = "base", masked: int = 400, **_: Any) -> Hub:
        """The authors' file of a size and a number of masked patches."""
        return Hub(REPOSITORY, f"ssamba_{size}_{masked}.pth")

    def final(self, stream: "Tensor") -> "Tensor":
        """The authors' final norm, which their pre-training applies twice."""
        for _ in range(self.norms):
            stream = self.network.norm_f(stream)
        return stream


def _untrained(weights: Weights, size: str, network: str) -> "Vim":
    from torch import nn

    from ._vim import Shape, Vim

    width, depth = (32, 4) if weights.small else (WIDTHS[size], 24)
    with weights.seeded():
        vim = Vim(Shape(width, depth, nn.RMSNorm if network == "expert" else nn.LayerNorm, grid_of(PRETRAINED, PATCH)))
        vim.initialise()
    return vim


def _load(weights: Weights, size: str | None, network: str) -> "tuple[Vim, dict[str, Any]]":
    """A network from a published file, with width, depth and norm as the file tells, and what was found in it."""
    from torch import nn

    from ._vim import Shape, Vim

    needed = ("v.cls_token", "v.pos_embed", "v.layers.0.mixer.A_b_log", "v.layers.0.norm.weight", "p_input_tdim")
    state = read_state(weights, "pre-trained SSAMBA", *needed)
    frames = trained_frames(state["p_input_tdim"], what=weights.label)
    width = width_of(state["v.cls_token"], size, what=weights.label, family="ssamba")
    depth = len({name.split(".")[2] for name in state if re.match(r"v\.layers\.\d+\.", name)})
    if depth % 2:
        raise UserError(f"{weights.label} has {depth} mixers, but SSAMBA's come in pairs")
    centred = "v.layers.0.norm.bias" in state and network == "own"
    vim = Vim(Shape(width, depth, nn.LayerNorm if centred else nn.RMSNorm, grid_of(frames, PATCH)))
    ignored = IGNORED if network == "own" else f"{IGNORED}|{BIASES}"
    left_out = load_strictly(nn.ModuleDict({"v": vim}), state, what=weights.label, ignored=ignored)
    return vim, {"width": width, "depth": depth, "ignored keys": left_out}


UPSTREAM = Ssamba
