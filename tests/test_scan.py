"""The selective scan against its recurrence, one step at a time."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from harness.upstreams import _scan
from harness.upstreams._scan import selective_scan


class Inputs(NamedTuple):
    """The arguments of the scan, in its order."""

    u: Tensor
    delta: Tensor
    A: Tensor
    B: Tensor
    C: Tensor
    D: Tensor

    def to(self, dtype: torch.dtype) -> "Inputs":
        return Inputs(*(x.to(dtype) for x in self))


def draw(clips: int, frames: int, width: int, state: int = 16, seed: int = 0) -> Inputs:
    """Inputs such as a trained network has: slow and fast states, steps of all sizes; float64."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    return Inputs(
        u=normal(clips, frames, width),
        delta=torch.nn.functional.softplus(normal(clips, frames, width) - 2),
        A=-torch.exp(torch.linspace(-3, 3, state, dtype=torch.float64) + 0.1 * normal(width, state)),
        B=normal(clips, frames, state),
        C=normal(clips, frames, state),
        D=normal(width),
    )


def plain_scan(inputs: Inputs) -> npt.NDArray[np.float64]:
    """The recurrence, one clip, one frame and one channel at a time: (clip, frame, width)."""
    u, delta, a, b, c, d = (x.double().numpy() for x in inputs)
    y = np.empty_like(u)
    for clip in range(u.shape[0]):
        for channel in range(u.shape[2]):
            h = np.zeros(a.shape[1])
            for t in range(u.shape[1]):
                step = delta[clip, t, channel]
                h = np.exp(step * a[channel]) * h + step * u[clip, t, channel] * b[clip, t]
                y[clip, t, channel] = c[clip, t] @ h + d[channel] * u[clip, t, channel]
    return y


def error(got: Tensor, wanted: npt.NDArray[np.float64]) -> float:
    """The largest difference, relative to the largest value."""
    assert got.shape == wanted.shape
    return float(np.abs(got.double().numpy() - wanted).max() / np.abs(wanted).max())


@pytest.mark.parametrize("clips", [1, 3])
@pytest.mark.parametrize("frames", [1, 2, 63, 64, 257])
@pytest.mark.parametrize("width", [1, 5, 24])
def test_it_computes_the_recurrence(clips: int, frames: int, width: int) -> None:
    inputs = draw(clips, frames, width).to(torch.float32)
    assert error(selective_scan(*inputs), plain_scan(inputs)) < 1e-5


@pytest.mark.parametrize("state", [1, 3, 16, 64])
def test_it_computes_the_recurrence_with_any_number_of_states(state: int) -> None:
    inputs = draw(2, 33, 7, state).to(torch.float32)
    assert error(selective_scan(*inputs), plain_scan(inputs)) < 1e-5


@pytest.mark.parametrize(
    ("dtype", "bound"),
    [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.bfloat16, 1e-2), (torch.float16, 2e-3)],
)
def test_it_gives_back_the_dtype_it_was_given(dtype: torch.dtype, bound: float) -> None:
    inputs = draw(2, 65, 6).to(dtype)
    y = selective_scan(*inputs)
    assert y.dtype == dtype
    assert error(y, plain_scan(inputs)) < bound


@pytest.mark.parametrize("wanted", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_autocast_changes_nothing(dtype: torch.dtype, wanted: torch.dtype) -> None:
    inputs = draw(2, 65, 6).to(dtype)
    with torch.autocast("cpu", wanted):
        y = selective_scan(*inputs)
    assert torch.equal(y, selective_scan(*inputs))


def test_steps_of_float32_are_not_rounded_to_the_dtype_of_the_wave() -> None:
    inputs = draw(2, 65, 6).to(torch.float32)
    given = inputs._replace(u=inputs.u.bfloat16(), B=inputs.B.bfloat16(), C=inputs.C.bfloat16())
    y = selective_scan(*given)
    assert torch.equal(y, selective_scan(*given.to(torch.float32)).bfloat16())


def test_it_recurs_in_float32_when_the_wave_is_bfloat16() -> None:
    # A sum of 2000 equal small steps: in bfloat16 it would stop growing at 256 times the step.
    ones = torch.ones(1, 2000, 1, dtype=torch.bfloat16)
    zero = torch.zeros(1)
    y = selective_scan(ones, ones, zero[:, None] - 1e-6, ones, ones, zero)
    assert float(y[0, -1, 0]) == pytest.approx(2000, rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_one_frame_has_a_closed_form(dtype: torch.dtype) -> None:
    u, delta, _, b, c, d = inputs = draw(3, 1, 10).to(dtype)
    wanted = delta * u * (b * c).sum(-1, keepdim=True) + d * u
    torch.testing.assert_close(selective_scan(*inputs), wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("cut", [1, 30, 63, 64, 65, 128])
def test_the_past_does_not_depend_on_the_future(cut: int) -> None:
    first, other = (draw(2, 129, 6, seed=seed).to(torch.float32) for seed in (0, 1))

    def spliced(x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([x[:, :cut], y[:, cut:]], dim=1)

    changed = first._replace(
        u=spliced(first.u, other.u),
        delta=spliced(first.delta, other.delta),
        B=spliced(first.B, other.B),
        C=spliced(first.C, other.C),
    )
    before, after = selective_scan(*first), selective_scan(*changed)
    torch.testing.assert_close(after[:, :cut], before[:, :cut], rtol=0, atol=1e-6)
    assert not torch.allclose(after[:, cut:], before[:, cut:], atol=1e-2)


@pytest.mark.parametrize("block", [1, 2 * 6 * 16, 5 * 2 * 6 * 16, 64 * 2 * 6 * 16, 1 << 30])
def test_the_size_of_a_block_does_not_matter(monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    inputs = draw(2, 129, 6).to(torch.float32)
    monkeypatch.setattr(_scan, "BLOCK", block)
    assert error(selective_scan(*inputs), plain_scan(inputs)) < 1e-5


def test_a_batch_is_what_its_clips_are_alone() -> None:
    u, delta, a, b, c, d = inputs = draw(3, 70, 6).to(torch.float32)
    alone = [selective_scan(u[i : i + 1], delta[i : i + 1], a, b[i : i + 1], c[i : i + 1], d) for i in range(3)]
    torch.testing.assert_close(selective_scan(*inputs), torch.cat(alone), rtol=1e-5, atol=1e-5)


def test_inputs_with_gaps_in_memory_give_the_same() -> None:
    inputs = draw(2, 40, 6).to(torch.float32)
    gaps = Inputs(*(torch.stack([x, -x], dim=-1)[..., 0] for x in inputs))
    assert not gaps.u.is_contiguous()
    torch.testing.assert_close(selective_scan(*gaps), selective_scan(*inputs), rtol=0, atol=0)


def test_the_inputs_are_left_as_they_were() -> None:
    inputs = draw(2, 40, 6).to(torch.float32)
    before = [x.clone() for x in inputs]
    selective_scan(*inputs)
    assert all(torch.equal(x, y) for x, y in zip(inputs, before, strict=True))


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
    inputs = draw(clips, frames, width).to(torch.float32)
    with noting_sizes() as sizes:
        selective_scan(*inputs)
    assert inputs.u.numel() <= max(sizes) <= max(_scan.BLOCK, inputs.u.numel())
    assert max(sizes) < clips * frames * width * 16 / 4


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_a_gpu_computes_the_recurrence() -> None:
    inputs = draw(2, 129, 24).to(torch.float32)
    y = selective_scan(*(x.cuda() for x in inputs)).cpu()
    assert error(y, plain_scan(inputs)) < 1e-5
