"""Upstreams across tasks."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import zscore

from harness.leaderboard.summary import (
    RULE,
    Summary,
    hear_scores,
    mean_rank_interval,
    sheet,
    summaries,
    superb_scores,
)
from harness.types import Result

from records import result


def cells(**scores: dict[str, float]) -> list[Result]:
    """Results by task and upstream."""
    return [result(name, score, task=task) for task, own in scores.items() for name, score in own.items()]


def only(results: list[Result]) -> Summary:
    (found,) = summaries(results)
    return found


THREE = {"one": {"mel": 0.1, "a": 0.5, "b": 0.9}, "two": {"mel": 0.2, "a": 0.4, "b": 0.3}}


def test_the_best_mean_rank_is_first() -> None:
    found = only(cells(**THREE))
    assert [(mean.upstream, mean.rank) for mean in found.means] == [("a", 1.5), ("b", 1.5), ("mel", 3.0)]


def test_equal_scores_share_the_mean_of_their_ranks() -> None:
    found = only(cells(one={"a": 0.5, "b": 0.5}, two={"a": 0.5, "b": 0.4}))
    assert [(mean.upstream, mean.rank) for mean in found.means] == [("a", 1.25), ("b", 1.75)]


def test_where_lower_is_better_the_lowest_is_ranked_first() -> None:
    wrong = [result(name, score, task="trials", metric="eer") for name, score in (("a", 0.1), ("b", 0.3))]
    assert only([*cells(one={"a": 0.9, "b": 0.1}), *wrong]).means[0].rank == 1.0


def test_each_protocol_is_summarised_by_itself() -> None:
    other = [result(name, score, task=task, protocol="superb") for task in THREE for name, score in THREE[task].items()]
    assert [found.protocol for found in summaries([*cells(**THREE), *other])] == ["linear", "superb"]


def test_two_metrics_of_one_task_are_told_apart() -> None:
    other = [result(name, score, task="one", metric="map") for name, score in THREE["one"].items()]
    assert only([*cells(**THREE), *other]).tasks == ("one, accuracy", "one, map", "two")


# Missing cells.


def test_an_upstream_that_lacks_a_task_has_no_mean_and_does_not_move_the_ranks_of_others() -> None:
    lacking = cells(one={"c": 0.7}, three={"a": 0.5, "b": 0.4, "mel": 0.3, "c": 0.99})
    found = only([*cells(**THREE), *lacking])
    assert [(mean.upstream, mean.rank) for mean in found.means] == [("a", 4 / 3), ("b", 5 / 3), ("mel", 3.0)]
    assert found.missing == {"c": ("two",)}


def test_a_task_that_less_than_half_of_the_upstreams_have_does_not_count() -> None:
    found = only([*cells(**THREE), *cells(rare={"a": 0.9})])
    assert found.tasks == ("one", "two") and found.missing == {}


def test_an_upstream_with_one_task_is_not_counted() -> None:
    strangers = cells(three=dict.fromkeys("stuvwxyz", 0.5))
    assert only([*cells(**THREE), *strangers]).tasks == ("one", "two")


@pytest.mark.parametrize("badges", [("untrained",), ("contaminated",), ("leaky",)])
def test_what_is_not_ranked_with_the_clean_ones_is_a_missing_cell(badges: tuple[str, ...]) -> None:
    unranked = [result("b", 0.99, task="three", badges=badges), *cells(three={"a": 0.5, "mel": 0.4})]
    assert only([*cells(**THREE), *unranked]).missing == {"b": ("three",)}


def test_where_a_whole_task_is_leaky_it_counts_and_is_marked() -> None:
    leaky = [result(name, 0.5, task="three", badges=("leaky",)) for name in ("a", "b", "mel")]
    assert only([*cells(**THREE), *leaky]).tasks == ("one", "three (leaky)", "two")


def test_of_two_results_the_newest_counts() -> None:
    newer = result("mel", 0.99, task="one", created="2026-02-01T00:00:00Z")
    assert only([newer, *cells(**THREE)]).means[-1].rank == 2.0


@pytest.mark.parametrize("few", [cells(one=THREE["one"]), cells(one={"a": 0.5}, two={"a": 0.5}), []])
def test_one_task_or_one_upstream_is_no_summary(few: list[Result]) -> None:
    assert summaries(few) == []


# The averages.


def test_hears_score_is_the_mean_of_standard_scores_cut_at_one() -> None:
    losses = np.random.default_rng(0).normal(size=(7, 12))
    expected = np.clip(-zscore(losses, axis=0), -1, 1).mean(1)
    np.testing.assert_allclose(hear_scores(losses), expected, rtol=1e-12)


def test_hears_score_of_a_task_on_which_all_are_equal_is_zero() -> None:
    assert hear_scores(np.full((3, 1), 0.1)).tolist() == [0, 0, 0]


def test_superbs_score_is_0_for_the_baseline_and_1000_for_who_is_best_everywhere() -> None:
    losses = -np.array([[0.2, 0.5], [0.6, 0.7], [1.0, 0.9]])
    scores = superb_scores(losses, 0)
    assert scores is not None
    np.testing.assert_allclose(scores, [0, 500, 1000])


def test_superbs_score_takes_no_notice_of_the_unit_of_a_task() -> None:
    losses = -np.array([[0.2, 0.5], [0.6, 0.7], [1.0, 0.9]])
    scores, scaled = superb_scores(losses, 0), superb_scores(losses * [1, 100], 0)
    assert scores is not None and scaled is not None
    np.testing.assert_allclose(scores, scaled)


def test_there_is_no_superb_score_where_the_baseline_is_the_best() -> None:
    assert superb_scores(np.array([[0.1, 0.5], [0.2, 0.3]]), 0) is None


@pytest.mark.parametrize("missing", [False, True])
def test_there_is_no_superb_score_without_the_baseline(missing: bool) -> None:
    tasks = {task: {n: s for n, s in own.items() if not (missing and n == "mel")} for task, own in THREE.items()}
    assert all((mean.superb is None) == missing for mean in only(cells(**tasks)).means)


def test_the_interval_of_a_mean_rank_is_a_bootstrap_over_tasks() -> None:
    ranks = np.random.default_rng(1).integers(1, 9, size=40).astype(float)
    found = mean_rank_interval(ranks, 8)
    drawn = np.random.default_rng(2).choice(ranks, size=(20_000, 40)).mean(1)
    np.testing.assert_allclose((found.low, found.high), np.quantile(drawn, [0.025, 0.975]), atol=0.03)
    assert found.method.startswith("bootstrap over 40 tasks")


def test_of_few_tasks_it_is_a_t_interval_that_stays_within_the_ranks() -> None:
    found = mean_rank_interval(np.array([1.0, 4.0]), 4)
    assert (found.low, found.high) == (1.0, 4.0) and found.method == "jackknife t over 2 tasks: few"


def test_few_tasks_that_agree_tell_nothing_of_others() -> None:
    found = mean_rank_interval(np.array([2.0, 2.0, 2.0]), 4)
    assert (found.low, found.high, found.method) == (None, None, "none: 3 tasks that agree")
    many = mean_rank_interval(np.full(12, 2.0), 4)
    assert (many.low, many.high) == (2, 2)


# Shown.


def shown(**scores: dict[str, float]) -> Any:
    return sheet(only(cells(**scores)))


def test_the_table_has_the_mean_rank_with_its_interval_and_both_scores() -> None:
    table = shown(**THREE)
    assert [column.name for column in table.columns] == ["Upstream", "Mean rank", "HEAR's score", "SUPERB's score"]
    assert [(cell.text, cell.rest) for cell in table.rows[2]] == [
        ("mel", ""),
        ("3.00", "no interval"),
        ("-1.00", ""),
        ("0", ""),
    ]


def test_the_table_says_its_rule_and_what_is_missing() -> None:
    table = shown(**THREE, three={"a": 0.5, "mel": 0.4})
    assert RULE in table.notes and "b is left out: it lacks three." in table.notes


def test_a_score_that_nobody_has_is_no_column_and_no_note() -> None:
    table = shown(one={"a": 0.5, "b": 0.4}, two={"a": 0.5, "b": 0.4})
    assert len(table.columns) == 3 and not any("SUPERB" in note for note in table.notes)
