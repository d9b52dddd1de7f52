"""The kernels for GPUs against the recurrence: by Triton's interpreter, and on a GPU where there is one."""

import importlib.util
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from harness.upstreams import _scan
from harness.upstreams._scan import Scan, selective_scan

from scans import draw, error, in_dtype, mapped, plain_scan

Kernels = Callable[..., Tensor]
FILE = Path(_scan.__file__).with_name("_triton_scan.py")
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def load(*, interpreted: bool) -> ModuleType:
    """The kernels anew: what runs them is decided when they are defined."""
    pytest.importorskip("triton.language", reason="Triton is not installed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", str(int(interpreted)))
        spec = importlib.util.spec_from_file_location("kernels_to_test", FILE)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


def interpreted() -> Kernels:
    module, tl = load(interpreted=True), importlib.import_module("triton.language")

    def run(*scans: Scan, gate: Tensor | None = None, chunks: int = 1) -> Tensor:
        with pytest.MonkeyPatch.context() as patch:
            # Triton's own functions were defined to be compiled.
            patch.setattr(tl, "sum", lambda x, axis: tl.reduce(x, axis, tl.standard._sum_combine))
            y: Tensor = module.scan(scans, gate, chunks)
        return y

    return run


def on_gpu() -> Kernels:
    module = load(interpreted=False)

    def run(*scans: Scan, gate: Tensor | None = None, chunks: int = 1) -> Tensor:
        there = [mapped(Tensor.cuda, scan) for scan in scans]
        y: Tensor = module.scan(there, None if gate is None else gate.cuda(), chunks)
        return y.cpu()

    return run


@pytest.fixture(scope="module", params=[interpreted, pytest.param(on_gpu, marks=GPU)], ids=lambda way: way.__name__)
def kernels(request: pytest.FixtureRequest) -> Kernels:
    """Scans by the kernels: ``kernels(*scans, gate=None, chunks=1)``."""
    found: Kernels = request.param()
    return found


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("chunks", [1, 2, 5])
@pytest.mark.parametrize(("clips", "frames", "width"), [(1, 1, 1), (2, 37, 70), (3, 6, 129)])
def test_it_computes_the_recurrence(
    kernels: Kernels, clips: int, frames: int, width: int, chunks: int, reverse: bool
) -> None:
    scan = in_dtype(torch.float32, draw(clips, frames, width)._replace(reverse=reverse))
    assert error(kernels(scan, chunks=chunks), plain_scan(scan)) < 1e-5


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("state", [1, 3, 16, 64])
def test_it_computes_the_recurrence_with_any_number_of_states(kernels: Kernels, state: int, chunks: int) -> None:
    scan = in_dtype(torch.float32, draw(2, 33, 7, state))
    assert error(kernels(scan, chunks=chunks), plain_scan(scan)) < 1e-5


@pytest.mark.parametrize("chunks", [1, 4])
@pytest.mark.parametrize("low", [-9.0, -3.0, 0.0, 3.0])
def test_it_computes_the_recurrence_whatever_the_rates(kernels: Kernels, low: float, chunks: int) -> None:
    # Rates from 0.0001 to 20,000 in any order, and none: no state is a power of another's.
    random = torch.Generator().manual_seed(0)
    rates = -torch.exp(low + 7 * torch.rand(30, 16, generator=random, dtype=torch.float64))
    rates[:, 5] = 0
    scan = in_dtype(torch.float32, draw(1, 150, 30)._replace(A=rates))
    assert error(kernels(scan, chunks=chunks), plain_scan(scan)) < 1e-5


def test_many_chunks_carry_slow_states(kernels: Kernels) -> None:
    scan = in_dtype(torch.float32, draw(1, 1_500, 3)._replace(reverse=True))
    assert error(kernels(scan, chunks=39), plain_scan(scan)) < 1e-5


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize("size", [1e3, 1e6, 1e9])
def test_a_step_too_long_for_any_state_leaves_the_present_alone(kernels: Kernels, size: float, chunks: int) -> None:
    scan = in_dtype(torch.float32, draw(1, 20, 5))
    scan = scan._replace(delta=torch.full_like(scan.delta, size), D=torch.zeros(5))
    now = size * scan.u * (scan.B * scan.C).sum(-1, keepdim=True)
    torch.testing.assert_close(kernels(scan, chunks=chunks), now, rtol=1e-4, atol=1e-3 * size)


@pytest.mark.parametrize("chunks", [1, 3])
def test_steps_with_a_bias_go_through_a_softplus(kernels: Kernels, chunks: int) -> None:
    random = torch.Generator().manual_seed(1)
    steps = 20 * torch.randn(2, 40, 100, generator=random, dtype=torch.float64) - 5
    bias = torch.randn(100, generator=random, dtype=torch.float64)
    scan = in_dtype(torch.float32, draw(2, 40, 100)._replace(delta=steps, bias=bias))
    assert error(kernels(scan, chunks=chunks), plain_scan(scan)) < 1e-5


