"""What upstreams cost: every point in a fresh process, at one length in turns, within a budget of time and memory."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from uuid import uuid4

from harness.errors import UserError
from harness.events import Event, Report, silent
from harness.measuring import Measuring
from harness.paths import Length
from harness.plans import Plan, scout
from harness.points import Point, write
from harness.runner import Runner


def measure(
    upstreams: Sequence[str], lengths: Sequence[Length], setting: Measuring, report: Report = silent
) -> list[Point]:
    """Measure every upstream at every length, shortest first, and write each point as soon as it is there.

    Whatever goes wrong with an upstream ends in a point that says so, and longer lengths are not tried where a shorter
    one took too long or too much.

    Raises:
        UserError: a name is unknown, its weights cannot be had, or the results cannot be written.
    """
    from harness.registry import UpstreamSpec
    from harness.results import make_folder
    from harness.store import file_hash

    if not upstreams or not lengths:
        raise UserError("there is nothing to measure: give --upstream and --seconds or --tokens, or a --preset")
    if wrong := next((length for length in lengths if not 0 < length.value < math.inf), None):
        raise UserError(f"a clip of {wrong} cannot be measured: lengths are more than 0")
    for name in upstreams:
        UpstreamSpec.parse(name).weights(file_hash)
    make_folder(setting.results)
    ascending = sorted(set(lengths))
    plans: list[Plan] = []
    for name in dict.fromkeys(upstreams):
        report(Event("scout", f"{name}: loading, and following its shapes", {"upstream": name}))
        plans += scout(name, ascending, setting)
    points = []
    for length in ascending:
        for point in _in_turns(plans, length, setting):
            write(point, setting.results)
            report(_told(point))
            points.append(point)
    return points


def _in_turns(plans: Sequence[Plan], length: Length, setting: Measuring) -> list[Point]:
    """One length of every curve: the processes take turns, one forward each, so that what disturbs the machine disturbs
    all of them."""
    mark = uuid4().hex[:12]
    with ExitStack() as stack:
        runners = [Runner(plan, length, setting, stack) for plan in plans]
        for step in ("start", "warm_up", *["once"] * setting.repeats):
            for runner in runners:
                runner.attempt(step)
        return [runner.point(mark) for runner in runners if not runner.needless]


def _told(point: Point) -> Event:
    """One line for each point."""
    name = f"{point.upstream}, {point.way}, {point.attention}, {point.length}"
    values = {"upstream": point.upstream, "way": point.way, "attention": point.attention, "length": str(point.length)}
    if point.status != "measured":
        text = f"{name}: {point.sentence}"
        return Event("point", text, {**values, "status": point.status, "sentence": point.sentence})
    figures = point.figures
    text = f"{name}: {figures['latency_median']:.3g} s"
    if "peak_bytes" in figures:
        text += f", {figures['peak_bytes'] / 1e6:,.0f} MB"
    return Event("point", text, {**values, "status": point.status, **figures})


def of_preset(name: str, setting: Measuring) -> tuple[list[str], list[Length], Measuring]:
    """The upstreams and lengths of a preset, and the setting as the preset has it, as far as the device can.

    Raises:
        UserError: there is no such preset or device.
    """
    from harness.devices import pick_device
    from harness.presets import find_preset

    preset = find_preset(name)
    batch, deviations, tokens = preset.batch, preset.deviations, preset.tokens
    if pick_device(setting.device).type == "cpu":
        batch, tokens = 1, preset.short + preset.tokens
        deviations += (f"batch 1 instead of {preset.batch}, for a CPU",)
    lengths = [Length("tokens", float(count)) for count in tokens]
    chosen = replace(
        setting, batch=batch, ways=(preset.way,), attention=preset.attention, preset=name, deviations=deviations
    )
    return list(preset.upstreams), lengths, chosen
