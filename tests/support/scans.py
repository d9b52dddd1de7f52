"""Selective scans to test with, and the recurrence itself, one step at a time."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from harness.upstreams._scan import Scan


def mapped(change: Callable[[Tensor], Tensor], scan: Scan) -> Scan:
    """The same scan with every tensor changed."""
    return scan._replace(**{name: change(x) for name, x in scan._asdict().items() if isinstance(x, Tensor)})


def in_dtype(dtype: torch.dtype, scan: Scan) -> Scan:
    return mapped(lambda x: x.to(dtype), scan)


def draw(clips: int, frames: int, width: int, state: int = 16, seed: int = 0) -> Scan:
    """Inputs such as a trained network has: slow and fast states, steps of all sizes; float64."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    return Scan(
        u=normal(clips, frames, width),
        delta=functional.softplus(normal(clips, frames, width) - 2),
        A=-torch.exp(torch.linspace(-3, 3, state, dtype=torch.float64) + 0.1 * normal(width, state)),
        B=normal(clips, frames, state),
        C=normal(clips, frames, state),
        D=normal(width),
    )


def plain_scan(scan: Scan) -> npt.NDArray[np.float64]:
    """The recurrence in float64, one frame at a time: (clip, frame, width)."""
    u, delta, a, b, c, d = (x.double().numpy() for x in scan[:6])
    if scan.bias is not None:
        delta = np.logaddexp(0, delta + scan.bias.double().numpy())
    y: npt.NDArray[np.float64] = np.empty_like(u)
    h = np.zeros((len(u), *a.shape))
    for t in reversed(range(u.shape[1])) if scan.reverse else range(u.shape[1]):
        step = delta[:, t, :, None]
        h = np.exp(step * a) * h + step * u[:, t, :, None] * b[:, t, None]
        y[:, t] = (c[:, t, None] * h).sum(-1) + d * u[:, t]
    return y


def error(got: Tensor, wanted: npt.NDArray[np.float64]) -> float:
    """The largest difference, relative to the largest value."""
    assert got.shape == wanted.shape
    return float(np.abs(got.double().numpy() - wanted).max() / np.abs(wanted).max())
