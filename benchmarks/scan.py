"""How far the selective scan is from the processor's arithmetic, and from the plain way.

Taken in turn in one process, medians over the rounds:

* limit: nine multiplications or multiply-adds for each state (step times rate, five of the exponential, decay, input,
  output), done as independent multiply-adds in registers and the first-level cache. The six additions and shifts that
  come with them are left out: most processors do them at the same time;
* scan: the real thing, by compiled kernels on as many threads as torch has;
* exp: torch.exp of as many numbers, which a scan in torch cannot do without, and the same into memory that is kept;
* torch: the scan without numba, in fewer rounds.

Then the length grows, at one clip: time for each frame, and memory beyond inputs and output. From there on the process
keeps what it frees, as harness does: otherwise malloc asks the kernel for fresh pages for every output beyond 32 MB,
and those cost more than the scan.

    python benchmarks/scan.py --rounds 9

On a GPU (``--device cuda``) the floor is memory: u, delta, gate and y, each moved once, at the rate of a large copy in
the same run. Times are the GPU's own, its queue being kept full; what the processor needs to launch a scan is a column
of its own. Beside our kernels are the scan in torch, in the chunks that a GPU would take, and mamba-ssm's kernel where
the package is installed, with the transposes that it asks for.
"""

import argparse
import importlib.util
import math
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numba
import torch

from harness import process
from harness.upstreams._kernels import OPTIONS, Array
from harness.upstreams._scan import Scan, scan_in_chunks, selective_scan, triton_kernels
from harness.upstreams._threads import share

STATES, MULTIPLICATIONS, DEGREE = 16, 9, 8
LENGTHS = (2_048, 9_375, 18_750, 37_500, 75_000)
COPIED = 1 << 28  # numbers


@numba.njit(**OPTIONS)  # type: ignore[untyped-decorator]
def polynomials(x: Array, y: Array, repeats: int) -> None:
    """Polynomials of degree eight, all independent."""
    for _ in range(repeats):
        for i in range(len(x)):
            v = x[i]
            p = v * v + x[0]
            p = ((((((p * v + v) * v + v) * v + v) * v + v) * v + v) * v + v) * v + v
            y[i] = p


def limit(states: int) -> Callable[[], None]:
    """As many multiply-adds as that many states need, shared by all threads."""
    threads, size = torch.get_num_threads(), 1024
    repeats = round(MULTIPLICATIONS * states / DEGREE / size / threads)
    places = [(torch.rand(size).numpy(), torch.empty(size).numpy()) for _ in range(threads)]
    return lambda: share(lambda i: polynomials(*places[i], repeats), threads)


def draw(clips: int, frames: int, width: int) -> Scan:
    """Rates that are no one's multiples, steps and inputs as in a network."""
    delta = torch.nn.functional.softplus(torch.randn(clips, frames, width) - 2)
    b, c = torch.randn(2, clips, frames, STATES)
    return Scan(
        torch.randn(clips, frames, width), delta, -torch.exp(torch.randn(width, STATES)), b, c, torch.ones(width)
    )


def seconds(way: Callable[[], object], clock: Callable[[], float]) -> float:
    begin = clock()
    way()
    return clock() - begin


def extra_memory(way: Callable[[], torch.Tensor]) -> float:
    """Megabytes that are taken while something runs beyond its result; of Linux."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from now on
    before = peak()
    size = way().nbytes / 2**20
    return max(0.0, peak() - before - size)


def peak() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**10


class Gpu:
    """The GPU's own time and memory."""

    def __init__(self, rounds: int) -> None:
        self.rounds = rounds
        self.numbers, self.copy = torch.rand(COPIED, device="cuda"), torch.empty(COPIED, device="cuda")
        self.rate = 2 * self.numbers.nbytes / self.seconds(lambda: self.copy.copy_(self.numbers))  # bytes a second

    def seconds(self, way: Callable[[], object], repeats: int = 8) -> float:
        """The median of a few calls in a row, behind copies that keep the GPU busy until all are in its queue."""
        way()  # compiles
        took: list[float] = []
        for _ in range(self.rounds):
            for _ in range(16):
                self.copy.copy_(self.numbers)
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(repeats):
                way()
            end.record()
            torch.cuda.synchronize()
            took.append(begin.elapsed_time(end) / repeats)
        return 1e-3 * statistics.median(took)

    def launch(self, way: Callable[[], object]) -> float:
        """Seconds until a call returns, whose work the GPU has yet to do."""
        torch.cuda.synchronize()
        took = statistics.median(seconds(way, time.perf_counter) for _ in range(self.rounds))
        torch.cuda.synchronize()
        return took

    def extra_memory(self, way: Callable[[], torch.Tensor]) -> float:
        """Megabytes that are taken while something runs beyond its result."""
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        size = way().nbytes
        return (torch.cuda.max_memory_allocated() - before - size) / 2**20


