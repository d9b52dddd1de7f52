"""Kept answers: every number can be made from them again, and swapping sides is what it would be by hand."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness import answers
from harness.answers import Answers, Kept, SplitAnswers, compare, measure
from harness.metrics import METRICS, RANKING, SHARES, bind
from harness.stats import Flags, Table, drawn
from harness.types import Class

from kept_answers import CLIPS, GROUPS, PAIRS, SPLITS, kept

SWAPPED = [pair for pair in PAIRS if pair[1] != "trials"]


def rows(answer: Answers, chosen: Any) -> Answers:
    """Answers to some clips, again where they are chosen again."""
    if isinstance(answer.scores, list):
        return Answers([answer.scores[i] for i in chosen], [answer.truth[i] for i in chosen])
    return Answers(answer.scores[chosen], answer.truth[chosen])


@pytest.mark.parametrize(("metric", "kind"), PAIRS)
def test_the_score_is_the_mean_over_seeds_and_splits(metric: str, kind: str) -> None:
    one = kept(kind, metric)
    function = bind(metric, one.target)
    values = [function(a.scores, a.truth) for split in one.splits for a in split.seeds]
    assert one.scored.point == pytest.approx(np.mean(values), rel=1e-12)
    assert one.by_seed(metric).T.ravel() == pytest.approx(values, rel=1e-12)


@pytest.mark.parametrize(("metric", "kind"), SWAPPED)
def test_other_groups_give_the_score_of_their_clips(metric: str, kind: str) -> None:
    one = kept(kind, metric)
    weights = np.random.default_rng(3).integers(0, 3, (5, GROUPS)).astype(np.float64)
    for weight, found in zip(weights, one.scored.rescore(weights), strict=True):
        values = []
        for split in one.splits:
            chosen = np.repeat(np.arange(CLIPS), weight[split.groups].astype(int))
            values.append(np.mean([measure(metric, one.target, rows(a, chosen)) for a in split.seeds]))
        assert found == pytest.approx(np.nanmean(values), rel=1e-9)


@pytest.mark.parametrize("metric", ["eer", "min_dcf"])
def test_a_trial_counts_as_often_as_its_speakers_meet(metric: str) -> None:
    one = kept("trials", metric)
    weights = np.random.default_rng(3).integers(0, 3, (5, GROUPS)).astype(np.float64)
    for weight, found in zip(weights, one.scored.rescore(weights), strict=True):
        values = []
        for split in one.splits:
            for a in split.seeds:
                assert a.pairs is not None
                ends = [weight[split.groups[end]] for end in a.pairs]
                times = np.where(a.truth, ends[0], ends[0] * ends[1]).astype(int)
                chosen = np.repeat(np.arange(len(times)), times)
                values.append(measure(metric, one.target, Answers(a.scores[chosen], a.truth[chosen])))
        assert found == pytest.approx(np.mean(values), rel=1e-9)


def test_shares_are_counted_by_groups_and_give_what_all_clips_would(monkeypatch: pytest.MonkeyPatch) -> None:
    one = kept("class", "accuracy")
    weights = np.concatenate(list(drawn(GROUPS, 50)))
    by_groups = one.scored.rescore(weights)
    monkeypatch.setattr(answers, "SHARES", frozenset())
    np.testing.assert_allclose(kept("class", "accuracy").scored.rescore(weights), by_groups, rtol=1e-12)


@pytest.mark.parametrize("at_once", [1, 100, 1000])
def test_it_does_not_matter_how_many_draws_are_weighed_at_once(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = np.concatenate(list(drawn(GROUPS, 30)))
    whole = kept("tags", "map").scored.rescore(weights)
    monkeypatch.setattr(answers, "_AT_ONCE", at_once)
    np.testing.assert_array_equal(kept("tags", "map").scored.rescore(weights), whole)


def test_a_metric_that_takes_long_is_drawn_less_often(monkeypatch: pytest.MonkeyPatch) -> None:
    assert kept("tags", "map").interval.method == "bootstrap over 12 groups, 10,000 resamples"
    monkeypatch.setattr(answers, "_WEIGHED", 2_000 * 3 * SPLITS * 2 * CLIPS)
    assert kept("tags", "map").interval.method == "bootstrap over 12 groups, 2,000 resamples"
    monkeypatch.setattr(answers, "_WEIGHED", 1)
    assert kept("tags", "map").interval.method == "bootstrap over 12 groups, 1,000 resamples"


@pytest.mark.parametrize(("metric", "kind"), PAIRS)
def test_the_score_lies_in_its_interval(metric: str, kind: str) -> None:
    one = kept(kind, metric)
    found = one.interval
    assert found.low is not None
    assert found.high is not None
    assert found.low < one.scored.point < found.high
    if METRICS[metric].percent:
        assert found.low >= 0
        assert found.high <= 1


# Two upstreams.


def by_hand(a: Kept, b: Kept, flags: Flags, view: Callable[[Answers], Answers]) -> Table:
    """The difference when groups change sides: both sides are put together anew, clip by clip."""
    found = []
    for flag in flags:
        sides: tuple[list[float], list[float]] = ([], [])
        for one, other in zip(a.splits, b.splits, strict=True):
            moved = flag[one.groups]
            for x, y in zip(map(view, one.seeds), map(view, other.seeds), strict=True):
                for side, (own, foreign) in zip(sides, ((x, y), (y, x)), strict=True):
                    some = [foreign if m else own for m in moved]
                    side.append(
                        measure(
                            a.metric,
                            a.target,
                            Answers(
                                type_of(x.scores)([who.scores[i] for i, who in enumerate(some)]),
                                type_of(x.truth)([who.truth[i] for i, who in enumerate(some)]),
                            ),
                        )
                    )
        found.append(np.mean(sides[0]) - np.mean(sides[1]))
    return np.array(found)


def type_of(values: Any) -> Callable[[Sequence[Any]], Any]:
    return list if isinstance(values, list) else np.array


def ranked(answer: Answers) -> Answers:
    """Of every label, how many scores are lower, and half of those that are equal."""
    scores = answer.scores
    if answer.truth.ndim == 1:
        power = np.exp(scores.astype(np.float64))
        scores = power / power.sum(1, keepdims=True)
        truth = (answer.truth[:, None] == np.arange(5)).astype(np.float32)
    else:
        truth = answer.truth
    places = [[(column < x).sum() + (column == x).sum() / 2 for x in column] for column in scores.T]
    return Answers(np.array(places).T, truth)


@pytest.mark.parametrize(("metric", "kind"), SWAPPED)
def test_groups_that_change_sides_give_what_they_would_by_hand(metric: str, kind: str) -> None:
    a, b = kept(kind, metric, 0), kept(kind, metric, 1)
    flags = np.random.default_rng(0).random((6, GROUPS)) < 0.5
    swapped = answers._swapped(a, b)
    assert swapped is not None
    view = ranked if metric in RANKING else (lambda answer: answer)
    np.testing.assert_allclose(swapped(flags), by_hand(a, b, flags, view), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("metric", "kind"), SWAPPED)
def test_when_all_change_sides_the_difference_changes_its_sign(metric: str, kind: str) -> None:
    a, b = kept(kind, metric, 0), kept(kind, metric, 1)
    swapped = answers._swapped(a, b)
    assert swapped is not None
    (stay,), (go,) = swapped(np.zeros((1, GROUPS), bool)), swapped(np.ones((1, GROUPS), bool))
    assert stay == pytest.approx(-go)
    assert stay == pytest.approx(a.scored.point - b.scored.point)


@pytest.mark.parametrize("metric", sorted(RANKING))
def test_scores_on_another_scale_are_no_difference(metric: str) -> None:
    a, b = kept("tags", metric, 0), kept("tags", metric, 1)

    def louder(split: SplitAnswers) -> SplitAnswers:
        return replace(split, seeds=tuple(each._replace(scores=np.exp(3 * each.scores)) for each in split.seeds))

    same = compare(a, replace(b, splits=tuple(map(louder, b.splits))))
    assert same == compare(a, b)


@pytest.mark.parametrize(("metric", "kind"), PAIRS)
def test_the_same_answers_do_not_differ(metric: str, kind: str) -> None:
    found = compare(kept(kind, metric), kept(kind, metric))
    assert (found.difference, found.p, found.interval.low, found.interval.high) == (0, 1, 0, 0)


@pytest.mark.parametrize(("metric", "kind"), PAIRS)
def test_better_answers_are_told_from_worse(metric: str, kind: str) -> None:
    def perfect(one: Kept) -> Kept:
        def right(split: SplitAnswers) -> SplitAnswers:
            return replace(split, seeds=tuple(map(flawless, split.seeds)))

        return replace(one, splits=tuple(map(right, one.splits)))

    def flawless(answer: Answers) -> Answers:
        truth = answer.truth
        match kind:
            case "class":
                return answer._replace(scores=np.eye(5)[truth])
            case "slots":
                return answer._replace(scores=np.concatenate([np.eye(3)[truth[:, 0]], np.eye(2)[truth[:, 1]]], axis=1))
            case "value":
                return answer._replace(scores=truth[:, None])
            case "events":
                return answer._replace(scores=truth)
            case _:
                return answer._replace(scores=truth.astype(np.float64))

    one = kept(kind, metric)
    found = compare(perfect(one), one)
    better = 1 if METRICS[metric].higher_is_better else -1
    assert better * found.difference > 0
    assert found.p is not None
    assert found.p < 0.01


def test_heads_of_several_seeds_have_partners_only_where_both_have_as_many() -> None:
    a, b = kept("tags", "map", 0, seeds=3), kept("tags", "map", 1, seeds=1)
    assert compare(a, b).method == "bootstrap over 12 groups"
    few, fewer = kept("class", "accuracy", 0, seeds=3), kept("class", "accuracy", 1, seeds=1)
    assert compare(few, fewer).method == "all 4,096 swaps of 12 groups"


def test_trials_are_compared_by_the_bootstrap_since_they_are_of_two_speakers() -> None:
    found = compare(kept("trials", "eer", 0), kept("trials", "eer", 1))
    assert found.method == "bootstrap over 12 groups"
    assert found.p is not None


def test_answers_to_the_same_clips_are_known_by_them() -> None:
    one = kept("class", "accuracy")
    assert one.same_clips(kept("class", "accuracy", 5))
    first, *others = one.splits
    for changed in (
        replace(one, metric="macro_f1"),
        replace(one, splits=one.splits[:1]),
        replace(one, splits=(replace(first, clips=first.clips + 1), *others)),
        replace(one, splits=(replace(first, groups=first.groups[::-1]), *others)),
        replace(one, splits=(replace(first, seeds=(first.seeds[0]._replace(truth=first.seeds[1].scores),)), *others)),
        replace(one, target=Class(("1", "2", "3", "4", "5"))),
    ):
        assert not one.same_clips(changed)


def test_trials_are_the_same_only_between_the_same_clips() -> None:
    one = kept("trials", "eer")
    assert one.same_clips(kept("trials", "eer", 5))
    first, *others = one.splits
    answer = first.seeds[0]
    assert answer.pairs is not None
    turned = answer._replace(pairs=answer.pairs[::-1])
    assert not one.same_clips(replace(one, splits=(replace(first, seeds=(turned,)), *others)))


def test_of_shares_and_rankings_all_are_metrics() -> None:
    assert METRICS.keys() >= SHARES | RANKING
