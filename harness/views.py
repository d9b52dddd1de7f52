"""Views: what is kept of an upstream's layers.

``mean`` averages each layer over frames. ``mean-ln`` first gives every frame of the numbered layers mean 0 and
variance 1 (a LayerNorm without weights; it does not commute with averaging) and leaves ``final`` as the authors made
it. ``frames[LAYERS]:DTYPE`` keeps every frame of some layers, such as ``frames[0,6,final]:float16``.
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
    """``kind`` is ``mean``, ``mean-ln`` or ``frames``.

    ``layers`` is empty for all; ``dtype`` is how numbers are stored.
    """

    kind: str
    layers: tuple[str, ...] = ()
    dtype: str = "float32"

    @classmethod
    def parse(cls, text: str) -> "View":
        """Understand a view's name.

        Raises:
            UserError: it is none.
        """
        if text in ("mean", "mean-ln"):
            return cls(text)
        match = re.fullmatch(r"frames\[((?:\d+|final)(?:,(?:\d+|final))*)\]:(\w+)", text)
        if match is None or match[2] not in BYTES:
            raise UserError(
                f"there is no view {text!r}: there is mean, mean-ln, frames[LAYERS]:DTYPE "
                "such as frames[0,6,final]:float16"
            )
        return cls("frames", tuple(dict.fromkeys(match[1].split(","))), match[2])

    def __str__(self) -> str:
        return self.kind if self.kind != "frames" else f"frames[{','.join(self.layers)}]:{self.dtype}"

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
        widths = dict(
            zip(
                (*map(str, range(len(upstream.widths))), "final"), (*upstream.widths, upstream.final_width), strict=True
            )
        )
        numbers = sum(widths[name] for name in self.names(upstream))
        if self.kind == "frames" and upstream.frame_rate is not None:
            numbers *= max(1, round(float(upstream.frame_rate) * seconds))
        return numbers * BYTES[self.dtype]

    def reduce(self, layers: "Layers", names: tuple[str, ...]) -> "Mapping[str, Tensor]":
        """Keep of a batch what the view keeps.

        (clip, width) per layer, or (clip, frame, width) for frames; on the CPU.
        """
        import torch
        from torch.nn import functional

        kept = {}
        for name, layer in layers.named():
            if name not in names:
                continue
            if self.kind == "mean-ln" and name != "final":
                layer = functional.layer_norm(layer, layer.shape[-1:])
            if self.kind != "frames":
                layer = layer.mean(1)
            kept[name] = layer.to("cpu", getattr(torch, self.dtype)).contiguous()
        return kept
