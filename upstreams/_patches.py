"""What the spectrogram-patch models share: the log-mel image, and position tables for images of other sizes.

Source: Gong et al. 2022 (SSAST) and the code published with it, which SSAMBA reuses.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE_RATE = 16_000
HOP = 160
FRAME = 400
BINS = 128
PATCH = 16


class Statistics(NamedTuple):
    """Mean and standard deviation of the log-mel values that the authors normalise with (they divide by twice the
    latter)."""

    mean: float
    std: float

    def normalise(self, log_mel: "Tensor") -> "Tensor":
        """Shift and scale, any shape."""
        return (log_mel - self.mean) / (2 * self.std)


#: Per data set, as published with SSAST and SSAMBA.
STATISTICS = {
    "audioset": Statistics(-4.2677393, 4.5689974),
    "esc50": Statistics(-6.6268077, 5.358466),
    "speech": Statistics(-6.845978, 5.5654526),
    "us8k": Statistics(-5.138443946838379, 4.229961395263672),
}


def samples_of(frames: int) -> int:
    """How many samples give exactly so many log-mel frames."""
    return FRAME + (frames - 1) * HOP


def log_mel(wave: "Tensor", statistics: Statistics, frames: int) -> "Tensor":
    """The authors' training front end: (clip, sample) to (clip, frame, bin) of exactly ``frames`` frames.

    Longer clips lose their end. Shorter ones are filled with zeros *before* normalising, so the filling is not what
    silence looks like.
    """
    from torch.nn import functional

    from harness.fbank import fbank

    wave = functional.pad(wave, (0, max(0, FRAME - wave.shape[-1])))
    image = fbank(wave, window="hanning")[:, :frames]
    return statistics.normalise(functional.pad(image, (0, 0, 0, frames - image.shape[1])))


def superb_windows(wave: "Tensor", statistics: Statistics, frames: int) -> "Tensor":
    """The front end of the authors' SUPERB experts: (clip, sample) to (clip, window, frame, bin).

    The wave is filled with zeros to whole windows of ``frames`` times 10 ms; each window is normalised and *then*
    filled with zero frames.
    """
    from torch.nn import functional

    from harness.fbank import fbank, frame_count

    length = frames * HOP
    wave = functional.pad(wave, (0, -wave.shape[-1] % length))
    windows = wave.reshape(len(wave), -1, length)
    image = statistics.normalise(fbank(windows.flatten(0, 1), window="hanning"))
    image = functional.pad(image, (0, 0, 0, frames - frame_count(length)))
    return image.reshape(*windows.shape[:2], frames, BINS)


def adapt_positions(table: "Tensor", trained: tuple[int, int], wanted: tuple[int, int]) -> "Tensor":
    """Fit a position table (position, width), frequency-major, to another grid (frequency, time).

    As the authors do it, a shorter time axis cuts the middle out of the table while a longer one stretches it;
    frequency likewise.
    """
    from torch.nn import functional

    if wanted == trained:
        return table
    grid = table.T.reshape(1, -1, *trained)
    (rows, columns), (old_rows, old_columns) = wanted, trained
    if columns < old_columns:
        start = old_columns // 2 - columns // 2
        grid = grid[..., start : start + columns]
    else:
        grid = functional.interpolate(grid, (old_rows, columns), mode="bilinear", align_corners=False)
    if rows < old_rows:
        start = old_rows // 2 - rows // 2
        grid = grid[..., start : start + rows, :]
    else:
        grid = functional.interpolate(grid, (rows, columns), mode="bilinear", align_corners=False)
    return grid[0].flatten(1).T


def grid_of(frames: int, stride: int) -> tuple[int, int]:
    """How many patches (frequency, time) an image of so many frames has."""
    return (BINS - PATCH) // stride + 1, (frames - PATCH) // stride + 1
