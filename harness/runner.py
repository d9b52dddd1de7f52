"""The process of one measured point, step by step, and the figures of what it has seen."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any, final

from harness.energy import LEAST_SECONDS
from harness.measuring import Measuring
from harness.plans import Plan, cropped, load
from harness.points import COLD, Point
from harness.watch import Child, Ended
from harness.ways import Length

#: With fewer runs a 95th percentile is but the longest of them.
RUNS_FOR_P95 = 5


@final
class Runner:
    """One upstream at one length: its process lives as long as the stack, and waits while others take their turn."""

    def __init__(self, plan: Plan, length: Length, setting: Measuring, stack: ExitStack) -> None:
        self._plan, self._length, self._setting = plan, length, setting
        self._facts, self._counted = plan.facts, plan.counts.get(length, {})
        self._ended = plan.hopeless(length)
        self._child: Child | None = None
        if self._ended is None:
            self._child = stack.enter_context(Child(setting.host_bytes))
        self._first: Mapping[str, Any] = {}
        self._runs: list[Mapping[str, Any]] = []

    def attempt(self, step: str) -> None:
        """Take a step, unless an earlier one has ended the point; whatever happens in it stays in it."""
        if self._child is None or self._ended:
            return
        try:
            getattr(self, step)()
        except Ended as end:
            self._ended = self._plan.ended[self._length] = end

    def start(self) -> None:
        """Load; and count by computing what could not be followed by its shapes."""
        assert self._child is not None
        self._facts = load(self._child, self._plan.curve.upstream, [self._length], self._setting)
        if not self._counted:
            self._counted = self._ask("follow", self._setting.max_seconds, dry=False)

    def warm_up(self) -> None:
        """The first forward, which also pays for what is made once."""
        self._first = self._ask("run", self._setting.max_seconds)
        if end := cropped(self._plan.curve, self._first):
            raise end

    def once(self) -> None:
        """One timed forward, if the budget has room for one as long as the last."""
        last = (self._runs or [self._first])[-1]["seconds"]
        left = self._setting.max_seconds - sum(run["seconds"] for run in (self._first, *self._runs))
        if last <= left:
            self._runs.append(self._ask("run", self._setting.max_seconds))

    def _ask(self, order: str, seconds: float, **more: Any) -> Mapping[str, Any]:
        assert self._child is not None
        return self._child.ask(order, seconds, **self._plan.curve.order(self._length, self._setting.batch), **more)

    def point(self, mark: str) -> Point:
        """What came of it; ``mark`` is shared by the points that took turns."""
        ended = self._ended
        runs = [] if ended else self._runs or [self._first]
        remark = COLD if runs and not self._runs else ""
        return Point(
            **self._plan.identity(self._length, self._setting),
            status=ended.status if ended else "measured",
            sentence=ended.sentence if ended else remark,
            figures=known(self._facts, self._counted) | seen(runs, self._setting.batch),
            runs=tuple(run["seconds"] for run in runs),
            uncounted=self._counted.get("uncounted", {}),
            together=mark,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )


def known(facts: Mapping[str, Any], counted: Mapping[str, Any]) -> dict[str, float]:
    """The figures that no clock is needed for: numbers of things, bytes, and the seconds of loading."""
    figures = {name: facts.get(name) for name in ("parameters", "load_seconds")}
    figures |= {name: counted.get(name) for name in ("macs", "flops", "tokens", "audio_seconds")}
    figures |= {"parameters_used": counted.get("used"), "forecast_bytes": counted.get("peak_bytes")}
    figures |= {f"store_bytes_per_second {view}": size for view, size in counted.get("store", {}).items()}
    return _had(figures)


def seen(runs: Sequence[Mapping[str, Any]], batch: int) -> dict[str, float]:
    """The figures of timed forwards of a batch: seconds, bytes and joules of one, and what follows from them."""
    if not runs:
        return {}
    seconds, audio = [run["seconds"] for run in runs], runs[0]["audio_seconds"]
    median = statistics.median(seconds)
    figures = {
        "latency_median": median,
        "latency_p95": statistics.quantiles(seconds, n=20, method="inclusive")[-1]
        if len(seconds) >= RUNS_FOR_P95
        else None,
        "processor_seconds": _median_of("processor_seconds", runs),
        "clips_per_second": batch / median,
        "audio_per_second": audio and batch * audio / median,
        "real_time_factor": audio and median / (batch * audio),
        "peak_bytes": max((run["peak_bytes"] for run in runs if run["peak_bytes"] is not None), default=None),
        "baseline_bytes": runs[0]["baseline_bytes"],
        "tokens": runs[0]["tokens"],
        "joules": _joules(runs),
    }
    return _had(figures)


def _median_of(name: str, runs: Sequence[Mapping[str, Any]]) -> float | None:
    """None where a run lacks it."""
    values = [run[name] for run in runs]
    return None if None in values else statistics.median(values)


def _joules(runs: Sequence[Mapping[str, Any]]) -> float | None:
    """Of a forward, on average; None where nothing was read, or over too short a time."""
    read = [run["joules"] for run in runs if run["joules"] is not None]
    long_enough = sum(run["seconds"] for run in runs) >= LEAST_SECONDS
    return statistics.mean(read) if len(read) == len(runs) and long_enough else None


def _had(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None}
