"""Joins and pools: the part of an interface that computes, and mostly learns, inside a head (see interfaces.py).

A join makes one layer of several, (..., layer, width) to (..., out_width); a pool makes one vector of a clip's frames.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from itertools import pairwise
from typing import final

import torch
from torch import Tensor, nn

from harness.errors import NotApplicable


class Join(nn.Module, ABC):
    """Makes one layer of several: (..., layer, width) to (..., ``out_width``)."""

    def __init__(self, out_width: int) -> None:
        super().__init__()
        self.out_width = out_width

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Join the layers."""

    def layer_weights(self) -> tuple[float, ...]:
        """How much each layer counts, where one number per layer says so."""
        return ()


@final
class Only(Join):
    """The one layer that there is."""

    def forward(self, x: Tensor) -> Tensor:
        """Drop the layer axis, which has length 1."""
        return x.squeeze(-2)


@final
class LayerMean(Join):
    """The mean of the layers."""

    def forward(self, x: Tensor) -> Tensor:
        """Average over layers."""
        return x.mean(-2)


@final
class WeightedSum(Join):
    """A softmax-weighted sum of the layers, with learned weights that begin equal (SUPERB, arXiv 2105.01051)."""

    def __init__(self, layers: int, width: int) -> None:
        super().__init__(width)
        self.logits = nn.Parameter(torch.zeros(layers))

    @property
    def weights(self) -> Tensor:
        """How much each layer counts, (layer,); their sum is 1."""
        return self.logits.softmax(0)

    def forward(self, x: Tensor) -> Tensor:
        """Sum the layers up."""
        return torch.einsum("l,...lw->...w", self.weights, x)

    def layer_weights(self) -> tuple[float, ...]:
        """The softmax-weights."""
        return tuple(self.weights.tolist())


@final
class HierarchicalConv(Join):
    """Convolutions over the layer axis until one to three places are left, which are put side by side.

    "Interface Design for Self-Supervised Speech Models" (arXiv 2406.12209) and its code: floor(log3 L) of them for L
    layers, with kernel 5, stride 3, padding 2, channels as wide as a layer, and a ReLU after each; the last has as
    many channels as put side by side come near the width of a layer. That code takes the logarithm in floats, and so
    has one convolution less where L is 243.
    """

    def __init__(self, layers: int, width: int) -> None:
        """Build it with PyTorch's initial weights.

        Raises:
            NotApplicable: there are fewer than 3 layers, or they are narrower than the places that are left.
        """
        count = next(n for n in range(layers) if 3 ** (n + 1) > layers)
        places = -(-layers // 3**count)
        if count == 0 or width < places:
            raise NotApplicable(
                f"conv needs 3 layers or more, of width {places} or more, "
                f"and this upstream has {layers} of width {width}"
            )
        channels = [width] * count + [width // places]
        super().__init__(channels[-1] * places)
        self.convs = nn.ModuleList(
            nn.Conv1d(before, after, kernel_size=5, stride=3, padding=2) for before, after in pairwise(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Convolve; each channel's places come out next to each other."""
        hidden = x.reshape(-1, *x.shape[-2:]).transpose(1, 2)
        for conv in self.convs:
            hidden = conv(hidden).relu()
        return hidden.reshape(*x.shape[:-2], self.out_width)


class Pool(nn.Module, ABC):
    """Makes one vector of a clip's frames: (clip, frame, width) to (clip, width)."""

    @abstractmethod
    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Pool the frames where ``mask`` (clip, frame) is True; all count where there is none."""


@final
class MeanPool(Pool):
    """The mean over frames."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Average over the frames that count; what has none, (clip, width), stays as it is."""
        if x.ndim == 2:
            return x
        if mask is None:
            return x.mean(1)
        total: Tensor = x.masked_fill(~mask[..., None], 0).sum(1)
        return total / mask.sum(1, keepdim=True)


@final
class AttentionPool(Pool):
    """A mean over frames with weights that are a softmax of one learned logit per frame (ARCH's attention pooling)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.logit = nn.Linear(width, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Average over the frames that count, by their weights."""
        logits = self.logit(x)
        if mask is not None:
            logits = logits.masked_fill(~mask[..., None], -torch.inf)
            x = x.masked_fill(~mask[..., None], 0)
        return torch.einsum("cfl,cfw->cw", logits.softmax(1), x)


@final
class NoPool(Pool):
    """Every frame by itself."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Leave frames as they are."""
        return x


@final
class Readout(nn.Module):
    """A join, then a pool."""

    def __init__(self, join: Join, pool: Pool) -> None:
        super().__init__()
        self.join, self.pool = join, pool

    @property
    def out_width(self) -> int:
        """The width of what comes out."""
        return self.join.out_width

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """A :class:`harness.features.Batch` to (clip, out_width), or (clip, frame, out_width) without pooling."""
        joined: Tensor = self.join(x)
        pooled: Tensor = self.pool(joined, mask)
        return pooled

    def layer_weights(self) -> tuple[float, ...]:
        """The softmax-weights of a weighted sum; of other joins none."""
        return self.join.layer_weights()


def build(join: str, pool: str, layers: int, width: int) -> Readout:
    """The modules that a :class:`harness.heads.Problem` names, for so many layers of this width.

    Raises:
        NotApplicable: these layers cannot be joined so.
    """
    joins: dict[str, Callable[[], Join]] = {
        "one": lambda: Only(width),
        "mean": lambda: LayerMean(width),
        "weighted-sum": lambda: WeightedSum(layers, width),
        "conv": lambda: HierarchicalConv(layers, width),
    }
    made = joins[join]()
    pools: dict[str, Callable[[], Pool]] = {
        "mean": MeanPool,
        "attention": lambda: AttentionPool(made.out_width),
        "none": NoPool,
    }
    return Readout(made, pools[pool]())