def test_the_softplus_of_a_step_is_exact_however_small(kernels: Kernels) -> None:
    # One frame of ones: y is the step itself.
    steps = torch.linspace(-80, 80, 3001)[None, None]
    ones, one = torch.ones_like(steps), torch.ones(1, 1, 1)
    y = kernels(Scan(ones, steps, -torch.ones(3001, 1), one, one, torch.zeros(3001), torch.zeros(3001)))
    torch.testing.assert_close(y.double(), functional.softplus(steps.double(), threshold=100), rtol=1e-5, atol=0)


@pytest.mark.filterwarnings("ignore:overflow encountered")  # of the interpreter, in e^200
def test_the_gate_multiplies_by_its_silu(kernels: Kernels) -> None:
    scan = in_dtype(torch.float32, draw(2, 10, 100))
    gate = 40 * torch.randn(2, 10, 100, generator=torch.Generator().manual_seed(1))
    gate[0, :2] = torch.tensor([[200.0], [-200.0]])
    wanted = kernels(scan).double() * functional.silu(gate.double())
    torch.testing.assert_close(kernels(scan, gate=gate).double(), wanted, rtol=4e-6, atol=1e-6)


@pytest.mark.parametrize("chunks", [1, 3])
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)])
def test_scans_are_added_and_gated_in_float32(kernels: Kernels, dtype: torch.dtype, bound: float, chunks: int) -> None:
    one, two = (in_dtype(dtype, draw(2, 20, 70, seed=seed)) for seed in (0, 1))
    two, gate = two._replace(reverse=True, bias=two.D), one.u.flip(1)
    y = kernels(one, two, gate=gate, chunks=chunks)
    assert y.dtype == dtype
    wanted = (plain_scan(one) + plain_scan(two)) * functional.silu(gate.double()).numpy()
    assert error(y, wanted) < bound


def test_inputs_of_several_dtypes_are_read_as_they_are(kernels: Kernels) -> None:
    scan = in_dtype(torch.float32, draw(2, 30, 6))
    given = scan._replace(delta=scan.delta.half(), B=scan.B.bfloat16(), C=scan.C.double())
    y = kernels(given)
    assert y.dtype == torch.float32
    assert error(y, plain_scan(given)) < 1e-5


@pytest.mark.parametrize("chunks", [1, 3])
def test_inputs_are_read_where_they_lie_and_left_as_they_were(kernels: Kernels, chunks: int) -> None:
    # As in a mixer: B and C are cut out of one projection, u and the gate out of another; and gaps between channels.
    scan = in_dtype(torch.float32, draw(2, 30, 70)._replace(bias=torch.linspace(-1, 1, 70)))
    projected, pair = torch.cat([scan.B[..., :5], scan.B, scan.C], dim=-1), torch.cat([scan.u, scan.u.flip(0)], dim=-1)
    _, b, c = projected.split([5, 16, 16], dim=-1)
    u, gate = pair.chunk(2, dim=-1)
    cut = scan._replace(u=u, B=b, C=c, delta=scan.delta.repeat_interleave(2, dim=-1)[..., ::2])
    before = [x.clone() for x in (projected, pair)]
    y = kernels(cut, gate=gate, chunks=chunks)
    torch.testing.assert_close(y, kernels(scan, gate=gate.clone(), chunks=chunks), rtol=1e-5, atol=1e-5)
    assert all(map(torch.equal, (projected, pair), before))


@GPU
@pytest.mark.parametrize("width", [70, 384])
def test_a_gpu_computes_the_recurrence_over_a_hundred_thousand_frames(width: int) -> None:
    scan = in_dtype(torch.float32, draw(1, 100_000, width)._replace(reverse=True))
    y = selective_scan(mapped(Tensor.cuda, scan), mapped(Tensor.cuda, scan), gate=scan.u.cuda()).cpu()
    assert error(y, 2 * plain_scan(scan) * functional.silu(scan.u.double()).numpy()) < 1e-5


# How it runs.


def test_chunks_fill_a_gpu_only_where_clips_and_channels_do_not() -> None:
    chunks_for = load(interpreted=True).chunks_for
    assert chunks_for((1, 75_000, 384), 132) * 6 >= 12 * 132
    assert chunks_for((4, 75_000, 1536), 132) * 96 >= 12 * 132
    assert chunks_for((256, 2048, 384), 132) == 1
    assert chunks_for((1, 10, 384), 132) == 1
    assert chunks_for((1, 640, 384), 132) == 6


@pytest.mark.parametrize("frames", [96, 1000, 2048, 75_000])
def test_the_states_between_chunks_are_a_sixth_of_the_inputs_at_most(frames: int) -> None:
    module = load(interpreted=True)
    assert 6 * module.STATES * (module.chunks_for((1, frames, 384), 132) - 1) < frames


