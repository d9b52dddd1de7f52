"""Views: what is kept of an upstream's layers.

``mean`` averages each layer over frames; ``mean-std`` puts the standard deviation over frames beside the mean.
``frames[LAYERS]:DTYPE`` keeps every frame of some layers, such as ``frames[0,6,final]:float16``, or of
``frames[all]:float16``. With ``-ln`` after the first word, as in ``mean-ln``, every frame of the numbered layers is
first given mean 0 and variance 1 (a LayerNorm without weights; it does not commute with averaging), and ``final`` is
left as the authors made it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

    from harness.models import Layers, Upstream

#: Raise it when a change of the code moves features: they are then made anew.
REVISION = "1"
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}


@dataclass(frozen=True)
class View:
    """``pool`` is ``mean``, ``mean-std`` or ``frames``; with ``ln`` frames of numbered layers are normalised before.

    ``layers`` is empty for all; ``dtype`` is how numbers are stored. In float16 a number moves by at most 2^-11 of
    itself (below 6e-5 in size: by at most 3e-8), and one beyond 65504 becomes infinite, which extraction refuses.
    """

    pool: str
    ln: bool = False
    layers: tuple[str, ...] = ()
    dtype: str = "float32"

    @classmethod
    def parse(cls, text: str) -> "View":
        """Understand a view's name.

        Raises:
            UserError: it is none.
        """
        if match := re.fullmatch(r"(mean|mean-std)(-ln)?", text):
            return cls(match[1], bool(match[2]))
        match = re.fullmatch(r"frames(-ln)?\[(all|(?:\d+|final)(?:,(?:\d+|final))*)\]:(\w+)", text, re.ASCII)
        if match is None or match[3] not in BYTES:
            raise UserError(
                f"there is no view {text!r}: there is mean, mean-std, frames[LAYERS]:DTYPE such as "
                "frames[0,6,final]:float16 or frames[all]:float16, and each with -ln as in mean-ln"
            )
        layers = () if match[2] == "all" else tuple(dict.fromkeys(match[2].split(",")))
        return cls("frames", bool(match[1]), layers, match[3])

    def __str__(self) -> str:
        name = self.pool + "-ln" * self.ln
        return name if self.pool != "frames" else f"{name}[{','.join(self.layers) or 'all'}]:{self.dtype}"

    def names(self, upstream: "Upstream") -> tuple[str, ...]:
        """The layers that are kept.

        Raises:
            UserError: the upstream has no such layer.
        """
        there = (*map(str, range(len(upstream.widths))), "final")
        for name in self.layers:
            if name not in there:
                raise UserError(
                    f"the view {self} asks for layer {name}, "
                    f"and the layers are 0 to {len(upstream.widths) - 1} and final"
                )
        return self.layers or there

    def bytes(self, upstream: "Upstream", seconds: float) -> float:
        """How many bytes a clip of so many seconds takes, before any header."""
        numbered = {str(index): width for index, width in enumerate(upstream.widths)}
        widths = {**numbered, "final": upstream.final_width}
        numbers = sum(widths[name] for name in self.names(upstream))
        if self.pool == "mean-std":
            numbers *= 2
        if self.pool == "frames" and upstream.frame_rate is not None:
            numbers *= max(1, round(float(upstream.frame_rate) * seconds))
        return numbers * BYTES[self.dtype]

    def reduce(self, layers: "Layers", names: tuple[str, ...]) -> "Mapping[str, Tensor]":
        """Keep of a batch what the view keeps.

        (clip, width) per layer, twice the width for ``mean-std``, or (clip, frame, width) for frames; on the CPU.
        """
        import torch
        from torch.nn import functional

        kept = {}
        for name, layer in layers.named():
            if name not in names:
                continue
            if self.ln and name != "final":
                layer = functional.layer_norm(layer, layer.shape[-1:])
            kept[name] = self._pooled(layer).to("cpu", getattr(torch, self.dtype)).contiguous()
        return kept

    def _pooled(self, layer: "Tensor") -> "Tensor":
        """One layer over time."""
        import torch

        if self.pool == "frames":
            return layer
        mean = layer.mean(1)
        return torch.cat([mean, layer.std(1, correction=0)], dim=-1) if self.pool == "mean-std" else mean
