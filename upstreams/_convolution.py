"""Mamba's causal convolution and the SiLU behind it, on any device."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

from ._scan import LIBRARY, compiled_kernels, dense
from ._threads import share

#: Numbers that a piece of work convolves: a tenth of a millisecond, as long as another thread takes to wake up.
PIECE = 1 << 18


class Filter(NamedTuple):
    """What a channel is convolved with: ``weight`` (width, 1, tap), the last tap for the frame itself, and ``bias``
    (width,). In ``reverse``, time runs from the last frame to the first."""

    weight: Tensor
    bias: Tensor
    reverse: bool = False


def convolve(x: Tensor, *filters: Filter) -> list[Tensor]:
    """The SiLU of causal convolutions of every channel of x (clip, frame, width), one for each filter.

    Returns:
        (clip, frame, width) for each, in the weights' dtype whatever autocast wants.

    Raises:
        ValueError: the shapes do not belong together.
    """
    width = x.shape[-1]
    for each in filters:
        if each.weight.shape[:2] != (width, 1) or each.bias.shape != (width,):
            shapes = tuple(each.weight.shape), tuple(each.bias.shape)
            raise ValueError(f"{width} channels are convolved with ({width}, 1, tap) and ({width},), not {shapes}")
    weights, biases, reverse = (list(each) for each in zip(*filters, strict=True))
    found: list[Tensor] = torch.ops.harness.convolve(x, weights, biases, reverse)
    return found


LIBRARY.define("convolve(Tensor x, Tensor[] weights, Tensor[] biases, bool[] reverse) -> Tensor[]")


def _convolve_on_cpu(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], reverse: Sequence[bool]
) -> list[Tensor]:
    kernels = compiled_kernels()
    if kernels is None or weights[0].dtype != torch.float32 or {w.shape[-1] for w in weights} != {kernels.TAPS}:
        return _convolve_anywhere(x, weights, biases, reverse)
    clips, frames, width = x.shape
    outs = [torch.empty(x.shape) for _ in weights]
    array = dense(x)
    filters = [
        (dense(weight[:, 0].T), dense(bias), out.numpy(), back)
        for weight, bias, out, back in zip(weights, biases, outs, reverse, strict=True)
    ]
    rows = max(1, PIECE // width)
    pieces = math.ceil(frames / rows)

    def work(piece: int) -> None:
        clip, part = divmod(piece, pieces)
        for weight, bias, out, back in filters:
            kernels.convolve(array, weight, bias, out, clip, part * rows, min(frames, (part + 1) * rows), back)

    share(work, clips * pieces)
    return outs


def _convolve_anywhere(
    x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], reverse: Sequence[bool]
) -> list[Tensor]:
    with torch.autocast(x.device.type, enabled=False):
        x = x.to(weights[0].dtype).transpose(1, 2)
        outs = []
        for weight, bias, back in zip(weights, biases, reverse, strict=True):
            others = weight.shape[-1] - 1
            padded = functional.pad(x, (0, others) if back else (others, 0))
            out = functional.conv1d(padded, weight.flip(-1) if back else weight, bias, groups=len(weight))
            outs.append(functional.silu(out).transpose(1, 2))
        return outs


def _shapes(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], reverse: Sequence[bool]) -> list[Tensor]:
    return [x.new_empty(x.shape, dtype=weight.dtype) for weight in weights]


def _flops(x: Sequence[int], weights: Sequence[Sequence[int]], *_: Any, **__: Any) -> int:
    """A multiplication and an addition for each tap."""
    return sum(2 * math.prod(x) * weight[-1] for weight in weights)


LIBRARY.impl("convolve", _convolve_anywhere, "CompositeExplicitAutograd")
LIBRARY.impl("convolve", _convolve_on_cpu, "CPU")
torch.library.register_fake("harness::convolve", _shapes, lib=LIBRARY)
register_flop_formula(torch.ops.harness.convolve)(_flops)