def on_gpu(clips: int, frames: int, width: int, rounds: int) -> None:
    gpu, kernels = Gpu(rounds), triton_kernels(torch.device("cuda", torch.cuda.current_device()))
    if kernels is None:
        raise SystemExit("there are no kernels of Triton for this device")

    def drawn(clips: int, frames: int) -> Scan:
        return Scan(*(x.cuda() for x in draw(clips, frames, width)[:6]))

    scan, gate = drawn(clips, frames), torch.randn(clips, frames, width, device="cuda")
    softplus = scan._replace(bias=torch.zeros(width, device="cuda"))
    both = [softplus, drawn(clips, frames)._replace(bias=softplus.bias, reverse=True)]
    chunks = math.isqrt(frames)
    ways: dict[str, tuple[int, int, Callable[[], torch.Tensor]]] = {  # tensors as large as u, and calls in a row
        "scan": (3, 8, lambda: kernels.scan([scan], None)),
        "scan, softplus, gate": (4, 8, lambda: kernels.scan([softplus], gate)),
        "both directions, gate": (6, 8, lambda: kernels.scan(both, gate)),
        "scan in torch": (3, 1, lambda: scan_in_chunks(scan, chunks)),
    }
    if importlib.util.find_spec("mamba_ssm"):
        ways["scan by mamba-ssm"] = 3, 8, lambda: selective_scan(scan)

    wanted = scan_in_chunks(scan, chunks)
    error = float((kernels.scan([scan], None) - wanted).abs().max() / wanted.abs().max())
    print(f"{torch.cuda.get_device_name()}, {gpu.rate / 1e9:.0f} GB/s, {clips} x {frames} x {width} x {STATES}")
    print(f"scan and scan in torch differ by {error:.1e} of the largest output\n")
    print(f"{'':22} {'us':>9} {'floor us':>9} {'us / floor':>10} {'launch us':>10}")
    for name, (tensors, calls, way) in ways.items():
        took, floor = gpu.seconds(way, calls), tensors * scan.u.nbytes / gpu.rate
        print(f"{name:22} {1e6 * took:9.1f} {1e6 * floor:9.1f} {took / floor:10.2f} {1e6 * gpu.launch(way):10.1f}")

    print(f"\none clip, width {width}:\n{'frames':>8} {'us':>9} {'us / floor':>10} {'us/frame':>9} {'extra MB':>9}")
    for frames in LENGTHS:
        scan = drawn(1, frames)
        took, floor = gpu.seconds(ways["scan"][2]), 3 * scan.u.nbytes / gpu.rate
        extra = gpu.extra_memory(ways["scan"][2])
        print(f"{frames:8} {1e6 * took:9.1f} {took / floor:10.2f} {1e6 * took / frames:9.3f} {extra:9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--clips", type=int, default=8)
    parser.add_argument("--frames", type=int, default=2048)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--rounds", type=int, default=9, help="rounds (default: 9)")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's choice)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--cpu", action="store_true", help="processor time of all threads, for a busy machine")
    options = parser.parse_args()
    if options.device == "cuda":
        with torch.inference_mode():
            on_gpu(options.clips, options.frames, options.width, options.rounds)
        return
    clock = time.process_time if options.cpu else time.perf_counter
    if options.threads:
        torch.set_num_threads(options.threads)
    scan = draw(options.clips, options.frames, options.width)
    count = scan.u.numel() * STATES
    numbers, kept = -torch.rand(count), torch.empty(count)
    ways: dict[str, Callable[[], object]] = {
        "limit": limit(count),
        "scan": lambda: selective_scan(scan),
        "exp": lambda: torch.exp(numbers),
        "exp, memory kept": lambda: torch.exp(numbers, out=kept),
    }
    rows = []
    for i in range(options.rounds + 1):
        row = {name: seconds(way, clock) for name, way in ways.items()}
        rows += [row] if i else []  # the first warms up
    plain = statistics.median(seconds(lambda: scan_in_chunks(scan, 1), clock) for _ in range(3))

    shape = f"{options.clips} x {options.frames} x {options.width} x {STATES}"
    rate = MULTIPLICATIONS * count / statistics.median(row["limit"] for row in rows)
    print(f"{shape}, {torch.get_num_threads()} threads, {options.rounds} rounds, {rate / 1e9:.0f} G multiply-adds/s")
    for name in rows[0]:
        ratio = statistics.median(row["scan"] / row[name] for row in rows)
        print(f"{name:18} {1e3 * statistics.median(row[name] for row in rows):9.1f} ms   scan / it {ratio:6.3f}")
    scanned = statistics.median(row["scan"] for row in rows)
    print(f"{'torch':18} {1e3 * plain:9.1f} ms   scan / it {scanned / plain:6.3f}")

    process.keep_freed()
    print(f"\none clip, width {options.width}:\n{'frames':>8} {'ms':>8} {'us/frame':>9} {'extra MB':>9}")
    for frames in LENGTHS:
        way = partial(selective_scan, draw(1, frames, options.width))
        way()
        took = statistics.median(seconds(way, clock) for _ in range(options.rounds))
        extra = f"{extra_memory(way):9.1f}" if Path("/proc/self/clear_refs").exists() else ""
        print(f"{frames:8} {1e3 * took:8.1f} {1e6 * took / frames:9.3f} {extra}")


if __name__ == "__main__":
    main()
