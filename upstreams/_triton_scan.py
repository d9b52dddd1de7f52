"""The selective scan for NVIDIA's GPUs, compiled by Triton, in float32 whatever its inputs are.

A program is one warp. It takes a block of channels through a chunk of time, frame by frame; a lane keeps all states of
two channels in registers, so that lanes exchange nothing, and rows are copied to shared memory some frames before they
are needed. Where clips and channels are too few to fill the GPU, chunks of time run at once: a first pass finds what
each adds to the state, a short one carries the state over the chunks, and the last starts each chunk from the state
that it is really entered with.

A pass takes as long as its exponentials, one for each state: a multiprocessor computes 16 in a cycle, and issues the
instructions that come with them in nearly the same time, so that none is left over for exponentials by polynomials.
Scans along time within a tile (``tl.associative_scan``) would need one pass, but with the exchange between threads its
instructions are more than those of both passes here.
"""

import math
import subprocess
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from ._scan import Scan

if not hasattr(tl, "tuple"):
    raise ImportError("the kernels take tuples, which Triton knows from 3.3 on")

#: Channels of a program: two for each lane, so that a row of B and C is read once for both.
CHANNELS = 64
#: The most states that a lane's registers hold; a scan with more is a sum of scans.
STATES = 16
#: Numbers of a program that carries states from chunk to chunk.
CARRIED = 128
#: Warps that keep a multiprocessor busy: three for each of its schedulers.
WARPS = 12
#: Frames of the shortest chunk. What is kept of a chunk is as large as its inputs in ``STATES`` frames.
SHORTEST = 96

#: One warp; sums of products round once.
LAUNCHED: Any = {"num_warps": 1, "enable_fp_fusion": True}

#: What is raised where Triton finds no compiler, driver or support for the GPU, or not enough of its resources.
FAILURES = (triton.TritonError, subprocess.SubprocessError, RuntimeError, OSError, ImportError, AssertionError)

LOG2_E = tl.constexpr(1.4426950408889634)
_compiled: Callable[[Any], Any] = triton.jit
_compiled_for_any_length: Callable[[Any], Any] = triton.jit(do_not_specialize=["frames", "length"])


@_compiled
def _softplus(x: tl.tensor) -> tl.tensor:
    """log(1 + e^x), also where e^x is lost beside 1: log(1 + y) / y is a polynomial on [0, 1], within 2e-7."""
    y = tl.exp2(-tl.abs(x) * LOG2_E)
    p = ((0.005232693699 * y - 0.0295052401) * y + 0.07822596091) * y - 0.1366324728
    p = (((p * y + 0.191060079) * y - 0.2484298267) * y + 0.333190969) * y - 0.4999949315
    return tl.maximum(x, 0.0) + y * (p * y + 0.9999999699)


@_compiled_for_any_length
def run(  # noqa: PLR0913 (a kernel takes no records)
    u: tl.tensor,
    delta: tl.tensor,
    A: tl.tensor,
    B: tl.tensor,
    C: tl.tensor,
    D: tl.tensor,
    bias: tl.tensor,
    gate: tl.tensor,
    total: tl.tensor,
    y: tl.tensor,
    states: tl.tensor,
    steps: tl.tensor,
    strides: tl.tuple,
    frames: tl.tensor,
    width: tl.tensor,
    length: tl.tensor,
    count: tl.constexpr,
    padded: tl.constexpr,
    channels: tl.constexpr,
    reverse: tl.constexpr,
) -> None:
    """Take a block of channels of a clip through a chunk of ``length`` frames, for ``count`` states.

    With y, this is the last pass: it starts from what the chunk before leaves, in ``states`` (chunk, clip, state,
    width), and writes the outputs, after it has added the ``total`` of other scans and applied the gate. Without, it
    starts from zero, writes what the chunk leaves into ``states``, and the sum of its steps into ``steps`` (chunk,
    clip, width). ``strides`` are those of clips and frames, of u, delta, B, C and gate in turn.
    """
    chunk, clip = tl.program_id(1).to(tl.int64), tl.program_id(2).to(tl.int64)
    clips = tl.num_programs(2).to(tl.int64)
    # Told that only pairs lie side by side, Triton gives each lane two channels with all their states.
    channel = tl.program_id(0) * channels + tl.max_contiguous(tl.arange(0, channels), 2)
    state = tl.arange(0, padded)
    column = tl.max_contiguous(state, 1)[:, None]
    known, there = state < count, channel < width
    tile = (column < count) & there[None]
    rate = LOG2_E * tl.load(A + column * width + channel[None], tile, 0.0)
    skip = tl.load(D + channel, there, 0.0)
    if bias is not None:
        shift = tl.load(bias + channel, there, 0.0)
    h = tl.full([padded, channels], 0.0, tl.float32)
    time = tl.full([channels], 0.0, tl.float32)
    if states is not None:
        states += ((chunk * clips + clip) * count + column) * width + channel[None]
        if y is not None:
            entered = (column < count * tl.minimum(chunk, 1)) & there[None]  # the first chunk starts from zero
            h = tl.load(states - clips * count * width, entered, 0.0)

    first = chunk * length
    t = frames - 1 - first if reverse else first
    back: tl.constexpr = -1 if reverse else 1
    u += clip * strides[0] + t * strides[1] + channel
    delta += clip * strides[2] + t * strides[3] + channel
    B += clip * strides[4] + t * strides[5] + state
    C += clip * strides[6] + t * strides[7] + state
    here = (clip * frames + t) * width + channel
    if gate is not None:
        gate += clip * strides[8] + t * strides[9] + channel
    if total is not None:
        total += here
    if y is not None:
        y += here

    for _ in tl.range(0, tl.minimum(frames - first, length).to(tl.int32), num_stages=6):
        given = tl.load(u, there, 0.0).to(tl.float32)
        step = tl.load(delta, there, 0.0).to(tl.float32)
        b = tl.load(B, known, 0.0).to(tl.float32)
        if bias is not None:
            step = _softplus(step + shift)
        h = tl.exp2(step[None] * rate) * h + (step * given)[None] * b[:, None]
        if y is None:
            time += step
        else:
            c = tl.load(C, known, 0.0).to(tl.float32)
            out = tl.sum(h * c[:, None], 0) + skip * given
            if total is not None:
                out += tl.load(total, there, 0.0)
                total += back * width
            if gate is not None:
                x = tl.load(gate, there, 0.0).to(tl.float32)
                out *= x / (1.0 + tl.exp2(-x * LOG2_E))
                gate += back * strides[9]
            tl.store(y, out.to(y.dtype.element_ty), there)
            y += back * width
        u += back * strides[1]
        delta += back * strides[3]
        B += back * strides[5]
        C += back * strides[7]
    if y is None:
        tl.store(states, h, tile)
        tl.store(steps + (chunk * clips + clip) * width + channel, time, there)


