"""What upstreams cost: every point in a fresh process, at one length in turns, within a budget of time and memory."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

from harness.errors import UserError
from harness.events import Event, Report, silent
from harness.measuring import Measuring
from harness.plans import Plan, scout
from harness.points import Point, read_all, write
from harness.runner import Runner
from harness.watch import Ended
from harness.ways import Length

#: What lets a preset end on a CPU within the hour, unless it is given.
CPU_PRESET = {"batch": 1, "repeats": 5, "max_seconds": 30.0}


def measure(
    upstreams: Sequence[str], lengths: Sequence[Length], setting: Measuring, report: Report = silent
) -> list[Point]:
    """Measure every upstream at every length, shortest first, and write each point as soon as it is there.

    Whatever goes wrong with an upstream ends in a point that says so, and longer lengths are not tried where a shorter
    one took too long or too much.

    Raises:
        UserError: a name is unknown, its weights cannot be had, or the results cannot be written, or to resume, read.
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
    held = read_all(setting.results) if setting.resume else []
    ascending = sorted(set(lengths))
    plans: list[Plan] = []
    for name in dict.fromkeys(upstreams):
        report(Event("scout", f"{name}: loading, and following its shapes", {"upstream": name}))
        plans += scout(name, ascending, setting)
    _know_the_machine(plans)
    points = []
    for length in ascending:
        kept = _kept(plans, length, setting, held)
        for point in kept or _in_turns(plans, length, setting):
            if not kept:
                write(point, setting.results)
            report(_told(point))
            points.append(point)
    return points


def _kept(plans: Sequence[Plan], length: Length, setting: Measuring, held: Sequence[Point]) -> list[Point]:
    """The points of a length, if all are held and took turns with each other; what has ended there ends its curve."""
    wanted = [(plan, plan.identity(length, setting)) for plan in plans if not plan.needless(length)]
    found = [
        (plan, point)
        for plan, identity in wanted
        for point in held
        if all(getattr(point, name) == value for name, value in identity.items())
    ]
    if len(found) < len(wanted) or len({point.together for _, point in found}) > 1:
        return []
    for plan, point in found:
        if point.status != "measured":
            plan.ended[length] = Ended(point.status, point.sentence)
    return [point for _, point in found]


def _know_the_machine(plans: Sequence[Plan]) -> None:
    """What failed to load has run on the same machine as the others."""
    known = next((plan.facts for plan in plans if plan.facts), {})
    for plan in plans:
        if not plan.facts:
            plan.facts = {name: known[name] for name in ("hardware", "environment") if name in known}


def _in_turns(plans: Sequence[Plan], length: Length, setting: Measuring) -> list[Point]:
    """One length of every curve: the processes take turns, one forward each, so that what disturbs the machine disturbs
    all of them."""
    mark = uuid4().hex[:12]
    with ExitStack() as stack:
        runners = [Runner(plan, length, setting, stack) for plan in plans if not plan.needless(length)]
        for step in ("start", "warm_up", *["once"] * setting.repeats):
            for runner in runners:
                runner.attempt(step)
        return [runner.point(mark) for runner in runners]


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


def of_preset(name: str, given: Mapping[str, Any]) -> tuple[list[str], list[Length], Measuring]:
    """The upstreams and lengths of a preset, and its setting as far as the device can; what is ``given`` replaces it,
    and is told as a deviation.

    Raises:
        UserError: there is no such preset or device, or a setting that cannot be.
    """
    from harness.devices import pick_device
    from harness.presets import find_preset

    preset = find_preset(name)
    own = {"batch": preset.batch, "attention": preset.attention, "dtype": "float32"}
    told, tokens = list(preset.deviations), preset.tokens
    if pick_device(given.get("device", "auto")).type == "cpu":
        tokens = preset.short + tokens
        given = {**CPU_PRESET, **given}
    told += [
        f"{what} {given[what]} instead of {own[what]}"
        for what in ("batch", "dtype")
        if given.get(what, own[what]) != own[what]
    ]
    setting = Measuring(**{**own, **given, "ways": (preset.way,), "preset": name, "deviations": tuple(told)})
    return list(preset.upstreams), [Length("tokens", float(count)) for count in tokens], setting
