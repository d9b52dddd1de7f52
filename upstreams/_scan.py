"""The selective scan of Mamba (Gu and Dao 2023, section 3.2), exact, on any device."""

import importlib
import math
import warnings
from collections.abc import Callable, Sequence
from functools import cache, reduce
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import register_flop_formula

from ._threads import share


class Scan(NamedTuple):
    """One run of the recurrence ``h_t = exp(delta_t A) h_{t-1} + delta_t u_t B_t``, ``y_t = <C_t, h_t> + D u_t`` from
    ``h_0 = 0``.

    ``u`` and ``delta`` are (clip, frame, width), ``A`` is (width, state) and negative, ``B`` and ``C`` are (clip,
    frame, state), ``D`` is (width,). The steps delta are positive, or, where there is a ``bias`` (width,), the
    softplus of its sum with delta. In ``reverse``, time runs from the last frame to the first.
    """

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor
    bias: Tensor | None = None
    reverse: bool = False


def selective_scan(*scans: Scan, gate: Tensor | None = None) -> Tensor:
    """The sum of scans over the same frames, such as one in each direction, times the SiLU of ``gate``.

    Returns:
        (clip, frame, width), of the first u's dtype. The recurrence itself runs in float32, or in float64 if u is,
        whatever autocast wants.

    Raises:
        ValueError: the shapes do not belong together.
    """
    _check(scans, gate)
    tensors = [tensor for scan in scans for tensor in scan[:-1]]
    y: Tensor = torch.ops.harness.scan(tensors, [scan.reverse for scan in scans], gate)
    return y


def _check(scans: Sequence[Scan], gate: Tensor | None) -> None:
    shape = clips, frames, width = tuple(scans[0].u.shape)
    for scan in scans:
        states = scan.A.shape[-1]
        inner = (clips, frames, states)
        wanted = [shape, shape, (width, states), inner, inner, (width,), (width,)]
        found = [tuple(x.shape) for x in scan[:-1] if x is not None]
        if found != wanted[: len(found)]:
            raise ValueError(f"a scan over {shape} takes tensors of shapes {wanted}, not {found}")
    if gate is not None and tuple(gate.shape) != shape:
        raise ValueError(f"a scan over {shape} takes a gate of that shape, not {tuple(gate.shape)}")


#: Operations of torch, one implementation for each device, so that whoever counts what a forward computes, or follows
#: it by shapes alone, sees the scan. ``tensors`` are the fields of each Scan in turn, without the last.
LIBRARY = torch.library.Library("harness", "FRAGMENT")
LIBRARY.define("scan(Tensor?[] tensors, bool[] reverse, Tensor? gate) -> Tensor")


def _given(tensors: Sequence[Any], reverse: Sequence[bool]) -> list[Scan]:
    fields = len(Scan._fields) - 1
    scans = (Scan(*tensors[fields * i : fields * (i + 1)]) for i in range(len(reverse)))
    return [scan._replace(reverse=back) for scan, back in zip(scans, reverse, strict=True)]


def _unpack(tensors: Sequence[Tensor | None], reverse: Sequence[bool], dtype: torch.dtype) -> list[Scan]:
    return _given([None if tensor is None else tensor.to(dtype) for tensor in tensors], reverse)


def _scan_on_cpu(tensors: Sequence[Tensor], reverse: Sequence[bool], gate: Tensor | None) -> Tensor:
    """A piece of work is a block of channels of one clip: all scans and the gate, while y is still in the cache."""
    kernels, given = compiled_kernels(), tensors[0].dtype
    if kernels is None or given == torch.float64:
        return _scan_anywhere(tensors, reverse, gate)
    scans = _unpack(tensors, reverse, torch.float32)
    y = torch.empty(scans[0].u.shape)
    out, arrays = y.numpy(), [_arrays(scan) for scan in scans]
    by = None if gate is None else dense(gate)
    clips, _, width = y.shape
    states = max(scan.A.shape[1] for scan in scans)
    blocks = math.ceil(width / kernels.LANES)

    def work(piece: int) -> None:
        clip, block = divmod(piece, blocks)
        first = block * kernels.LANES
        memory = torch.empty(3 + 2 * states, kernels.LANES).numpy()
        for i, (scan, array) in enumerate(zip(scans, arrays, strict=True)):
            kernels.scan(*array, out, memory, clip, first, scan.bias is not None, scan.reverse, i > 0)
        if by is not None:
            kernels.gate(out, by, clip, first)

    share(work, clips * blocks)
    return y.to(given)


def _arrays(scan: Scan) -> list[Any]:
    """What the kernel takes, in its order; without a bias it takes anything for it, and leaves it alone."""
    bias = scan.D if scan.bias is None else scan.bias
    u, delta, a, d, bias = (dense(x) for x in (scan.u, scan.delta, scan.A, scan.D, bias))
    return [u, delta, a, scan.B.detach().numpy(), scan.C.detach().numpy(), d, bias]


def dense(x: Tensor) -> Any:
    """A float32 array without gaps of a tensor on the CPU, of the same memory where possible."""
    return x.detach().to(torch.float32).contiguous().numpy()


@cache
def compiled_kernels() -> ModuleType | None:
    """The kernels for CPUs, or None where numba cannot be imported."""
    try:
        return importlib.import_module(f"{__package__}._kernels")
    except ImportError as error:
        warnings.warn(f"numba cannot be imported ({error}): the scan takes many times as long", stacklevel=2)
        return None


