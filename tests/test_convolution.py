"""The causal convolution against its definition."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from harness.upstreams import _convolution
from harness.upstreams._convolution import Filter, convolve

Noise = Callable[..., Tensor]


@pytest.fixture(params=["kernels", "torch"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By the compiled kernels, and without numba."""
    if request.param == "torch":
        monkeypatch.setattr(_convolution, "compiled_kernels", lambda: None)
    return str(request.param)


def plain(x: Tensor, each: Filter) -> Tensor:
    """One frame and one tap at a time, in float64."""
    x, weight = x.double(), each.weight.double()
    taps, frames = weight.shape[-1], x.shape[1]
    out = each.bias.double().repeat(*x.shape[:2], 1)
    for t in range(frames):
        for tap in range(taps):
            source = t + (taps - 1 - tap) * (1 if each.reverse else -1)
            if 0 <= source < frames:
                out[:, t] += weight[:, 0, tap] * x[:, source]
    return functional.silu(out)


def filters(noise: Noise, width: int, taps: int = 4) -> list[Filter]:
    """One in each direction."""
    return [Filter(noise(width, 1, taps, seed=i), noise(width, seed=2 + i), reverse=i > 0) for i in range(2)]


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 70])
@pytest.mark.parametrize("width", [1, 17, 200])
def test_it_convolves_in_both_directions(way: str, noise: Noise, frames: int, width: int) -> None:
    x, both = 3 * noise(3, frames, width), filters(noise, width)
    for out, each in zip(convolve(x, *both), both, strict=True):
        torch.testing.assert_close(out.double(), plain(x, each), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("numbers", [1, 1000, 1 << 20])
def test_the_size_of_a_piece_does_not_matter(noise: Noise, monkeypatch: pytest.MonkeyPatch, numbers: int) -> None:
    x, both = noise(2, 50, 33), filters(noise, 33)
    whole = convolve(x, *both)
    monkeypatch.setattr(_convolution, "PIECE", numbers)
    assert all(map(torch.equal, convolve(x, *both), whole))


def test_another_number_of_taps_is_left_to_torch(noise: Noise) -> None:
    x, both = noise(2, 9, 5), filters(noise, 5, taps=3)
    for out, each in zip(convolve(x, *both), both, strict=True):
        torch.testing.assert_close(out.double(), plain(x, each), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("loud", [-300.0, 300.0])
def test_loud_inputs_stay_finite(way: str, noise: Noise, loud: float) -> None:
    x = torch.full((1, 9, 6), loud)
    for out, each in zip(convolve(x, *filters(noise, 6)), filters(noise, 6), strict=True):
        torch.testing.assert_close(out.double(), plain(x, each), rtol=2e-6, atol=1e-6)


def test_it_is_computed_in_the_dtype_of_the_weights_under_autocast(way: str, noise: Noise) -> None:
    x, both = noise(2, 30, 17), filters(noise, 17)
    with torch.autocast("cpu", torch.bfloat16):
        outs = convolve(x.bfloat16(), *both)
    assert all(map(torch.equal, outs, convolve(x.bfloat16().float(), *both)))


def test_inputs_with_gaps_in_memory_give_the_same(way: str, noise: Noise) -> None:
    x, both = noise(2, 30, 17), filters(noise, 17)
    gaps = torch.stack([x, -x], dim=-1)[..., 0]
    assert all(map(torch.equal, convolve(gaps, *both), convolve(x, *both)))


def test_it_can_be_followed_by_shapes_alone(noise: Noise) -> None:
    both = filters(noise, 17)
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        outs = convolve(mode.from_tensor(noise(2, 30, 17)), *both)
    assert [out.shape for out in outs] == [(2, 30, 17)] * 2


def test_its_flops_are_counted(noise: Noise) -> None:
    with FlopCounterMode(display=False) as counter:
        convolve(noise(2, 30, 17), *filters(noise, 17))
    assert counter.get_total_flops() == 2 * 2 * 4 * 2 * 30 * 17


def test_filters_for_another_width_are_refused(noise: Noise) -> None:
    with pytest.raises(ValueError, match="17 channels"):
        convolve(noise(2, 30, 17), *filters(noise, 16))
