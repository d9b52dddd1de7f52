"""What the tests of upstreams compare features with, and how closely."""

import json
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from harness.models import Layers

# The fixtures of the same names.
Golden = Callable[[str], tuple[Mapping[str, Any], dict[str, Tensor]]]
Noise = Callable[..., Tensor]
Refused = Callable[[str], AbstractContextManager[None]]
Tones = Callable[[int], Tensor]


class Numbers(NamedTuple):
    """What is known of a tensor: shape, mean, deviation, and five values: two first, a third in, halfway, last."""

    shape: tuple[int, ...]
    mean: float
    std: float
    values: tuple[float, ...]

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> "Numbers":
        """As the reference data has them."""
        return cls(tuple(known["shape"]), known["mean"], known["std"], tuple(known["val"]))

    def error(self, x: Tensor) -> float:
        """The largest difference of a tensor from these numbers."""
        assert x.shape == self.shape, f"{x.shape}, not {self.shape}"
        at = [0, 1, x.numel() // 3, x.numel() // 2, -1]
        got = torch.stack([x.mean(), x.std(correction=0), *x.flatten()[at]])
        return float((got - torch.tensor([self.mean, self.std, *self.values], dtype=torch.float64)).abs().max())

    def fit(self, x: Tensor) -> bool:
        """Whether a tensor has these numbers, up to float32 rounding in another order."""
        return self.error(x) <= 1e-3 * max(1.0, self.std)


def read_json(shared: Path, name: str) -> Any:
    """A file beside the reference tensors; the test is skipped where it is missing."""
    path = shared / "golden" / name
    if not path.is_file():
        pytest.skip(f"there are no reference numbers: {path} is missing")
    return json.loads(path.read_text(encoding="utf-8"))


def clips_of(tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The waves (1, sample) of a reference case, each of its own length."""
    waves, lengths = tensors["input/waveform"], tensors["input/lengths"].tolist()
    return [wave[None, :length] for wave, length in zip(waves, lengths, strict=True)]


def layers_of(output: Any) -> Layers:
    """What a network of transformers gives with ``output_hidden_states``."""
    return Layers(tuple(output.hidden_states), output.last_hidden_state)


def assert_within(got: Tensor, wanted: Tensor, worst: float, mean: float = math.inf) -> None:
    """Bounds on the differences."""
    assert got.shape == wanted.shape, f"{got.shape}, not {wanted.shape}"
    assert got.dtype == wanted.dtype, f"{got.dtype}, not {wanted.dtype}"
    error = (got.double() - wanted.double()).abs()
    assert float(error.max()) <= worst, f"differs by up to {float(error.max()):.3g}, not {worst:.3g}"
    assert float(error.mean()) <= mean, f"differs by {float(error.mean()):.3g} on average, not {mean:.3g}"


def assert_close(got: Tensor, wanted: Tensor, worst: float, mean: float = math.inf) -> None:
    """Bounds on the differences, in units of the largest wanted value where that is above 1."""
    unit = max(1.0, float(wanted.abs().max()))
    assert_within(got, wanted, worst * unit, mean * unit)


def assert_layers_close(got: Layers, wanted: Layers, worst: float) -> None:
    """A bound on the differences in any layer, in such units; with 0, layers are the same bit by bit."""
    for (_, one), (_, other) in zip(got.named(), wanted.named(), strict=True):
        assert_close(one, other, worst)


def in_windows(upstream: Any, waves: Tensor) -> Layers:
    """What an upstream gives for clips above its limit: they are normalised whole, and cut in equal windows."""
    samples = waves.shape[-1]
    count = -(-samples // upstream.longest)
    length = -(-samples // count)
    starts = [round(i * (samples - length) / (count - 1)) for i in range(count)]
    whole = upstream.normalise(waves)
    return Layers.join([upstream.forward(whole[:, start : start + length]) for start in starts], dim=1)


def moved_by_a_click(upstream: Any, wave: Tensor, sample: int) -> Tensor:
    """How far a click at one sample of a wave (1, sample) moves the frames of the first layer, (frame)."""
    clicked = wave.clone()
    clicked[0, sample] += 3
    moved: Tensor = (upstream.encode(clicked).hidden[0] - upstream.encode(wave).hidden[0])[0].norm(dim=-1)
    return moved