def _scan_on_cuda(tensors: Sequence[Tensor], reverse: Sequence[bool], gate: Tensor | None) -> Tensor:
    """By mamba-ssm's kernel where the package is installed, otherwise by ours where they run."""
    u = tensors[0]
    kernels = None if u.dtype == torch.float64 or _mamba_ssm_scan() else triton_kernels(u.device)
    if kernels is not None:
        try:
            y: Tensor = kernels.scan(_given(tensors, reverse), gate)
            return y
        except torch.OutOfMemoryError:
            raise
        except kernels.FAILURES as error:
            _WITHOUT_TRITON.add(u.device)
            why = f"{type(error).__name__}: {error}".partition("\n")[0]
            warnings.warn(f"Triton cannot run on {u.device} ({why}): the scan takes many times as long", stacklevel=2)
    return _scan_anywhere(tensors, reverse, gate)


_WITHOUT_TRITON: set[torch.device] = set()


def triton_kernels(device: torch.device) -> ModuleType | None:
    """The kernels for GPUs, or None where Triton is absent, has failed, or is not made for the device."""
    if device in _WITHOUT_TRITON or torch.cuda.get_device_capability(device) < (8, 0):
        return None
    try:
        return importlib.import_module(f"{__package__}._triton_scan")
    except ImportError:
        _WITHOUT_TRITON.add(device)
        return None


def _scan_anywhere(tensors: Sequence[Tensor], reverse: Sequence[bool], gate: Tensor | None) -> Tensor:
    given = tensors[0].dtype
    dtype = torch.float64 if given == torch.float64 else torch.float32
    with torch.autocast(tensors[0].device.type, enabled=False):
        y = reduce(torch.add, map(_in_time, _unpack(tensors, reverse, dtype)))
        return (y if gate is None else y * functional.silu(gate.to(dtype))).to(given)


def _in_time(scan: Scan) -> Tensor:
    """One scan, in its direction: (clip, frame, width)."""
    u, delta, b, c = scan.u, scan.delta, scan.B, scan.C
    if scan.bias is not None:
        delta = functional.softplus(delta + scan.bias)
    if scan.reverse:
        u, delta, b, c = (x.flip(1) for x in (u, delta, b, c))
    if u.is_cuda and u.dtype == torch.float32 and (theirs := _mamba_ssm_scan()) is not None:
        u, delta, b, c = (x.transpose(1, 2).contiguous() for x in (u, delta, b, c))
        y = theirs(u, delta, scan.A, b, c, scan.D).transpose(1, 2)
    else:
        # A GPU waits for every step of a loop, a CPU for every exponential, of which two runs need twice as many.
        y = scan_in_chunks(Scan(u, delta, scan.A, b, c, scan.D), math.isqrt(u.shape[1]) if u.is_cuda else 1)
    return y.flip(1) if scan.reverse else y


def scan_in_chunks(scan: Scan, chunks: int) -> Tensor:
    """A scan forwards, with all chunks of a sequence at once: a first run from zeros tells what each chunk adds to the
    state, so that a second can start each from the state that it is really entered with.

    Neither holds the states of more than one frame of every chunk. Steps are taken as they are.
    """
    clips, frames, width = scan.u.shape
    length = math.ceil(frames / chunks)
    chunks = math.ceil(frames / length)
    rest = (0, 0, 0, chunks * length - frames)  # steps of size zero, which change no state
    u, delta, b, c = (
        functional.pad(x, rest).unflatten(1, (chunks, length)) for x in (scan.u, scan.delta, scan.B, scan.C)
    )
    inputs, rates = delta * u, scan.A.T.contiguous()
    y = torch.empty_like(u)

    def run(state: Tensor, *, last: bool) -> Tensor:
        """From the states that chunks begin with, (clip, chunk, state, width), to those that they end with."""
        for t in range(length):
            decay = torch.mul(delta[:, :, t, None], rates).exp_()
            state = torch.addcmul(inputs[:, :, t, None] * b[:, :, t, :, None], decay, state)
            if last:
                torch.sum(state * c[:, :, t, :, None], dim=2, out=y[:, :, t])
        return state

    starts = u.new_zeros(clips, chunks, len(rates), width)
    if chunks > 1:
        added, kept = run(starts, last=False), torch.exp(delta.sum(2)[:, :, None] * rates)
        for i in range(1, chunks):
            torch.addcmul(added[:, i - 1], kept[:, i - 1], starts[:, i - 1], out=starts[:, i])
    run(starts, last=True)
    return y.flatten(1, 2)[:, :frames].addcmul(scan.u, scan.D)


@cache
def _mamba_ssm_scan() -> Callable[..., Tensor] | None:
    """mamba-ssm's CUDA kernel, or None where the package is absent."""
    try:
        from mamba_ssm.ops.selective_scan_interface import selective_scan_fn
    except ImportError:
        return None
    found: Callable[..., Tensor] = selective_scan_fn
    return found


def _shape(tensors: Sequence[Tensor], reverse: Sequence[bool], gate: Tensor | None) -> Tensor:
    return torch.empty_like(tensors[0], memory_format=torch.contiguous_format)


def _flops(tensors: Sequence[Sequence[int]], reverse: Sequence[bool], *_: Any, **__: Any) -> int:
    """Seven for each state (step times rate, its exponential, decay, input, their sum, output, its sum) and three for
    each channel (step times input, the skip, its sum)."""
    fields = len(Scan._fields) - 1
    shapes = [(tensors[fields * i], tensors[fields * i + 2]) for i in range(len(reverse))]
    return sum(math.prod(u) * (7 * rates[1] + 3) for u, rates in shapes)


LIBRARY.impl("scan", _scan_anywhere, "CompositeExplicitAutograd")
LIBRARY.impl("scan", _scan_on_cpu, "CPU")
LIBRARY.impl("scan", _scan_on_cuda, "CUDA")
torch.library.register_fake("harness::scan", _shape, lib=LIBRARY)
register_flop_formula(torch.ops.harness.scan)(_flops)
