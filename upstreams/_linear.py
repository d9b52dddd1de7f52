"""Matrix products in float32 on CPUs, by the faster of torch's two libraries."""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """The product of x (..., in) with weight (out, in): (..., out).

    For float32 on a CPU torch calls MKL, which leaves half of an AMD processor's vectors idle; oneDNN, which comes
    with torch as well and which its compiler calls, does not. Elsewhere, and in lower precisions, it is torch's.
    """
    product = _onednn()
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and x.numel() > 0
    if product is None or not plain or torch.is_autocast_enabled("cpu") or not torch.backends.mkldnn.enabled:
        return functional.linear(x, weight)
    return product(x, weight, None, "none", [], "")


@cache
def _onednn() -> Callable[..., Tensor] | None:
    """oneDNN's product as an operation of torch, with its count of FLOPs; None where torch is built without."""
    product: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if product is None or not torch.backends.mkldnn.is_available():
        return None
    register_flop_formula(product)(_flops)
    found: Callable[..., Tensor] = product
    return found


def _flops(x: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * math.prod(x) * weight[0]
