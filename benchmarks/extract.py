"""What extraction costs beyond the bare forward, and beside the plain way.

Three ways to the same features, taken in turn in one process, medians over the rounds:

* floor: the forward alone, on waves that are already decoded, in batches of one length, one thread a batch;
* harness: the real thing, which hashes, plans, decodes, resamples, encodes, reduces, stores and syncs;
* plain: a loop over files that decodes a clip, encodes it, and keeps the means in memory.

    python benchmarks/extract.py --upstream ssamba:tiny@untrained --clips 128
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
import torch

from harness.audio import Recipe, load_wave
from harness.extract import Encoder, Model, extract, pieces_of
from harness.registry import UpstreamSpec
from harness.store import FeatureStore, file_hash
from harness.types import Clip
from harness.views import View

RATE = 44_100


def make_clips(folder: Path, count: int, seconds: float) -> list[Clip]:
    """FLAC clips of noise at 44.1 kHz, so that decoding and resampling cost what they cost in ESC-50."""
    rng = np.random.default_rng(0)
    clips = []
    for i in range(count):
        path = folder / f"{i}.flac"
        soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * RATE)), RATE)
        clips.append(Clip(id=str(i), path=path, target="", fold="", group=""))
    return clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", default="ssamba:tiny@untrained")
    parser.add_argument("--clips", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    args = parser.parse_args()

    spec = UpstreamSpec.parse(args.upstream)
    encoder = Encoder(Model(spec, spec.weights(file_hash), args.device), View.parse(spec.cls.view))
    upstream = encoder.upstream
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(Path(folder), args.clips, args.seconds)
        waves = [load_wave(clip.path, upstream.sample_rate, Recipe()) for clip in clips]
        batches = [torch.from_numpy(np.stack(waves[i : i + 16])) for i in range(0, len(waves), 16)]

        def floor() -> None:
            threads = torch.get_num_threads()
            torch.set_num_threads(1 if args.device == "cpu" else threads)
            with ThreadPoolExecutor(args.workers if args.device == "cpu" else 1) as pool:
                list(pool.map(upstream.encode, batches))
            torch.set_num_threads(threads)

        def harness() -> None:
            with tempfile.TemporaryDirectory() as place:
                store = FeatureStore(Path(place))
                extract(encoder, store.shelf(encoder.key), pieces_of(clips, store), workers=args.workers)
                store.close()

        def plain() -> None:
            for clip in clips:
                wave = load_wave(clip.path, upstream.sample_rate, Recipe())
                encoder.encode([wave])

        ways: dict[str, Callable[[], None]] = {"floor": floor, "harness": harness, "plain": plain}
        spent: dict[str, list[float]] = {name: [] for name in ways}
        upstream.encode(batches[0])
        for _ in range(args.rounds):
            for name, way in ways.items():
                begin = time.perf_counter()
                way()
                spent[name].append(time.perf_counter() - begin)

    medians = {name: statistics.median(times) for name, times in spent.items()}
    print(f"{spec.label}: {args.clips} clips of {args.seconds} s, {args.workers} workers, {args.rounds} rounds")
    for name, median in medians.items():
        ratio = median / medians["floor"]
        print(f"{name:8} {median:8.2f} s  {args.clips / median:8.2f} clips/s  {ratio:5.2f} x floor")


if __name__ == "__main__":
    main()
