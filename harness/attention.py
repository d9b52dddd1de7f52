"""Attention as older code has it: the whole matrix of scores is written, where torch's fused kernels keep a block."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode


def attending(kind: str) -> AbstractContextManager[Any]:
    """Let what calls torch's attention have it so; code with an attention of its own keeps that."""
    return _Eager() if kind == "eager" else nullcontext()


class _Eager(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is functional.scaled_dot_product_attention:
            return eager(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def eager(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    **rest: Any,
) -> Tensor:
    """What :func:`torch.nn.functional.scaled_dot_product_attention` computes, (..., token, width), by its definition.

    Two matrices of scores, before and after the softmax, are in memory at once, as in Vaswani et al.'s equation 1
    written line by line. Its names are torch's.
    """
    scale, grouped = rest.get("scale"), rest.get("enable_gqa", False)
    if grouped:  # several heads of queries share one of keys and values
        key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], dim=-3) for x in (key, value))
    scores = (query * (query.shape[-1] ** -0.5 if scale is None else scale)) @ key.transpose(-2, -1)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else scores + attn_mask
    weights = scores.softmax(-1)
    return (functional.dropout(weights, dropout_p) if dropout_p else weights) @ value
