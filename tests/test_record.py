"""What a run leaves tells how it was made, what chance is, and how sure its score is."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from experiments import Folders, prepared, relabelled

import harness
from harness import experiment, results
from harness.catalogue import HEADS
from harness.types import Clip, Split

pytestmark = pytest.mark.usefixtures("toys", "kinds", "quick")


@pytest.fixture
def folders(folders: Folders, made: str) -> Folders:
    """Where a run finds data that all tests share, and leaves things."""
    return {**folders, "data": made}


# How it was made.


def test_a_result_tells_how_its_head_was_solved(folders: Folders) -> None:
    result = harness.run("mel", "toy:right", limit=60, **folders)
    assert result.method == {
        "head": {"kind": "Logistic", "grid": list(HEADS["logistic"].head.grid)},  # type: ignore[attr-defined]
        "standardised": True,
        "refitted": True,
        "splits": "official",
        "clips": "whole",
        "seeds": [0],
    }


@pytest.mark.parametrize(
    ("protocol", "facts"),
    [
        ("hear:compat", {"splits": "chosen-once", "clips": "hear", "seeds": [0], "standardised": False}),
        ("evar:compat", {"splits": "random-tenth", "clips": "evar", "seeds": [42, 43, 44], "standardised": True}),
        ("superb", {"splits": "official", "clips": "whole", "seeds": [0], "standardised": False}),
    ],
)
def test_a_result_tells_how_its_head_was_trained(protocol: str, facts: dict[str, Any], folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders, protocol=protocol, interface="last", limit=100)
    told = dict(experiment.run(one).method)
    head = told.pop("head")
    assert told == {**facts, "refitted": False}
    training = one.method.head.training  # type: ignore[attr-defined]
    assert (head["kind"], head["network"]) == ("Trained", one.labelled.head)
    assert head["training"] == {**vars(training), "rates": list(training.rates)}
    (point,) = head["grid"]
    assert dict(point) == ({"hidden_layers": 1, "init": "normal", "rate": 1e-3} if "hear" in protocol else {})


@pytest.mark.parametrize("protocol", ["default", "hear:compat", "evar"])
def test_a_result_is_the_same_once_it_is_read_again(protocol: str, folders: Folders) -> None:
    result = harness.run("mel", "toy:right", protocol=protocol, limit=100, **folders)
    (path,) = Path(folders["results"]).glob("*.json")
    assert results.read(path) == result


# Chance.


def test_chance_is_the_share_of_the_label_that_is_tested_most(folders: Folders) -> None:
    one = prepared("mel", "toy:groups", folders)
    result = experiment.run(one)
    most, _ = Counter(clip.target for clip in one.labelled.clips).most_common(1)[0]
    shares = []
    for fold in "12345":
        tested = [clip.target for clip in one.labelled.clips if clip.fold == fold]
        shares.append(tested.count(most) / len(tested))
    assert result.data["chance"] == pytest.approx(np.mean(shares))


def test_clips_that_are_not_tested_do_not_move_chance(folders: Folders) -> None:
    def lopsided(clip: Clip, i: int) -> Clip:
        """Most clips that are tested are of a, and most others of d."""
        return replace(clip, target="a" if clip.fold == "5" else "d") if i % 3 else clip

    one = prepared("mel", "toy:right", folders)
    clips = [lopsided(clip, i) for i, clip in enumerate(one.labelled.clips)]
    split = Split(train=("1", "2", "3"), valid=("4",), test=("5",))
    result = experiment.run(relabelled(one, clips, splits=(split,)))
    tested = [clip.target for clip in clips if clip.fold == "5"]
    assert result.data["chance"] == tested.count("a") / len(tested) > 0.6
    assert Counter(clip.target for clip in clips).most_common(1)[0][0] == "d"


@pytest.mark.parametrize("kind", ["tags", "slots", "value", "trials"])
def test_where_no_class_is_scored_there_is_no_chance(kind: str, folders: Folders) -> None:
    assert "chance" not in harness.run("spectrum", f"kinds:{kind}", **folders).data


# Intervals of few groups.


@pytest.mark.parametrize(
    ("kind", "metric", "share"),
    [("tags", "map", True), ("trials", "eer", True), ("trials", "min_dcf", False), ("value", "r2", False)],
)
def test_of_few_groups_the_interval_of_a_share_stays_between_none_and_all_and_of_others_need_not(
    kind: str, metric: str, share: bool, folders: Folders
) -> None:
    one = prepared("spectrum", f"kinds:{kind}", folders)
    task = replace(one.task, metric=metric)
    result = experiment.run(replace(one, labelled=replace(one.labelled, task=task, metric=metric)))
    assert result.metric == metric
    low, high = result.interval.low, result.interval.high
    assert low is not None
    assert high is not None
    assert result.interval.method == "jackknife t over 3 groups: few"
    assert low <= result.score <= high
    if share:
        assert 0 <= low <= high <= 1
    else:
        assert (low + high) / 2 == pytest.approx(result.score)
