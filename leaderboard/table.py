"""Ranking tables: pure functions from results to sheets, which are then Markdown, CSV, LaTeX or part of a page."""

from collections.abc import Container, Sequence
from dataclasses import replace
from typing import Any

from harness.export import NONE, Cell, Column, Sheet
from harness.results import describe_score, row, shown
from harness.types import FoldScore, Interval, Result

from .contamination import training_notes
from .groups import (
    NO_PAIRS,
    Group,
    Pairs,
    Standing,
    about,
    alike,
    grouped,
    rank_notes,
    standings,
    warning,
)

#: Of more folds than this, numbers that differ are shown as a range.
_MANY = 5
_NUMBERS = {"Rank", "Score", "Fold spread", "Seed spread", "Parameters, M", "Clips/s"}


def sheets(results: Sequence[Result], pairs: Pairs = NO_PAIRS) -> list[Sheet]:
    """One table per task, protocol and metric."""
    return [sheet(names, group, pairs) for names, group in grouped(results).items()]


def sheet(names: Group, group: Sequence[Result], pairs: Pairs = NO_PAIRS) -> Sheet:
    """The table of one group of :func:`harness.leaderboard.groups.grouped`, in the group's order.

    A column in which no result has anything is left out. Its records are the rank, whether the score cannot be told
    apart from the best, and :data:`harness.results.COLUMNS`.
    """
    places = standings(group, pairs)
    best = {id(these[0]) for these in alike(group)}
    rows = [_cells(result, standing, id(result) in best) for result, standing in zip(group, places, strict=True)]
    whole = Sheet(
        title=f"{names.task}, protocol {names.protocol}",
        columns=tuple(Column(name, number=name in _NUMBERS) for name in rows[0]),
        rows=tuple(tuple(cells.values()) for cells in rows),
        records=tuple(standing._asdict() | row(result) for result, standing in zip(group, places, strict=True)),
        notes=tuple(filter(None, (about(group), warning(group), *rank_notes(group, pairs), *training_notes(group)))),
        facts=names._asdict(),
    )
    return filled(whole, but={"Rank"})


def filled(sheet: Sheet, *, but: Container[str] = ()) -> Sheet:
    """The sheet without the columns in which no row has anything, ``but`` for some."""
    kept = [
        i
        for i, column in enumerate(sheet.columns)
        if column.name in but or any(row[i].text != NONE for row in sheet.rows)
    ]
    rows = tuple(tuple(row[i] for i in kept) for row in sheet.rows)
    return replace(sheet, columns=tuple(sheet.columns[i] for i in kept), rows=rows)


def signed(value: float, metric: str) -> str:
    """A difference of two values of a metric, as :func:`harness.results.shown` shows them."""
    return f"{'+' * (value > 0)}{shown(value, metric)}"


def _cells(result: Result, standing: Standing, best: bool) -> dict[str, Cell]:
    score, interval = describe_score(result)
    tied = bool(standing.tied_with_best)
    texts = {
        "Rank": NONE if standing.rank is None else str(standing.rank),
        "Upstream": result.upstream,
        "Badges": ", ".join(result.badges) or NONE,
        "Score": score,
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
    cells = {name: Cell(text) for name, text in texts.items()}
    return cells | {"Score": Cell(score, interval, bold=tied and best, underlined=tied and not best)}


def _spread(value: float | None, metric: str) -> str:
    return NONE if value is None else shown(value, metric)


def _number(value: Any, unit: float = 1.0) -> str:
    return f"{value / unit:,.1f}" if isinstance(value, int | float) and abs(value) < 1e15 else NONE


def _method(interval: Interval) -> str:
    method = interval.method.partition(", ")[0]  # how many resamples is in the result's file
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
