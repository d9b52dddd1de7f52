"""How far whole forwards are from the matrix products that they cannot do without.

For each upstream, in turn in one process, so that a busy machine slows all of it:

* floor: the FLOPs of its products, by torch's counter, at the rate of a large product of matrices in float32 measured
  beside it: by torch.matmul, as everybody calls it, and by the faster of torch's two libraries;
* forward: the whole of it from wave to layers, front end included, at one thread and at all;
* bfloat16: the same in the lower precision, and how far the layers move: the norm of the change over the layer's.

Ratios are medians over the rounds. As the commands do, the process keeps freed memory, and, told so below, torch's
threads sleep soon where they have to wait for the kernels' own.

    GOMP_SPINCOUNT=1000 python benchmarks/models.py --upstream ssamba:tiny@untrained --seconds 10 --batch 1
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

import harness
from harness import process
from harness.models import Layers, Upstream
from harness.upstreams._linear import linear

NAMES = ("ssamba:tiny@untrained", "ssamba:small@untrained", "ssamba:base@untrained")
ROWS, SIDE = 2048, 1024


def seconds(way: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    way()
    return clock() - begin


def product_flops(upstream: Upstream, wave: torch.Tensor) -> int:
    """Floating-point operations of products of matrices in one forward."""
    with FlopCounterMode(display=False) as counter:
        upstream.encode(wave)
    counts = counter.get_flop_counts()["Global"].items()
    return sum(flops for op, flops in counts if any(word in str(op) for word in ("mm", "linear", "attention")))


def moved(low: Layers, exact: Layers) -> float:
    """The largest relative change of a layer."""
    pairs = zip(low.named(), exact.named(), strict=True)
    return max(float((a - b).norm() / b.norm()) for (_, a), (_, b) in pairs)


def measure(upstream: Upstream, wave: torch.Tensor, rounds: int, clock: Callable[[], float]) -> dict[str, float]:
    """Medians over the rounds: seconds of the forward, and as a multiple of its floor at either rate."""
    x, weight = torch.randn(ROWS, SIDE), torch.randn(SIDE, SIDE)
    products, large = product_flops(upstream, wave), 2 * ROWS * SIDE * SIDE
    rows = []
    for i in range(rounds + 1):
        usual, faster = seconds(lambda: x @ weight, clock), seconds(lambda: linear(x, weight), clock)
        forward = seconds(lambda: upstream.encode(wave), clock)
        row = {"forward": forward, "usual rate": large / usual, "faster rate": large / min(usual, faster)}
        row |= {f"over {name}": forward * row[name] / products for name in ("usual rate", "faster rate")}
        rows += [row] if i else []  # the first warms up
    return {"products": float(products)} | {name: statistics.median(row[name] for row in rows) for name in rows[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--upstream", action="append", help="only this (repeats)")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9, help="rounds (default: 9)")
    parser.add_argument("--threads", type=int, action="append", help="repeats (default: 1 and torch's choice)")
    parser.add_argument("--cpu", action="store_true", help="processor time of all threads, for a busy machine")
    options = parser.parse_args()
    process.keep_freed()
    clock = time.process_time if options.cpu else time.perf_counter
    print(f"torch {torch.__version__}, {options.batch} clip(s) of {options.seconds} s, {options.rounds} rounds")
    print(
        f"{'upstream':<24} {'dtype':<9} threads {'GFLOP':>7} {'torch GFLOP/s':>14} {'best GFLOP/s':>13} {'ms':>8} ",
        end="",
    )
    print("ms / floor  ms / best floor  moved")
    for name in options.upstream or NAMES:
        upstream = harness.upstream(name, device="cpu")
        wave = 0.1 * torch.randn(options.batch, round(options.seconds * upstream.sample_rate))
        exact = upstream.encode(wave)
        for dtype in ("float32", *(["bfloat16"] if "bfloat16" in upstream.dtypes else [])):
            upstream.dtype = dtype
            change = moved(upstream.encode(wave), exact)
            for threads in options.threads or sorted({1, torch.get_num_threads()}):
                torch.set_num_threads(threads)
                row = measure(upstream, wave, options.rounds, clock)
                print(
                    f"{name:<24} {dtype:<9} {threads:>7} {row['products'] / 1e9:>7.1f} "
                    f"{row['usual rate'] / 1e9:>14.0f} "
                    f"{row['faster rate'] / 1e9:>13.0f} {1e3 * row['forward']:>8.1f} {row['over usual rate']:>11.2f} "
                    f"{row['over faster rate']:>16.2f} {change:>6.1e}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
