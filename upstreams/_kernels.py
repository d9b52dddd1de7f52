"""The kernels of Mamba for CPUs, compiled by numba: causal convolution, selective scan and gate, in float32.

Each works on some channels or frames of one clip, holds no lock of Python, and leaves nothing behind, so that pieces
may be computed by any threads at once. No index is checked: callers have compared all shapes. The loops over channels
are what the compiler turns into vector instructions; for its sake exponentials are polynomials, rows are cut out before
their loop, and blocks of channels have one size.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import cgutils
from numba.extending import intrinsic
from numpy.typing import NDArray

Array = NDArray[np.float32]

#: Channels that are scanned together: six vectors of AVX-512, whose states and rates fill a quarter of a first-level
#: cache, and a divisor of the published widths.
LANES = 96
#: Frames before they are read at which the rows of a block are asked for: they lie too far apart for a processor to see
#: them coming.
AHEAD = 2
#: Channels that are convolved together: their rows and weights fill half of a first-level cache.
COLUMNS = 384
#: The taps of every published convolution.
TAPS = 4

F = np.float32
LOG2_E = F(1.4426950408889634)
#: Added to a number below 2^22 in size, it leaves the nearest integer in the last bits.
ROUND = F(1.5 * 2**23)
#: (2^x - 1) / x on [-1/2, 1/2] within 4e-7: the largest error that the rate of a decay has, however slow it is. One
#: degree less would make it 1.5e-5.
E1, E2, E3, E4, E5 = map(F, (0.6931471228599548, 0.2402235120534897, 0.05550500378, 0.00966624543, 0.001333353924))
#: 2 artanh(x) / x in powers of x^2 on [0, 1/9] within 4e-9.
L0, L1, L2, L3, L4 = map(F, (2.0, 0.66666316986, 0.40024909377, 0.27960604429, 0.28178334236))

#: Arrays without gaps, in the words of numba: one axis, two, three.
ROW, ROWS, CLIPS = "f4[::1]", "f4[:,::1]", "f4[:,:,::1]"
#: Sums may become multiply-adds; nothing else of floating-point arithmetic may be rearranged.
OPTIONS: dict[str, Any] = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}


def _compiled(*arguments: str) -> Callable[[Any], Any]:
    """Compile for arguments of these types, and keep the result on disk where that can be."""

    def compile_(function: Any) -> Any:
        dispatcher = numba.njit(**OPTIONS)(function)
        with suppress(RuntimeError):  # there is no folder that may be written to
            dispatcher.enable_caching()
        with suppress(OSError):  # it has been compiled by the time that it cannot be written
            dispatcher.compile(f"void({', '.join(arguments)})")
        dispatcher.disable_compile()
        return dispatcher

    return compile_


def _reading(source: Any, target: Any) -> Any:
    """A function that reads the bits of a number of one type as another's."""

    def typed(typing: Any, number: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(target))

        return target(source), generate

    return intrinsic(typed)


_bits = _reading(numba.float32, numba.int32)
_real = _reading(numba.int32, numba.float32)


