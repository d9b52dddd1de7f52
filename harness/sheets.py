"""Results and comparisons as tables, for the terminal and for :mod:`harness.export`."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from harness.compare import Comparison, Row
from harness.export import NONE, Cell, Column, Sheet
from harness.results import describe_metric, describe_score, higher_is_better, row, shown
from harness.types import Result

TIME = "Time: of encoding a clip, where one machine has measured both"


def of_comparison(found: Comparison) -> Sheet:
    """Two upstreams, one row for each task and protocol.

    The better score is bold; the other is underlined where the two cannot be told apart.
    """
    columns = (
        Column("Task"),
        Column("Metric"),
        Column(found.a, number=True),
        Column(found.b, number=True),
        Column("Difference", "95 % interval", number=True),
        Column("p", "Holm", number=True),
        Column("Time", "a / b", number=True),
    )
    protocols = {each.a.protocol for each in found.rows}
    notes = (
        f"Difference: {found.a} less {found.b}. {_verdict(found)}",
        "Bold: the better score; underlined: cannot be told apart from it "
        f"(paired test over whole groups, Holm's adjustment over {sum(r.p is not None for r in found.rows)} tests)",
        *([TIME] if any(each.times is not None for each in found.rows) else []),
        *found.remarks,
    )
    methods = list(dict.fromkeys(each.paired.method for each in found.rows if each.paired))
    return Sheet(
        f"{found.a} and {found.b}" + (f", protocol {protocols.pop()}" if len(protocols) == 1 else ""),
        columns,
        tuple(_row(each, methods, len({r.a.protocol for r in found.rows}) > 1) for each in found.rows),
        tuple(map(_record, found.rows)),
        tuple(f"p by {method}" if not method.startswith("none") else f"p {method}" for method in methods),
        notes,
        {"a": found.a, "b": found.b},
    )


def of_results(results: Sequence[Result]) -> Sheet:
    """One row for each result."""
    columns = (
        Column("Key"),
        Column("Task"),
        Column("Upstream"),
        Column("Protocol"),
        Column("Metric"),
        Column("Score", "95 % interval", number=True),
        Column("Badges"),
        Column("Created"),
    )
    rows = []
    for each in results:
        score, interval = describe_score(each)
        texts = (each.key[:8], each.task, each.upstream, each.protocol, each.metric)
        marks, day = ", ".join(each.badges) or NONE, each.created[:10]
        rows.append((*map(Cell, texts), Cell(score, interval), Cell(marks), Cell(day)))
    return Sheet("Results", columns, tuple(rows), tuple({"key": each.key, **row(each)} for each in results))


def facts(result: Result) -> dict[str, str]:
    """What a person wants to know of one result, by name."""
    score, interval = describe_score(result)
    tried = Counter(each.split for each in result.candidates)
    spreads = {"folds": result.fold_std, "seeds": result.seed_std}
    return {
        "key": result.key,
        "upstream": result.upstream,
        "task": result.task,
        "protocol": result.protocol,
        "interface, head": f"{result.interface}, {result.head}",
        "score": f"{score} {interval} ({describe_metric(result.metric)})",
        "interval": result.interval.method,
        **{f"spread over {of}": shown(value, result.metric) for of, value in spreads.items() if value is not None},
        "metrics": ", ".join(f"{name} {shown(value, name)}" for name, value in result.metrics.items()),
        "badges": ", ".join(result.badges),
        "deviations": "; ".join(result.deviations),
        "settings tried": f"{sum(tried.values()):,} on {len(tried)} split(s)",
        **{
            f"tested on {', '.join(fold.test)}": f"{shown(fold.score, result.metric)}, chosen "
            + ", ".join(f"{name} {value}" for name, value in fold.chosen.items())
            for fold in result.folds
        },
        **{name: _told(getattr(result, name)) for name in ("data", "method", "encoder", "cost", "environment")},
        "created": result.created,
    }


def _told(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items() if value not in ("", None, [], {}, ()))


def _verdict(found: Comparison) -> str:
    counts = Counter(each.better for each in found.rows)
    told = f"{found.a} is better on {counts['a']}, {found.b} on {counts['b']}"
    return f"Of {len(found.rows)} comparisons, {told}, and {counts['']} cannot be told apart"


def _row(each: Row, methods: Sequence[str], several: bool) -> tuple[Cell, ...]:
    metric, p = each.a.metric, each.p
    ahead = each.difference if higher_is_better(metric) else -each.difference
    scores = [
        Cell(*describe_score(side), bold=lead > 0, underlined=lead < 0 and not each.better)
        for side, lead in ((each.a, ahead), (each.b, -ahead))
    ]
    marks = (methods.index(each.paired.method),) if each.paired and len(methods) > 1 else ()
    return (
        Cell(each.a.task, f"({each.a.protocol})" if several else ""),
        Cell(metric + ("" if higher_is_better(metric) else " ↓")),
        *scores,
        Cell(f"{'+' * (each.difference > 0)}{shown(each.difference, metric)}", _ends(each)),
        Cell(NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}", footnotes=marks),
        Cell(NONE if each.times is None else f"{each.times:.2f}"),
    )


def _ends(each: Row) -> str:
    if each.paired is None or each.paired.interval.low is None or each.paired.interval.high is None:
        return "no interval"
    return f"[{', '.join(shown(end, each.a.metric) for end in (each.paired.interval.low, each.paired.interval.high))}]"


def _record(each: Row) -> dict[str, Any]:
    interval = each.paired.interval if each.paired else None
    return {
        "task": each.a.task,
        "protocol": each.a.protocol,
        "metric": each.a.metric,
        "a": each.a.upstream,
        "b": each.b.upstream,
        "score_a": each.a.score,
        "score_b": each.b.score,
        "difference": each.difference,
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
        "interval_method": interval.method if interval else None,
        "p": each.paired.p if each.paired else None,
        "p_holm": each.p,
        "p_method": each.paired.method if each.paired else None,
        "better": {"a": each.a.upstream, "b": each.b.upstream}.get(each.better),
        "encoding_time_ratio": each.times,
        "parameters_a": each.a.encoder.get("parameters"),
        "parameters_b": each.b.encoder.get("parameters"),
        "key_a": each.a.key,
        "key_b": each.b.key,
    }
