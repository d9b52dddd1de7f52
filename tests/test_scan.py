"""The selective scan against its recurrence, one step at a time."""

import math
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from harness.upstreams import _scan, _threads
from harness.upstreams._scan import Scan, scan_in_chunks, selective_scan

from scans import draw, error, in_dtype, mapped, plain_scan


@pytest.fixture(params=["kernels", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By the compiled kernels, and without numba."""
    if request.param == "torch":
        monkeypatch.setattr(_scan, "compiled_kernels", lambda: None)
    return str(request.param)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    """Sets how many threads torch computes with."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("clips", [1, 3])
@pytest.mark.parametrize("frames", [1, 2, 63, 257])
@pytest.mark.parametrize("width", [1, 5, 95, 96, 97, 200])
def test_it_computes_the_recurrence(way: str, clips: int, frames: int, width: int, reverse: bool) -> None:
    scan = in_dtype(torch.float32, draw(clips, frames, width)._replace(reverse=reverse))
    assert error(selective_scan(scan), plain_scan(scan)) < 1e-5


@pytest.mark.parametrize("state", [1, 3, 16, 64])
def test_it_computes_the_recurrence_with_any_number_of_states(way: str, state: int) -> None:
    scan = in_dtype(torch.float32, draw(2, 33, 7, state))
    assert error(selective_scan(scan), plain_scan(scan)) < 1e-5


@pytest.mark.parametrize("reverse", [False, True])
def test_it_computes_the_recurrence_over_a_hundred_thousand_frames(reverse: bool) -> None:
    scan = in_dtype(torch.float32, draw(1, 100_000, 3)._replace(reverse=reverse))
    assert error(selective_scan(scan), plain_scan(scan)) < 1e-5


@pytest.mark.parametrize("low", [-9.0, -3.0, 0.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_it_computes_the_recurrence_whatever_the_rates(way: str, low: float, seed: int) -> None:
    # Rates from 0.0001 to 20,000 in any order, and none: no state is a power of another's.
    random = torch.Generator().manual_seed(seed)
    scan = draw(2, 150, 30, seed=seed)
    rates = -torch.exp(low + 7 * torch.rand(30, 16, generator=random, dtype=torch.float64))
    rates[:, 5] = 0
    scan = in_dtype(torch.float32, scan._replace(A=rates))
    assert error(selective_scan(scan), plain_scan(scan)) < 1e-5


def test_a_pulse_decays_as_its_rate_says(way: str) -> None:
    # One state, so that y is a product of exponentials: from 1 to below what float32 holds.
    frames, rates = 100, torch.linspace(0, 4, 97)
    steps = torch.rand(1, frames, 97, generator=torch.Generator().manual_seed(0))
    pulse = torch.zeros(1, frames, 97)
    pulse[:, 0] = 1 / steps[:, 0]
    ones = torch.ones(1, frames, 1)
    y = selective_scan(Scan(pulse, steps, -rates[:, None], ones, ones, torch.zeros(97)))
    wanted = torch.exp(-rates.double() * (steps.double().cumsum(1) - steps[:, :1].double()))
    kept = wanted > 1e-30
    assert float((y[kept].double() / wanted[kept] - 1).abs().max()) < 1e-5
    assert float(y[~kept].abs().max()) < 2e-30


@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_a_step_too_long_for_any_state_leaves_the_present_alone(way: str, size: float) -> None:
    scan = in_dtype(torch.float32, draw(1, 20, 5))
    scan = scan._replace(delta=torch.full_like(scan.delta, size), D=torch.zeros(5))
    now = size * scan.u * (scan.B * scan.C).sum(-1, keepdim=True)
    torch.testing.assert_close(selective_scan(scan), now, rtol=1e-4, atol=1e-3 * size)


@pytest.mark.parametrize("frames", [1, 130])
def test_steps_with_a_bias_go_through_a_softplus(way: str, frames: int) -> None:
    scan = draw(2, frames, 100)
    random = torch.Generator().manual_seed(1)
    steps = 20 * torch.randn(scan.delta.shape, generator=random, dtype=torch.float64) - 5
    bias = torch.randn(100, generator=random, dtype=torch.float64)
    scan = in_dtype(torch.float32, scan._replace(delta=steps, bias=bias))
    assert error(selective_scan(scan), plain_scan(scan)) < 1e-5


def test_the_softplus_of_a_step_is_exact_however_small(way: str) -> None:
    # One frame of ones: y is the step itself.
    steps = torch.linspace(-80, 80, 3001)[None, None]
    ones, one = torch.ones_like(steps), torch.ones(1, 1, 1)
    y = selective_scan(Scan(ones, steps, -torch.ones(3001, 1), one, one, torch.zeros(3001), torch.zeros(3001)))
    wanted = torch.from_numpy(np.logaddexp(0, steps.double().numpy()))
    torch.testing.assert_close(y.double(), wanted, rtol=1e-5, atol=0)


def test_scans_are_added(way: str) -> None:
    one, two = (in_dtype(torch.float32, draw(2, 70, 100, seed=seed)) for seed in (0, 1))
    two = two._replace(reverse=True)
    assert error(selective_scan(one, two), plain_scan(one) + plain_scan(two)) < 1e-5


def test_the_gate_multiplies_by_its_silu(way: str) -> None:
    scan = in_dtype(torch.float32, draw(2, 70, 100))
    gate = 40 * torch.randn(2, 70, 100, generator=torch.Generator().manual_seed(1))
    gate[0, :2] = torch.tensor([[200.0], [-200.0]])
    wanted = selective_scan(scan).double() * functional.silu(gate.double())
    torch.testing.assert_close(selective_scan(scan, gate=gate).double(), wanted, rtol=2e-6, atol=1e-6)


def test_a_reverse_scan_is_a_scan_of_what_is_reversed(way: str) -> None:
    scan = in_dtype(torch.float32, draw(2, 70, 100))
    flipped = scan._replace(u=scan.u.flip(1), delta=scan.delta.flip(1), B=scan.B.flip(1), C=scan.C.flip(1))
    assert torch.equal(selective_scan(scan._replace(reverse=True)), selective_scan(flipped).flip(1))


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)],
)
def test_it_gives_back_the_dtype_it_was_given(way: str, dtype: torch.dtype, bound: float) -> None:
    scan = in_dtype(dtype, draw(2, 65, 6))
    y = selective_scan(scan)
    assert y.dtype == dtype
    assert error(y, plain_scan(scan)) < bound


@pytest.mark.parametrize("wanted", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_autocast_changes_nothing(way: str, dtype: torch.dtype, wanted: torch.dtype) -> None:
    scan = in_dtype(dtype, draw(2, 65, 6))
    with torch.autocast("cpu", wanted):
        y = selective_scan(scan)
    assert torch.equal(y, selective_scan(scan))


def test_steps_of_float32_are_not_rounded_to_the_dtype_of_the_wave(way: str) -> None:
    scan = in_dtype(torch.float32, draw(2, 65, 6))
    given = scan._replace(u=scan.u.bfloat16(), B=scan.B.bfloat16(), C=scan.C.bfloat16())
    y = selective_scan(given)
    assert torch.equal(y, selective_scan(in_dtype(torch.float32, given)).bfloat16())


def test_it_recurs_in_float32_when_the_wave_is_bfloat16(way: str) -> None:
    # A sum of 2000 equal small steps: in bfloat16 it would stop growing at 256 times the step.
    ones = torch.ones(1, 2000, 1, dtype=torch.bfloat16)
    zero = torch.zeros(1)
    y = selective_scan(Scan(ones, ones, zero[:, None] - 1e-6, ones, ones, zero))
    assert float(y[0, -1, 0]) == pytest.approx(2000, rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_frame_has_a_closed_form(way: str, dtype: torch.dtype) -> None:
    scan = in_dtype(dtype, draw(3, 1, 10))
    wanted = scan.delta * scan.u * (scan.B * scan.C).sum(-1, keepdim=True) + scan.D * scan.u
    torch.testing.assert_close(selective_scan(scan), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cut", [1, 30, 63, 64, 65, 128])
def test_the_past_does_not_depend_on_the_future(way: str, cut: int) -> None:
    first, other = (in_dtype(torch.float32, draw(2, 129, 6, seed=seed)) for seed in (0, 1))
    changed = first._replace(
        **{
            name: torch.cat([getattr(first, name)[:, :cut], getattr(other, name)[:, cut:]], dim=1)
            for name in ("u", "delta", "B", "C")
        }
    )
    before, after = selective_scan(first), selective_scan(changed)
    torch.testing.assert_close(after[:, :cut], before[:, :cut], rtol=0, atol=1e-6)
    assert not torch.allclose(after[:, cut:], before[:, cut:], atol=1e-2)


def test_a_clip_gives_the_same_bits_in_a_batch() -> None:
    scan = in_dtype(torch.float32, draw(3, 70, 100))
    alone = [
        selective_scan(scan._replace(**{name: getattr(scan, name)[i : i + 1] for name in ("u", "delta", "B", "C")}))
        for i in range(3)
    ]
    assert torch.equal(selective_scan(scan), torch.cat(alone))


def test_a_channel_gives_the_same_bits_wherever_it_stands() -> None:
    # Blocks of channels begin elsewhere, and their last one is filled up.
    scan = in_dtype(torch.float32, draw(1, 70, 200))
    part = scan._replace(u=scan.u[..., 7:], delta=scan.delta[..., 7:], A=scan.A[7:], D=scan.D[7:])
    assert torch.equal(selective_scan(part), selective_scan(scan)[..., 7:])


def test_inputs_with_gaps_in_memory_give_the_same(way: str) -> None:
    scan = in_dtype(torch.float32, draw(2, 40, 6)._replace(bias=torch.linspace(-1, 1, 6)))
    gate = scan.u.flip(0)
    gaps = mapped(lambda x: torch.stack([x, -x], dim=-1)[..., 0], scan)
    assert not gaps.u.is_contiguous()
    assert torch.equal(selective_scan(gaps, gate=gate), selective_scan(scan, gate=gate.clone()))


def test_the_inputs_are_left_as_they_were(way: str) -> None:
    scan = in_dtype(torch.float32, draw(2, 40, 6))
    gate = scan.u.clone()
    before = [x.clone() for x in (*scan[:6], gate)]
    selective_scan(scan, scan._replace(reverse=True), gate=gate)
    assert all(torch.equal(x, y) for x, y in zip((*scan[:6], gate), before, strict=True))


def test_parameters_that_still_learn_are_read() -> None:
    scan = in_dtype(torch.float32, draw(1, 9, 6))
    learning = mapped(lambda x: x.clone().requires_grad_(), scan)
    with torch.no_grad():
        assert torch.equal(selective_scan(learning), selective_scan(scan))


PEAK = Path("/proc/self/clear_refs")


def peak_megabytes() -> float:
    return int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0]) / 1024


@pytest.mark.skipif(not PEAK.exists(), reason="only Linux tells the peak of a process's memory")
def test_the_kernels_take_no_memory_beyond_the_result() -> None:
    # The states of all frames would be 400 MB.
    scan = in_dtype(torch.float32, draw(1, 16_384, 384))
    selective_scan(scan)
    PEAK.write_text("5")  # count the peak from now on
    before = peak_megabytes()
    y = selective_scan(scan, scan._replace(reverse=True), gate=scan.u)
    assert peak_megabytes() - before < 2 * y.nbytes / 2**20


@pytest.mark.parametrize("name", ["delta", "A", "B", "C", "D", "bias"])
def test_tensors_of_other_shapes_are_refused(name: str) -> None:
    scan, other = draw(2, 9, 6)._replace(bias=torch.zeros(6)), draw(1, 8, 5)._replace(bias=torch.zeros(5))
    with pytest.raises(ValueError, match="takes tensors of shapes"):
        selective_scan(scan, scan._replace(**{name: getattr(other, name)}))


def test_a_gate_of_another_shape_is_refused() -> None:
    scan = draw(2, 9, 6)
    with pytest.raises(ValueError, match="takes a gate"):
        selective_scan(scan, gate=scan.u[..., 1:])


# Threads.


def test_several_threads_at_once_get_the_same_bits(threads: Callable[[int], None]) -> None:
    threads(2)
    scans = [in_dtype(torch.float32, draw(2, 90 + 7 * i, 200, seed=i)) for i in range(4)]
    alone = [selective_scan(scan, scan._replace(reverse=True), gate=scan.u) for scan in scans]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            found = pool.map(lambda scan: selective_scan(scan, scan._replace(reverse=True), gate=scan.u), scans)
            assert all(map(torch.equal, found, alone))


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_the_number_of_threads_does_not_change_a_bit(threads: Callable[[int], None], count: int) -> None:
    scan = in_dtype(torch.float32, draw(3, 100, 200))
    threads(1)
    alone = selective_scan(scan, gate=scan.u)
    threads(count)
    assert torch.equal(selective_scan(scan, gate=scan.u), alone)


def test_with_one_thread_no_other_is_asked(monkeypatch: pytest.MonkeyPatch, threads: Callable[[int], None]) -> None:
    threads(1)
    monkeypatch.setattr(_threads, "_crew", None)
    scan = in_dtype(torch.float32, draw(3, 10, 200))
    assert selective_scan(scan).isfinite().all()


# Without numba, and on other devices.


@pytest.mark.parametrize("chunks", [1, 2, 7, 11, 64, 128, 129])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_number_of_chunks_does_not_matter(chunks: int, dtype: torch.dtype) -> None:
    scan = in_dtype(dtype, draw(2, 129, 6))
    assert error(scan_in_chunks(scan, chunks), plain_scan(scan)) < (1e-5 if dtype == torch.float32 else 1e-13)


def test_many_chunks_carry_slow_states_over_a_hundred_thousand_frames() -> None:
    scan = in_dtype(torch.float32, draw(1, 100_000, 3))
    assert error(scan_in_chunks(scan, math.isqrt(100_000)), plain_scan(scan)) < 1e-5


def test_without_numba_a_warning_says_that_it_takes_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "harness.upstreams._kernels", None)
    _scan.compiled_kernels.cache_clear()
    scan = in_dtype(torch.float32, draw(1, 20, 6))
    with pytest.warns(UserWarning, match="numba cannot be imported"):
        y = selective_scan(scan)
    _scan.compiled_kernels.cache_clear()
    assert error(y, plain_scan(scan)) < 1e-5


@contextmanager
def noting_sizes() -> Iterator[list[int]]:
    """Lists how many numbers each tensor holds in memory that is made inside the block."""
    sizes: list[int] = []

    def note(_: object, made_by: Callable[..., Any], types: object, args: Any = (), kwargs: Any = None) -> Any:
        out = made_by(*args, **(kwargs or {}))
        made = [x for x in (out if isinstance(out, list | tuple) else [out]) if isinstance(x, Tensor)]
        sizes.extend(x.untyped_storage().nbytes() // x.element_size() for x in made)
        return out

    mode: Any = type("Noting", (TorchDispatchMode,), {"__torch_dispatch__": note})
    with mode():
        yield sizes


@pytest.mark.parametrize(("clips", "frames", "width"), [(1, 1024, 384), (3, 513, 192)])
def test_the_states_of_all_frames_are_never_held_at_once(clips: int, frames: int, width: int) -> None:
    scan = in_dtype(torch.float32, draw(clips, frames, width))
    with noting_sizes() as sizes:
        scan_in_chunks(scan, math.isqrt(frames))
    assert scan.u.numel() <= max(sizes) <= 2 * scan.u.numel()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_computes_the_recurrence() -> None:
    scan = in_dtype(torch.float32, draw(2, 129, 24)._replace(reverse=True))
    y = selective_scan(mapped(Tensor.cuda, scan)).cpu()
    assert error(y, plain_scan(scan)) < 1e-5


# As an operation of torch.


def test_it_can_be_followed_by_shapes_alone() -> None:
    with FakeTensorMode() as mode:
        scan = mapped(mode.from_tensor, in_dtype(torch.float32, draw(2, 9, 6)))
        y = selective_scan(scan, gate=scan.u)
    assert y.shape == (2, 9, 6)
    assert y.dtype == torch.float32


def test_its_flops_are_counted() -> None:
    scan = in_dtype(torch.float32, draw(2, 9, 6))
    with FlopCounterMode(display=False) as counter:
        selective_scan(scan, scan._replace(reverse=True))
    assert counter.get_total_flops() == 2 * (2 * 9 * 6) * (7 * 16 + 3)
