"""The table of a paper: upstreams by tasks, one for each protocol."""

from collections.abc import Sequence

from harness.export import NONE, Cell, Column, Sheet
from harness.results import describe_score, higher_is_better, is_share, row
from harness.stats import LEVEL
from harness.types import Result

from .contamination import marked
from .groups import Pairs, loss, standings

_NOTE = (
    f"Scores with their {LEVEL:.0%} intervals, over test sampling. Bold: the best of a column; underlined: cannot be "
    "told apart from it (paired tests over whole groups, Holm's adjustment within the column). Results with badges are "
    "neither"
)


def overviews(results: Sequence[Result], pairs: Pairs) -> list[Sheet]:
    """One :func:`overview` for each protocol."""
    known = [marked(result) for result in results]
    protocols = sorted({result.protocol for result in known})
    return [overview([result for result in known if result.protocol == name], pairs) for name in protocols]


def overview(results: Sequence[Result], pairs: Pairs) -> Sheet:
    """Upstreams by tasks, of results under one protocol; of several results for a cell, the newest.

    The best of a column is bold, and what ties with it underlined; results with badges are shown with them, and are
    neither marked nor tested.
    """
    newest = {(r.upstream, r.task, r.metric): r for r in sorted(results, key=lambda result: result.created)}
    upstreams = sorted({upstream for upstream, *_ in newest})
    tasks = sorted({(task, metric) for _, task, metric in newest})
    badges = sorted({badge for result in newest.values() for badge in result.badges})
    marks: dict[str, tuple[bool, bool]] = {}
    for names in tasks:
        column = [newest[upstream, *names] for upstream in upstreams if (upstream, *names) in newest]
        marks |= _marks([result for result in column if not result.badges], pairs)

    def cell(result: Result | None) -> Cell:
        if result is None:
            return Cell(NONE)
        footnotes = tuple(sorted(badges.index(badge) for badge in result.badges))
        return Cell(*describe_score(result), *marks.get(result.key, (False, False)), footnotes)

    return Sheet(
        f"Protocol {results[0].protocol}",
        (Column("Upstream"), *(Column(task, _unit(metric), number=True) for task, metric in tasks)),
        tuple((Cell(name), *(cell(newest.get((name, *names))) for names in tasks)) for name in upstreams),
        tuple({"key": result.key, **row(result)} for result in newest.values()),
        tuple(badges),
        (_NOTE,),
        {"protocol": results[0].protocol},
    )


def _marks(clean: Sequence[Result], pairs: Pairs) -> dict[str, tuple[bool, bool]]:
    """Whether each result, by its key, is bold, and whether it is underlined."""
    best = min(clean, key=loss, default=None)
    places = zip(clean, standings(clean, pairs), strict=True)
    return {r.key: (r is best, r is not best and bool(place.tied_with_best)) for r, place in places}


def _unit(metric: str) -> str:
    arrow = "" if higher_is_better(metric) else " ↓"
    return f"{metric}{', %' * is_share(metric)}{arrow}"
