"""What one fit computes by itself with torch's own modules and functions."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.networks import Probe, SpeakerLinear
from harness.stacks import Noise
from harness.types import Events, Slots, Tags, Target, Value


def margin_loss(head: SpeakerLinear, x: Tensor, y: Tensor) -> Tensor:
    """s=30, m=0.4: -log of exp(s(cos_y - m)) over itself and the others' exp(s cos_j), averaged over clips."""
    losses = []
    for row, right in zip(head.embed(x), y.tolist(), strict=True):
        cosines = head.speakers.weight @ row / row.norm() / head.speakers.weight.norm(dim=1)
        others = sum((30 * cosine).exp() for j, cosine in enumerate(cosines) if j != right)
        mine = (30 * (cosines[right] - 0.4)).exp()
        losses.append(-(mine / (mine + others)).log())
    return torch.stack(losses).mean()


class Dropped(nn.Module):
    """Dropout that draws as a fit of one seed does."""

    def __init__(self, share: float, noise: Noise) -> None:
        super().__init__()
        self.share, self.noise = share, noise

    def forward(self, x: Tensor) -> Tensor:
        return self.noise.drop(x.T[None].contiguous(), self.share)[0].T


def alike(probe: nn.Module, seed: int) -> Any:
    """A copy whose dropout draws as a fit of that seed does."""
    twin, noise = copy.deepcopy(probe), Noise([seed], "cpu")
    for module in list(twin.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.Dropout):
                setattr(module, name, Dropped(child.p, noise))
    return twin


def plain_loss(probe: Probe, target: Target, x: Tensor, mask: Tensor | None, y: Tensor) -> Tensor:
    """The loss as torch's own functions give it."""
    if isinstance(probe.head, SpeakerLinear):
        return margin_loss(probe.head, probe.interface(x, mask), y)
    out = probe(x, mask)
    match target:
        case Slots(labels=labels):
            parts = zip(out.split([len(names) for names in labels], dim=1), y.T, strict=True)
            return torch.stack([functional.cross_entropy(*part) for part in parts]).sum()
        case Tags() | Events():
            return functional.binary_cross_entropy_with_logits(out, y)
        case Value():
            return functional.mse_loss(out[:, 0], y)
    return functional.cross_entropy(out, y)
