"""SSAST: self-supervised audio spectrogram transformer, over patches or frames (Gong et al. 2022)."""

import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from harness.cards import Axis, Card, Elsewhere, Training, Variant, Weights, one_of
from harness.errors import UserError
from harness.models import load_strictly

from ._labels import learned_from_labels
from ._patches import (
    BINS,
    IGNORED,
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

    from ._vit import Vit

#: Log-mel frames of pre-training; the published files tell theirs.
PRETRAINED = 1024
DEPTH = 12
#: (bin, frame).
KINDS = {"patch": (16, 16), "frame": (BINS, 2)}
#: Of pre-training, where patches lie side by side, then of the authors' fine-tuning.
STRIDES = {KINDS["patch"]: (16, 10), KINDS["frame"]: (2, 1)}
MILLIONS = {"base": 85.6497, "small": 21.5912, "tiny": 5.4872}
#: What the authors publish: sizes, kinds, and how many patches pre-training masked.
PUBLISHED = {
    *(("base", "patch", 400), ("base", "frame", 400), ("base", "patch", 250), ("base", "frame", 250)),
    *(("small", "patch", 400), ("tiny", "patch", 400), ("tiny", "frame", 400)),
}
#: Of labels.
LABELS = r"mlp_head\."
#: Keys that only pre-trained files have.
PRETRAINING = r"cpredlayer\.|gpredlayer\.|mask_embed$"
HOMEPAGE = "https://github.com/YuanGongND/ssast"


def _source(size: str, kind: str, masked: int) -> Elsewhere:
    known = (size, kind, masked) in PUBLISHED
    return Elsewhere(f"SSAST-{size.title()}-{kind.title()}-{masked}.pth" if known else "", HOMEPAGE)


class Ssast(PatchUpstream):
    """SSAST (Gong et al. 2022), pre-trained on AudioSet and LibriSpeech by masked spectrogram patches or frames.

    Options: ``size`` and ``kind`` (the file's, if they are not given), ``masked`` (which published file), ``stride``
    (``s16`` or ``s10`` of patches, ``s2`` or ``s1`` of frames; the file's own by default), ``frames`` (fill or crop to
    so many log-mel frames; the clip's own by default), ``statistics``, ``pad`` (``superb`` cuts the authors' windows
    of 10 s, or of ``frames`` frames, normalises, then fills: each has up to a token less than its length in time, by
    which later frames lag) and ``freq`` (average or concatenate the patches above each other).

    A fine-tuned file does not tell its stride. It is taken for the authors', 10 of patches and 1 of frames, unless
    ``stride`` or the number of positions says otherwise.
    """

    axes = (
        one_of("size", *WIDTHS, detected=True),
        one_of("kind", *KINDS, detected=True),
        Axis("masked", {"400": 400, "250": 250}),
        *reading_axes({"own": None, "s16": 16, "s10": 10, "s2": 2, "s1": 1}),
    )
    card = Card(
        paper="arXiv 2110.09784",
        licence="BSD-3-Clause",
        training=Training("self-supervised", ("AudioSet", "LibriSpeech")),
        homepage=HOMEPAGE,
    )
    variants = {
        size if kind == "patch" else f"{size}-{kind}": Variant(
            parameters=MILLIONS[size],
            widths=(WIDTHS[size],) * 13,
            frame_rate=Fraction(100, KINDS[kind][1]),
            source=_source(size, kind, 400),
        )
        for kind in KINDS
        for size in WIDTHS
        if (size, kind, 400) in PUBLISHED
    }
    revision = "1"

    network: "Vit"

    def __init__(
        self,
        weights: Weights,
        device: "torch.device",
        *,
        size: str | None = None,
        kind: str | None = None,
        masked: int = 400,
        **reading: Any,
    ) -> None:
        asked = Reading(**reading)
        if weights.trained:
            network, self.found = _load(weights, size, kind, asked.stride)
        else:
            network = _untrained(weights, size or "base", KINDS[kind or "patch"])
        patch = network.tokens.patch
        if asked.stride not in (None, *STRIDES[patch]):
            known = " or ".join(f"s{stride}" for stride in STRIDES[patch])
            raise UserError(f"patches of {_by(patch)} are cut at the stride {known}, not s{asked.stride}")
        super().__init__(weights, device, network, network.tokens, asked)
        self.training = learned_from_labels(self.found.get("ignored keys", ()), LABELS)

    @classmethod
    def published(cls, *, size: str = "base", kind: str = "patch", masked: int = 400, **_: Any) -> Elsewhere:
        """The authors' file of a size, a kind and a number of masked patches."""
        return _source(size, kind, masked)

    def final(self, stream: "Tensor") -> "Tensor":
        """The network's last norm."""
        normed: Tensor = self.network.norm(stream)
        return normed


def _untrained(weights: Weights, size: str, patch: tuple[int, int]) -> "Vit":
    from ._vit import HEAD, Vit

    width, depth = (HEAD, 2) if weights.small else (WIDTHS[size], DEPTH)
    with weights.seeded():
        network = Vit(Tokens(width, depth + 1, patch, patch[1], PRETRAINED))
        network.initialise()
    return network


def _load(weights: Weights, size: str | None, kind: str | None, stride: int | None) -> "tuple[Vit, Mapping[str, Any]]":
    """A network from a published or fine-tuned file, as large as the file tells, and what was found in it."""
    from torch import nn

    from ._vit import HEAD, Vit

    what = weights.label
    needed = ("v.cls_token", "v.pos_embed", "v.patch_embed.proj.weight", "v.blocks.0.attn.qkv.weight")
    state = read_state(weights, "SSAST", *needed)
    width = width_of(state["v.cls_token"], size, what=what, family="ssast")
    if not width or width % HEAD:
        raise UserError(f"{what} is {width} wide, which attention heads of {HEAD} do not divide")
    patch = _patch_of(state["v.patch_embed.proj.weight"], kind, what=what)
    depth = len({name.split(".")[2] for name in state if re.match(r"v\.blocks\.\d+\.", name)})
    distilled = "v.dist_token" in state
    if "p_input_tdim" in state:
        own, frames = patch[1], trained_frames(state["p_input_tdim"], what=what)
    elif any(re.match(PRETRAINING, name) for name in state):
        raise UserError(f"{what} lacks the key 'p_input_tdim', though it is pre-trained: it is damaged")
    else:
        positions = state["v.pos_embed"].shape[1:-1].numel() - 1 - distilled
        own, frames = _fine_tuned_on(positions, patch, stride, what=what)
    network = Vit(Tokens(width, depth + 1, patch, own, frames), distilled=distilled)
    left_out = load_strictly(nn.ModuleDict({"v": network}), state, what=what, ignored=rf"{IGNORED}|{LABELS}")
    found = {"width": width, "depth": depth, "patch": patch, "grid": network.tokens.grid, "distilled": distilled}
    return network, found | {"ignored keys": left_out}


def _patch_of(kernel: "Tensor", kind: str | None, *, what: str) -> tuple[int, int]:
    """The patches (bin, frame) of a network, as its first convolution tells."""
    patch = next((patch for patch in KINDS.values() if patch == tuple(kernel.shape[2:])), None)
    if patch is None:
        known = " or ".join(map(_by, KINDS.values()))
        raise UserError(f"{what} has patches of {_by(kernel.shape[2:])}, where {known} is expected")
    if kind is not None and KINDS[kind] != patch:
        raise UserError(f"{what} has patches of {_by(patch)}, but ssast:{kind} of {_by(KINDS[kind])}: write ssast@FILE")
    return patch


def _fine_tuned_on(positions: int, patch: tuple[int, int], stride: int | None, *, what: str) -> tuple[int, int]:
    """The stride and the length of the images of a fine-tuned position table: its rows must divide it."""
    tried = (stride,) if stride in STRIDES[patch] else STRIDES[patch][::-1]
    rows = {each: grid_of(PRETRAINED, each, patch)[0] for each in tried}
    for each in tried:
        if positions > 0 and positions % rows[each] == 0:
            return each, positions // rows[each] * each + patch[1] - 1
    raise UserError(
        f"{what} is fine-tuned and does not tell the grid of its positions, and {positions} of them do not fill the "
        + " or the ".join(f"{rows[each]} rows of the stride s{each}" for each in tried)
    )


def _by(patch: Sequence[int]) -> str:
    return " x ".join(map(str, patch))


UPSTREAM = Ssast
