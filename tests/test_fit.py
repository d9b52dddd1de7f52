"""Fitting: every split chooses by its own validation clips, and its test clips are answered once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from harness.catalogue import HEADS as CATALOGUE
from harness.closed import Logistic, Ridge
from harness.features import Array, Features, Pooled, Rows
from harness.fit import Data, Method, Outcome, Part, fit_parts, spread
from harness.heads import Fitted, Head, Problem, Score, Tried
from harness.neighbours import KNN, NearestMean
from harness.scoring import Scoring
from harness.splits import AnySplit, ClipSplit, CompatSplit
from harness.trained import Trained
from harness.training import Training
from harness.types import Candidate, Class, Clip, Trial, Trials, Value

Refused = Callable[[str], AbstractContextManager[None]]
CLIPS = 96
CLASSES = Class(("a", "b", "c"))
TRAINING = Training(rates=(1e-2,), batch=32, steps=60, checks=3)
HEADS: dict[str, Head] = {
    "logistic": Logistic((0.01, 1.0)),
    "ridge": Ridge((1.0, 100.0)),
    "nearest-mean": NearestMean(),
    "knn": KNN((1, 5)),
    "trained": Trained("superb-linear", TRAINING),
}


def part(number: int) -> Rows:
    """The clips that train (0 and 1), choose (2) or score (3): every fourth one."""
    return np.arange(number, CLIPS, 4)


TRAIN, VALID, TEST = np.sort(np.concatenate([part(0), part(1)])), part(2), part(3)
SPLIT = ClipSplit(TRAIN, VALID, TEST, ("4",))
BOTH = np.union1d(TRAIN, VALID)
#: The same, but features are standardised with validation clips too (EVAR).
WIDE = CompatSplit(TRAIN, VALID, TEST, ("4",), BOTH)
#: Ways to standardise: whether, and on which split.
STANDARDISE = [
    pytest.param(False, SPLIT, id="no"),
    pytest.param(True, SPLIT, id="by-train"),
    pytest.param(True, WIDE, id="by-train-and-valid"),
]


def scoring(y: Sequence[int]) -> Scoring:
    return Scoring(CLASSES, "accuracy", [Clip(str(i), Path("none"), "abc"[n], "1", "g") for i, n in enumerate(y)])


def toy(*, noise: float = 0.7, seed: int = 0, layers: Sequence[str] = ("0", "1", "final")) -> Data:
    """Three layers of which the one called ``1`` knows the class."""
    rng = np.random.default_rng(seed)
    y = rng.permutation(np.arange(CLIPS) % 3)
    known = np.random.default_rng(99).normal(0, 1, (3, 1, 5))[y] + rng.normal(0, noise, (CLIPS, 1, 5))
    arrays = {"0": rng.normal(3, 2, (CLIPS, 1, 4)), "1": 5 * known - 3, "final": rng.normal(0, 1, (CLIPS, 1, 6))}
    inputs = {name: Pooled(arrays[name].astype(np.float32)) for name in layers}
    return Data(inputs, inputs, "one", "mean", scoring(y.tolist()))


def array(features: Features) -> Array:
    assert isinstance(features, Pooled)
    return features.array


def standardised(x: Array, by: Rows) -> npt.NDArray[np.float64]:
    """Mean 0 and variance 1 over the clips ``by``, in float64."""
    wide = x.astype(np.float64)
    out: npt.NDArray[np.float64] = (wide - wide[by].mean(0)) / wide[by].std(0)
    return out


@dataclass(frozen=True)
class Spy(Head):
    """Remembers what it is given; every setting gets the value and loss that it is told."""

    told: Mapping[str, tuple[float, float]]
    searched: list[Problem] = field(default_factory=list)
    fitted: list[tuple[Problem, Mapping[str, Any]]] = field(default_factory=list)
    answered: list[tuple[str, Array]] = field(default_factory=list)
    random = False

    def search(self, problems: Sequence[Problem]) -> Iterator[Tried]:
        self.searched.extend(problems)
        for number in range(len(problems)):
            for place, (name, (value, loss)) in enumerate(self.told.items()):
                yield Tried(number, place, {"name": name}, Score(value, loss), self._answering(f"search {name}"))

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        self.fitted.append((problem, setting))
        return self._answering("fit")

    def narrowed(self, setting: Mapping[str, Any]) -> "Spy":
        return replace(self, told={setting["name"]: self.told[setting["name"]]})

    def _answering(self, by: str) -> Fitted:
        def outputs(x: Features) -> Array:
            self.answered.append((by, array(x)))
            return np.random.default_rng(0).normal(0, 1, (len(x), 3)).astype(np.float32)

        return Fitted(outputs, (0.25, 0.75))


def fit_split(data: Data, split: AnySplit, method: Method, *, index: int = 0, seed: int = 0) -> Outcome:
    (outcome,) = fit_parts([Part(data, split, index, seed)], method)
    return outcome


def spied(data: Data, split: AnySplit = SPLIT, **method: Any) -> Spy:
    spy = Spy({"a": (0.5, 1.0)})
    fit_split(data, split, Method(spy, **method), seed=3)
    return spy


# What a head sees.


@pytest.mark.parametrize(("standardise", "split"), STANDARDISE)
def test_the_search_learns_from_train_and_is_judged_by_valid(standardise: bool, split: AnySplit) -> None:
    data = toy()
    for x, problem in zip(data.inputs.values(), spied(data, split, standardise=standardise).searched, strict=True):
        expected = standardised(array(x), split.scaling) if standardise else array(x)
        np.testing.assert_allclose(array(problem.train.x), expected[TRAIN], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(array(problem.valid), expected[VALID], rtol=1e-4, atol=1e-5)
        assert np.array_equal(problem.train.y, data.scoring.y[TRAIN])
        assert problem.seed == 3


def test_unstandardised_features_are_left_to_the_last_bit() -> None:
    data = toy()
    for x, problem in zip(data.inputs.values(), spied(data, standardise=False).searched, strict=True):
        assert np.array_equal(array(problem.train.x), array(x)[TRAIN])
        assert np.array_equal(array(problem.valid), array(x)[VALID])


def test_a_judge_scores_the_validation_clips() -> None:
    data = toy()
    (problem, *_) = spied(data).searched
    right = np.eye(3, dtype=np.float32)[data.scoring.y]
    assert problem.judge(right[VALID]).value == 1.0
    assert problem.judge(right[TEST]).value < 1.0


@pytest.mark.parametrize(("standardise", "split"), STANDARDISE)
def test_the_refit_learns_from_train_and_valid(standardise: bool, split: AnySplit) -> None:
    data = toy()
    ((problem, setting),) = spied(data, split, standardise=standardise).fitted
    x = array(data.inputs["0"])
    expected = standardised(x, BOTH) if standardise else x
    np.testing.assert_allclose(array(problem.train.x), expected[BOTH], rtol=1e-4, atol=1e-5)
    assert np.array_equal(problem.train.y, data.scoring.y[BOTH])
    assert (setting["name"], problem.seed) == ("a", 3)


def test_without_a_refit_the_head_that_was_chosen_answers() -> None:
    spy = Spy({"a": (0.25, 1.0), "b": (0.5, 1.0)})
    fit_split(toy(), SPLIT, Method(spy, refit=False))
    assert not spy.fitted
    assert [by for by, _ in spy.answered] == ["search b"]


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize(("standardise", "split"), STANDARDISE)
def test_the_test_clips_are_answered_once_scaled_like_those_learned_from(
    standardise: bool, split: AnySplit, refit: bool
) -> None:
    data = toy()
    ((_, x),) = spied(data, split, standardise=standardise, refit=refit).answered
    given = array(data.inputs["0"])
    expected = standardised(given, BOTH if refit else split.scaling) if standardise else given
    np.testing.assert_allclose(x, expected[TEST], rtol=1e-4, atol=1e-5)


def test_where_test_clips_are_heard_differently_they_are_answered_so() -> None:
    data = toy()
    other = {name: Pooled(array(x) + 1) for name, x in data.inputs.items()}
    spy = spied(replace(data, tested=other), standardise=False)
    assert np.array_equal(spy.answered[0][1], array(data.inputs["0"])[TEST] + 1)
    assert np.array_equal(array(spy.searched[0].train.x), array(data.inputs["0"])[TRAIN])


def test_join_and_pool_reach_the_head() -> None:
    spy = spied(replace(toy(), join="weighted-sum", pool="attention"), device="cpu")
    assert {(p.join, p.pool, p.device) for p in spy.searched} == {("weighted-sum", "attention", "cpu")}


def test_an_outcome_is_what_the_test_clips_were_answered() -> None:
    data = toy()
    outcome = fit_split(data, SPLIT, Method(Spy({"a": (0.5, 1.0)})), index=2, seed=3)
    answers = np.random.default_rng(0).normal(0, 1, (24, 3)).argmax(1)
    assert np.array_equal(outcome.answers.scores.argmax(1), answers)
    assert np.array_equal(outcome.answers.truth, data.scoring.y[TEST])
    assert np.array_equal(outcome.rows, TEST)
    assert outcome.fold.score == pytest.approx((answers == data.scoring.y[TEST]).mean())
    assert (outcome.fold.test, outcome.fold.clips, outcome.layer_weights) == (("4",), 24, (0.25, 0.75))


def test_everything_that_was_tried_is_told() -> None:
    spy = Spy({"a": (0.5, 1.0), "b": (0.25, 2.0)})
    outcome = fit_split(toy(), SPLIT, Method(spy), index=2, seed=3)
    told = [(c.split, c.seed, dict(c.setting), c.valid_score) for c in outcome.candidates]
    assert told == [
        (2, 3, {"layer": layer, "name": name}, value)
        for layer in ("0", "1", "final")
        for name, value in (("a", 0.5), ("b", 0.25))
    ]


# What a split chooses.


def valid_score(candidate: Candidate) -> float:
    assert candidate.valid_score is not None
    return candidate.valid_score


def chosen(told: Mapping[str, tuple[float, float]]) -> tuple[Any, Any]:
    found = fit_split(toy(), SPLIT, Method(Spy(told))).fold.chosen
    return found["layer"], found["name"]


def test_the_best_setting_is_chosen() -> None:
    assert chosen({"a": (0.5, 0.1), "b": (0.75, 9.0), "c": (0.25, 0.1)}) == ("0", "b")


def test_of_equally_good_settings_the_one_of_lower_loss_is_chosen() -> None:
    assert chosen({"a": (0.5, 3.0), "b": (0.5, 2.0), "c": (0.25, 1.0)}) == ("0", "b")


def test_of_equal_settings_the_first_of_the_first_layer_is_chosen() -> None:
    assert chosen({"a": (0.25, 3.0), "b": (0.5, 2.0), "c": (0.5, 2.0)}) == ("0", "b")


@pytest.mark.parametrize("loss", [float("inf"), float("nan")])
def test_a_loss_that_is_no_number_loses_against_any_other(loss: float) -> None:
    assert chosen({"a": (0.5, loss), "b": (0.5, 50.0)}) == ("0", "b")


def test_a_score_that_is_no_number_loses_against_any_other() -> None:
    assert chosen({"a": (float("nan"), 0.1), "b": (-5.0, 50.0)}) == ("0", "b")


@pytest.mark.parametrize("value", [float("nan"), -float("inf")])
def test_a_score_that_is_no_number_is_told_as_none(value: float) -> None:
    spy = Spy({"a": (value, 0.1), "b": (0.5, 0.1)})
    outcome = fit_split(toy(layers=("1",)), SPLIT, Method(spy))
    assert [candidate.valid_score for candidate in outcome.candidates] == [None, 0.5]


def test_layers_of_equal_features_give_the_first() -> None:
    data = toy()
    twice = {"early": data.inputs["1"], "late": data.inputs["1"]}
    outcome = fit_split(replace(data, inputs=twice, tested=twice), SPLIT, Method(HEADS["logistic"]))
    assert outcome.fold.chosen["layer"] == "early"


def test_a_metric_that_is_better_the_lower_it_is_is_told_as_it_is() -> None:
    data = toy(layers=("1",))
    listed = [Trial(str(a), str(b), (a - b) % 3 == 0) for a in TEST.tolist() for b in TEST.tolist() if a < b]
    trials = replace(data, scoring=replace(data.scoring, target=Trials(), metric="eer", trials=listed))
    (told,) = fit_split(trials, SPLIT, Method(Spy({"a": (-0.25, 1.0)}))).candidates
    assert told.valid_score == 0.25


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize(("standardise", "split"), STANDARDISE)
def test_the_layer_that_knows_the_class_is_found(name: str, refit: bool, standardise: bool, split: AnySplit) -> None:
    outcome = fit_split(toy(), split, Method(HEADS[name], standardise, refit))
    assert outcome.fold.chosen["layer"] == "1"
    assert outcome.fold.score > 0.7


@pytest.mark.parametrize("name", HEADS)
def test_what_is_chosen_has_the_best_validation_score(name: str) -> None:
    outcome = fit_split(toy(noise=3), SPLIT, Method(HEADS[name]), seed=1)
    settings = {**outcome.fold.chosen}
    assert settings.pop("seed") == 1
    (score,) = (c.valid_score for c in outcome.candidates if c.setting == settings)
    assert score == max(map(valid_score, outcome.candidates))


# Test clips take no part in the choice.


def changed(data: Data, seed: int) -> Data:
    """Other features and other labels for the test clips, and for them alone."""
    rng = np.random.default_rng(seed)
    y = data.scoring.y.copy()
    y[TEST] = rng.permutation(y[TEST])
    arrays = {name: array(x).copy() for name, x in data.inputs.items()}
    for x in arrays.values():
        x[TEST] = rng.normal(100, 30, x[TEST].shape)
    inputs = {name: Pooled(x) for name, x in arrays.items()}
    assert not np.array_equal(y, data.scoring.y)
    return replace(data, inputs=inputs, tested=inputs, scoring=scoring(y.tolist()))


@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize(("standardise", "split"), STANDARDISE)
def test_no_test_clip_reaches_a_head_that_is_chosen_or_fitted(standardise: bool, split: AnySplit, refit: bool) -> None:
    data = toy()
    # Every clip and feature has a number of its own, so that what a head sees tells whose it is.
    own = (np.arange(CLIPS)[:, None, None] + np.array([0, 0.25, 0.5])).astype(np.float32)
    inputs = {name: Pooled(own) for name in data.inputs}
    data = replace(data, inputs=inputs, tested=inputs)
    spy = spied(data, split, standardise=standardise, refit=refit)
    for problems, by in ((spy.searched, split.scaling), ([problem for problem, _ in spy.fitted], BOTH)):
        scale = standardised(own, by) if standardise else own
        for problem in problems:
            # A refit is not judged, so what it learns from has other units than the validation clips beside it.
            for x in map(array, (problem.train.x, problem.valid) if problems is spy.searched else (problem.train.x,)):
                whose = np.abs(x[:, None, 0, 0] - scale[None, :, 0, 0]).argmin(1)
                np.testing.assert_allclose(x, scale[whose], atol=1e-4)
                assert not set(whose.tolist()) & set(TEST.tolist())


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("refit", [True, False])
@pytest.mark.parametrize(("standardise", "split"), STANDARDISE)
def test_test_clips_move_neither_the_choice_nor_the_head(
    name: str, refit: bool, standardise: bool, split: AnySplit
) -> None:
    data, method = toy(noise=2), Method(HEADS[name], standardise, refit)
    # The heads are asked of the same clips, whatever their test clips were.
    asked = {
        layer: Pooled(np.random.default_rng(8).normal(0, 3, array(x).shape).astype(np.float32))
        for layer, x in data.inputs.items()
    }
    one, *others = (
        fit_split(replace(d, tested=asked), split, method) for d in (data, changed(data, 1), changed(data, 2))
    )
    for other in others:
        assert other.candidates == one.candidates
        assert other.fold.chosen == one.fold.chosen
        assert other.layer_weights == one.layer_weights
        assert np.array_equal(other.answers.scores, one.answers.scores)


@pytest.mark.parametrize("standardise", [False, True])
def test_a_published_split_may_choose_by_what_it_scores_and_then_does(standardise: bool) -> None:
    data = toy(noise=2)
    split = CompatSplit(BOTH, TEST, TEST, ("4",), BOTH, "test-selected")
    outcomes = [
        fit_split(d, split, Method(HEADS["logistic"], standardise, refit=False)) for d in (data, changed(data, 1))
    ]
    for outcome in outcomes:
        assert outcome.fold.score == max(map(valid_score, outcome.candidates))
    assert outcomes[0].candidates != outcomes[1].candidates


def test_an_answer_to_a_test_clip_does_not_depend_on_the_other_test_clips() -> None:
    data = toy(noise=2)
    fewer = replace(SPLIT, test=TEST[1::2])
    for head in HEADS.values():
        one, two = (fit_split(data, split, Method(head)) for split in (SPLIT, fewer))
        np.testing.assert_allclose(one.answers.scores[1::2], two.answers.scores, rtol=1e-5, atol=1e-5)


def test_features_without_information_score_at_chance() -> None:
    scores = [
        fit_split(toy(seed=seed, layers=("0", "final")), SPLIT, Method(HEADS["logistic"])).fold.score
        for seed in range(12)
    ]
    assert np.mean(scores) == pytest.approx(1 / 3, abs=0.1)


@pytest.mark.parametrize("name", HEADS)
def test_a_split_that_is_run_again_gives_the_same(name: str) -> None:
    one, two = (fit_split(toy(noise=2), SPLIT, Method(HEADS[name]), seed=5) for _ in range(2))
    assert (one.fold, one.candidates) == (two.fold, two.candidates)
    assert np.array_equal(one.answers.scores, two.answers.scores)


def test_another_seed_trains_another_head() -> None:
    one, two = (fit_split(toy(noise=2), SPLIT, Method(HEADS["trained"]), seed=seed) for seed in (1, 2))
    assert not np.array_equal(one.answers.scores, two.answers.scores)


@pytest.mark.parametrize("name", HEADS)
def test_a_class_that_only_the_test_clips_hold_is_scored_as_wrong(name: str) -> None:
    data = toy(noise=0.1)
    y = data.scoring.y
    poor = ClipSplit(TRAIN[y[TRAIN] != 2], VALID[y[VALID] != 2], TEST, ("4",))
    outcome: Outcome = fit_split(data, poor, Method(HEADS[name]))
    assert 2 not in outcome.answers.scores.argmax(1)
    assert outcome.fold.score == pytest.approx((y[TEST] != 2).mean())


# A narrowed head.


def short(head: Head) -> Head:
    """Trained for four steps, looked at twice."""
    if not isinstance(head, Trained):
        return head
    return replace(head, training=replace(head.training, steps=4, epochs=None, least_steps=0, checks=2))


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_narrowed_head_of_the_catalogue_tries_the_chosen_setting_alone(name: str) -> None:
    head, kinds = short(CATALOGUE[name].head), CATALOGUE[name].kinds["vector"]
    data = toy(noise=2, layers=("1",))
    listed = [Trial(str(a), str(b), bool(data.scoring.y[a] == data.scoring.y[b])) for a, b in combinations(TEST, 2)]
    if kinds == ("trials",):
        data = replace(data, scoring=replace(data.scoring, target=Trials(), metric="eer", trials=listed))
    elif "class" not in kinds:
        raise AssertionError(f"{name} answers neither classes nor trials")
    whole = fit_split(data, SPLIT, Method(head), seed=3)
    chosen = {name: value for name, value in whole.fold.chosen.items() if name != "seed"}
    alone = fit_split(data, SPLIT, Method(head.narrowed(whole.fold.chosen)), seed=3)
    assert [candidate.setting for candidate in alone.candidates] == [chosen]
    assert alone.candidates[0].valid_score == max(
        map(valid_score, whole.candidates), key=lambda v: data.scoring.sign * v
    )
    assert alone.fold == whole.fold
    assert len(whole.candidates) > 1 or name in (
        "nearest-mean",
        "cosine",
        "arch-linear",
        "arch-nonlinear",
        "xares-linear",
    )


# A metric that is no number.


@pytest.mark.parametrize(("rows", "part"), [(VALID, "validation"), (TEST, "test")])
@pytest.mark.parametrize("refit", [True, False])
def test_a_metric_that_is_no_number_on_a_part_of_a_split_is_refused(
    rows: Rows, part: str, refit: bool, refused: Refused
) -> None:
    data = toy()
    values = np.random.default_rng(1).normal(0, 1, CLIPS)
    values[rows] = 0.5
    clips = [replace(clip, target=float(v)) for clip, v in zip(data.scoring.clips, values, strict=True)]
    data = replace(data, scoring=Scoring(Value(), "r2", clips))
    with refused(f"r2 is no number on the {part} clips of the split that tests on fold 4: "):
        fit_split(data, SPLIT, Method(HEADS["ridge"], refit=refit))


# Small numbers.


def test_the_spread_is_the_sample_standard_deviation() -> None:
    assert spread([1.0, 3.0, 8.0]) == pytest.approx(13**0.5)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_fewer_than_two_values_have_no_spread(values: list[float]) -> None:
    assert spread(values) is None
