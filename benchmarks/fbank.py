"""How far the log-mel filterbank is from the cost of its Fourier transforms, and from the plain way.

Three ways take turns in one process: `harness.fbank.fbank`; the bare real FFT of as many frames, which
is the floor; and the definition written down in torch, all frames of a batch at once. Times are medians
in milliseconds per clip. Ratios are medians over the rounds, in which the ways follow each other, so
that a busy machine slows both sides of a ratio. Where other programs compute too, `--threads 1` is
steadier: threads wait for each other.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from harness.fbank import FLOOR, PRE_EMPHASIS, fbank, frame_count, mel_filters

RATE, LENGTH, HOP, SIZE = 16_000, 400, 160, 512
WINDOW = torch.hann_window(LENGTH, periodic=False)
FILTERS = mel_filters().float()


def plain(wave: Tensor) -> Tensor:
    """The definition: (clip, sample) to (clip, frame, bin)."""
    frames = wave.unfold(-1, LENGTH, HOP)
    frames = frames - frames.mean(-1, keepdim=True)
    frames = frames - PRE_EMPHASIS * torch.cat([frames[..., :1], frames[..., :-1]], dim=-1)
    power = torch.fft.rfft(frames * WINDOW, n=SIZE).abs() ** 2
    mels: Tensor = power @ FILTERS
    return mels.clamp(min=FLOOR).log()


def rounds(ways: list[Callable[[], Tensor]], repeats: int) -> list[list[float]]:
    """Seconds of each way in each round, (round, way), after a few rounds to warm up."""
    times = []
    for _ in range(repeats + 3):
        row = []
        for way in ways:
            start = time.perf_counter()
            way()
            row.append(time.perf_counter() - start)
        times.append(row)
    return times[3:]


def measure(seconds: int, clips: int, repeats: int) -> str:
    """One line of the table."""
    random = torch.Generator().manual_seed(0)
    wave = 0.1 * torch.randn(clips, seconds * RATE, generator=random)
    frames = torch.randn(clips, frame_count(seconds * RATE), SIZE, generator=random)
    difference = float((fbank(wave, window="hanning") - plain(wave)).abs().max())
    assert difference < 1e-2, f"the two ways differ by {difference}"
    ways = [lambda: fbank(wave, window="hanning"), lambda: torch.fft.rfft(frames), lambda: plain(wave)]
    times = rounds(ways, repeats)
    ours, floor, theirs = (statistics.median(row[i] for row in times) * 1e3 / clips for i in range(3))
    over = statistics.median(row[0] / row[1] for row in times)
    gain = statistics.median(row[2] / row[0] for row in times)
    return f"{seconds:>5} {clips:>6} {ours:>9.3f} {floor:>9.3f} {theirs:>9.3f} {over:>12.2f} {gain:>13.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=50, help="rounds per line (default: 50)")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's choice)")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.repeats} rounds")
    names = ("s", "clips", "fbank", "FFT", "plain", "fbank / FFT", "plain / fbank")
    print("{:>5} {:>6} {:>9} {:>9} {:>9} {:>12} {:>13}".format(*names))
    for clips in (1, 16):
        for seconds in (1, 5, 10):
            print(measure(seconds, clips, options.repeats))


if __name__ == "__main__":
    main()
