"""The child process that measures: it reads orders as JSON lines and answers each with one.

``python -m harness.meter`` is run by :mod:`harness.watch`. What an upstream prints goes to standard error, so that
nothing but answers is on standard output.
"""

import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import process
from harness.errors import UserError
from harness.ways import WAYS, Length, is_cut

if TYPE_CHECKING:
    from torch import Tensor

    from harness.gauges import Gauge
    from harness.models import Upstream

#: Linux sends this process a signal when the one that started it is gone.
_PR_SET_PDEATHSIG = 1


class Meter:
    """An upstream, loaded, and what is asked of it."""

    def __init__(self) -> None:
        self._upstream: Upstream | None = None
        self._clips: Tensor | None = None
        self._baseline = 0
        self._peak: int | None = None
        self._joules: Callable[[], float] | None = None
        self._gauge: Gauge

    def load(
        self, *, upstream: str, lengths: Sequence[Mapping[str, Any]], share: float, budget: int | None, **how: Any
    ) -> dict[str, Any]:
        """Load an upstream and hear one short clip, so that its tables are made; gives what is known of it and of the
        machine, and how many bytes a forward may take: the budget, or that share of what is free.

        ``how`` has the device, the dtype and the number of threads; ``lengths`` are those that will be asked for, and
        the answer says which of them extraction would cut.
        """
        import torch

        from harness import energy, provenance
        from harness.flops import count
        from harness.gauges import Card, Processor
        from harness.registry import UpstreamSpec
        from harness.store import file_hash

        torch.manual_seed(0)
        if how["threads"] is not None:
            torch.set_num_threads(how["threads"])
        spec = UpstreamSpec.parse(upstream)
        weights = spec.weights(file_hash)
        begin = time.perf_counter()
        loaded = self._upstream = spec.load(weights, how["device"], how["dtype"])
        seconds = time.perf_counter() - begin
        short = 0.1 * torch.randn(1, loaded.shortest)
        heard = count(lambda: WAYS["uncut"].forward(loaded, short), dry=False)
        where = loaded.device.type
        self._joules = energy.counter(where)
        self._gauge = Card() if where == "cuda" else Processor()
        return {
            "label": spec.label,
            "load_seconds": seconds,
            "parameters": loaded.parameters,
            "attends": heard.attends,
            "cut": [is_cut(loaded, Length(**length)) for length in lengths],
            "budget": self._gauge.bound(share, budget),
            "hardware": provenance.hardware(where),
            "environment": provenance.environment(where),
        }

    def follow(self, *, way: str, attention: str, length: Mapping[str, Any], batch: int, dry: bool) -> dict[str, Any]:
        """Count what a forward computes, by its shapes alone if it is ``dry``; and what is known of the clips."""
        from harness.attention import attending
        from harness.flops import count

        upstream, asked = self._loaded(), Length(**length)
        heard = 0

        def forward() -> None:
            nonlocal heard
            heard = WAYS[way].forward(upstream, WAYS[way].clips(upstream, asked, batch))

        with attending(attention):
            counted = count(forward, dry=dry)
        return {**asdict(counted), "macs": counted.macs, **self._about(way, asked, heard)}

    def run(self, *, way: str, attention: str, length: Mapping[str, Any], batch: int) -> dict[str, Any]:
        """Time one forward; gives its seconds, on a CPU those that its threads worked, the most memory that the first
        took, and its joules where they can be read."""
        from harness.attention import attending

        upstream = self._loaded()
        if self._clips is None:
            self._clips = WAYS[way].clips(upstream, Length(**length), batch)
            self._baseline = self._gauge.used()
        clips, forward = self._clips, WAYS[way].forward
        with attending(attention):
            self._gauge.prepare(lambda: forward(upstream, clips), self._peak or 0)
            self._gauge.begin()
            before = self._joules() if self._joules else None
            begin, worked = time.perf_counter(), time.process_time()
            tokens = forward(upstream, clips)
            self._gauge.wait()
            seconds, worked = time.perf_counter() - begin, time.process_time() - worked
        joules = None if self._joules is None or before is None else self._joules() - before
        if self._peak is None and (most := self._gauge.most()) is not None:
            self._peak = max(0, most - self._baseline)
        self._gauge.give_back()
        return {
            "seconds": seconds,
            "processor_seconds": None if upstream.device.type == "cuda" else worked,
            "joules": joules,
            "baseline_bytes": self._baseline,
            "peak_bytes": self._peak,
            **self._about(way, Length(**length), tokens),
        }

    def _about(self, way: str, length: Length, tokens: int) -> dict[str, Any]:
        """What the clips were: their tokens, their seconds where they have any, and what storing them takes."""
        from harness.views import View

        upstream = self._loaded()
        if way == "image":
            return {"tokens": tokens, "audio_seconds": None, "heard": 1.0, "store": {}}
        seconds = length.samples(upstream) / upstream.sample_rate
        views = (upstream.view, "frames[all]:float16")
        due = None if upstream.frame_rate is None else float(seconds * upstream.frame_rate) * upstream.tokens_per_frame
        return {
            "tokens": tokens,
            "audio_seconds": seconds,
            "heard": 1.0 if due is None else (tokens + upstream.tokens_per_frame) / due,
            "store": {view: View.parse(view).bytes(upstream, seconds) / seconds for view in views},
        }

    def _loaded(self) -> "Upstream":
        assert self._upstream is not None, "the first order is to load"
        return self._upstream


def answer(meter: Meter, order: Mapping[str, Any]) -> dict[str, Any]:
    """Do as one order says. What cannot be had is an answer; any other error ends the process with its traceback."""
    told = {name: value for name, value in order.items() if name != "do"}
    try:
        return {"done": getattr(meter, order["do"])(**told)}
    except UserError as error:
        return {"refused": str(error)}
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            if order.get("dry"):  # not every network can be followed by its shapes
                return {"unfollowed": f"{type(error).__name__}: {error}".partition("\n")[0]}
            raise
        return {"memory": str(error).partition("\n")[0]}


def _is_memory(error: MemoryError | RuntimeError) -> bool:
    import torch

    full = (MemoryError, torch.OutOfMemoryError)
    return isinstance(error, full) or "can't allocate memory" in str(error)


def _go_first() -> None:
    """Should the kernel have to kill a process for memory, then this one; and end with whoever started it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def main() -> None:
    """Answer until there are no more orders."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _go_first()
    process.wait_briefly()
    importlib.import_module("harness.flops")  # and torch with it, while others that take turns load
    meter = Meter()
    for line in sys.stdin:
        print(json.dumps(answer(meter, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
