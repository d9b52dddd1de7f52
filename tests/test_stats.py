"""Intervals: they cover what they claim, and groups are drawn as wholes."""

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import t

from harness.stats import LEVEL, Table, accuracy_interval, interval
from harness.types import Interval


class Answers(NamedTuple):
    """Per answered clip: the share of seeds that got it right, its fold and its group."""

    correct: Table
    folds: list[int]
    groups: list[str]


def draw(groups: int, *, folds: int = 5, clips: int = 5, seed: int = 0) -> Answers:
    """Groups of unequal size and accuracy; each lies in one fold."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 2 * clips, groups)
    correct = np.concatenate([rng.random(n) < rng.beta(2, 1) for n in sizes]).astype(np.float64)
    where = [(i % folds, f"group {i}") for i, n in enumerate(sizes) for _ in range(n)]
    return Answers(correct, [fold for fold, _ in where], [group for _, group in where])


def score(answers: Answers) -> float:
    """The accuracy, averaged over folds."""
    by_fold = defaultdict(list)
    for right, fold in zip(answers.correct, answers.folds, strict=True):
        by_fold[fold].append(right)
    return float(np.mean([np.mean(rights) for rights in by_fold.values()]))


def ends(interval: Interval) -> tuple[float, float]:
    assert interval.low is not None
    assert interval.high is not None
    return interval.low, interval.high


def width(answers: Answers) -> float:
    low, high = ends(accuracy_interval(*answers))
    return high - low


def slowly(answers: Answers, times: int, seed: int = 1) -> tuple[float, float]:
    """The same interval as a plain loop over drawn groups and their clips."""
    chance = random.Random(seed)
    members = defaultdict(list)
    for right, fold, group in zip(*answers, strict=True):
        members[group].append((fold, float(right)))
    scores = []
    for _ in range(times):
        by_fold = defaultdict(list)
        for _ in members:
            for fold, right in members[chance.choice(list(members))]:
                by_fold[fold].append(right)
        scores.append(sum(sum(rights) / len(rights) for rights in by_fold.values()) / len(by_fold))
    scores.sort()
    return scores[round((1 - LEVEL) / 2 * times)], scores[round((1 + LEVEL) / 2 * times)]


@pytest.mark.parametrize("groups", [10, 12, 25])
@pytest.mark.parametrize("folds", [1, 5])
def test_the_interval_is_that_of_a_slow_loop(groups: int, folds: int) -> None:
    answers = draw(groups, folds=folds, seed=groups)
    found = ends(accuracy_interval(*answers))
    # The ends of a slow interval are off by some 0.04 of its standard deviation, a quarter of its width.
    np.testing.assert_allclose(found, slowly(answers, 4000), atol=0.2 * (found[1] - found[0]) / 4, rtol=0)


def test_a_group_that_lies_in_two_folds_is_drawn_as_one() -> None:
    plain = draw(12, folds=2)
    answers = plain._replace(folds=[i % 2 for i in range(len(plain.folds))])
    found = ends(accuracy_interval(*answers))
    np.testing.assert_allclose(found, slowly(answers, 4000), atol=0.2 * (found[1] - found[0]) / 4, rtol=0)


def test_shares_of_seeds_count_as_shares() -> None:
    plain = draw(12)
    answers = plain._replace(correct=np.random.default_rng(3).integers(0, 4, len(plain.folds)) / 3)
    found = ends(accuracy_interval(*answers))
    np.testing.assert_allclose(found, slowly(answers, 4000), atol=0.2 * (found[1] - found[0]) / 4, rtol=0)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth, repeats, groups = 0.7, 200, 40
    covered = 0
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        accuracy = rng.beta(2.1, 0.9, groups)
        correct = (rng.random((groups, 5)) < accuracy[:, None]).astype(np.float64)
        names = np.repeat([f"group {i}" for i in range(groups)], 5)
        low, high = ends(accuracy_interval(correct.ravel(), [i // 5 % 5 for i in range(5 * groups)], list(names)))
        covered += low <= truth <= high
    assert 0.88 < covered / repeats < 0.99


def test_clips_that_stand_and_fall_together_widen_the_interval() -> None:
    rng = np.random.default_rng(0)
    correct = np.repeat(rng.random(30) < 0.7, 10).astype(np.float64)
    groups = [f"group {i // 10}" for i in range(300)]
    grouped = Answers(correct, [0] * 300, groups)
    alone = grouped._replace(groups=[f"clip {i}" for i in range(300)])
    # Ten clips that always agree are worth one: the interval widens by the root of ten.
    assert width(grouped) == pytest.approx(10**0.5 * width(alone), rel=0.1)


def test_more_groups_narrow_the_interval() -> None:
    assert width(draw(400, seed=1)) < 0.5 * width(draw(40, seed=1))


@pytest.mark.parametrize("groups", [10, 40])
def test_the_score_lies_in_its_interval(groups: int) -> None:
    for seed in range(10):
        answers = draw(groups, seed=seed)
        low, high = ends(accuracy_interval(*answers))
        assert low <= score(answers) <= high


def test_names_and_order_do_not_matter_to_a_t_interval() -> None:
    answers = draw(6)
    order = np.random.default_rng(0).permutation(len(answers.folds))
    mixed = Answers(answers.correct[order], [answers.folds[i] for i in order], [answers.groups[i][::-1] for i in order])
    assert ends(accuracy_interval(*mixed)) == pytest.approx(ends(accuracy_interval(*answers)))


def test_the_interval_is_the_same_every_time() -> None:
    assert accuracy_interval(*draw(20)) == accuracy_interval(*draw(20))


def test_another_seed_draws_other_groups() -> None:
    assert accuracy_interval(*draw(20), seed=1) != accuracy_interval(*draw(20), seed=2)


def test_the_global_random_state_neither_matters_nor_moves() -> None:
    first = accuracy_interval(*draw(20))
    np.random.seed(5)
    following = np.random.random()
    np.random.seed(5)
    assert accuracy_interval(*draw(20)) == first
    assert np.random.random() == following


@pytest.mark.parametrize("groups", [10, 40])
def test_a_bootstrap_says_what_it_is(groups: int) -> None:
    interval = accuracy_interval(*draw(groups))
    assert (interval.method, interval.level) == (f"bootstrap over {groups} groups, 10,000 resamples", 0.95)
    assert interval.groups == groups


# Few groups.


def group_accuracies(answers: Answers) -> list[float]:
    by_group = defaultdict(list)
    for right, group in zip(answers.correct, answers.groups, strict=True):
        by_group[group].append(right)
    return [float(np.mean(rights)) for rights in by_group.values()]


def expected_t(answers: Answers) -> Sequence[float]:
    values = group_accuracies(answers)
    error = np.std(values, ddof=1) / len(values) ** 0.5
    ends: Sequence[float] = np.clip(t.interval(LEVEL, len(values) - 1, score(answers), error), 0, 1)
    return ends


@pytest.mark.parametrize("groups", range(2, 10))
@pytest.mark.parametrize("folds", [1, 2])
def test_few_groups_have_a_t_interval_around_the_score(groups: int, folds: int) -> None:
    answers = draw(groups, folds=folds, clips=20, seed=groups)
    interval = accuracy_interval(*answers)
    assert ends(interval) == pytest.approx(expected_t(answers))
    assert interval.method == f"t over {groups} groups: few"


def test_a_t_interval_stays_between_none_and_all() -> None:
    answers = Answers(np.array([1.0, 0.0, 1.0]), [0, 0, 0], ["a", "b", "c"])
    assert ends(accuracy_interval(*answers)) == (0.0, 1.0)


def test_one_group_has_no_interval() -> None:
    interval = accuracy_interval(np.array([1.0, 0.0, 1.0]), [0, 1, 0], ["a"] * 3)
    assert (interval.low, interval.high) == (None, None)
    assert interval == Interval(None, None, 0.95, "none: one group", 1)


# Any score.


def ratio(numerator: Table, denominator: Table) -> Callable[[Table], float]:
    """A score that is no mean of groups: a share of sums, such as an F-measure."""

    def rescore(weight: Table) -> float:
        return float(weight @ numerator / (weight @ denominator))

    return rescore


def sums(groups: int) -> tuple[Table, Table]:
    rng = np.random.default_rng(groups)
    denominator = rng.uniform(1, 9, groups)
    return denominator * rng.uniform(0.3, 0.9, groups), denominator


@pytest.mark.parametrize("groups", [10, 25, 60])
def test_the_interval_of_any_score_is_that_of_a_slow_loop(groups: int) -> None:
    given = sums(groups)
    found = interval(ratio(*given), groups, ratio(*given)(np.ones(groups)))
    chance = random.Random(1)
    drawn = [chance.choices(list(zip(*given, strict=True)), k=groups) for _ in range(4000)]
    expected = np.quantile([sum(a for a, _ in pairs) / sum(b for _, b in pairs) for pairs in drawn], [0.025, 0.975])
    # The ends of 1,000 resamples are off by some 0.08 of their standard deviation, a quarter of the width.
    np.testing.assert_allclose(ends(found), expected, atol=0.3 * (expected[1] - expected[0]) / 4, rtol=0)
    assert (found.method, found.groups) == (f"bootstrap over {groups} groups, 1,000 resamples", groups)


@pytest.mark.parametrize("folds", [1, 5])
def test_both_intervals_agree_on_accuracies(folds: int) -> None:
    answers = draw(30, folds=folds, seed=4)
    names, group = np.unique(answers.groups, return_inverse=True)
    fold = np.array(answers.folds)

    def rescore(weight: Table) -> float:
        each = weight[group]
        with np.errstate(invalid="ignore"):
            shares = [each[fold == i] @ answers.correct[fold == i] / each[fold == i].sum() for i in range(folds)]
        return float(np.nanmean(shares))

    found, other = ends(interval(rescore, len(names), score(answers))), ends(accuracy_interval(*answers))
    np.testing.assert_allclose(found, other, atol=0.3 * (other[1] - other[0]) / 4, rtol=0)


@pytest.mark.parametrize("groups", range(2, 10))
def test_few_groups_have_the_jackknifes_error_around_the_score(groups: int) -> None:
    numerator, denominator = sums(groups)
    point = float(numerator.sum() / denominator.sum())
    found = interval(ratio(numerator, denominator), groups, point, share=False)
    left_out = [np.delete(numerator, i).sum() / np.delete(denominator, i).sum() for i in range(groups)]
    # Tukey: the pseudo-values' standard error is the score's.
    pseudo = groups * point - (groups - 1) * np.array(left_out)
    error = np.std(pseudo, ddof=1) / groups**0.5
    assert ends(found) == pytest.approx(t.interval(LEVEL, groups - 1, point, error))
    assert found.method == f"jackknife t over {groups} groups: few"


@pytest.mark.parametrize("groups", [3, 8])
def test_of_a_mean_the_jackknife_is_students_t(groups: int) -> None:
    values = np.random.default_rng(groups).normal(0.5, 0.1, groups)
    found = interval(ratio(values, np.ones(groups)), groups, float(values.mean()), share=False)
    expected = t.interval(LEVEL, groups - 1, values.mean(), values.std(ddof=1) / groups**0.5)
    assert ends(found) == pytest.approx(expected)


@pytest.mark.parametrize("values", [[1.0, 1.0, 0.7], [0.0, 0.0, 0.3], [0.1, 0.9, 0.5]])
def test_few_groups_interval_of_a_share_stays_between_none_and_all_and_of_other_scores_need_not(
    values: list[float],
) -> None:
    given = ratio(np.array(values), np.ones(3)), 3, float(np.mean(values))
    (low, high), whole = ends(interval(*given)), ends(interval(*given, share=False))
    assert whole[0] < 0 or whole[1] > 1
    assert (low, high) == (max(0.0, whole[0]), min(1.0, whole[1]))
    assert sum(whole) / 2 == pytest.approx(np.mean(values))


def test_one_group_has_no_interval_of_any_score() -> None:
    assert interval(lambda weight: 0.5, 1, 0.5) == Interval(None, None, 0.95, "none: one group", 1)


def test_few_groups_without_one_of_which_the_score_is_undefined_have_no_interval() -> None:
    found = interval(lambda weight: 0.5 if weight[2] else float("nan"), 5, 0.5)
    assert found == Interval(None, None, 0.95, "none: undefined without one of 5 groups", 5)


def test_resamples_in_which_the_score_is_undefined_are_left_out() -> None:
    given = sums(20)
    plain = ratio(*given)
    found = interval(lambda weight: plain(weight) if weight[0] else float("nan"), 20, plain(np.ones(20)))
    kept = np.random.default_rng(3).multinomial(20, np.full(20, 0.05), size=5000).astype(np.float64)
    scores = [plain(weight) for weight in kept if weight[0]]
    expected = np.quantile(scores, [0.025, 0.975])
    np.testing.assert_allclose(ends(found), expected, atol=0.3 * (expected[1] - expected[0]) / 4, rtol=0)


def test_the_interval_of_any_score_is_the_same_every_time_and_moves_with_the_seed() -> None:
    given = sums(20)
    first = interval(ratio(*given), 20, 0.6)
    np.random.seed(5)
    assert interval(ratio(*given), 20, 0.6) == first
    assert interval(ratio(*given), 20, 0.6, seed=1) != first
