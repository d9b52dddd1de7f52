"""Times of frames: those of a clip that is cut in windows are the times of what the windows hold."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from torch import Tensor

from harness.cards import Card, Weights
from harness.models import Layers, Upstream

RATE, HOP, FRAME, LONGEST = 1000, 20, 50, 700


class Means(Upstream):
    """The mean of every frame: of a wave that counts its samples, the number of the sample in the frame's middle."""

    card = Card(paper="none", licence="none")
    reads = ()
    revision = "1"
    sample_rate, shortest, longest = RATE, FRAME, LONGEST
    widths, final_width = (1,), 1
    frame_rate: Fraction | None = Fraction(RATE, HOP)
    frame_offset = Fraction(FRAME - 1, 2 * RATE)

    def forward(self, wave: Tensor) -> Layers:
        means = wave.unfold(1, FRAME, HOP).mean(-1, keepdim=True)
        return Layers((means,), means)


@pytest.fixture
def upstream() -> Means:
    return Means(Weights("untrained", "untrained", "untrained-0"), torch.device("cpu"))


def heard_at(upstream: Means, samples: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Where each frame of a clip has its middle, in seconds, as the network has heard it."""
    counting = torch.arange(samples, dtype=torch.float32)[None]
    times: np.ndarray[tuple[int], np.dtype[np.float64]]
    times = upstream.encode_in_windows(counting).final[0, :, 0].double().numpy() / RATE
    return times


# Below one window; exactly one, two and five; one sample more; lengths that no number of windows divides.
@pytest.mark.parametrize("samples", [FRAME, 333, 700, 701, 1000, 1400, 1401, 3499, 3500, 9973, 70_001])
def test_a_frames_time_is_that_of_the_window_it_came_from(samples: int, upstream: Means) -> None:
    expected = heard_at(upstream, samples)
    np.testing.assert_allclose(upstream.frame_times(samples, len(expected)), expected, rtol=0, atol=1e-5)


def test_frames_do_not_drift_towards_the_end_of_a_long_clip(upstream: Means) -> None:
    samples = 100 * LONGEST - 37
    times = upstream.frame_times(samples, len(heard_at(upstream, samples)))
    # Each window leaves out less than one hop at its end, which frames in a row would add up to more than a second.
    end = (samples - FRAME / 2) / RATE
    assert end - HOP / RATE < times[-1] <= end
    in_a_row = float(upstream.frame_offset) + (len(times) - 1) * HOP / RATE
    assert end - in_a_row > 1


def test_an_impulse_lies_in_the_frame_whose_time_is_nearest(upstream: Means) -> None:
    samples = 2345
    frames = upstream.encode_in_windows(torch.ones(1, samples)).final.shape[1]
    times = upstream.frame_times(samples, frames)
    for place in range(FRAME, samples - FRAME, 61):
        wave = torch.zeros(1, samples)
        wave[0, place] = 1
        hit = np.flatnonzero(upstream.encode_in_windows(wave).final[0, :, 0].numpy())
        assert np.abs(times[hit] - place / RATE).max() <= FRAME / 2 / RATE
        assert np.abs(times - place / RATE).argmin() in hit


def test_of_an_upstream_without_a_longest_clip_times_are_evenly_spaced(upstream: Means) -> None:
    upstream.longest = None  # type: ignore[assignment]
    expected = heard_at(upstream, 5000)
    times = upstream.frame_times(5000, len(expected))
    np.testing.assert_allclose(times, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(np.diff(times), HOP / RATE)


def test_one_frame_a_clip_has_no_times(upstream: Means) -> None:
    upstream.frame_rate = None
    with pytest.raises(ValueError, match="one frame a clip has no times"):
        upstream.frame_times(5000, 1)
