"""The paired tests behind the ranks of a table."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from harness.export import NONE, Cell, Column, Sheet
from harness.results import is_share
from harness.stats import Paired, holm
from harness.types import Interval, Result

from .groups import Group, Pairs, alike, tested_pairs
from .table import signed

#: Of more pairs than this, those with the best are shown.
_MANY = 66


class _Test(NamedTuple):
    """One less other, and its p adjusted for how many pairs there are."""

    one: Result
    other: Result
    paired: Paired
    adjusted: float | None


def pair_sheet(names: Group, group: Sequence[Result], pairs: Pairs) -> Sheet | None:
    """Every pair of ranked results that was tested, or None where there is none; of many, those with the best."""
    found = [test for these in alike(group) for test in _tests(these, pairs)]
    if not found:
        return None
    best = {id(these[0]) for these in alike(group)}
    shown = found if len(found) <= _MANY else [test for test in found if id(test.one) in best]
    left = f"Of {len(found):,} pairs, those with the best are shown." if len(shown) < len(found) else ""
    unit = "%" if is_share(names.metric) else ""
    return Sheet(
        title=f"{names.task}, protocol {names.protocol}: tests of pairs",
        columns=(
            *(Column(name) for name in ("One", "Other")),
            *(Column(name, unit, number=True) for name in ("Difference", "95 % interval")),
            *(Column(name, number=True) for name in ("p", "p by Holm")),
            Column("Test"),
        ),
        rows=tuple(_cells(test, names.metric) for test in shown),
        records=tuple(map(_record, found)),
        notes=(left,) if left else (),
    )


def _tests(these: Sequence[Result], pairs: Pairs) -> list[_Test]:
    found = tested_pairs(these, pairs)
    adjusted = holm([paired.p for *_, paired in found])
    return [_Test(*test, p) for test, p in zip(found, adjusted, strict=True)]


def _cells(test: _Test, metric: str) -> tuple[Cell, ...]:
    texts = (
        test.one.upstream,
        test.other.upstream,
        signed(test.paired.difference, metric),
        _ends(test.paired.interval, metric),
        _p(test.paired.p),
        _p(test.adjusted),
        test.paired.method,
    )
    return tuple(map(Cell, texts))


def _record(test: _Test) -> dict[str, Any]:
    return {
        "one": test.one.upstream,
        "other": test.other.upstream,
        "difference": test.paired.difference,
        "low": test.paired.interval.low,
        "high": test.paired.interval.high,
        "p": test.paired.p,
        "p_holm": test.adjusted,
        "method": test.paired.method,
    }


def _ends(interval: Interval, metric: str) -> str:
    if interval.low is None or interval.high is None:
        return NONE
    return f"[{signed(interval.low, metric)}, {signed(interval.high, metric)}]"


def _p(value: float | None) -> str:
    return NONE if value is None else f"{value:.4f}" if value >= 1e-4 else "< 0.0001"
