"""Networks of one shape that learn side by side: one batched program trains many fits.

Every parameter has a leading fit axis, and each fit's own :class:`harness.networks.Probe` sees its row of it, so that
whatever looks at one fit (validation, the answers in the end) looks at a plain network. What the modules of joins.py
and networks.py compute for one fit, :func:`run` computes for all.

Features come in as (stream, ...): fits that see the same clips in the same order share a stream, and fits of a
stream stand next to each other. Between modules what is computed is (fit, width, example), or (stream, width, example)
as long as it is the same for all fits of a stream.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import singledispatch
from itertools import groupby
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness import targets
from harness.joins import AttentionPool, HierarchicalConv, LayerMean, MeanPool, NoPool, Only, WeightedSum
from harness.networks import LastAxisNorm, Probe, SpeakerLinear
from harness.types import Target


@dataclass(frozen=True)
class Own:
    """What a module has of its own in every fit: its parameters and buffers, each (fit, ...)."""

    tensors: Mapping[str, Tensor]
    noise: "Noise"
    prefix: str = ""

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[self.prefix + name]

    def of(self, child: str) -> "Own":
        """What a module within it has."""
        return replace(self, prefix=f"{self.prefix}{child}.")


@final
class Noise:
    """Where dropout draws from: fits of one seed draw the same, as each would by itself."""

    def __init__(self, seeds: Sequence[int], device: str) -> None:
        # Not the numbers that the order of the examples is drawn from, which begin at the seed itself. (A generator
        # on a CPU sees the lower 32 bits only.)
        self._runs = [
            (len(list(run)), torch.Generator(device).manual_seed(2**31 + seed)) for seed, run in groupby(seeds)
        ]

    def keep(self, kept: Sequence[bool]) -> None:
        """Go on with some of the fits."""
        left = iter(kept)
        counts = [sum(next(left) for _ in range(count)) for count, _ in self._runs]
        self._runs = [(count, draws) for count, (_, draws) in zip(counts, self._runs, strict=True) if count]

    def drop(self, x: Tensor, share: float) -> Tensor:
        """Set that share of (fit, width, example) to zero, and make the rest as much larger."""
        parts = []
        for (_, draws), part in zip(self._runs, x.split([count for count, _ in self._runs]), strict=True):
            parts.append(part * torch.empty_like(x[0]).bernoulli_(1 - share, generator=draws).div_(1 - share))
        return parts[0] if len(parts) == 1 else torch.cat(parts)


@final
class Stack:
    """Probes of one shape, ``probes``, as one: what is done to the stack is done to each.

    ``tensors`` are their parameters and floating buffers by name, each (fit, ...), in which the probes' own lie.
    """

    def __init__(self, probes: Sequence[Probe], seeds: Sequence[int], device: str) -> None:
        self.probes = list(probes)
        self.noise = Noise(seeds, device)
        names = [name for name, own in probes[0].state_dict().items() if own.is_floating_point()]
        self._learned = {name for name, _ in probes[0].named_parameters()}
        states = [probe.state_dict() for probe in probes]
        self._lay({name: torch.stack([state[name] for state in states]).to(device) for name in names})

    def _lay(self, tensors: Mapping[str, Tensor]) -> None:
        self.tensors = {name: own.requires_grad_(name in self._learned) for name, own in tensors.items()}
        for i, probe in enumerate(self.probes):
            lying = dict(probe.named_parameters()) | dict(probe.named_buffers())
            for name, own in self.tensors.items():
                lying[name].data = own.detach()[i]

    @property
    def parameters(self) -> list[Tensor]:
        """What is learned, each (fit, ...)."""
        return [self.tensors[name] for name in self.tensors if name in self._learned]

    def keep(self, kept: Sequence[bool]) -> None:
        """Go on with some of the fits; the probes of the others keep what they have."""
        rows = torch.tensor([i for i, stays in enumerate(kept) if stays], device=self.parameters[0].device)
        self.probes = [probe for probe, stays in zip(self.probes, kept, strict=True) if stays]
        self.noise.keep(kept)
        self._lay({name: own.detach()[rows] for name, own in self.tensors.items()})

    def losses(self, target: Target, x: Tensor, mask: Tensor | None, y: Tensor) -> Tensor:
        """The loss of every fit, (fit,).

        ``x`` is (stream, clip, [frame,] layer, width), ``mask`` (stream, clip, frame), ``y`` (stream, clip, ...).
        """
        probe, own = self.probes[0], Own(self.tensors, self.noise)
        probe.train()
        streams, clips = len(x), x.shape[1]
        joined = run(probe.interface.join, x.flatten(1, -3), own.of("interface.join"))
        if x.ndim == 5:
            joined = pooled(probe.interface.pool, joined.unflatten(2, (clips, -1)), mask, own.of("interface.pool"))
        y = y.repeat_interleave(len(self.probes) // streams, 0)
        if isinstance(probe.head, SpeakerLinear):
            return speaker_losses(probe.head, joined, own.of("head"), y)
        return targets.losses(target, run(probe.head, joined, own.of("head")), y)


def linear(weight: Tensor, bias: Tensor, x: Tensor) -> Tensor:
    """A linear layer of every fit: ``weight`` (fit, out, in), ``bias`` (fit, out), ``x`` (stream or fit, in, example).

    Fits of one stream are one product, as wide as all of them.
    """
    streams, (fits, out, width) = len(x), weight.shape
    wide = torch.baddbmm(bias.reshape(streams, -1, 1), weight.reshape(streams, -1, width), x)
    return wide.view(fits, out, x.shape[2])


@singledispatch
def run(module: nn.Module, x: Tensor, own: Own) -> Tensor:
    """What a module computes while it learns, for all fits.

    A join takes (stream, example, layer, width), anything else (stream or fit, width, example).
    """
    raise NotImplementedError(f"no way to train many {type(module).__name__} at once")


@run.register
def _(module: nn.Sequential, x: Tensor, own: Own) -> Tensor:
    for name, child in module.named_children():
        x = run(child, x, own.of(name))
    return x


@run.register
def _(module: nn.Linear, x: Tensor, own: Own) -> Tensor:
    return linear(own["weight"], own["bias"], x)


@run.register
def _(module: nn.ReLU, x: Tensor, own: Own) -> Tensor:
    return x.relu()


@run.register
def _(module: nn.Dropout, x: Tensor, own: Own) -> Tensor:
    return own.noise.drop(x, module.p)


@run.register
def _(module: LastAxisNorm, x: Tensor, own: Own) -> Tensor:
    # Every width of every fit is a channel.
    mean, var, weight, bias = (own[name].view(-1) for name in ("running_mean", "running_var", "weight", "bias"))
    channels, momentum = x.reshape(1, -1, x.shape[2]), module.momentum or 0.0
    return functional.batch_norm(channels, mean, var, weight, bias, True, momentum, module.eps).view_as(x)


@run.register
def _(module: nn.LayerNorm, x: Tensor, own: Own) -> Tensor:
    normed = functional.layer_norm(x.transpose(1, 2), module.normalized_shape, eps=module.eps)
    streams, examples, width = normed.shape
    weight, bias = (own[name].view(streams, -1, 1, width) for name in ("weight", "bias"))
    scaled: Tensor = normed[:, None] * weight + bias
    return scaled.view(-1, examples, width).transpose(1, 2)


@run.register
def _(module: Only, x: Tensor, own: Own) -> Tensor:
    return x.squeeze(2).transpose(1, 2)


@run.register
def _(module: LayerMean, x: Tensor, own: Own) -> Tensor:
    return x.mean(2).transpose(1, 2)


@run.register
def _(module: WeightedSum, x: Tensor, own: Own) -> Tensor:
    weights = own["logits"].softmax(1).unflatten(0, (len(x), -1))  # (stream, fit of it, layer)
    summed: Tensor = weights[:, None] @ x  # (stream, example, fit of it, width)
    return summed.permute(0, 2, 3, 1).flatten(0, 1)


@run.register
def _(module: HierarchicalConv, x: Tensor, own: Own) -> Tensor:
    examples = x.shape[1]
    hidden = x.permute(0, 3, 1, 2)  # (stream or fit, channel, example, place)
    for name, _ in module.convs.named_children():
        weight, bias = (own[f"convs.{name}.{which}"] for which in ("weight", "bias"))
        seen = functional.pad(hidden, (2, 2)).unfold(3, 5, 3)  # (..., channel, example, place, tap)
        places = seen.shape[3]
        taps = seen.permute(0, 1, 4, 2, 3).flatten(3, 4).flatten(1, 2)
        hidden = linear(weight.flatten(2), bias, taps).relu().unflatten(2, (examples, places))
    return hidden.transpose(2, 3).flatten(1, 2)


@singledispatch
def pooled(module: nn.Module, x: Tensor, mask: Tensor | None, own: Own) -> Tensor:
    """(stream or fit, width, clip, frame) to (stream or fit, width, example); ``mask`` is (stream, clip, frame)."""
    raise NotImplementedError(f"no way to train many {type(module).__name__} at once")


@pooled.register
def _(module: NoPool, x: Tensor, mask: Tensor | None, own: Own) -> Tensor:
    return x.flatten(2)


@pooled.register
def _(module: MeanPool, x: Tensor, mask: Tensor | None, own: Own) -> Tensor:
    if mask is None:
        return x.mean(3)
    there = mask.repeat_interleave(len(x) // len(mask), 0)[:, None]
    return x.masked_fill(~there, 0).sum(3) / there.sum(3)


@pooled.register
def _(module: AttentionPool, x: Tensor, mask: Tensor | None, own: Own) -> Tensor:
    own = own.of("logit")
    logits = linear(own["weight"], own["bias"], x.flatten(2)).view(-1, *x.shape[2:])  # (fit, clip, frame)
    if mask is not None:
        there = mask.repeat_interleave(len(logits) // len(mask), 0)
        logits = logits.masked_fill(~there, -torch.inf)
        x = x.masked_fill(~mask.repeat_interleave(len(x) // len(mask), 0)[:, None], 0)
    weights = logits.softmax(2).unflatten(0, (len(x), -1))
    return torch.einsum("skcf,swcf->skwc", weights, x).flatten(0, 1)


def speaker_losses(module: SpeakerLinear, x: Tensor, own: Own, y: Tensor) -> Tensor:
    """The additive-margin softmax loss of every fit, of ``x`` (stream or fit, width, clip)."""
    embedded = functional.normalize(run(module.embed, x, own.of("embed")), dim=1)
    cosine = functional.normalize(own["speakers.weight"], dim=2) @ embedded  # (fit, speaker, clip)
    margin = module.margin * functional.one_hot(y, cosine.shape[1]).transpose(1, 2)
    return functional.cross_entropy(module.scale * (cosine - margin), y, reduction="none").mean(1)
