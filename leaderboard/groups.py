"""Which results are shown together, in what order, and with which rank."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, NamedTuple

from harness.results import describe_metric, describe_protocol, higher_is_better
from harness.stats import LEVEL, Paired, holm, rank_groups
from harness.types import Result

#: Tests of two results, by their keys; in either order.
Pairs = Mapping[tuple[str, str], Paired]
NO_PAIRS: Pairs = {}
#: The badges of a task or a protocol, which all results of a group have unless a file lacks them, and what they say.
SHARED = {
    "leaky": "clips of one {} lie in several folds",
    "test-selected": "settings were chosen on clips that are also scored",
}
TESTED = (
    "A rank is one more than how many results are significantly better: a paired test over whole groups at "
    f"{1 - LEVEL:.0%}, adjusted by Holm's method for the number of pairs. Underlined scores cannot be told apart from "
    "the best, which is bold."
)
UNTESTED = "Ranks are by score alone, for not every pair of results could be tested."


class Group(NamedTuple):
    """What results that are shown together have in common."""

    task: str
    protocol: str
    metric: str


class Standing(NamedTuple):
    """A rank, or None; and whether the score cannot be told apart from the best, or None where that was not tested."""

    rank: int | None
    tied_with_best: bool | None = None


def grouped(results: Sequence[Result]) -> dict[Group, list[Result]]:
    """Results by task, protocol and metric, each in table order.

    Clean ones come first, then those with badges of :data:`SHARED`, then those without a rank, and always the best
    first.
    """

    def place(result: Result) -> tuple[Any, ...]:
        marks = sorted(set(result.badges)) if is_ranked(result) else []
        return not is_ranked(result), marks, loss(result), result.upstream, result.key

    groups: dict[Group, list[Result]] = {}
    for result in sorted(results, key=place):
        groups.setdefault(Group(result.task, result.protocol, result.metric), []).append(result)
    return dict(sorted(groups.items()))


def is_ranked(result: Result) -> bool:
    """Whether a result has no badge that takes its rank away: untrained, partial, or one that is unknown here."""
    return set(result.badges) <= SHARED.keys()


def loss(result: Result) -> float:
    """The score as a number that is lower where the result is better."""
    return -result.score if higher_is_better(result.metric) else result.score


def alike(group: Sequence[Result]) -> list[list[Result]]:
    """The ranked results of a group, those with the same badges together."""
    classes: dict[frozenset[str], list[Result]] = {}
    for result in filter(is_ranked, group):
        classes.setdefault(frozenset(result.badges), []).append(result)
    return list(classes.values())


def standings(group: Sequence[Result], pairs: Pairs = NO_PAIRS) -> list[Standing]:
    """The standing of each result among those with the same badges.

    Where every pair of these was tested, only what is more than chance gives a better rank. Where some were not, ranks
    are by score alone, and equal scores share one.
    """
    found = {
        id(result): standing  # keys come from files, where two may be alike
        for these in alike(group)
        for result, standing in zip(these, _tested(these, pairs) or _by_score(these), strict=True)
    }
    return [found.get(id(result), Standing(None)) for result in group]


def rank_notes(group: Sequence[Result], pairs: Pairs) -> list[str]:
    """What the ranks of a group rest on, where some of its pairs were tested."""
    tested = [bool(_tested(these, pairs)) for these in alike(group) if tested_pairs(these, pairs)]
    return [*([TESTED] if any(tested) else []), *([UNTESTED] if not all(tested) else [])]


def tested_pairs(these: Sequence[Result], pairs: Pairs) -> list[tuple[Result, Result, Paired]]:
    """Every pair of results that was tested, and the first less the second."""
    every = ((a, b, pair(pairs, a, b)) for a, b in combinations(these, 2))
    return [(a, b, found) for a, b, found in every if found is not None]


def pair(pairs: Pairs, a: Result, b: Result) -> Paired | None:
    """The test of ``a`` less ``b``, whichever way it was made."""
    if (found := pairs.get((a.key, b.key))) is not None:
        return found
    if (turned := pairs.get((b.key, a.key))) is None:
        return None
    low, high = (None if end is None else -end for end in (turned.interval.high, turned.interval.low))
    return turned._replace(difference=-turned.difference, interval=replace(turned.interval, low=low, high=high))


def about(group: Sequence[Result]) -> str:
    """What the scores of a group are: the protocol in a line, and the metric with its unit and direction."""
    protocol = describe_protocol(group[0].protocol)
    return f"{protocol[:1].upper()}{protocol[1:]}{'. ' * bool(protocol)}Score: {describe_metric(group[0].metric)}."


def warning(group: Sequence[Result]) -> str:
    """What the badges mean, in one sentence, where every ranked result of a group has some of :data:`SHARED`."""
    ranked = [set(result.badges) for result in group if is_ranked(result)]
    if not ranked or not all(ranked):
        return ""
    leaks = sorted({leak for r in group if isinstance(leak := r.data.get("leaks"), str) and leak})
    meanings = {mark: text.format(" or one ".join(leaks) or "group") for mark, text in SHARED.items()}
    marks = [f"{mark} ({text})" for mark, text in meanings.items() if any(mark in badges for badges in ranked)]
    join = " and " if len(set(map(frozenset, ranked))) == 1 else " or "
    return f"Scores flatter here, for every ranked result is {join.join(marks)}."


def _by_score(these: Sequence[Result]) -> list[Standing]:
    return [Standing(1 + sum(loss(other) < loss(result) for other in these)) for result in these]


def _tested(these: Sequence[Result], pairs: Pairs) -> list[Standing]:
    """Empty unless every pair was tested and has a p."""
    count = len(these)
    found = tested_pairs(these, pairs)
    if count < 2 or len(found) < count * (count - 1) // 2 or any(paired.p is None for *_, paired in found):
        return []
    matrix: list[list[float | None]] = [[None] * count for _ in these]
    for (i, j), p in zip(combinations(range(count), 2), holm([paired.p for *_, paired in found]), strict=True):
        matrix[i][j] = matrix[j][i] = p
    better = higher_is_better(these[0].metric)
    ranks = rank_groups([result.score for result in these], matrix, higher_is_better=better)
    return [Standing(*rank) for rank in ranks]
