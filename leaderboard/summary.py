"""Upstreams across tasks: the mean rank with an interval over tasks, and two published ways of averaging scores.

Missing cells are never filled in: :data:`RULE` says which tasks count and which upstreams get a mean.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import rankdata

from harness.export import NONE, Cell, Column, Sheet
from harness.stats import FEW, LEVEL, RESAMPLES, Scored, Table
from harness.types import Interval, Result

from .groups import alike, grouped, loss
from .table import filled

RULE = (
    "Of the upstreams with ranked results on two tasks or more, those are compared that have every task that counts; "
    "a task counts if at least half of them have it. Missing cells are never filled in."
)
HEAR = (
    "HEAR's score (Turian et al. 2022): scores standardised on each task, cut at one standard deviation, averaged; 0 "
    "is the average upstream here."
)
#: Where SUPERB's score is 0: its own baseline is log-mel frames, too.
BASELINE = "mel"
SUPERB = f"SUPERB's score (Feng et al. 2023): on each task 0 for {BASELINE} and 1000 for the best here, averaged."


@dataclass(frozen=True)
class Mean:
    """One upstream across tasks: its mean rank, HEAR's normalised score, and SUPERB's score or None."""

    upstream: str
    rank: float
    interval: Interval
    hear: float
    superb: float | None


@dataclass(frozen=True)
class Summary:
    """All upstreams that have every task that counts, the best mean rank first.

    ``missing`` has, for each of the others, what it lacks.
    """

    protocol: str
    tasks: tuple[str, ...]
    means: tuple[Mean, ...]
    missing: Mapping[str, tuple[str, ...]]


def summaries(results: Sequence[Result]) -> list[Summary]:
    """One summary for each protocol under which two or more upstreams have two or more tasks in common."""
    groups = grouped(results)
    protocols: dict[str, dict[str, dict[str, float]]] = {}
    for names, group in groups.items():
        alone = [(other.task, other.protocol) for other in groups].count((names.task, names.protocol)) == 1
        label = names.task if alone else f"{names.task}, {names.metric}"
        ranked = next(iter(alike(group)), [])  # the first class of results with the same badges; clean ones, if any
        marks = f" ({', '.join(ranked[0].badges)})" if ranked and ranked[0].badges else ""
        protocols.setdefault(names.protocol, {})[label + marks] = _losses(ranked)
    found = (summary(protocol, cells) for protocol, cells in protocols.items())
    return [each for each in found if each is not None]


def summary(protocol: str, cells: Mapping[str, Mapping[str, float]]) -> Summary | None:
    """The summary of one protocol, from the loss of each upstream on each task, or None where too few are complete."""
    counts = Counter(name for losses in cells.values() for name in losses)
    upstreams = sorted(name for name, count in counts.items() if count > 1)
    tasks = [task for task, losses in cells.items() if 2 * len(losses.keys() & set(upstreams)) >= len(upstreams)]
    missing = {name: tuple(task for task in tasks if name not in cells[task]) for name in upstreams}
    complete = [name for name in upstreams if not missing[name]]
    if len(tasks) < 2 or len(complete) < 2:
        return None
    losses = np.array([[cells[task][name] for task in tasks] for name in complete])
    ranks = rankdata(losses, axis=0)
    superb = superb_scores(losses, complete.index(BASELINE)) if BASELINE in complete else None
    means = [
        Mean(name, float(own.mean()), mean_rank_interval(own, len(complete)), float(hear), score)
        for name, own, hear, score in zip(
            complete,
            ranks,
            hear_scores(losses),
            superb.tolist() if superb is not None else [None] * len(complete),
            strict=True,
        )
    ]
    ordered = tuple(sorted(means, key=lambda mean: (mean.rank, mean.upstream)))
    return Summary(protocol, tuple(tasks), ordered, {name: lacks for name, lacks in missing.items() if lacks})


def sheet(found: Summary) -> Sheet:
    """A summary as a table; what is missing, and what the averages are, is in its notes."""
    known = [mean.interval for mean in found.means if mean.interval.low is not None]
    method = (known or [found.means[0].interval])[0].method.partition(", ")[0]
    scaled = found.means[0].superb is not None
    whole = Sheet(
        title=f"across {len(found.tasks)} tasks, protocol {found.protocol}",
        columns=(
            Column("Upstream"),
            *(Column(name, number=True) for name in ("Mean rank", "HEAR's score", "SUPERB's score")),
        ),
        rows=tuple(map(_cells, found.means)),
        records=tuple(
            {"upstream": mean.upstream, "mean_rank": mean.rank, "low": mean.interval.low, "high": mean.interval.high}
            | {"hear": mean.hear, "superb": mean.superb}
            for mean in found.means
        ),
        notes=(
            f"Tasks: {', '.join(found.tasks)}.",
            f"Mean rank among these {len(found.means)} upstreams, by score alone; its interval asks how it would be on "
            f"other tasks like these ({method}).",
            HEAR,
            *((SUPERB,) if scaled else ()),
            RULE,
            *(f"{name} is left out: it lacks {', '.join(lacks)}." for name, lacks in found.missing.items()),
        ),
        facts={"protocol": found.protocol, "tasks": list(found.tasks)},
    )
    return filled(whole)


def mean_rank_interval(ranks: Table, upstreams: int, draws: int = RESAMPLES) -> Interval:
    """The interval of a mean rank, which asks how it would be on other tasks like these: tasks are resampled.

    Args:
        ranks: of one upstream on each task.
        upstreams: how many were ranked, which bounds the interval.
        draws: how many times tasks are drawn; with fewer than ten tasks it is a t-interval over them. Where these few
            all give one rank there is none: how far others would stray from it cannot be told.
    """
    if len(ranks) < FEW and np.ptp(ranks) == 0:
        return Interval(None, None, LEVEL, f"none: {len(ranks)} tasks that agree", len(ranks))

    def rescore(weights: Table) -> Table:
        means: Table = weights @ ranks / weights.sum(1)
        return means

    found = Scored(float(ranks.mean()), len(ranks), rescore, draws).interval((1.0, float(upstreams)))
    return replace(found, method=found.method.replace("group", "task"))


def hear_scores(losses: Table) -> Table:
    """HEAR's normalised score (Turian et al. 2022): scores standardised on each task, cut at ±1, averaged.

    Args:
        losses: (upstream, task), lower where better. A task on which all are equal gives 0.
    """
    centred = losses.mean(0) - losses
    # Equal losses have a deviation of rounding errors.
    standard = np.divide(centred, losses.std(0), out=np.zeros_like(losses), where=np.ptp(losses, axis=0) > 0)
    scores: Table = standard.clip(-1, 1).mean(1)
    return scores


def superb_scores(losses: Table, baseline: int) -> Table | None:
    """SUPERB's score (Feng et al. 2023): on each task 0 for the baseline and 1000 for the best, averaged.

    Args:
        losses: (upstream, task), lower where better.
        baseline: its row. Where it is the best itself on some task there is no such scale, and so no score.
    """
    reach = losses[baseline] - losses.min(0)
    if not (reach > 0).all():
        return None
    scores: Table = (1000 * (losses[baseline] - losses) / reach).mean(1)
    return scores


def _losses(ranked: Sequence[Result]) -> dict[str, float]:
    """By upstream; of several results of one, that of the newest."""
    return {result.upstream: loss(result) for result in sorted(ranked, key=lambda result: result.created)}


def _cells(mean: Mean) -> tuple[Cell, ...]:
    low, high = mean.interval.low, mean.interval.high
    ends = "no interval" if low is None or high is None else f"[{low:.1f}, {high:.1f}]"
    superb = NONE if mean.superb is None else f"{mean.superb:.0f}"
    return Cell(mean.upstream), Cell(f"{mean.rank:.2f}", ends), Cell(f"{mean.hear:+.2f}"), Cell(superb)
