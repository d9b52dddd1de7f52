"""Scoring: what a judge says of outputs, for every kind of target, beside scikit-learn, torch and slow loops."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn.metrics import accuracy_score, average_precision_score, log_loss, r2_score, roc_curve
from torch.nn import functional

from harness.answers import Answers, measure
from harness.detection import event_onset_f, find_events
from harness.heads import Score
from harness.scoring import DRAWN_CLIPS, DRAWN_TRIALS, Scoring, drawn_trials
from harness.types import Class, Clip, Events, Label, Slots, SoundEvent, Tags, Target, Trial, Trials, Value

Refused = Callable[[str], AbstractContextManager[None]]
COUNT = 60
ROWS = np.random.default_rng(7).permutation(COUNT)[:40]
SLOTS = Slots(("what", "where"), (("on", "off", "up"), ("here", "there")))
METRIC = {"class": "accuracy", "tags": "map", "slots": "accuracy", "value": "r2", "trials": "eer"}


def rng() -> np.random.Generator:
    return np.random.default_rng(3)


def clips_of(labels: Sequence[Label]) -> list[Clip]:
    return [Clip(f"clip {i}", Path("none"), label, "1", "g") for i, label in enumerate(labels)]


def numbers(classes: int) -> list[int]:
    drawn: list[int] = np.random.default_rng(11).integers(0, classes, COUNT).tolist()
    return drawn


def scoring(kind: str, metric: str | None = None) -> Scoring:
    """A task of 60 clips."""
    target: Target
    labels: Sequence[Label]
    match kind:
        case "class":
            target, labels = Class(("a", "b", "c")), ["abc"[n] for n in numbers(3)]
        case "tags":
            target = Tags(("a", "b", "c"))
            labels = [tuple(x for i, x in enumerate("abc") if n >> i & 1) for n in numbers(8)]
        case "slots":
            target = SLOTS
            labels = [(SLOTS.labels[0][n % 3], SLOTS.labels[1][n // 3]) for n in numbers(6)]
        case "value":
            target, labels = Value(), rng().normal(3, 2, COUNT).tolist()
        case _:
            target, labels = Trials(), [f"speaker {n}" for n in numbers(6)]
    return Scoring(target, metric or METRIC[kind], clips_of(labels))


def outputs_for(kind: str, clips: int = 40) -> np.ndarray[Any, np.dtype[np.float32]]:
    width = {"class": 3, "tags": 3, "slots": 5, "value": 1, "trials": 8}[kind]
    return rng().normal(0, 2, (clips, width)).astype(np.float32)


def judged(kind: str, metric: str | None = None) -> Score:
    return scoring(kind, metric).judge(ROWS)(outputs_for(kind))


def judged_as(kind: str, outputs: Any) -> Score:
    return scoring(kind).judge(ROWS)(outputs)


# A judge.


def test_classes_are_judged_by_accuracy_and_cross_entropy() -> None:
    out, y = outputs_for("class"), np.array(numbers(3))[ROWS]
    score = judged("class")
    assert score.value == pytest.approx(accuracy_score(y, out.argmax(1)))
    assert score.loss == pytest.approx(log_loss(y, softmax(out.astype(np.float64), axis=1)), rel=1e-5)


def test_tags_are_judged_by_average_precision_and_binary_cross_entropy() -> None:
    out, y = outputs_for("tags"), np.array([[n >> i & 1 for i in range(3)] for n in numbers(8)])[ROWS]
    score = judged("tags")
    assert score.value == pytest.approx(average_precision_score(y, out, average="macro"))
    expected = np.mean([log_loss(y[:, i], expit(out[:, i].astype(np.float64))) for i in range(3)])
    assert score.loss == pytest.approx(expected, rel=1e-5)


def test_slots_are_judged_by_all_being_right_and_the_sum_of_their_cross_entropies() -> None:
    out, y = outputs_for("slots"), np.array([(n % 3, n // 3) for n in numbers(6)])[ROWS]
    score = judged("slots")
    right = [(a[:3].argmax(), a[3:].argmax()) == tuple(b) for a, b in zip(out, y, strict=True)]
    assert score.value == pytest.approx(np.mean(right))
    parts = [(out[:, :3], y[:, 0]), (out[:, 3:], y[:, 1])]
    expected = sum(functional.cross_entropy(torch.tensor(a), torch.tensor(b)).item() for a, b in parts)
    assert score.loss == pytest.approx(expected, rel=1e-5)


def test_values_are_judged_by_r2_and_the_squared_error() -> None:
    out, y = outputs_for("value"), rng().normal(3, 2, COUNT).astype(np.float32)[ROWS]
    score = judged("value")
    assert score.value == pytest.approx(r2_score(y, out[:, 0]), rel=1e-5)
    assert score.loss == pytest.approx(np.square(y - out[:, 0]).mean(), rel=1e-5)


def test_outputs_belong_to_the_rows_in_their_order() -> None:
    one = scoring("class")
    order = rng().permutation(40)
    out = outputs_for("class")
    assert one.judge(ROWS[order])(out[order]).value == pytest.approx(one.judge(ROWS)(out).value)


@pytest.mark.parametrize("kind", METRIC)
def test_where_outputs_are_no_numbers_the_judge_ranks_them_last(kind: str) -> None:
    broken = scoring(kind).judge(ROWS)(np.full_like(outputs_for(kind), np.nan))
    assert broken.rank < judged(kind).rank


# A loss decides between heads that are equally good, also where training lacks a class.


def lacking() -> np.ndarray[Any, np.dtype[np.float32]]:
    """Outputs that never answer the last of three classes, which some of the clips are of."""
    out = outputs_for("class")
    out[:, 2] = -np.inf
    return out


def test_the_loss_is_finite_where_training_lacks_a_class() -> None:
    assert 1000 < judged_as("class", lacking()).loss < 1e5


def test_of_two_heads_that_both_lack_a_class_the_one_that_is_surer_of_what_is_right_wins() -> None:
    y, out = np.array(numbers(3))[ROWS], lacking()
    right = (out.argmax(1) == y)[:, None] & (np.arange(3) == y[:, None])
    surer = out + np.where(right, np.float32(0.01), np.float32(0))
    plain, better = judged_as("class", out), judged_as("class", surer)
    assert plain.value == better.value
    assert better.loss < plain.loss
    assert better.rank > plain.rank


@pytest.mark.parametrize("shift", [0, -20_000])
def test_the_loss_of_finite_outputs_is_left_as_it_is_however_low_they_are(shift: float) -> None:
    out, y = outputs_for("class").astype(np.float64) + shift, np.array(numbers(3))[ROWS]
    expected = log_loss(y, softmax(out, axis=1))
    assert judged_as("class", out).loss == pytest.approx(expected, rel=1e-6)
    values, truth = outputs_for("value").astype(np.float64) + shift, rng().normal(3, 2, COUNT)[ROWS]
    assert judged_as("value", values).loss == pytest.approx(np.square(truth - values[:, 0]).mean(), rel=1e-6)


def test_a_judge_leaves_outputs_as_they_are() -> None:
    out = lacking()
    judged_as("class", out)
    np.testing.assert_array_equal(out, lacking())


# A metric that is better the lower it is.


@pytest.mark.parametrize(
    ("kind", "metric", "sign"), [("trials", "eer", -1), ("trials", "min_dcf", -1), ("class", "map", 1)]
)
def test_a_judge_turns_a_metric_so_that_higher_is_better(kind: str, metric: str, sign: int) -> None:
    one = scoring(kind, metric)
    out = outputs_for(kind)
    assert one.sign == sign
    assert one.judge(ROWS)(out).value == sign * one.measure(metric, one.read(out, ROWS, {}, drawn=True))


def test_embeddings_that_know_their_speaker_win_over_those_that_do_not() -> None:
    one = scoring("trials")
    known = np.eye(8, dtype=np.float32)[np.array(numbers(6))[ROWS]] + 0.3 * outputs_for("trials") / 2
    good, bad = (one.judge(ROWS)(out) for out in (known, outputs_for("trials")))
    assert good.rank > bad.rank
    assert good.value > -0.2 > bad.value


# Trials.


def cosine(one: Any, other: Any) -> float:
    a, b = (np.asarray(x, np.float64) for x in (one, other))
    return float(a @ b / np.sqrt(a @ a) / np.sqrt(b @ b))


def some_trials() -> list[Trial]:
    """Trials, of which some lie between the rows, in no order."""
    speakers = numbers(6)
    pairs = list(combinations(range(COUNT), 2))
    chosen = [pairs[i] for i in rng().choice(len(pairs), 300, replace=False)]
    return [Trial(f"clip {a}", f"clip {b}", speakers[a] == speakers[b]) for a, b in chosen]


def test_a_trial_is_scored_by_the_cosine_of_its_clips() -> None:
    trials = some_trials()
    one = Scoring(Trials(), "eer", scoring("trials").clips, trials)
    out = outputs_for("trials")
    answers = one.read(out, ROWS, {})
    place = {f"clip {row}": position for position, row in enumerate(ROWS.tolist())}
    known = [trial for trial in trials if trial.one in place and trial.other in place]
    assert 0 < len(known) < len(trials)
    expected = [cosine(out[place[trial.one]], out[place[trial.other]]) for trial in known]
    np.testing.assert_allclose(answers.scores, expected, rtol=1e-6)
    assert answers.truth.tolist() == [trial.same for trial in known]


def test_the_equal_error_rate_is_where_scikit_learns_curve_crosses() -> None:
    one = Scoring(Trials(), "eer", scoring("trials").clips, some_trials())
    answers = one.read(outputs_for("trials"), ROWS, {})
    alarms, hits, _ = roc_curve(answers.truth, answers.scores, drop_intermediate=False)
    nearest = np.abs(1 - hits - alarms).argmin()
    assert one.measure("eer", answers) == pytest.approx((alarms[nearest] + 1 - hits[nearest]) / 2, abs=0.02)


def test_an_embedding_of_length_zero_is_like_none_other() -> None:
    out = outputs_for("trials")
    out[0] = 0
    answers = scoring("trials").read(out, ROWS, {}, drawn=True)
    assert answers.pairs is not None
    assert not answers.scores[(answers.pairs[0] == 0) | (answers.pairs[1] == 0)].any()


def test_where_a_task_has_no_trials_of_the_clips_all_pairs_are_drawn_from() -> None:
    one, other, same = drawn_trials(np.array(numbers(6))[ROWS])
    speakers = np.array(numbers(6))[ROWS]
    assert np.array_equal(same, speakers[one] == speakers[other])
    assert same.sum() == (~same).sum() == sum(a == b for a, b in combinations(speakers.tolist(), 2))
    assert len(set(zip(one.tolist(), other.tolist(), strict=True))) == len(one)
    assert (one < other).all()


def test_of_many_pairs_so_many_are_drawn_and_half_are_of_one_speaker() -> None:
    _, _, same = drawn_trials(np.arange(400) % 7)
    assert (len(same), same.sum()) == (DRAWN_TRIALS, DRAWN_TRIALS // 2)


def test_of_very_many_clips_only_the_pairs_between_some_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[int] = []
    real = np.triu_indices

    def count(clips: int, k: int) -> Any:
        looked_at.append(clips)
        return real(clips, k)

    monkeypatch.setattr("harness.scoring.np.triu_indices", count)
    speakers = np.random.default_rng(0).integers(0, 40, 10_000)
    one, other, same = drawn_trials(speakers)
    assert looked_at == [DRAWN_CLIPS]
    assert (len(same), same.sum()) == (DRAWN_TRIALS, DRAWN_TRIALS // 2)
    assert np.array_equal(same, speakers[one] == speakers[other])
    assert (one < other).all()
    assert other.max() > 9_900


def test_the_same_trials_are_drawn_every_time() -> None:
    speakers = np.random.default_rng(0).integers(0, 7, 400)
    first = drawn_trials(speakers)
    np.random.seed(5)
    assert all(np.array_equal(a, b) for a, b in zip(first, drawn_trials(speakers), strict=True))


def test_trials_are_drawn_where_clips_choose_and_never_where_they_score(refused: Refused) -> None:
    one, out = scoring("trials"), outputs_for("trials")
    drawn = one.read(out, ROWS, {}, drawn=True)
    assert drawn.truth.sum() == (~drawn.truth).sum() > 0
    assert one.judge(ROWS)(out).value == -one.measure("eer", drawn)
    with refused("no trial is left between the test clips of a split: raise --limit or leave it out"):
        one.read(out, ROWS, {})


def test_where_a_task_lists_trials_of_the_clips_none_are_drawn() -> None:
    one = Scoring(Trials(), "eer", scoring("trials").clips, some_trials())
    listed, drawn = (one.read(outputs_for("trials"), ROWS, {}, drawn=drawn) for drawn in (False, True))
    assert np.array_equal(listed.scores, drawn.scores)


# Events.

HOP = 0.05
TIMES = (HOP / 2 + HOP * np.arange(100)).astype(np.float64)
FILTERS = ((0.45, 0.05), (0.05, 0.05), (0.05, 0.3))


def events_task(shortest: float, filters: tuple[tuple[float, float], ...] = FILTERS) -> tuple[Scoring, list[Any]]:
    """Clips with two kinds of events of ``shortest`` seconds or twice that; and outputs with clicks in between."""
    draw = rng()
    truths, outputs = [], []
    for _ in range(8):
        truth = []
        out = np.full((100, 2), -4.0, np.float32)
        for label, start in (("a", 10), ("b", 30), ("a", 50), ("b", 70)):
            first = start + int(draw.integers(0, 6))
            last = first + round(int(draw.integers(1, 3)) * shortest / HOP)
            truth.append(SoundEvent(label, first * HOP, last * HOP))
            out[first:last, "ab".index(label)] = 4
        for frame in (2, 90, 95):
            out[frame, int(draw.integers(2))] = 3
        truths.append(tuple(truth))
        outputs.append(out)
    target = Events(("a", "b"), filters)
    return Scoring(target, "event_onset_f", clips_of(truths), times=[TIMES] * 8), outputs


def events(clip: Clip) -> Any:
    return clip.target


@pytest.mark.parametrize(("shortest", "best"), [(0.5, 2), (0.05, 1)])
def test_the_filter_that_finds_events_best_is_the_reading(shortest: float, best: int) -> None:
    one, outputs = events_task(shortest, FILTERS[1:])
    rows = np.array([4, 1, 6])
    score = one.judge(rows)([outputs[i] for i in rows])
    median, least = FILTERS[best]
    assert score.reading == {"median": median, "shortest": least}
    by_hand = {
        pair: event_onset_f(
            [events(one.clips[i]) for i in rows],
            [find_events(outputs[i], ("a", "b"), TIMES, median=pair[0], shortest=pair[1]) for i in rows],
        )
        for pair in FILTERS[1:]
    }
    assert score.value == max(by_hand.values()) == by_hand[FILTERS[best]]
    assert len(set(by_hand.values())) == 2


def test_of_equally_good_filters_the_first_is_taken() -> None:
    one, outputs = events_task(0.5, ((0.05, 0.2), (0.05, 0.3)))
    assert one.judge(np.arange(8))(outputs).reading == {"median": 0.05, "shortest": 0.2}


def test_answers_are_read_with_the_filter_that_they_are_given() -> None:
    one, outputs = events_task(0.5)
    clean, clicks = (
        one.read(outputs, np.arange(8), {"median": 0.05, "shortest": least}).scores for least in (0.3, 0.05)
    )
    assert [len(found) for found in clean] == [4] * 8
    assert all(len(found) > 4 for found in clicks)


def test_the_loss_of_events_is_over_all_frames_together() -> None:
    one, outputs = events_task(0.5)
    rows = np.array([2, 0, 5])
    logits = torch.tensor(np.concatenate([outputs[i] for i in rows]))
    truth = torch.zeros(300, 2)
    for n, i in enumerate(rows):
        for label, onset, offset in events(one.clips[i]):
            truth[100 * n + round(onset / HOP) : 100 * n + round(offset / HOP), "ab".index(label)] = 1
    expected = functional.binary_cross_entropy_with_logits(logits, truth).item()
    assert one.judge(rows)([outputs[i] for i in rows]).loss == pytest.approx(expected, rel=1e-5)


def test_only_events_have_more_than_one_reading() -> None:
    assert [scoring(kind).readings() for kind in METRIC] == [[{}]] * 5
    assert [reading["median"] for reading in events_task(0.5)[0].readings()] == [0.45, 0.05, 0.05]


# Weights.


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy", "macro_f1", "map", "auroc"])
def test_a_clip_of_weight_two_counts_as_two(metric: str) -> None:
    one, out = scoring("class", metric), outputs_for("class")
    weight = rng().integers(0, 3, 40).astype(np.float64)
    twice = np.repeat(np.arange(40), weight.astype(int))
    weighed = measure(metric, one.target, one.read(out, ROWS, {}), weight)
    assert weighed == pytest.approx(one.measure(metric, one.read(out[twice], ROWS[twice], {})))
    assert weighed != pytest.approx(one.measure(metric, one.read(out, ROWS, {})))


def drawn_speakers(numbers_of: Any, seed: int) -> Any:
    """How often each clip counts when as many speakers as there are are drawn."""
    count = int(numbers_of.max()) + 1
    times = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count))
    return times[numbers_of].astype(np.float64)


@pytest.mark.parametrize("metric", ["eer", "min_dcf"])
def test_a_trial_of_one_speaker_counts_as_often_as_that_one_and_of_two_as_often_as_they_meet(metric: str) -> None:
    one = Scoring(Trials(), metric, scoring("trials").clips, some_trials())
    known = np.eye(8, dtype=np.float32)[np.array(numbers(6))[ROWS]]
    answers = one.read(4 * known + outputs_for("trials"), ROWS, {})
    weight = drawn_speakers(np.array(numbers(6))[ROWS], seed=1)
    assert answers.pairs is not None
    assert set(weight) > {0, 1}
    ends = zip(*(weight[end].astype(int) for end in answers.pairs), answers.truth, strict=True)
    times = [a if same else a * b for a, b, same in ends]
    drawn = np.repeat(np.arange(len(times)), times)
    expected = one.measure(metric, answers._replace(scores=answers.scores[drawn], truth=answers.truth[drawn]))
    assert measure(metric, one.target, answers, weight) == pytest.approx(expected)
    assert expected != pytest.approx(one.measure(metric, answers))


def voices(seed: int, speakers: int = 20, clips: int = 5) -> Answers:
    """All trials between fresh speakers, whose clips are one number each: the nearer, the likelier the same.

    Some speakers are steadier than others.
    """
    draw = np.random.default_rng(seed)
    speaker = np.repeat(np.arange(speakers), clips)
    unsteady = draw.lognormal(-2, 1.5, speakers)
    voice = (draw.normal(0, 1, speakers) + unsteady * draw.normal(0, 1, (clips, speakers))).T.ravel()
    one, other = np.triu_indices(len(speaker), 1)
    return Answers(-np.abs(voice[one] - voice[other]), speaker[one] == speaker[other], (one, other))


def test_drawing_speakers_again_spreads_the_equal_error_rate_as_fresh_speakers_do() -> None:
    one, speaker = scoring("trials"), np.repeat(np.arange(20), 5)
    fresh = np.std([one.measure("eer", voices(seed)) for seed in range(300)])
    again = [
        np.var(measure("eer", one.target, answers, np.stack([drawn_speakers(speaker, seed) for seed in range(40)])))
        for answers in map(voices, range(1000, 1020))
    ]
    assert np.sqrt(np.mean(again)) == pytest.approx(fresh, rel=0.2)


def test_events_of_a_clip_of_weight_nothing_do_not_count() -> None:
    one, outputs = events_task(0.5)
    outputs[0] = -outputs[0]
    answers = one.read(outputs, np.arange(8), {"median": 0.05, "shortest": 0.3})
    assert one.measure("event_onset_f", answers) < 1
    assert measure("event_onset_f", one.target, answers, np.r_[0.0, np.ones(7)]) == 1


# Metrics that are told.


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("class", ["accuracy", "balanced_accuracy", "macro_f1", "map", "auroc", "d_prime"]),
        ("tags", ["map", "auroc", "d_prime"]),
        ("slots", ["accuracy"]),
        ("value", ["r2"]),
        ("trials", ["eer", "min_dcf"]),
    ],
)
def test_all_metrics_that_apply_are_told_once(kind: str, names: list[str]) -> None:
    assert scoring(kind).names == names


def test_the_primary_metric_comes_first() -> None:
    assert scoring("class", "auroc").names[:2] == ["auroc", "accuracy"]


def test_of_pitches_the_chroma_is_told_and_accuracy_only_once() -> None:
    pitches = Class(("60", "61", "72"))
    names = Scoring(pitches, "pitch_accuracy", clips_of(["60"] * COUNT)).names
    assert names[:2] == ["pitch_accuracy", "chroma_accuracy"]
    assert "accuracy" not in names
