"""Ranking tables: pure functions from results to a data frame, Markdown and CSV."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pandas as pd

from harness.results import COLUMNS, describe_metric, describe_protocol, describe_score, higher_is_better, row, shown
from harness.types import FoldScore, Interval, Result

NONE = "–"
#: The badges of a task or a protocol, which all results of a group have unless a file lacks them, and what they say.
SHARED = {
    "leaky": "clips of one {} lie in several folds",
    "test-selected": "settings were chosen on clips that are also scored",
}
#: Of more folds than this, numbers that differ are shown as a range.
_MANY = 5


class Group(NamedTuple):
    """What results that are shown together have in common."""

    task: str
    protocol: str
    metric: str


def grouped(results: Sequence[Result]) -> dict[Group, list[Result]]:
    """Results by task, protocol and metric, each in table order.

    Clean ones come first, then those with badges of :data:`SHARED`, then those without a rank, and always the best
    first.
    """

    def place(result: Result) -> tuple[Any, ...]:
        marks = sorted(set(result.badges)) if is_ranked(result) else []
        return not is_ranked(result), marks, _loss(result), result.upstream, result.key

    groups: dict[Group, list[Result]] = {}
    for result in sorted(results, key=place):
        groups.setdefault(Group(result.task, result.protocol, result.metric), []).append(result)
    return dict(sorted(groups.items()))


def is_ranked(result: Result) -> bool:
    """Whether a result has no badge that takes its rank away: untrained, partial, or one that is unknown here."""
    return set(result.badges) <= SHARED.keys()


def ranks(group: Sequence[Result]) -> list[int | None]:
    """The rank of each result among those with the same badges; equal scores share a rank, and some have none."""

    def rank(result: Result) -> int:
        alike = (other for other in group if set(other.badges) == set(result.badges))
        return 1 + sum(_loss(other) < _loss(result) for other in alike)

    return [rank(result) if is_ranked(result) else None for result in group]


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


def ranking(group: Sequence[Result]) -> pd.DataFrame:
    """The table of one group of :func:`grouped`, one row each in the group's order, all cells text.

    A column in which no result has anything is left out.
    """
    table = pd.DataFrame([_cells(result, rank) for result, rank in zip(group, ranks(group), strict=True)])
    return table.loc[:, (table != NONE).any() | (table.columns == "Rank")]


def to_markdown(results: Sequence[Result]) -> str:
    """One table per task, protocol and metric."""
    sections = []
    for (task, protocol, _), group in grouped(results).items():
        table = ranking(group)
        rows: list[list[str]] = [[*map(str, table)], ["---"] * len(table.columns), *table.to_numpy().tolist()]
        lines = ["| " + " | ".join(map(_plain, cells)) + " |" for cells in rows]
        heading = f"## {_plain(task)}, protocol {_plain(protocol)}"
        sections.append("\n".join([heading, "", _plain(f"{about(group)} {warning(group)}"), "", *lines, ""]))
    return "\n".join(sections)


def to_csv(results: Sequence[Result]) -> str:
    """Every result as one row of plain numbers: the rank, then :data:`harness.results.COLUMNS`."""
    rows = [
        {"rank": rank} | {name: _harmless(value) for name, value in row(result).items()}
        for group in grouped(results).values()
        for result, rank in zip(group, ranks(group), strict=True)
    ]
    # As objects, since a column with a gap would turn whole numbers into fractions.
    return pd.DataFrame(rows, columns=["rank", *COLUMNS], dtype=object).to_csv(index=False, lineterminator="\n")


def _loss(result: Result) -> float:
    """The score as a number that is lower where the result is better."""
    return -result.score if higher_is_better(result.metric) else result.score


def _cells(result: Result, rank: int | None) -> dict[str, str]:
    return {
        "Rank": NONE if rank is None else str(rank),
        "Upstream": result.upstream,
        "Badges": ", ".join(result.badges) or NONE,
        "Score": " ".join(describe_score(result)),
        "Interface": result.interface,
        "Head": result.head,
        "Deviations": "; ".join(result.deviations) or NONE,
        "Chosen per fold": _chosen(result.folds),
        "Fold spread": _spread(result.fold_std, result.metric),
        "Seed spread": _spread(result.seed_std, result.metric),
        "Parameters, M": _number(result.encoder.get("parameters"), 1e6),
        "Clips/s": _number(result.cost.get("clips_per_second")),
        "Device": str(result.environment.get("device", NONE)),
        "Interval": _method(result.interval),
    }


def _spread(value: float | None, metric: str) -> str:
    return NONE if value is None else shown(value, metric)


def _number(value: Any, unit: float = 1.0) -> str:
    return f"{value / unit:,.1f}" if isinstance(value, int | float) and abs(value) < 1e15 else NONE


def _method(interval: Interval) -> str:
    method = interval.method.partition(",")[0]  # how many resamples is in the result's file
    return method if interval.low is None else f"{interval.level:.0%} {method}"


def _chosen(folds: Sequence[FoldScore]) -> str:
    """Each setting with its value in every fold, or with one value where all folds agree."""
    # A seed is a repeat, not a choice.
    names = dict.fromkeys(name for fold in folds for name in fold.chosen if name != "seed")
    return "; ".join(f"{name} {_values([f.chosen.get(name, NONE) for f in folds])}" for name in names) or NONE


def _values(values: Sequence[Any]) -> str:
    distinct = list(dict.fromkeys(map(_short, values)))
    if len(distinct) == 1:
        return distinct[0]
    if len(values) > _MANY and all(isinstance(value, int | float) for value in values):
        return f"{_short(min(values))} to {_short(max(values))}"
    return ", ".join(map(_short, values))


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _plain(text: str) -> str:
    """Text that Markdown cannot take for a table, a link, code or HTML: references carry no structure."""
    return re.sub(r"[&<>|`*\\]|\](?=\()", lambda found: f"&#{ord(found[0])};", " ".join(text.split()))


def _harmless(value: Any) -> Any:
    """A spreadsheet runs text that begins like a formula; and a line break could begin a row."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.split())
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text
