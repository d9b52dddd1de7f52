"""Recipes: how long clips become under every benchmark, and where a cut begins."""

import numpy as np
import pytest

from harness.audio import Recipe
from harness.errors import UserError
from harness.recipes import RULES as WAYS
from harness.recipes import WHOLE, Recipes

RULES = {name: way.rule for name, way in WAYS.items()}
SECONDS = np.random.default_rng(0).uniform(0.5, 12, 60).tolist()
RATE = 1000


def heard(recipes: Recipes, published: str = "learnt") -> list[float]:
    """How long every clip is that comes out."""
    each = getattr(recipes, published)
    return [len(recipe(wave(own), RATE)) / RATE for recipe, own in zip(each, SECONDS, strict=True)]


def wave(seconds: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    return np.random.default_rng(1).uniform(0.1, 0.5, round(seconds * RATE)).astype(np.float32)


def test_the_rules_are_those_of_the_benchmarks() -> None:
    assert list(RULES) == [WHOLE, "superb", "hear", "arch", "evar", "xares"]
    assert len({way.summary for way in WAYS.values()}) == len(RULES)
    assert all(way.summary for way in WAYS.values())


def test_whole_clips_are_left_as_they_are() -> None:
    for recipes in RULES[WHOLE](SECONDS, {"seconds": 3.0, "crop": 1.0, "gain": -3.0}):
        assert list(recipes) == [Recipe()] * 60


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("published", [{}, {"seconds": 4.0}])
def test_a_rule_gives_one_recipe_for_each_clip(rule: str, published: dict[str, float]) -> None:
    assert [len(each) for each in RULES[rule](SECONDS, published)] == [60, 60]


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_gives_the_same_recipes_every_time(rule: str) -> None:
    published = {} if rule == "xares" else {"crop": 3.0}
    first = RULES[rule](SECONDS, published)
    np.random.seed(5)  # the global state does not matter
    assert RULES[rule](SECONDS, published) == first


# SUPERB: sox's gain of -3 dB; VoxCeleb's training clips are cut to 8 s, its others never.


def test_superb_without_a_published_word_is_whole_clips() -> None:
    assert RULES["superb"](SECONDS, {}) == RULES[WHOLE](SECONDS, {})


def test_superbs_gain_is_put_on_every_clip() -> None:
    given = wave(1.0)
    for each in RULES["superb"](SECONDS, {"gain": -3.0}):
        np.testing.assert_allclose(each[0](given, RATE), given * 10 ** (-3 / 20), rtol=1e-6)


def test_superbs_crop_cuts_long_clips_that_train_and_no_others() -> None:
    recipes = RULES["superb"](SECONDS, {"crop": 8.0, "gain": -3.0})
    assert heard(recipes) == pytest.approx(np.minimum(SECONDS, 8), abs=1e-3)
    assert heard(recipes, "scored") == pytest.approx(SECONDS, abs=1e-3)
    assert {recipe.gain for recipe in (*recipes.learnt, *recipes.scored)} == {-3.0}


def test_superbs_crop_begins_anywhere_in_the_clip() -> None:
    recipes = RULES["superb"](SECONDS, {"crop": 2.0}).learnt
    room = [(recipe.offset, own - 2) for recipe, own in zip(recipes, SECONDS, strict=True) if own > 2]
    assert all(0 <= offset <= most for offset, most in room)
    assert 0.35 < np.mean([offset / most for offset, most in room]) < 0.65


def test_a_clip_that_superb_does_not_cut_is_one_and_the_same_wherever_it_is_heard() -> None:
    recipes = RULES["superb"](SECONDS, {"crop": 8.0})
    short = [own <= 8 for own in SECONDS]
    assert [one == other for one, other in zip(*recipes, strict=True)] == short


# One length for all.


@pytest.mark.parametrize(
    ("rule", "seconds"),
    [("hear", float(np.percentile(SECONDS, 95))), ("arch", max(SECONDS)), ("evar", float(np.mean(SECONDS)))],
)
@pytest.mark.parametrize("part", ["learnt", "scored"])
def test_without_a_published_length_it_is_that_of_the_tasks_clips(rule: str, seconds: float, part: str) -> None:
    assert heard(RULES[rule](SECONDS, {}), part) == pytest.approx([seconds] * 60, abs=1e-3)


@pytest.mark.parametrize("rule", ["hear", "arch", "evar"])
@pytest.mark.parametrize("part", ["learnt", "scored"])
def test_a_published_length_wins(rule: str, part: str) -> None:
    assert heard(RULES[rule](SECONDS, {"seconds": 4.5}), part) == [4.5] * 60


@pytest.mark.parametrize("rule", ["hear", "arch", "evar"])
def test_a_clip_of_exactly_the_published_length_is_left_whole(rule: str) -> None:
    for each in RULES[rule]([4.0, 4.5, 5.0], {"seconds": 4.5}):
        assert [recipe == Recipe() for recipe in each] == [False, True, False]


@pytest.mark.parametrize("rule", ["hear", "arch", "evar", "xares"])
@pytest.mark.parametrize("seconds", [0.1, 0.7, 2.9, 10 / 3])
def test_clips_of_one_length_are_all_left_whole(rule: str, seconds: float) -> None:
    for count in (7, 100, 200):  # whose mean in floats is not always their length
        for each in RULES[rule]([seconds] * count, {}):
            assert set(each) == {Recipe()}


@pytest.mark.parametrize("rule", ["hear", "arch", "evar"])
def test_short_clips_are_filled_with_zeros_at_their_end(rule: str) -> None:
    given = wave(SECONDS[0])
    for each in RULES[rule](SECONDS, {"seconds": 20.0}):
        out = each[0](given, RATE)
        assert np.array_equal(out[: len(given)], given)
        assert not out[len(given) :].any()


@pytest.mark.parametrize(
    ("rule", "part"), [("hear", "learnt"), ("arch", "learnt"), ("hear", "scored"), ("evar", "scored")]
)
def test_long_clips_are_cut_at_their_head(rule: str, part: str) -> None:
    recipes = getattr(RULES[rule](SECONDS, {"seconds": 2.0}), part)
    assert {recipe.offset for recipe in recipes} == {0.0}


def test_evars_cuts_to_learn_from_begin_anywhere_in_the_clip() -> None:
    recipes = RULES["evar"](SECONDS, {"seconds": 2.0}).learnt
    room = [(recipe.offset, max(0.0, own - 2)) for recipe, own in zip(recipes, SECONDS, strict=True)]
    assert all(0 <= offset <= most for offset, most in room)
    assert 0.35 < np.mean([offset / most for offset, most in room if most]) < 0.65


# X-ARES encodes sixteen clips together.


@pytest.mark.parametrize("part", ["learnt", "scored"])
def test_xares_fills_clips_to_the_longest_of_sixteen_neighbours(part: str) -> None:
    longest = [max(SECONDS[start : start + 16]) for start in (0, 16, 32, 48)]
    expected = [longest[i // 16] for i in range(60)]
    assert heard(RULES["xares"](SECONDS, {}), part) == pytest.approx(expected, abs=1e-3)


def test_xares_leaves_the_longest_of_sixteen_neighbours_whole() -> None:
    whole = [i for i, recipe in enumerate(RULES["xares"](SECONDS, {}).learnt) if recipe == Recipe()]
    assert whole == [start + int(np.argmax(SECONDS[start : start + 16])) for start in (0, 16, 32, 48)]


def test_a_task_that_xares_cuts_into_crops_is_refused() -> None:
    with pytest.raises(UserError, match="crops that are scored one by one") as caught:
        RULES["xares"](SECONDS, {"crop": 10.0})
    assert "\n" not in str(caught.value)
