"""Published numbers, in blocks of their own: never ranked with measured ones, and beside them where both agree.

``published.csv`` holds facts of papers and public leaderboards, each with its source.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from harness.results import higher_is_better
from harness.types import Result

COMPAT = ":compat"


@dataclass(frozen=True)
class Published:
    """A number as others have published it.

    ``value`` and ``spread`` are fractions where the metric is a share; ``spread`` is what is printed after a ±.
    ``model`` and ``named`` are the source's names of the model and the task. ``protocol`` is the one here that repeats
    how it was made, empty if none does. ``upstream`` is the name here of the model and ``checkpoints`` the names that
    its weights go by, empty if it is not one of ours or the source does not tell which weights were used.
    """

    task: str
    metric: str
    value: float
    spread: float | None
    model: str
    variant: str
    encoder: str
    head: str
    benchmark: str
    named: str
    protocol: str
    upstream: str
    checkpoints: tuple[str, ...]
    source: str

    @property
    def fine_tuned(self) -> bool:
        """Whether the encoder was trained on the task, which makes the number comparable with none here."""
        return self.encoder != "frozen"


class Kind(NamedTuple):
    """What published numbers that are shown together have in common."""

    benchmark: str
    metric: str
    encoder: str
    head: str
    protocol: str

    def __str__(self) -> str:
        if self.encoder != "frozen":
            return f"{self.benchmark}: the encoder was {self.encoder}, so not comparable"
        how = f"{self.benchmark}: {self.head} on a frozen encoder"
        return f"{how}, which {self.protocol} repeats" if self.protocol else f"{how}, which no protocol here repeats"


class Beside(NamedTuple):
    """A measured number beside a published one of the same checkpoint.

    ``difference`` is ours less theirs, None where the protocols differ. ``inside`` tells whether theirs lies in our
    interval, None where the protocols differ or there is no interval. ``remark`` says what keeps the two apart.
    """

    result: Result
    row: Published
    ours: float
    difference: float | None = None
    inside: bool | None = None
    remark: str = ""


@cache
def published() -> tuple[Published, ...]:
    """Every published number."""
    text = files(__package__).joinpath("published.csv").read_text(encoding="utf-8")
    return tuple(map(_parse, csv.DictReader(text.splitlines())))


@cache
def of_task(task: str) -> tuple[Published, ...]:
    """Every published number of a task."""
    return tuple(row for row in published() if row.task == task)


def blocks(task: str) -> dict[Kind, list[Published]]:
    """What is published of a task: what a protocol here repeats, other frozen encoders, fine-tuned ones; best first."""

    def place(row: Published) -> tuple[object, ...]:
        value = -row.value if higher_is_better(row.metric) else row.value
        return row.fine_tuned, not row.protocol, row.benchmark, row.metric, row.head, value, row.model

    found: dict[Kind, list[Published]] = {}
    for row in sorted(of_task(task), key=place):
        found.setdefault(Kind(row.benchmark, row.metric, row.encoder, row.head, row.protocol), []).append(row)
    return found


def beside(results: Sequence[Result]) -> list[Beside]:
    """Each measured number beside what is published of its task, metric and checkpoint.

    Where a protocol that repeats the published one was run, there is a difference; where only the protocol that mends
    it was, a remark says that the protocols differ. Numbers of fine-tuned encoders and of part of a task's clips are
    beside nothing.
    """
    every = [pair for result in results if "partial" not in result.badges for pair in _beside(result)]
    repeated = {(pair.result.upstream, pair.row) for pair in every if pair.difference is not None}
    kept = [p for p in every if p.difference is not None or (p.result.upstream, p.row) not in repeated]
    return sorted(kept, key=lambda p: (p.result.task, p.result.upstream, p.difference is None, p.row.benchmark))


def _parse(row: dict[str, str]) -> Published:
    numbers = {"value": float(row["value"]), "spread": float(row["spread"]) if row["spread"] else None}
    return Published(**{**row, **numbers, "checkpoints": tuple(row["checkpoints"].split())})  # type: ignore[arg-type]


def _beside(result: Result) -> Iterator[Beside]:
    for row in of_task(result.task):
        told = row.protocol and not row.fine_tuned and row.metric in result.metrics
        if not (told and _same_checkpoint(result, row)):
            continue
        ours = result.metrics[row.metric]
        if row.protocol == result.protocol:
            left = f"ours had to leave its protocol: {'; '.join(result.deviations)}" if result.deviations else ""
            yield Beside(result, row, ours, ours - row.value, _inside(result, row), left)
        elif row.protocol.replace(COMPAT, "") == result.protocol:
            yield Beside(result, row, ours, remark=f"the protocols differ: {result.protocol} mends {row.protocol}")


def _same_checkpoint(result: Result, row: Published) -> bool:
    """Whether the weights go by a name of the row's, and are read by the same family with the same options."""
    label, options = result.encoder.get("weights_label"), result.encoder.get("options")
    if not isinstance(label, str) or not isinstance(options, dict) or not row.checkpoints:
        return False
    family, _, tokens = row.upstream.partition(":")
    name = label.partition(" at ")[0].rpartition("/")[2]  # of a snapshot: REPOSITORY at COMMIT
    strange = set(map(str, options.values())) - set(tokens.split("-"))
    return result.encoder.get("upstream") == family and name in row.checkpoints and not strange


def _inside(result: Result, row: Published) -> bool | None:
    low, high = result.interval.low, result.interval.high
    if row.metric != result.metric or low is None or high is None:
        return None
    return low <= row.value <= high
