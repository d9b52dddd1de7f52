"""What is known of an upstream's cost before it is run: it is loaded once, and every length followed by its shapes."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any, NamedTuple

from harness.measuring import SHARE, Measuring
from harness.watch import Child, Ended
from harness.ways import Length

#: Seconds to import what an upstream needs and to load it.
LOADING = 120.0
#: Seconds to follow one forward by its shapes; what takes longer is counted when it is run.
FOLLOWING = 20.0
#: An upstream that hears less than this share of a clip in one forward has cut its end off.
HEARD = 0.9


class Curve(NamedTuple):
    """What stays the same along the lengths of an upstream."""

    upstream: str
    way: str
    attention: str

    def order(self, length: Length, batch: int) -> dict[str, Any]:
        """What a process is told of one forward."""
        return {"way": self.way, "attention": self.attention, "length": asdict(length), "batch": batch}


@dataclass
class Plan:
    """A curve, the facts of its upstream, what each length computes, and where it has ended.

    ``counts`` lack what could not be followed by its shapes; ``budget`` is what a forward may take, in bytes; ``cut``
    are the lengths that extraction cuts in windows.
    """

    curve: Curve
    facts: Mapping[str, Any] = field(default_factory=dict)
    budget: int | None = None
    cut: frozenset[Length] = frozenset()
    counts: dict[Length, Mapping[str, Any]] = field(default_factory=dict)
    ended: dict[Length, Ended] = field(default_factory=dict)

    def identity(self, length: Length, setting: Measuring) -> dict[str, Any]:
        """The fields of a point that are known before anything is run."""
        return {
            "upstream": self.facts.get("label", self.curve.upstream),
            "way": self.curve.way,
            "attention": self.curve.attention,
            "length": length,
            **{name: getattr(setting, name) for name in ("dtype", "batch", "asked", "preset", "deviations")},
            **{name: self.facts.get(name, {}) for name in ("hardware", "environment")},
        }

    def needless(self, length: Length) -> bool:
        """Whether extraction takes this length in one piece, so that the uncut point says it all."""
        return self.curve.way == "windowed" and length not in self.cut

    def hopeless(self, length: Length) -> Ended | None:
        """Why a length need not be tried, if so."""
        if length in self.ended:
            return self.ended[length]
        counted = self.counts.get(length)
        if counted and (end := cropped(self.curve, counted) or self._too_large(counted["peak_bytes"])):
            return end
        for other in sorted(self.ended):
            why = self.ended[other]
            if other.unit == length.unit and other < length and why.status in ("time", "memory"):
                return Ended("skipped", f"not tried after {other}: {why.sentence}")
        return None

    def _too_large(self, needed: int) -> Ended | None:
        if self.budget is None or needed <= self.budget:
            return None
        return Ended("memory", f"needs {needed / 1e9:.1f} GB, and {self.budget / 1e9:.1f} GB are allowed")


def cropped(curve: Curve, seen: Mapping[str, Any]) -> Ended | None:
    """That one forward drops the end of a clip, if so: its cost would pass for that of the whole."""
    if curve.way != "uncut" or seen["heard"] >= HEARD:
        return None
    return Ended("cropped", f"one forward hears only {100 * seen['heard']:.0f} % of such a clip")


def scout(name: str, lengths: Sequence[Length], setting: Measuring) -> list[Plan]:
    """The plans of an upstream: one for each way and attention, or for each way where torch's attention is not called.

    An upstream that cannot be loaded has one, which has ended at every length.
    """
    with Child(setting.host_bytes) as child:
        try:
            facts = load(child, name, lengths, setting)
        except Ended as end:
            return [Plan(Curve(name, setting.ways[0], setting.attention[0]), ended=dict.fromkeys(lengths, end))]
        cut = frozenset(length for length, is_cut in zip(lengths, facts["cut"], strict=True) if is_cut)
        kinds = setting.attention if facts["attends"] else ("own",)
        plans = [Plan(Curve(name, *each), facts, facts["budget"], cut) for each in product(setting.ways, kinds)]
        with suppress(Ended):  # what cannot be followed is counted when it is run
            for plan, length in product(plans, lengths):
                if not plan.needless(length):
                    _follow(child, plan, length, setting)
    return plans


def load(child: Child, upstream: str, lengths: Sequence[Length], setting: Measuring) -> Mapping[str, Any]:
    """Let a process load an upstream.

    Raises:
        Ended: it cannot be.
    """
    budget = None if setting.max_memory is None else int(setting.max_memory)
    order = {name: getattr(setting, name) for name in ("device", "dtype", "threads")}
    order |= {"lengths": [asdict(length) for length in lengths], "share": SHARE, "budget": budget}
    facts = child.ask("load", LOADING, upstream=upstream, **order)
    if facts["hardware"]["device"] == "cpu" and facts["budget"] is not None:
        child.allow(facts["budget"])
    return facts


def _follow(child: Child, plan: Plan, length: Length, setting: Measuring) -> None:
    try:
        order = plan.curve.order(length, setting.batch)
        plan.counts[length] = child.ask("follow", FOLLOWING, dry=True, **order)
    except Ended as end:
        if end.status == "refused":
            plan.ended[length] = end
        elif end.status != "unfollowed":
            raise
