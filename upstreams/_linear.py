"""Matrix products in float32 on CPUs, by the faster of torch's two libraries."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

#: oneDNN's product as an operation of torch, which its compiler calls as well; None where torch is built without.
ONEDNN: Any = getattr(torch.ops.mkldnn, "_linear_pointwise", None) if torch.backends.mkldnn.is_available() else None


def linear(x: Tensor, weight: Tensor) -> Tensor:
    """The product of x (..., in) with weight (out, in): (..., out).

    For float32 on a CPU torch calls MKL, which leaves half of an AMD processor's vectors idle; oneDNN does not.
    Elsewhere, and in lower precisions, it is torch's own choice.
    """
    plain = x.device.type == "cpu" and x.dtype == weight.dtype == torch.float32 and x.numel() > 0
    if ONEDNN is None or not plain or torch.is_autocast_enabled("cpu") or not torch.backends.mkldnn.enabled:
        return functional.linear(x, weight)
    product: Tensor = ONEDNN(x, weight, None, "none", [], "")
    return product


def _flops(x: Sequence[int], weight: Sequence[int], *_: Any, **__: Any) -> int:
    return 2 * math.prod(x) * weight[0]


if ONEDNN is not None:
    register_flop_formula(ONEDNN)(_flops)
