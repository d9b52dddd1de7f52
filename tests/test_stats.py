"""Intervals cover what they claim, paired tests reject as often as they say, and groups are drawn as wholes."""

import random
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import combinations, product
from typing import NamedTuple

import numpy as np
import pytest
from scipy.stats import t

from harness.stats import LEVEL, Flags, Rank, Rescore, Scored, Table, drawn, holm, mean_of_folds, paired, rank_groups
from harness.types import Interval

REPEATS = 500


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


def tables(answers: Answers) -> tuple[Table, Table]:
    """Right answers and clips, (group, fold)."""
    names, group = np.unique(answers.groups, return_inverse=True)
    right, clips = (np.zeros((len(names), max(answers.folds) + 1)) for _ in range(2))
    np.add.at(right, (group, np.array(answers.folds)), answers.correct)
    np.add.at(clips, (group, np.array(answers.folds)), 1)
    return right, clips


def accuracy(answers: Answers) -> Scored:
    """The accuracy, averaged over folds."""
    right, clips = tables(answers)
    return Scored(score(answers), len(right), rescoring(right, clips))


def rescoring(right: Table, clips: Table) -> Rescore:
    def rescore(weights: Table) -> Table:
        with np.errstate(invalid="ignore"):
            return mean_of_folds((weights @ right) / (weights @ clips))

    return rescore


def accuracy_interval(answers: Answers) -> Interval:
    return accuracy(answers).interval((0, 1))


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
    low, high = ends(accuracy_interval(answers))
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
    found = ends(accuracy_interval(answers))
    # The ends of a slow interval are off by some 0.04 of its standard deviation, a quarter of its width.
    np.testing.assert_allclose(found, slowly(answers, 4000), atol=0.2 * (found[1] - found[0]) / 4, rtol=0)


def test_a_group_that_lies_in_two_folds_is_drawn_as_one() -> None:
    plain = draw(12, folds=2)
    answers = plain._replace(folds=[i % 2 for i in range(len(plain.folds))])
    found = ends(accuracy_interval(answers))
    np.testing.assert_allclose(found, slowly(answers, 4000), atol=0.2 * (found[1] - found[0]) / 4, rtol=0)


def test_shares_of_seeds_count_as_shares() -> None:
    plain = draw(12)
    answers = plain._replace(correct=np.random.default_rng(3).integers(0, 4, len(plain.folds)) / 3)
    found = ends(accuracy_interval(answers))
    np.testing.assert_allclose(found, slowly(answers, 4000), atol=0.2 * (found[1] - found[0]) / 4, rtol=0)


