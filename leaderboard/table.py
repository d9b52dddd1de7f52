"""Ranking tables: pure functions from results to a data frame, Markdown and CSV."""

import re
from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.results import COLUMNS, row
from harness.types import FoldScore, Interval, Result

NONE = "–"


def grouped(results: Sequence[Result]) -> dict[tuple[str, str], list[Result]]:
    """Results by task and protocol, each in table order: clean ones by falling score, then badged ones."""
    ordered = sorted(results, key=lambda r: (r.task, r.protocol, bool(r.badges), -r.score, r.upstream, r.key))
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in ordered:
        groups.setdefault((result.task, result.protocol), []).append(result)
    return groups


def ranks(group: Sequence[Result]) -> list[int | None]:
    """The rank of each result among the clean ones; equal scores share a rank, badged results have none."""
    clean = [result.score for result in group if not result.badges]
    return [None if r.badges else 1 + sum(score > r.score for score in clean) for r in group]


def ranking(group: Sequence[Result]) -> pd.DataFrame:
    """The table of one group of :func:`grouped`, one row each in the group's order, all cells text."""
    return pd.DataFrame([_cells(result, rank) for result, rank in zip(group, ranks(group), strict=True)])


def to_markdown(results: Sequence[Result]) -> str:
    """One table per task and protocol."""
    sections = []
    for (task, protocol), group in grouped(results).items():
        table = ranking(group)
        rows: list[list[str]] = [[*map(str, table)], ["---"] * len(table.columns), *table.to_numpy().tolist()]
        lines = ["| " + " | ".join(map(_plain, cells)) + " |" for cells in rows]
        sections.append("\n".join([f"## {_plain(task)}, protocol {_plain(protocol)}", "", *lines, ""]))
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


def _cells(result: Result, rank: int | None) -> dict[str, str]:
    return {
        "Rank": NONE if rank is None else str(rank),
        "Upstream": result.upstream,
        "Badges": ", ".join(result.badges),
        "Score, %": f"{_number(result.score, 0.01)} {_interval(result.interval)}",
        "Interface": result.interface,
        "Head": result.head,
        "Chosen per fold": _chosen(result.folds),
        "Fold spread, %": _number(result.fold_std, 0.01),
        "Parameters, M": _number(result.encoder.get("parameters"), 1e6),
        "Clips/s": _number(result.cost.get("clips_per_second")),
        "Device": str(result.environment.get("device", NONE)),
        "Interval": _method(result.interval),
    }


def _number(value: Any, unit: float = 1.0) -> str:
    return f"{value / unit:,.1f}" if isinstance(value, int | float) else NONE


def _interval(interval: Interval) -> str:
    ends = f"[{_number(interval.low, 0.01)}, {_number(interval.high, 0.01)}]"
    return "no interval" if interval.low is None else ends


def _method(interval: Interval) -> str:
    method = interval.method.partition(",")[0]  # how many resamples is in the result's file
    return method if interval.low is None else f"{interval.level:.0%} {method}"


def _chosen(folds: Sequence[FoldScore]) -> str:
    """Each setting with its value in every fold, or with one value where all folds agree."""
    parts = []
    # A seed is a repeat, not a choice.
    for name in dict.fromkeys(name for fold in folds for name in fold.chosen if name != "seed"):
        values = [_short(fold.chosen.get(name, NONE)) for fold in folds]
        parts.append(f"{name} {', '.join(values if len(set(values)) > 1 else values[:1])}")
    return "; ".join(parts) or NONE


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
