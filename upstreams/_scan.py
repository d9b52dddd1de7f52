"""The selective scan of Mamba (Gu and Dao 2023, section 3.2), exact, on any device."""

from collections.abc import Callable

import torch
from torch import Tensor

#: How many numbers of (frame, clip, state, width) are held at once: 2 MB of float32, so that they stay in a CPU's
#: cache.
BLOCK = 1 << 19


def selective_scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    """Run the recurrence ``h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t``, ``y_t = <C_t, h_t> + D u_t`` from ``h_0
    = 0``.

    Args:
        u, delta: (clip, frame, width); delta is positive.
        A: (width, state), negative.
        B, C: (clip, frame, state).
        D: (width,).

    Returns:
        (clip, frame, width), of u's dtype. The recurrence itself runs in float32, or in float64 if u is, whatever
        autocast wants.
    """
    given = u.dtype
    dtype = torch.float64 if given == torch.float64 else torch.float32
    with torch.autocast(u.device.type, enabled=False):
        return _scan(*(x.to(dtype) for x in (u, delta, A, B, C, D))).to(given)


def _scan(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    if u.is_cuda and u.dtype == torch.float32 and (theirs := _mamba_ssm_scan()) is not None:
        u, delta, B, C = (x.transpose(1, 2).contiguous() for x in (u, delta, B, C))
        return theirs(u, delta, A, B, C, D).transpose(1, 2)
    return _scan_in_blocks(u, delta, A, B, C, D)


def _scan_in_blocks(u: Tensor, delta: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor) -> Tensor:
    clips, frames, width = u.shape
    # Frames first, so that one step of the recurrence is one contiguous piece; width last, since it is the longest
    # axis.
    steps, u, b, c = (x.transpose(0, 1) for x in (delta, u, B, C))
    inputs = steps * u
    a = A.T.contiguous()
    state = u.new_zeros(clips, len(a), width)
    y = u.new_empty(frames, clips, width)
    size = min(frames, max(1, BLOCK // state.numel()))
    # Two buffers serve every block: fresh memory for each would cost as much as the arithmetic.
    decay_buffer, states_buffer = (state.new_empty(size, *state.shape) for _ in range(2))
    for first in range(0, frames, size):
        block = slice(first, min(first + size, frames))
        decay, states = (buffer[: block.stop - first] for buffer in (decay_buffer, states_buffer))
        torch.mul(steps[block, :, None, :], a, out=decay).exp_()
        torch.mul(inputs[block, :, None, :], b[block, :, :, None], out=states)
        for now, keep in zip(states, decay, strict=True):
            state = now.addcmul_(keep, state)
        state = state.clone()
        torch.sum(states.mul_(c[block, :, :, None]), dim=2, out=y[block])
    return y.addcmul_(u, D).transpose(0, 1)


def _mamba_ssm_scan() -> Callable[..., Tensor] | None:
    """mamba-ssm's CUDA kernel, or None where the package is absent."""
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError:
        return None
    found: Callable[..., Tensor] = selective_scan_fn
    return found
