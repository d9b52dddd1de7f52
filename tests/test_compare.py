"""Two upstreams beside each other: what is paired with what, how sure a difference is, and what cannot be compared."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import answer_file, answers, results
from harness.answers import Kept
from harness.compare import Comparison, compare, kept_answers, pairwise
from harness.stats import holm
from harness.types import Interval

from kept_answers import ENVIRONMENT, kept, left, result

pytestmark = pytest.mark.usefixtures("few_draws")
Refused = Callable[[str], AbstractContextManager[None]]


def ab(folder: Path) -> Comparison:
    return compare(results.read_all(folder), "a", "b", folder)


TASKS = {"digits": ("class", "accuracy"), "tags": ("tags", "map"), "speakers": ("trials", "eer")}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Results of a and b on three tasks."""
    for seed, upstream in enumerate("ab"):
        for task, (kind, metric) in TASKS.items():
            left(tmp_path, upstream, task, kept(kind, metric, seed))
    return tmp_path


def test_every_common_task_is_compared_as_its_answers_say(folder: Path) -> None:
    found = ab(folder)
    assert [row.a.task for row in found.rows] == sorted(TASKS)
    for row in found.rows:
        kind, metric = TASKS[row.a.task]
        expected = answers.compare(kept(kind, metric, 0), kept(kind, metric, 1))
        assert row.paired == expected
        assert row.difference == pytest.approx(expected.difference)
    assert found.remarks == ()


def test_p_values_are_adjusted_for_all_tasks_that_are_compared(folder: Path) -> None:
    rows = ab(folder).rows
    assert [row.p for row in rows] == holm([row.paired.p for row in rows if row.paired])


def test_turned_round_the_difference_changes_its_sign_and_nothing_else(folder: Path) -> None:
    everything = results.read_all(folder)
    one, other = (compare(everything, *names, folder).rows for names in (("a", "b"), ("b", "a")))
    for row, turned in zip(one, other, strict=True):
        assert row.difference == pytest.approx(-turned.difference)
        assert row.p == turned.p
        assert row.paired is not None
        assert turned.paired is not None
        assert row.paired.interval.low == pytest.approx(-(turned.paired.interval.high or 0))


@pytest.mark.parametrize(
    ("metric", "kind", "better"), [("accuracy", "class", "a"), ("eer", "trials", "b"), ("map", "tags", "a")]
)
def test_better_is_what_is_better_by_more_than_chance(metric: str, kind: str, better: str, tmp_path: Path) -> None:
    def louder(one: Kept) -> Kept:
        splits = []
        for split in one.splits:
            truth = split.seeds[0].truth
            scores = np.eye(5)[truth] if kind == "class" else truth.astype(np.float64)
            splits.append(replace(split, seeds=tuple(each._replace(scores=scores) for each in split.seeds)))
        return replace(one, splits=tuple(splits))

    one = kept(kind, metric)
    high, low = (louder(one), one) if metric != "eer" else (one, louder(one))
    left(tmp_path, "a", "task", high)
    left(tmp_path, "b", "task", low)
    left(tmp_path, "c", "task", kept(kind, metric))
    everything = results.read_all(tmp_path)
    (row,) = compare(everything, "a", "b", tmp_path).rows
    assert row.difference > 0
    assert row.better == better
    (equal,) = compare(everything, "b" if metric != "eer" else "a", "c", tmp_path).rows
    assert equal.better == ""


@pytest.mark.parametrize(
    "change", [{"protocol": "superb"}, {"data": {"sha256": "other data"}}, {"task": "another"}, {"metric": "macro_f1"}]
)
def test_what_differs_in_more_than_the_upstream_is_not_compared(
    change: dict[str, Any], tmp_path: Path, refused: Refused
) -> None:
    one = kept("class", "accuracy")
    left(tmp_path, "a", "digits", one)
    results.write(replace(result("b", "digits", one), **change), tmp_path, answer_file.to_bytes(one))
    with refused("a and b have no task, protocol and data in common in .*: run both with one .harness run"):
        ab(tmp_path)


def test_of_two_results_of_the_same_the_newest_is_compared(tmp_path: Path) -> None:
    for seed, created in ((1, "2026-01-06"), (2, "2026-01-07"), (3, "2026-01-05")):
        left(tmp_path, "a", "digits", kept("class", "accuracy", seed), created=created)
    left(tmp_path, "b", "digits", kept("class", "accuracy", 9))
    (row,) = ab(tmp_path).rows
    assert row.a.created == "2026-01-07"


def test_what_only_one_has_is_told(folder: Path) -> None:
    left(folder, "a", "songs", kept("class", "accuracy"))
    left(folder, "b", "birds", kept("class", "accuracy"), protocol="superb")
    assert ab(folder).remarks == (
        "b has no result on the same data of songs (default)",
        "a has no result on the same data of birds (superb)",
    )