class Card:
    """What Triton asks of a driver to compile for a GPU that is not there."""

    def __init__(self, capability: int) -> None:
        from triton.backends.compiler import GPUTarget

        self.target = GPUTarget("cuda", capability, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> Any:
        return self.target


@pytest.mark.parametrize("capability", [80, 90])
def test_no_register_is_spilled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capability: int) -> None:
    module = load(interpreted=False)
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    import triton

    knobs = pytest.importorskip("triton.knobs", reason="this Triton does not say where its tools are")
    cuobjdump = knobs.nvidia.cuobjdump.path
    if not hasattr(triton.runtime.driver, "_active"):
        pytest.skip("this Triton compiles for no GPU but its own")
    monkeypatch.setattr(triton.runtime.driver, "_active", Card(capability))
    found: list[Any] = []

    class Compiling:
        """A kernel that is compiled for what it is launched with, and not launched."""

        def __init__(self, kernel: Any) -> None:
            self.kernel = kernel

        def __getitem__(self, grid: Any) -> Callable[..., None]:
            return lambda *args, **options: found.append(self.kernel.run(*args, grid=grid, warmup=True, **options))

    for name in ("run", "carry"):
        monkeypatch.setattr(module, name, Compiling(getattr(module, name)))
    for width in (384, 97):
        scan = in_dtype(torch.float32, draw(1, 8, width)._replace(bias=torch.zeros(width)))
        module.scan([scan, scan._replace(reverse=True)], scan.u, 1)
        module.scan([scan, scan._replace(reverse=True, bias=None)], scan.u, 2)
    assert len({id(kernel) for kernel in found}) > 8
    for kernel in found:
        file = tmp_path / "kernel.cubin"
        file.write_bytes(kernel.asm["cubin"])
        usage = subprocess.run([cuobjdump, "-res-usage", file], capture_output=True, text=True, check=True).stdout
        assert re.findall(r"(STACK|LOCAL):(\d+)", usage) == [("STACK", "0"), ("LOCAL", "0")]


# Where it cannot run. What a GPU would be given is on the CPU here.


def on_cuda(*scans: Scan) -> Tensor:
    tensors: list[Any] = [x for scan in scans for x in scan[:-1]]
    y: Tensor = _scan._scan_on_cuda(tensors, [scan.reverse for scan in scans], None)
    return y


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException], list[int]]:
    """Lets the kernels raise an error; gives a list that grows by each attempt."""
    failures = load(interpreted=True).FAILURES
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(_scan, "_mamba_ssm_scan", lambda: None)
    monkeypatch.setattr(_scan, "_WITHOUT_TRITON", set())

    def fail(failure: BaseException) -> list[int]:
        attempts: list[int] = []

        def scan(*_: Any) -> Tensor:
            attempts.append(1)
            raise failure

        kernels: Any = SimpleNamespace(FAILURES=failures, scan=scan)
        monkeypatch.setitem(sys.modules, "harness.upstreams._triton_scan", kernels)
        return attempts

    return fail


@pytest.mark.parametrize(
    "failure",
    [
        RuntimeError("Failed to find C compiler."),
        subprocess.CalledProcessError(1, "gcc"),
        FileNotFoundError("ptxas"),
        AssertionError("libcuda.so cannot found!"),
        "OutOfResources",
    ],
    ids=lambda failure: failure if isinstance(failure, str) else type(failure).__name__,
)
def test_where_triton_fails_it_warns_once_and_runs_as_operations_of_torch(
    failing: Callable[[BaseException], list[int]], failure: BaseException | str
) -> None:
    if isinstance(failure, str):
        failure = getattr(pytest.importorskip("triton"), failure)(1, 0, "shared memory")
    assert isinstance(failure, BaseException)
    attempts, scan = failing(failure), in_dtype(torch.float32, draw(1, 9, 6))
    with pytest.warns(UserWarning, match=rf"Triton cannot run on cpu \({type(failure).__name__}: .*\): the scan takes"):
        y = on_cuda(scan)
    with warnings.catch_warnings(action="error"):
        assert torch.equal(on_cuda(scan), y)
    assert len(attempts) == 1
    assert error(y, plain_scan(scan)) < 1e-5


def test_memory_that_runs_out_is_no_failure_of_triton(failing: Callable[[BaseException], list[int]]) -> None:
    failing(torch.OutOfMemoryError("out of memory"))
    with pytest.raises(torch.OutOfMemoryError):
        on_cuda(in_dtype(torch.float32, draw(1, 9, 6)))


def test_triton_is_not_asked_for_float64_or_beside_mamba_ssm(
    failing: Callable[[BaseException], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts, scan = failing(RuntimeError()), draw(1, 9, 6)
    assert error(on_cuda(scan), plain_scan(scan)) < 1e-13
    monkeypatch.setattr(_scan, "_mamba_ssm_scan", lambda: print)
    on_cuda(in_dtype(torch.float32, scan))
    assert not attempts


def test_without_triton_it_runs_as_operations_of_torch(
    failing: Callable[[BaseException], list[int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(RuntimeError())
    monkeypatch.setitem(sys.modules, "harness.upstreams._triton_scan", None)
    scan = in_dtype(torch.float32, draw(1, 9, 6))
    assert error(on_cuda(scan), plain_scan(scan)) < 1e-5
