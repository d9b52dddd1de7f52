"""Published numbers as tables: what others have measured, and ours beside it."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import Any

from harness.export import NONE, Cell, Column, Sheet
from harness.results import describe_metric, describe_score, is_share, shown

from .reference import Beside, Kind, Published
from .table import filled, signed

PUBLISHED = (
    "What others have published, each block measured in one way. None of it is ranked with what was measured here. "
    "Where the encoder was fine-tuned, as for the numbers in the papers of SSAST and SSAMBA, it is not comparable."
)
BESIDE = (
    "Measured here beside published, of the same checkpoint. A difference is given where the protocols agree, and the "
    "interval is of our number's test clips alone."
)
_NUMBERS = {"Here", "Published", "Difference"}


def block_sheet(task: str, kind: Kind, rows: Sequence[Published]) -> Sheet:
    """One block of :func:`harness.leaderboard.reference.blocks`; a source that all share is in its notes."""
    sources = {row.source for row in rows}
    shared = f"; {min(sources)}" if len(sources) == 1 else ""
    whole = Sheet(
        title=f"{task}, {kind}",
        columns=(Column("Model"), Column(kind.metric, "%" * is_share(kind.metric), number=True), Column("Source")),
        rows=tuple((Cell(_model(row)), Cell(_value(row)), Cell(NONE if shared else row.source)) for row in rows),
        records=tuple(asdict(row) | {"checkpoints": " ".join(row.checkpoints)} for row in rows),
        notes=(f"{describe_metric(kind.metric)}{shared}.",),
    )
    return filled(whole)


def beside_sheets(pairs: Sequence[Beside]) -> list[Sheet]:
    """Pairs of :func:`harness.leaderboard.reference.beside`, a table for each task."""
    return [_beside_sheet(task, list(these)) for task, these in groupby(pairs, key=lambda pair: pair.result.task)]


def _beside_sheet(task: str, pairs: Sequence[Beside]) -> Sheet:
    names = ("Upstream", "Here", "Published", "Difference", "In our interval", "Metric", "Protocol", "Benchmark")
    whole = Sheet(
        title=f"{task}, measured here beside published",
        columns=tuple(Column(name, number=name in _NUMBERS) for name in (*names, "Source", "Remark")),
        rows=tuple(tuple(map(Cell, _texts(pair))) for pair in pairs),
        records=tuple(map(_record, pairs)),
        notes=(BESIDE,),
    )
    return filled(whole)


def _record(pair: Beside) -> dict[str, Any]:
    return {
        "upstream": pair.result.upstream,
        "protocol": pair.result.protocol,
        "metric": pair.row.metric,
        "here": pair.ours,
        "published": pair.row.value,
        "difference": pair.difference,
        "inside": pair.inside,
        "source": pair.row.source,
        "remark": pair.remark,
    }


def _model(row: Published) -> str:
    return f"{row.model} ({row.variant})" if row.variant else row.model


def _value(row: Published) -> str:
    return shown(row.value, row.metric) + (f" ± {shown(row.spread, row.metric)}" if row.spread is not None else "")


def _texts(pair: Beside) -> tuple[str, ...]:
    result, row = pair.result, pair.row
    ours = shown(pair.ours, row.metric)
    if row.metric == result.metric:
        ours = " ".join(describe_score(result))
    return (
        result.upstream,
        ours,
        _value(row),
        NONE if pair.difference is None else signed(pair.difference, row.metric),
        {True: "yes", False: "no", None: NONE}[pair.inside],
        f"{row.metric}{' in %' * is_share(row.metric)}",
        result.protocol,
        row.benchmark,
        row.source,
        pair.remark or NONE,
    )