def test_badges_are_told(tmp_path: Path) -> None:
    left(tmp_path, "a", "digits", kept("class", "accuracy"), badges=("untrained", "leaky"))
    left(tmp_path, "b", "digits", kept("class", "accuracy", 1), badges=("leaky",))
    assert ab(tmp_path).remarks == ("a is leaky on digits", "a is untrained on digits", "b is leaky on digits")


def test_without_answers_there_is_a_difference_and_no_p(folder: Path) -> None:
    (path,) = folder.glob("digits__a__*.safetensors")
    path.unlink()
    found = ab(folder)
    row = found.rows[0]
    assert (row.paired, row.p, row.better) == (None, None, "")
    assert row.difference == pytest.approx(kept("class", "accuracy").scored.point - row.b.score)
    assert found.remarks == ("without the answers of both, digits has no interval and no p",)


# Cost.


def test_the_time_a_clip_takes_is_compared_where_one_machine_measured_both(tmp_path: Path) -> None:
    left(tmp_path, "a", "digits", kept("class", "accuracy"), cost={"clips_per_second": 5.0})
    left(tmp_path, "b", "digits", kept("class", "accuracy", 1), cost={"clips_per_second": 20.0})
    (row,) = ab(tmp_path).rows
    assert row.times == 4.0


@pytest.mark.parametrize(
    "change",
    [
        {"environment": {**ENVIRONMENT, "processor": "another"}},
        {"environment": {**ENVIRONMENT, "threads": 1}},
        {"cost": {"clips_per_second": 0}},
        {"cost": {"clips_per_second": "fast"}},
        {"cost": {}},
    ],
)
def test_where_the_machines_differ_or_nothing_was_encoded_there_is_no_ratio(
    change: dict[str, Any], tmp_path: Path
) -> None:
    left(tmp_path, "a", "digits", kept("class", "accuracy"))
    left(tmp_path, "b", "digits", kept("class", "accuracy", 1), **change)
    (row,) = ab(tmp_path).rows
    assert row.times is None


# All pairs.


def test_all_pairs_on_the_same_clips_are_tested(folder: Path) -> None:
    left(folder, "c", "digits", kept("class", "accuracy", 2))
    everything = {(each.task, each.upstream): each.key for each in results.read_all(folder)}
    found = pairwise(results.read_all(folder), folder)
    digits = [everything["digits", name] for name in "abc"]
    expected = {frozenset(pair) for pair in ((digits[0], digits[1]), (digits[0], digits[2]), (digits[1], digits[2]))}
    expected |= {frozenset(everything[task, name] for name in "ab") for task in ("tags", "speakers")}
    assert {frozenset(pair) for pair in found} == expected


def test_answers_to_other_clips_are_not_compared(tmp_path: Path) -> None:
    one, other = kept("class", "accuracy"), kept("class", "accuracy", 1)
    first, *rest = other.splits
    left(tmp_path, "a", "digits", one)
    left(tmp_path, "b", "digits", replace(other, splits=(replace(first, clips=first.clips + 1), *rest)))
    assert pairwise(results.read_all(tmp_path), tmp_path) == {}


def test_answers_that_give_another_score_are_refused(tmp_path: Path, refused: Refused) -> None:
    one = kept("class", "accuracy")
    changed = left(tmp_path, "a", "digits", one, score=one.scored.point + 0.01)
    with refused(r"give 0\.\d+ .accuracy., and their result says 0\.\d+ .*: one of the two was changed"):
        kept_answers(changed, tmp_path)


def test_a_key_that_is_none_finds_no_file(tmp_path: Path) -> None:
    one = kept("class", "accuracy")
    for key in ("*", "../../etc", "?" * 64, ""):
        assert kept_answers(result("a", "digits", one, key=key), tmp_path) is None


def test_an_unknown_upstream_is_refused_with_the_nearest(folder: Path, refused: Refused) -> None:
    left(folder, "ssamba", "digits", kept("class", "accuracy"))
    with refused("there is no result of 'samba' in .*: did you mean 'ssamba'"):
        compare(results.read_all(folder), "a", "samba", folder)


def test_an_upstream_is_not_compared_with_itself(folder: Path, refused: Refused) -> None:
    with refused("both upstreams are 'a': name two"):
        compare(results.read_all(folder), "a", "a", folder)


def test_one_group_has_neither_interval_nor_p(tmp_path: Path) -> None:
    one, other = (kept("class", "accuracy", seed) for seed in (0, 1))
    for name, each in (("a", one), ("b", other)):
        splits = tuple(replace(split, groups=np.zeros_like(split.groups)) for split in each.splits)
        left(tmp_path, name, "digits", replace(each, splits=splits))
    (row,) = ab(tmp_path).rows
    assert row.paired is not None
    assert row.paired.interval == Interval(None, None, 0.95, "none: one group", 1)
    assert row.p is None