def sampled(rng: np.random.Generator, groups: int, clips: int, alike: float) -> Answers:
    """Answers of a head whose accuracy is known to be 0.7: in every group where they are ``alike``, else on average."""
    chances = rng.beta(0.7 * alike, 0.3 * alike, groups) if np.isfinite(alike) else np.full(groups, 0.7)
    correct = (rng.random((groups, clips)) < chances[:, None]).astype(np.float64)
    names = np.repeat([f"group {i}" for i in range(groups)], clips)
    return Answers(correct.ravel(), [i // clips % 5 for i in range(groups * clips)], list(names))


@pytest.mark.parametrize(("groups", "clips", "alike"), [(150, 1, np.inf), (60, 5, 3.0), (100, 10, 3.0)])
def test_the_interval_covers_the_truth_as_often_as_it_says(groups: int, clips: int, alike: float) -> None:
    covered, rng = 0, np.random.default_rng(groups)
    for _ in range(REPEATS):
        right, counts = tables(sampled(rng, groups, clips, alike))
        one = Scored(float((right.sum(0) / counts.sum(0)).mean()), groups, rescoring(right, counts), draws=1000)
        low, high = ends(one.interval((0, 1)))
        covered += low <= 0.7 <= high
    assert 0.92 <= covered / REPEATS <= 0.98


@pytest.mark.parametrize("groups", [5, 8])
def test_the_interval_of_few_groups_covers_the_truth_as_often_as_it_says(groups: int) -> None:
    covered, rng = 0, np.random.default_rng(groups)
    for _ in range(REPEATS):
        low, high = ends(accuracy_interval(sampled(rng, groups, 40, 20.0)))
        covered += low <= 0.7 <= high
    assert 0.92 <= covered / REPEATS <= 0.98


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
        low, high = ends(accuracy_interval(answers))
        assert low <= score(answers) <= high


def test_names_and_order_do_not_matter_to_a_t_interval() -> None:
    answers = draw(6)
    order = np.random.default_rng(0).permutation(len(answers.folds))
    mixed = Answers(answers.correct[order], [answers.folds[i] for i in order], [answers.groups[i][::-1] for i in order])
    assert ends(accuracy_interval(mixed)) == pytest.approx(ends(accuracy_interval(answers)))


def test_the_interval_is_the_same_every_time() -> None:
    assert accuracy_interval(draw(20)) == accuracy_interval(draw(20))


def test_the_global_random_state_neither_matters_nor_moves() -> None:
    first = accuracy_interval(draw(20))
    np.random.seed(5)
    following = np.random.random()
    np.random.seed(5)
    assert accuracy_interval(draw(20)) == first
    assert np.random.random() == following


@pytest.mark.parametrize("groups", [10, 40])
def test_a_bootstrap_says_what_it_is(groups: int) -> None:
    interval = accuracy_interval(draw(groups))
    assert (interval.method, interval.level) == (f"bootstrap over {groups} groups, 10,000 resamples", 0.95)
    assert interval.groups == groups


# Few groups.


@pytest.mark.parametrize("groups", range(2, 10))
def test_few_groups_of_one_size_have_students_interval_of_their_accuracies(groups: int) -> None:
    rng = np.random.default_rng(groups)
    correct = (rng.random((groups, 20)) < 0.6).astype(np.float64)
    answers = Answers(correct.ravel(), [0] * correct.size, [f"group {i // 20}" for i in range(correct.size)])
    values = correct.mean(1)
    expected = t.interval(LEVEL, groups - 1, values.mean(), values.std(ddof=1) / groups**0.5)
    interval = accuracy_interval(answers)
    assert ends(interval) == pytest.approx(np.clip(expected, 0, 1))
    assert interval.method == f"jackknife t over {groups} groups: few"


def test_a_t_interval_stays_between_none_and_all() -> None:
    answers = Answers(np.array([1.0, 0.0, 1.0]), [0, 0, 0], ["a", "b", "c"])
    assert ends(accuracy_interval(answers)) == (0.0, 1.0)


def test_one_group_has_no_interval() -> None:
    interval = accuracy_interval(Answers(np.array([1.0, 0.0, 1.0]), [0, 1, 0], ["a"] * 3))
    assert (interval.low, interval.high) == (None, None)
    assert interval == Interval(None, None, 0.95, "none: one group", 1)


# Any score.


def ratio(numerator: Table, denominator: Table) -> Scored:
    """A score that is no mean of groups: a share of sums, such as an F-measure."""
    point = float(numerator.sum() / denominator.sum())
    return Scored(point, len(numerator), lambda weights: weights @ numerator / (weights @ denominator))


def sums(groups: int) -> tuple[Table, Table]:
    rng = np.random.default_rng(groups)
    denominator = rng.uniform(1, 9, groups)
    return denominator * rng.uniform(0.3, 0.9, groups), denominator


@pytest.mark.parametrize("groups", [10, 25, 60])
def test_the_interval_of_any_score_is_that_of_a_slow_loop(groups: int) -> None:
    given = sums(groups)
    found = ratio(*given).interval()
    chance = random.Random(1)
    samples = [chance.choices(list(zip(*given, strict=True)), k=groups) for _ in range(4000)]
    expected = np.quantile([sum(a for a, _ in pairs) / sum(b for _, b in pairs) for pairs in samples], [0.025, 0.975])
    np.testing.assert_allclose(ends(found), expected, atol=0.2 * (expected[1] - expected[0]) / 4, rtol=0)
    assert (found.method, found.groups) == (f"bootstrap over {groups} groups, 10,000 resamples", groups)


@pytest.mark.parametrize("groups", range(2, 10))
def test_few_groups_have_the_jackknifes_error_around_the_score(groups: int) -> None:
    numerator, denominator = sums(groups)
    one = ratio(numerator, denominator)
    left_out = [np.delete(numerator, i).sum() / np.delete(denominator, i).sum() for i in range(groups)]
    # Tukey: the pseudo-values' standard error is the score's.
    pseudo = groups * one.point - (groups - 1) * np.array(left_out)
    error = np.std(pseudo, ddof=1) / groups**0.5
    assert ends(one.interval()) == pytest.approx(t.interval(LEVEL, groups - 1, one.point, error))


@pytest.mark.parametrize("values", [[1.0, 1.0, 0.7], [0.0, 0.0, 0.3], [0.1, 0.9, 0.5]])
def test_the_interval_of_a_share_stays_between_none_and_all_and_that_of_others_need_not(values: list[float]) -> None:
    one = ratio(np.array(values), np.ones(3))
    (low, high), whole = ends(one.interval((0, 1))), ends(one.interval())
    assert whole[0] < 0 or whole[1] > 1
    assert (low, high) == (max(0.0, whole[0]), min(1.0, whole[1]))
    assert sum(whole) / 2 == pytest.approx(np.mean(values))


def test_few_groups_without_one_of_which_the_score_is_undefined_have_no_interval() -> None:
    one = Scored(0.5, 5, lambda weights: np.where(weights[:, 2] > 0, 0.5, np.nan))
    assert one.interval() == Interval(None, None, 0.95, "none: undefined without one of 5 groups", 5)


def test_a_score_that_is_undefined_in_every_draw_has_no_interval() -> None:
    one = Scored(0.5, 12, lambda weights: np.full(len(weights), np.nan))
    assert one.interval() == Interval(None, None, 0.95, "none: undefined in every draw of 12 groups", 12)


def test_draws_in_which_the_score_is_undefined_are_left_out() -> None:
    numerator, denominator = sums(20)
    plain = ratio(numerator, denominator)
    one = Scored(plain.point, 20, lambda weights: np.where(weights[:, 0] > 0, plain.rescore(weights), np.nan))
    kept = np.random.default_rng(3).multinomial(20, np.full(20, 0.05), size=20_000).astype(np.float64)
    expected = np.quantile(plain.rescore(kept[kept[:, 0] > 0]), [0.025, 0.975])
    np.testing.assert_allclose(ends(one.interval()), expected, atol=0.1 * (expected[1] - expected[0]) / 4, rtol=0)


def test_a_function_that_does_not_score_every_draw_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="a score each"):
        Scored(0.5, 12, lambda weights: np.array([0.5])).interval()


@pytest.mark.parametrize("draws", [1, 100, 70_001])
def test_as_many_groups_are_drawn_as_there_are_however_many_draws_are_made_at_once(draws: int) -> None:
    parts = list(drawn(120, draws))
    weights = np.concatenate(parts)
    assert weights.shape == (draws, 120)
    assert (weights.sum(1) == 120).all()
    assert len(parts) == -(-draws // (2**22 // 120))


# Two scores of the same clips.


def two(seed: int, groups: int, clips: int, apart: float = 0.0) -> tuple[Answers, Answers]:
    """Two heads of one accuracy, or some way apart, that find the same groups hard."""
    rng = np.random.default_rng(seed)
    hard = rng.beta(2.1, 0.9, groups)[:, None]
    right = [rng.random((groups, clips)) < np.clip(hard + shift, 0, 1) for shift in (apart / 2, -apart / 2)]
    # Heads that err alike within a group, each in its own way.
    right = [each ^ (rng.random((groups, 1)) < 0.1) for each in right]
    names = list(np.repeat([f"group {i}" for i in range(groups)], clips))
    folds = [i // clips % 5 for i in range(groups * clips)]
    a, b = (Answers(each.ravel().astype(np.float64), folds, names) for each in right)
    return a, b


def swapping(a: Answers, b: Answers, flags: Flags) -> Table:
    """The difference when flagged groups change sides, by building both sides anew."""
    _, group = np.unique(a.groups, return_inverse=True)
    differences = []
    for flag in flags:
        moved = flag[group]
        one = a._replace(correct=np.where(moved, b.correct, a.correct))
        other = b._replace(correct=np.where(moved, a.correct, b.correct))
        differences.append(score(one) - score(other))
    return np.array(differences)


def quickly(a: Answers, b: Answers, flags: Flags) -> Table:
    """The same, since an accuracy is a sum over groups."""
    (right, clips), (right_, _) = tables(a), tables(b)
    gained = ((right - right_) / clips.sum(0)).mean(1)
    moved: Table = gained.sum() - 2 * (flags @ gained)
    return moved


def test_under_the_null_the_paired_test_rejects_as_often_as_it_says() -> None:
    rejected = 0
    for seed in range(REPEATS):
        a, b = two(seed, 60, 25)  # many clips, so that ties between differences are rare
        one, other = (Scored(x.point, x.count, x.rescore, draws=1000) for x in map(accuracy, (a, b)))
        found = paired(one, other, partial(quickly, a, b))
        assert found.p is not None
        rejected += found.p < 0.05
    assert 0.03 <= rejected / REPEATS <= 0.07


def test_without_swaps_the_paired_bootstrap_rejects_about_as_often() -> None:
    rejected = 0
    for seed in range(REPEATS):
        a, b = (Scored(x.point, x.count, x.rescore, draws=1000) for x in map(accuracy, two(seed, 60, 25)))
        p = paired(a, b, None).p
        assert p is not None
        rejected += p < 0.05
    assert 0.03 <= rejected / REPEATS <= 0.08


def test_the_interval_of_a_difference_covers_it_as_often_as_it_says() -> None:
    others = [map(score, two(10_000 + seed, 60, 5, 0.1)) for seed in range(2000)]
    covered, truth = 0, float(np.mean([a - b for a, b in others]))
    for seed in range(REPEATS):
        a, b = (Scored(x.point, x.count, x.rescore, draws=1000) for x in map(accuracy, two(seed, 60, 5, 0.1)))
        low, high = ends(paired(a, b, None).interval)
        covered += low <= truth <= high
    assert 0.92 <= covered / REPEATS <= 0.98


def test_heads_that_err_on_the_same_clips_are_told_apart_by_less() -> None:
    a, b = two(0, 60, 5, 0.1)
    together = paired(accuracy(a), accuracy(b), None).interval
    low, high = ends(together)
    assert high - low < np.hypot(width(a), width(b))


@pytest.mark.parametrize("groups", [6, 9])
def test_of_few_groups_every_swap_is_tried(groups: int) -> None:
    a, b = two(1, groups, 5, 0.4)
    found = paired(accuracy(a), accuracy(b), partial(quickly, a, b))
    patterns = np.array(list(product([False, True], repeat=groups)))
    differences = swapping(a, b, patterns)
    assert found.p == pytest.approx(np.mean(np.abs(differences) >= abs(score(a) - score(b)) - 1e-12))
    assert found.method == f"all {2**groups:,} swaps of {groups} groups"


def test_a_difference_without_a_doubt_has_the_least_p_there_is() -> None:
    a, b = two(1, 40, 5)
    a, b = a._replace(correct=np.ones_like(a.correct)), b._replace(correct=np.zeros_like(b.correct))
    found = paired(accuracy(a), accuracy(b), partial(quickly, a, b))
    assert found.difference == 1
    assert found.p == pytest.approx(1 / 10_001)
    assert found.method == "10,000 random swaps of 40 groups"


def test_equal_answers_do_not_differ() -> None:
    a, _ = two(1, 40, 5)
    found = paired(accuracy(a), accuracy(a), partial(quickly, a, a))
    assert (found.difference, found.p, ends(found.interval)) == (0, 1, (0, 0))


def test_five_groups_have_no_p() -> None:
    a, b = two(1, 5, 5, 0.4)
    found = paired(accuracy(a), accuracy(b), partial(quickly, a, b))
    assert found.p is None
    assert found.method == "none: swapping 5 groups gives no p below 0.05"
    assert ends(found.interval)[0] < found.difference < ends(found.interval)[1]


def test_what_cannot_be_computed_counts_against_a_difference() -> None:
    a, b = map(accuracy, two(1, 40, 5, 0.4))
    assert paired(a, b, lambda flags: np.full(len(flags), np.nan)).p == 1


# Many tests, and ranks.


@pytest.mark.parametrize(
    ("given", "adjusted"),
    [
        ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]),
        ([0.04, None, 0.01], [0.04, None, 0.02]),
        ([0.5, 0.9], [1.0, 1.0]),
        ([], []),
    ],
)
def test_p_values_are_adjusted_by_holm(given: list[float | None], adjusted: list[float | None]) -> None:
    assert holm(given) == pytest.approx(adjusted)


def test_holm_rejects_what_stepping_down_rejects() -> None:
    given = np.random.default_rng(0).beta(0.3, 3, 30).tolist()
    rejected = set[int]()
    for done, i in enumerate(sorted(range(30), key=given.__getitem__)):
        if given[i] * (30 - done) >= 0.05:
            break
        rejected.add(i)
    assert 0 < len(rejected) < 30
    assert {i for i, p in enumerate(holm(given)) if p is not None and p < 0.05} == rejected


def pairs(count: int, significant: Sequence[tuple[int, int]]) -> list[list[float | None]]:
    table: list[list[float | None]] = [[1.0] * count for _ in range(count)]
    for (i, j), (a, b) in product(significant, combinations(range(count), 2)):
        if (i, j) == (a, b):
            table[i][j] = table[j][i] = 0.001
    return table


def test_what_cannot_be_told_apart_shares_a_rank() -> None:
    scores = [0.9, 0.88, 0.7, 0.69]
    apart = [(0, 2), (0, 3), (1, 2), (1, 3)]
    found = rank_groups(scores, pairs(4, apart))
    assert found == [Rank(1, True), Rank(1, True), Rank(3, False), Rank(3, False)]


def test_where_lower_is_better_the_lowest_is_first() -> None:
    found = rank_groups([0.3, 0.1], pairs(2, [(0, 1)]), higher_is_better=False)
    assert found == [Rank(2, False), Rank(1, True)]


def test_a_pair_that_was_not_tested_is_not_told_apart() -> None:
    assert rank_groups([0.9, 0.1], [[None, None], [None, None]]) == [Rank(1, True), Rank(1, True)]
