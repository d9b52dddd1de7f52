"""Interfaces: how a head sees an upstream's layers, written ``LAYERS`` or ``LAYERS/POOLING``.

Layers 0 to L are the numbered ones; ``final``, what the authors use, is seen by ``last`` and ``best-layer`` only.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import NotApplicable, UserError, choices
from harness.features import Array, Features, Frames, Pooled
from harness.views import View

if TYPE_CHECKING:
    from torch import Tensor

INTERFACES = {
    "best-layer": "each layer by itself; every split's validation folds choose",
    "last": "what the authors use: the final output",
    "layer:K": "the output of block K; layer:0 is the input of block 1",
    "mean": "the mean of layers 0 to L",
    "concat": "layers 0 to L side by side",
    "weighted-sum": "a softmax-weighted sum of layers 0 to L, learned with the head (SUPERB)",
    "conv": "convolutions over layers 0 to L of every frame, learned with the head (Shih and Harwath, 2024)",
    "conv-mean": "the same convolutions over layers that are averaged over time before: far cheaper, not as published",
}
POOLINGS = {
    "mean-std": "mean and standard deviation over time side by side",
    "attention": "a softmax over frames, learned with the head from one logit per frame (ARCH)",
    "frames": "no pooling: every frame is answered",
}
_SINGLE = ("last", "layer:K")
#: What can be pooled so: statistics are stored, so nothing may be learned before them; the rest needs frames.
_POOLED = {
    "": tuple(INTERFACES),
    "mean-std": ("best-layer", *_SINGLE, "concat"),
    "attention": (*_SINGLE, "mean", "concat", "weighted-sum", "conv"),
    "frames": (*_SINGLE, "mean", "concat", "weighted-sum", "conv"),
}
#: Every interface by its name; layer:K stands for layer:0 and so on.
NAMES = tuple(f"{layers}/{pooling}".rstrip("/") for pooling, kinds in _POOLED.items() for layers in kinds)


@dataclass(frozen=True)
class Interface:
    """Which layers a head sees, as in :data:`INTERFACES`, and how time is pooled: as in :data:`POOLINGS`, or ``""``
    for the mean."""

    layers: str
    pooling: str = ""

    @classmethod
    def parse(cls, text: str) -> "Interface":
        """Understand an interface's name.

        Raises:
            UserError: it is none, or its layers cannot be pooled so.
        """
        layers, slash, pooling = text.partition("/")
        kind = layers
        if layers.startswith("layer:"):
            number = layers.removeprefix("layer:")
            if not re.fullmatch(r"\d{1,4}", number, re.ASCII):
                raise UserError(
                    f"there is no interface {text!r}: in layer:K, K is the number of a layer, as in layer:6"
                )
            kind, layers = "layer:K", f"layer:{int(number)}"
        if kind not in INTERFACES:
            raise UserError(f"there is no interface {text!r}: {choices(layers, INTERFACES)}")
        if slash and pooling not in POOLINGS:
            raise UserError(f"there is no interface {text!r}: of poolings, {choices(pooling, POOLINGS)}")
        if kind not in _POOLED[pooling]:
            known = ", ".join(f"{name}/{pooling}" for name in _POOLED[pooling])
            raise UserError(f"there is no interface {text!r}: with {pooling} there is {known}")
        return cls(layers, pooling)

    def __str__(self) -> str:
        return f"{self.layers}/{self.pooling}" if self.pooling else self.layers

    @property
    def needs_frames(self) -> bool:
        """Whether frames must be stored; if not, what is stored is pooled."""
        return self.layers == "conv" or self.pooling in ("attention", "frames")

    @property
    def join(self) -> str:
        """How a head makes one layer of what it is given: ``one`` (there is one), ``mean``, ``weighted-sum`` or
        ``conv``."""
        if self.layers == "mean" and self.needs_frames:
            return "mean"
        return {"weighted-sum": "weighted-sum", "conv": "conv", "conv-mean": "conv"}.get(self.layers, "one")

    @property
    def pool(self) -> str:
        """How a head makes a vector of frames: ``mean`` (also where there are none), ``attention``, or ``none``."""
        return {"attention": "attention", "frames": "none"}.get(self.pooling, "mean")

    @property
    def learns(self) -> bool:
        """Whether it has weights that are trained with the head."""
        return self.join in ("weighted-sum", "conv") or self.pool == "attention"

    def view(self, own: View, count: int) -> View:
        """What must be stored of an upstream whose own view is ``own`` and that has ``count`` numbered layers.

        Frames are stored in float16.
        """
        if not self.needs_frames:
            return View(self.pooling or "mean", own.ln)
        numbered = tuple(map(str, range(count)))
        ((_, kept),) = self._shown(numbered)
        return View("frames", own.ln, kept, "float16")

    def check(self, widths: Sequence[int]) -> None:
        """Refuse an upstream whose numbered layers, of these widths, it cannot be used with.

        Raises:
            NotApplicable: there is no such layer, there are too few, or their widths are unequal where equal ones are
                needed.
        """
        if self.layers.startswith("layer:") and int(self.layers.removeprefix("layer:")) >= len(widths):
            raise NotApplicable(
                f"there is no layer {self.layers.removeprefix('layer:')}: "
                f"this upstream has layers 0 to {len(widths) - 1}"
            )
        if self.layers in ("mean", "weighted-sum", "conv", "conv-mean") and len(set(widths)) > 1:
            raise NotApplicable(
                f"{self} needs layers of one width, and this upstream's differ: use best-layer, last, layer:K or concat"
            )
        if self.join == "conv" and len(widths) < 3:
            raise NotApplicable(f"{self} needs 3 layers or more, and this upstream has {len(widths)}")

    def present(self, layers: "Mapping[str, Sequence[Tensor]]") -> dict[str, Features]:
        """What a head may choose from, by labels: a layer's name, or ``0..L`` for several that are joined.

        ``layers`` is what the store has of :meth:`view`: for each layer one tensor per clip, (width,) or (frame,
        width).
        """
        numbered = tuple(name for name in layers if name != "final")
        shown = self._shown(numbered)
        if self.layers == "best-layer" and not _equal(layers["final"], layers[numbered[-1]]):
            shown = (*shown, ("final", ("final",)))
        make = self._frames if self.needs_frames else self._vectors
        return {label: make([layers[name] for name in names]) for label, names in shown}

    def _shown(self, numbered: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Labels, and the layers under each; without ``final`` for ``best-layer``."""
        if self.layers == "best-layer":
            return tuple((name, (name,)) for name in numbered)
        if self.layers == "last":
            return (("final", ("final",)),)
        if self.layers.startswith("layer:"):
            name = self.layers.removeprefix("layer:")
            return ((name, (name,)),)
        return ((f"{numbered[0]}..{numbered[-1]}" if len(numbered) > 1 else numbered[0], numbered),)

    def _vectors(self, layers: "Sequence[Sequence[Tensor]]") -> Pooled:
        import numpy as np
        import torch

        arrays: list[Array] = [torch.stack(list(rows)).float().numpy() for rows in layers]
        if self.layers == "concat":
            return Pooled(np.concatenate(arrays, axis=1)[:, None])
        if self.layers == "mean":
            return Pooled(np.mean(arrays, axis=0)[:, None])
        return Pooled(np.stack(arrays, axis=1))

    def _frames(self, layers: "Sequence[Sequence[Tensor]]") -> Frames:
        clips = zip(*layers, strict=True)
        return Frames([[clip] if self.layers == "concat" else [[layer] for layer in clip] for clip in clips])


def _equal(one: "Sequence[Tensor]", other: "Sequence[Tensor]") -> bool:
    """Whether two layers are the same: where nothing follows the last block, ``final`` is that block's output."""
    import torch

    return all(torch.equal(*pair) for pair in zip(one, other, strict=True))
