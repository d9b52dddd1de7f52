"""Two upstreams beside each other: how far apart, how surely, and at what cost, on every task that both have."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from harness import answer_file, answers
from harness.answers import Kept
from harness.errors import UserError, choices
from harness.results import answers_file, higher_is_better
from harness.stats import LEVEL, Paired, holm
from harness.types import Result

#: What must be the same of two results for their scores to be compared.
Match = tuple[str, str, str, object]
#: How far a score may be from that of the answers, which is computed in the same way.
_AGREES = 1e-6


@dataclass(frozen=True)
class Row:
    """Two results on the same clips under the same protocol, a and b, and the difference a less b.

    ``paired`` is None where their answers are not there; ``p`` is its p, adjusted for all that are compared together.
    """

    a: Result
    b: Result
    paired: Paired | None
    p: float | None

    @property
    def difference(self) -> float:
        """The score of a less that of b."""
        return self.a.score - self.b.score

    @property
    def better(self) -> str:
        """``a`` or ``b``, where one is better by more than chance; else empty."""
        if self.p is None or self.p >= 1 - LEVEL or not self.difference:
            return ""
        return "a" if (self.difference > 0) == higher_is_better(self.a.metric) else "b"

    @property
    def times(self) -> float | None:
        """How many times as long a clip takes to encode for a as for b; None unless one machine has measured both."""
        mine, others = (each.cost.get("clips_per_second") for each in (self.a, self.b))
        if not (isinstance(mine, int | float) and isinstance(others, int | float) and mine > 0 and others > 0):
            return None
        return float(others / mine) if _machine(self.a) == _machine(self.b) else None


class Comparison(NamedTuple):
    """All rows of two upstreams, and in sentences what could not be compared."""

    a: str
    b: str
    rows: tuple[Row, ...]
    remarks: tuple[str, ...]


def compare(results: Sequence[Result], a: str, b: str, folder: Path) -> Comparison:
    """Compare two upstreams by the names under which results show them; answers lie in the folder.

    Raises:
        UserError: there is no result of one, or they have no task in common.
    """
    known = sorted({result.upstream for result in results})
    for name in (a, b):
        if name not in known:
            raise UserError(f"there is no result of {name!r} in {folder}: {choices(name, known)}")
    if a == b:
        raise UserError(f"both upstreams are {a!r}: name two")
    mine, others = (_by_match(result for result in results if result.upstream == name) for name in (a, b))
    common = sorted(mine.keys() & others.keys(), key=str)
    if not common:
        raise UserError(
            f"{a} and {b} have no task, protocol and data in common in {folder}: run both with one `harness run`"
        )
    pairs = [(mine[match], others[match]) for match in common]
    tested = pairwise([result for pair in pairs for result in pair], folder, [(x.key, y.key) for x, y in pairs])
    found = [tested.get((one.key, other.key)) for one, other in pairs]
    adjusted = holm([None if paired is None else paired.p for paired in found])
    rows = tuple(Row(*pair, paired, p) for pair, paired, p in zip(pairs, found, adjusted, strict=True))
    return Comparison(a, b, rows, tuple(_remarks(mine, others, rows)))


def pairwise(
    results: Sequence[Result], folder: Path, wanted: Iterable[tuple[str, str]] | None = None
) -> Mapping[tuple[str, str], Paired]:
    """How far two results lie apart, by their keys, for all pairs that can be compared (or those that are wanted).

    A pair is absent where an answers' file is missing, or where the two did not answer the same clips.

    Raises:
        UserError: an answers' file is damaged, or gives another score than its result.
    """
    by_key = {result.key: result for result in results}
    if wanted is None:
        alike: dict[Match, list[str]] = {}
        for result in results:
            alike.setdefault(_match(result), []).append(result.key)
        wanted = [pair for keys in alike.values() for pair in combinations(keys, 2)]

    @cache
    def kept_of(key: str) -> Kept | None:
        return kept_answers(by_key[key], folder)

    found = {}
    for one, other in wanted:
        a, b = kept_of(one), kept_of(other)
        if a is not None and b is not None and a.same_clips(b):
            found[one, other] = answers.compare(a, b)
    return found


def kept_answers(result: Result, folder: Path) -> Kept | None:
    """The answers of a result; None where the folder lacks them.

    Raises:
        UserError: their file is damaged, or gives another score than the result.
    """
    path = answers_file(result, folder)
    if path is None:
        return None
    kept = answer_file.read(path, result.answers)
    if kept.metric != result.metric or not abs(kept.scored.point - result.score) < _AGREES:
        raise UserError(
            f"the answers {path} give {kept.scored.point:.4f} ({kept.metric}), and their result says "
            f"{result.score:.4f} ({result.metric}): one of the two was changed, so delete both and run again"
        )
    return kept


def _match(result: Result) -> Match:
    return result.task, result.protocol, result.metric, result.data.get("sha256")


def _by_match(results: Iterable[Result]) -> dict[Match, Result]:
    """The newest of each."""
    return {_match(result): result for result in sorted(results, key=lambda each: each.created)}


def _machine(result: Result) -> tuple[object, ...]:
    return tuple(result.environment.get(name) for name in ("device", "processor", "threads"))


def _remarks(mine: Mapping[Match, Result], others: Mapping[Match, Result], rows: Sequence[Row]) -> Iterable[str]:
    for these, rest in ((mine, others), (others, mine)):
        lacking = sorted({f"{task} ({protocol})" for task, protocol, *_ in these.keys() - rest.keys()})
        if lacking:
            name = next(iter(rest.values())).upstream
            yield f"{name} has no result on the same data of {', '.join(lacking)}"
    if lone := [row.a.task for row in rows if row.paired is None]:
        yield f"without the answers of both, {', '.join(lone)} has no interval and no p"
    badges = {(side.upstream, badge) for row in rows for side in (row.a, row.b) for badge in side.badges}
    for upstream, badge in sorted(badges):
        marked = [
            row.a.task for row in rows if any(s.upstream == upstream and badge in s.badges for s in (row.a, row.b))
        ]
        yield f"{upstream} is {badge} on {', '.join(dict.fromkeys(marked))}"
