"""Matrix products by either of torch's libraries."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from harness.upstreams import _linear
from harness.upstreams._linear import linear

Noise = Callable[..., Tensor]


@pytest.fixture(params=["oneDNN", "without"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """By oneDNN, and where torch has none."""
    if request.param == "without":
        monkeypatch.setattr(_linear, "ONEDNN", None)
    return str(request.param)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 30, 12), (3, 7, 192)])
@pytest.mark.parametrize("out", [1, 44, 300])
def test_it_is_the_product(way: str, noise: Noise, shape: tuple[int, ...], out: int) -> None:
    x, weight = noise(*shape), noise(out, shape[-1], seed=1)
    wanted = x.double() @ weight.double().T
    torch.testing.assert_close(linear(x, weight).double(), wanted, rtol=1e-5, atol=1e-5)


def test_parts_of_tensors_are_read_where_they_lie(way: str, noise: Noise) -> None:
    x, weight = noise(2, 30, 44)[..., 12:28], noise(60, 16, seed=1).chunk(2)[1]
    torch.testing.assert_close(linear(x, weight), functional.linear(x, weight), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_dtypes_are_torchs(noise: Noise, dtype: torch.dtype) -> None:
    x, weight = noise(2, 30, 16).to(dtype), noise(60, 16).to(dtype)
    assert torch.equal(linear(x, weight), functional.linear(x, weight))


def test_autocast_is_heeded(noise: Noise) -> None:
    x, weight = noise(2, 30, 16), noise(60, 16)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(linear(x, weight), functional.linear(x, weight))
        assert linear(x, weight).dtype == torch.bfloat16


def test_its_flops_are_counted(way: str, noise: Noise) -> None:
    with FlopCounterMode(display=False) as counter:
        linear(noise(2, 30, 16), noise(60, 16))
    assert counter.get_total_flops() == 2 * 2 * 30 * 16 * 60