def _asking(typing: Any, array: Any, clip: Any, t: Any, c: Any) -> Any:
    """Ask for a cache line of an array (clip, frame, width) before it is read."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        made = context.make_array(kind)(context, builder, arguments[0])
        place = cgutils.get_item_pointer(context, builder, kind, made, arguments[1:])
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        hint = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [byte], hint)
        builder.call(prefetch, [builder.bitcast(place, byte), number(0), number(3), number(1)])  # data, to be read
        return context.get_dummy_value()

    return numba.void(array, numba.intp, numba.intp, numba.intp), generate


_prefetch: Any = intrinsic(_asking)
_inlined: Callable[[Any], Any] = numba.njit(**OPTIONS)  # by LLVM


@_inlined
def _exp2(x: Any) -> Any:
    """2^x for x below 128; the smallest normal number for all x below -126."""
    x = F(-126) if x < F(-126) else x
    nearest = x + ROUND
    x = x - (nearest - ROUND)
    power = ((((E5 * x + E4) * x + E3) * x + E2) * x + E1) * x + F(1)
    return _real(_bits(power) + (_bits(nearest) << np.int32(23)))


@_inlined
def _softplus(x: Any) -> Any:
    """log(1 + e^x), also where e^x is lost beside 1: log(1 + y) = 2 artanh(y / (2 + y))."""
    y = _exp2(-abs(x) * LOG2_E)
    y = y / (F(2) + y)
    square = y * y
    series = (((L4 * square + L3) * square + L2) * square + L1) * square + L0
    return (x if x > F(0) else F(0)) + y * series


@_inlined
def _silu(x: Any) -> Any:
    """x / (1 + e^-x)."""
    y = -x * LOG2_E
    y = F(127) if y > F(127) else y
    return x / (F(1) + _exp2(y))


@_compiled(CLIPS, ROWS, ROW, CLIPS, *["i8"] * 3, "b1")
def convolve(  # noqa: PLR0913 (numba takes no records without a cost)
    x: Array, weight: Array, bias: Array, out: Array, clip: int, start: int, stop: int, reverse: bool
) -> None:
    """SiLU of a causal convolution for frames ``start`` to ``stop`` of a clip.

    x and out are (clip, frame, width), weight is (tap, width) with ``TAPS`` taps, the last for the frame itself. In
    reverse, time runs from the last frame to the first.
    """
    frames, width = x.shape[1:]
    back = 1 if reverse else -1
    silence, total = np.zeros(COLUMNS, np.float32), np.empty(COLUMNS, np.float32)
    for first in range(0, width, COLUMNS):
        last = min(first + COLUMNS, width)
        w0, w1, w2, w3 = weight[0, first:last], weight[1, first:last], weight[2, first:last], weight[3, first:last]
        shift = bias[first:last]
        for t in range(start, stop):
            x0 = x[clip, t + 3 * back, first:last] if 0 <= t + 3 * back < frames else silence
            x1 = x[clip, t + 2 * back, first:last] if 0 <= t + 2 * back < frames else silence
            x2 = x[clip, t + back, first:last] if 0 <= t + back < frames else silence
            x3, result = x[clip, t, first:last], out[clip, t, first:last]
            # In two halves, since LLVM gives up on loops over so many arrays that might overlap.
            for c in range(last - first):
                total[c] = shift[c] + w0[c] * x0[c] + w1[c] * x1[c]
            for c in range(last - first):
                result[c] = _silu(total[c] + w2[c] * x2[c] + w3[c] * x3[c])


@_compiled(*[CLIPS] * 2, ROWS, *["f4[:,:,:]"] * 2, *[ROW] * 2, CLIPS, ROWS, *["i8"] * 2, *["b1"] * 3)
def scan(  # noqa: PLR0913 (numba takes no records without a cost)
    u: Array,
    delta: Array,
    A: Array,
    B: Array,
    C: Array,
    D: Array,
    bias: Array,
    y: Array,
    work: Array,
    clip: int,
    first: int,
    softplus: bool,
    reverse: bool,
    add: bool,
) -> None:
    """Scan the ``LANES`` channels of a clip from ``first`` on, and write them to ``y`` or add them to it.

    ``work`` is memory for (3 + 2 state, LANES) numbers, at a multiple of 64 bytes: vectors across two cache lines
    would take twice as long to load. Lanes beyond the width are computed too, from zeros, so that the loop over
    channels has one length.
    """
    frames, width = u.shape[1:]
    states = A.shape[1]
    last = min(first + LANES, width)
    lanes = last - first
    for row in range(3 + 2 * states):
        for c in range(LANES):
            work[row, c] = F(0)
    step, given, total, rate, h = work[0], work[1], work[2], work[3 : 3 + states], work[3 + states :]
    for c in range(lanes):
        for s in range(states):
            rate[s, c] = A[first + c, s] * LOG2_E
    skip, shift = D[first:last], bias[first:last]
    for i in range(frames):
        t = frames - 1 - i if reverse else i
        ahead = t - AHEAD if reverse else t + AHEAD
        if 0 <= ahead < frames:
            for c in range(first, last, 16):
                _prefetch(u, clip, ahead, c)
                _prefetch(delta, clip, ahead, c)
                _prefetch(y, clip, ahead, c)
        inputs, steps, outputs = u[clip, t, first:last], delta[clip, t, first:last], y[clip, t, first:last]
        if softplus:
            for c in range(lanes):
                step[c] = _softplus(steps[c] + shift[c])
        else:
            for c in range(lanes):
                step[c] = steps[c]
        for c in range(lanes):
            given[c] = step[c] * inputs[c]
            total[c] = skip[c] * inputs[c]
        for s in range(states):
            b, e, decay, state = B[clip, t, s], C[clip, t, s], rate[s], h[s]
            for c in range(LANES):
                now = _exp2(step[c] * decay[c]) * state[c] + given[c] * b
                state[c] = now
                total[c] += now * e
        if add:
            for c in range(lanes):
                outputs[c] += total[c]
        else:
            for c in range(lanes):
                outputs[c] = total[c]


@_compiled(CLIPS, CLIPS, "i8", "i8")
def gate(y: Array, by: Array, clip: int, first: int) -> None:
    """Multiply ``LANES`` channels of y (clip, frame, width) from ``first`` on by the SiLU of others."""
    last = min(first + LANES, y.shape[2])
    for t in range(y.shape[1]):
        values, factors = y[clip, t, first:last], by[clip, t, first:last]
        for c in range(last - first):
            values[c] *= _silu(factors[c])
