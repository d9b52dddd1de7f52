"""Clip recipes of published benchmarks: how each clip is cut or filled before it is encoded."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.audio import Recipe
from harness.errors import UserError

WHOLE = "whole"


class Recipes(NamedTuple):
    """One recipe per clip, as it is heard where it trains or chooses, and where it is scored."""

    learnt: Sequence[Recipe]
    scored: Sequence[Recipe]


def whole(seconds: Sequence[float], published: Mapping[str, Any]) -> Recipes:
    """Every clip as it is."""
    each = [Recipe()] * len(seconds)
    return Recipes(each, each)


def superb(seconds: Sequence[float], published: Mapping[str, Any]) -> Recipes:
    """Whole clips at the task's gain; where the task has a crop, longer ones that train are cut at random, once."""
    gain, crop = published.get("gain", 0.0), published.get("crop")
    whole = [Recipe(gain=gain)] * len(seconds)
    if crop is None:
        return Recipes(whole, whole)
    starts = np.random.default_rng(0).uniform(0, np.maximum(0, np.asarray(seconds) - crop))
    cut = [Recipe(crop, round(float(start), 6), gain=gain) for start in starts]
    return Recipes([c if own > crop else w for own, c, w in zip(seconds, cut, whole, strict=True)], whole)


def hear(seconds: Sequence[float], published: Mapping[str, Any]) -> Recipes:
    """Cut or filled up with zeros to the task's length; without a published one, the 95th percentile of its clips."""
    return _one_length(published.get("seconds") or float(np.percentile(seconds, 95)), seconds)


def arch(seconds: Sequence[float], published: Mapping[str, Any]) -> Recipes:
    """Cut or filled up with zeros to the task's length; without a published one, that of its longest clip."""
    return _one_length(published.get("seconds") or float(max(seconds)), seconds)


def evar(seconds: Sequence[float], published: Mapping[str, Any]) -> Recipes:
    """Cut or filled up with zeros to the task's unit; without a published one, the mean of its clips.

    Where a clip trains or chooses the cut begins anywhere, drawn once; where it is scored, at its beginning.
    """
    unit = published.get("seconds") or float(np.mean(seconds))
    rng = np.random.default_rng(42)
    starts = rng.uniform(0, np.maximum(0, np.asarray(seconds) - unit))
    learnt = [_fitted(own, unit, round(float(start), 6)) for own, start in zip(seconds, starts, strict=True)]
    return Recipes(learnt, [_fitted(own, unit) for own in seconds])


def xares(seconds: Sequence[float], published: Mapping[str, Any]) -> Recipes:
    """Filled up with zeros to the longest of the sixteen neighbours that are encoded together.

    Raises:
        UserError: the task is cut into crops, which are scored one by one there.
    """
    if "crop" in published:
        raise UserError("X-ARES cuts this task's clips into crops that are scored one by one, which is not here yet")
    longest = [max(seconds[i - i % 16 : i - i % 16 + 16]) for i in range(len(seconds))]
    each = [_fitted(own, other) for own, other in zip(seconds, longest, strict=True)]
    return Recipes(each, each)


def _one_length(duration: float, seconds: Sequence[float]) -> Recipes:
    each = [_fitted(own, duration) for own in seconds]
    return Recipes(each, each)


def _fitted(own: float, duration: float, offset: float = 0.0) -> Recipe:
    """Cut or filled to a length; a clip that has it already is left whole, so that it is encoded but once."""
    # A mean of equal lengths is off by a rounding; a microsecond is less than half a sample at any rate.
    return Recipe() if abs(own - duration) < 1e-6 else Recipe(duration, offset, "zeros")


class Way(NamedTuple):
    """A rule, and what it does in a few words."""

    rule: Callable[[Sequence[float], Mapping[str, Any]], Recipes]
    summary: str


#: The rules by the names that protocols use.
RULES: dict[str, Way] = {
    WHOLE: Way(whole, "whole clips"),
    "superb": Way(superb, "whole clips at the task's gain; where it has a crop, those not scored are cut"),
    "hear": Way(hear, "cut or filled with zeros to the task's length"),
    "arch": Way(arch, "cut or filled with zeros to the task's longest clip"),
    "evar": Way(evar, "cut to the task's unit at random, for the test at the head; short ones filled with zeros"),
    "xares": Way(xares, "filled with zeros to the longest of sixteen neighbours"),
}
