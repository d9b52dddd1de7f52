"""Clip recipes of published benchmarks: how each clip is cut or filled before it is encoded."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from harness.audio import Recipe
from harness.errors import UserError

WHOLE = "whole clips"


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
    return _one_length(published.get("seconds") or float(np.percentile(seconds, 95)), len(seconds))


def arch(seconds: Sequence[float], published: Mapping[str, Any]) -> Recipes:
    """Cut or filled up with zeros to the task's length; without a published one, that of its longest clip."""
    return _one_length(published.get("seconds") or float(max(seconds)), len(seconds))


def evar(seconds: Sequence[float], published: Mapping[str, Any]) -> Recipes:
    """Cut or filled up with zeros to the task's unit; without a published one, the mean of its clips.

    Where a clip trains or chooses the cut begins anywhere, drawn once; where it is scored, at its beginning.
    """
    unit = published.get("seconds") or float(np.mean(seconds))
    rng = np.random.default_rng(42)
    starts = rng.uniform(0, np.maximum(0, np.asarray(seconds) - unit))
    learnt = [Recipe(unit, round(float(start), 6), "zeros") for start in starts]
    return Recipes(learnt, [Recipe(unit, 0.0, "zeros")] * len(seconds))


def xares(seconds: Sequence[float], published: Mapping[str, Any]) -> Recipes:
    """Filled up with zeros to the longest of the sixteen neighbours that are encoded together.

    Raises:
        UserError: the task is cut into crops, which are scored one by one there.
    """
    if "crop" in published:
        raise UserError("X-ARES cuts this task's clips into crops that are scored one by one, which is not here yet")
    longest = [max(seconds[i - i % 16 : i - i % 16 + 16]) for i in range(len(seconds))]
    each = [
        Recipe(other, 0.0, "zeros") if other > own else Recipe() for own, other in zip(seconds, longest, strict=True)
    ]
    return Recipes(each, each)


def _one_length(duration: float, clips: int) -> Recipes:
    each = [Recipe(duration, 0.0, "zeros")] * clips
    return Recipes(each, each)


#: The rules by the names that protocols and results use.
RULES: dict[str, Callable[[Sequence[float], Mapping[str, Any]], Recipes]] = {
    WHOLE: whole,
    "whole clips at the task's gain, long training clips cut at random": superb,
    "cut or filled with zeros to the task's length": hear,
    "cut or filled with zeros to the task's longest clip": arch,
    "cut at random (at the head for the test) or filled with zeros to the task's unit": evar,
    "filled with zeros to the longest of sixteen neighbours": xares,
}