@_compiled
def carry(
    states: tl.tensor,
    steps: tl.tensor,
    A: tl.tensor,
    chunks: tl.tensor,
    width: tl.tensor,
    count: tl.constexpr,
    block: tl.constexpr,
) -> None:
    """Turn the states that chunks leave if they start from zero into those that they leave one after the other."""
    place = tl.program_id(0) * block + tl.arange(0, block)
    there = place < count * width
    clip, clips = tl.program_id(1).to(tl.int64), tl.num_programs(1).to(tl.int64)
    rate = LOG2_E * tl.load(A + place, there, 0.0)
    states += clip * count * width + place
    steps += clip * width + place % width
    h = tl.full([block], 0.0, tl.float32)
    for _ in tl.range(0, chunks, num_stages=8):
        h = tl.exp2(tl.load(steps, there, 0.0) * rate) * h + tl.load(states, there, 0.0)
        tl.store(states, h, there)
        states += clips * count * width
        steps += clips * width


def chunks_for(shape: Sequence[int], processors: int) -> int:
    """How many chunks of time fill a GPU; one if without chunks it is half full, as two passes cost twice as much."""
    clips, frames, width = shape
    programs, wanted = clips * math.ceil(width / CHANNELS), WARPS * processors
    return 1 if 2 * programs >= wanted else max(1, min(math.ceil(wanted / programs), frames // SHORTEST))


def scan(scans: Sequence["Scan"], gate: Tensor | None, chunks: int | None = None) -> Tensor:
    """The sum of scans times the SiLU of ``gate``, of the first u's dtype; ``chunks`` of time fill the GPU if None."""
    u = scans[0].u
    if chunks is None:
        chunks = chunks_for(u.shape, torch.cuda.get_device_properties(u.device).multi_processor_count)
    parts = [part for each in scans for part in _parts(each)]
    y = torch.empty(u.shape, dtype=u.dtype, device=u.device)
    total = y if u.dtype == torch.float32 or len(parts) == 1 else torch.empty_like(y, dtype=torch.float32)
    with torch.cuda.device_of(u):
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            _scan(part, gate if last else None, total if i else None, y if last else total, chunks)
    return y


def _parts(scan: "Scan") -> Iterator["Scan"]:
    """Scans of no more than ``STATES`` states, whose sum it is."""
    for i in range(0, scan.A.shape[1], STATES):
        a, b, c = (x[..., i : i + STATES] for x in (scan.A, scan.B, scan.C))
        yield scan._replace(A=a, B=b, C=c, D=torch.zeros_like(scan.D) if i else scan.D)


def _scan(part: "Scan", gate: Tensor | None, total: Tensor | None, y: Tensor, chunks: int) -> None:
    """Write a scan of up to ``STATES`` states to y, after the ``total`` of others is added and the gate applied."""
    (clips, frames, width), count = part.u.shape, part.A.shape[1]
    length, blocks = math.ceil(frames / chunks), math.ceil(width / CHANNELS)
    chunks = math.ceil(frames / length)
    u, delta, b, c, by = map(_rows, (part.u, part.delta, part.B, part.C, part.u if gate is None else gate))
    a, d, bias = (None if x is None else x.float().contiguous() for x in (part.A.T, part.D, part.bias))
    strides = tuple(stride for x in (u, delta, b, c, by) for stride in x.stride()[:2])
    sizes = (strides, frames, width, length, count, triton.next_power_of_2(count), CHANNELS, part.reverse)
    states = None
    if chunks > 1:
        states = torch.empty(chunks - 1, clips, count, width, device=y.device)
        steps = torch.empty(chunks - 1, clips, width, device=y.device)
        first = (u, delta, a, b, c, d, bias, None, None, None, states, steps)
        run[blocks, chunks - 1, clips](*first, *sizes, **LAUNCHED)
        blocks_of_states = math.ceil(count * width / CARRIED)
        carry[blocks_of_states, clips](states, steps, a, chunks - 1, width, count, CARRIED, **LAUNCHED)
    last = (u, delta, a, b, c, d, bias, None if gate is None else by, total, y, states, None)
    run[blocks, chunks, clips](*last, *sizes, **LAUNCHED)


def _rows(x: Tensor) -> Tensor:
    """The same, of a dtype that kernels read, and with neighbouring channels side by side."""
    x = x if x.dtype in (torch.float32, torch.bfloat16, torch.float16) else x.float()
    return x if x.stride(-1) == 1 else x.contiguous()
