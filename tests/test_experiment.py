"""The whole pipeline, on toys whose right score is known."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from experiments import Folders, prepared, prepared_all, relabelled

import harness
from harness import experiment, results
from harness.cli import main
from harness.datasets import load_clips, rotation
from harness.events import Event
from harness.experiment import Experiment, Inapplicable, foresee, run_all
from harness.extract import Encoder
from harness.labelled import label_task
from harness.protocols import PROTOCOLS
from harness.recipes import RULES as RECIPES
from harness.registry import UpstreamSpec, load_task
from harness.results import read_all
from harness.trained import Trained
from harness.types import Clip, Result, Split

Refused = Callable[[str], AbstractContextManager[None]]
pytestmark = pytest.mark.usefixtures("toys", "quick")

PLAIN = [name for name in PROTOCOLS if ":" not in name]
COMPAT = [name for name in PROTOCOLS if ":" in name]


@pytest.fixture
def spoilt(tmp_path: Path) -> Folders:
    """Where a run finds data that the test may change, and leaves things."""
    return {name: str(tmp_path / name) for name in ("data", "store", "results")}


@pytest.fixture
def folders(folders: Folders, made: str) -> Folders:
    """Where a run finds data that all tests share, and leaves things."""
    return {**folders, "data": made}


# What a score means.


def test_a_task_that_can_be_solved_is_solved(folders: Folders) -> None:
    assert harness.run("mel", "toy:right", **folders).score == 1.0


def test_shuffled_labels_score_at_chance(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders)
    clips = one.labelled.clips
    labels = np.random.default_rng(0).permutation([clip.target for clip in clips])
    clips = [replace(clip, target=str(label)) for clip, label in zip(clips, labels, strict=True)]
    assert experiment.run(relabelled(one, clips)).score < 0.4


def test_a_clean_split_of_group_cues_scores_at_chance(folders: Folders) -> None:
    assert harness.run("mel", "toy:groups", **folders).score < 0.45


def test_a_leaking_split_of_group_cues_would_score_one(folders: Folders) -> None:
    one = prepared("mel", "toy:groups", folders)
    clips = [replace(clip, fold=str(1 + i % 4)) for i, clip in enumerate(one.labelled.clips)]
    result = experiment.run(relabelled(one, clips, splits=rotation(("1", "2", "3", "4")), leaks="group"))
    assert result.score > 0.95
    assert result.badges == ("leaky",)


def test_a_task_whose_groups_leak_is_refused(folders: Folders, refused: Refused) -> None:
    one = prepared("mel", "toy:groups", folders)
    clips = [replace(clip, fold=str(1 + i % 5)) for i, clip in enumerate(one.labelled.clips)]
    with refused(r"group\(s\) of toy:groups lie in more than one fold"):
        load_clips(replace(one.task, list_clips=lambda folder: clips), Path(folders["data"]))


@pytest.mark.parametrize("protocol", ["default", "superb", "evar"])
def test_the_test_folds_choose_nothing(protocol: str, folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders, protocol=protocol, limit=100)
    split = Split(train=("1", "2", "3"), valid=("4",), test=("5",))
    lying = [replace(clip, target="a") if clip.fold == "5" else clip for clip in one.labelled.clips]
    honest, misled = (experiment.run(relabelled(one, clips, splits=(split,))) for clips in (one.labelled.clips, lying))
    assert honest.key != misled.key
    assert honest.candidates == misled.candidates
    assert honest.folds[0].chosen == misled.folds[0].chosen
    assert misled.score < 0.5 < honest.score


# Protocols on one cache.


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Counter[bytes]:
    """Counts how often each wave was encoded, but for the signal by which a shelf knows its encoder."""
    counts: Counter[bytes] = Counter()
    real, answer = Encoder.encode, Encoder.answer

    def encode(self: Encoder, waves: Sequence[npt.NDArray[np.float32]]) -> Any:
        counts.update(wave.tobytes() for wave in waves)
        return real(self, waves)

    def silent_answer(self: Encoder) -> Any:
        with monkeypatch.context() as quiet:
            quiet.setattr(Encoder, "encode", real)
            return answer(self)

    monkeypatch.setattr(Encoder, "encode", encode)
    monkeypatch.setattr(Encoder, "answer", silent_answer)
    return counts


@pytest.mark.usefixtures("kinds")
def test_every_plain_protocol_runs_from_one_extraction(folders: Folders, encoded: Counter[bytes]) -> None:
    runs = [harness.run("spectrum", "kinds:tags", protocol=protocol, **folders) for protocol in PLAIN]
    assert len(encoded) == 96
    assert set(encoded.values()) == {1}
    assert [run.cost["clips_encoded"] for run in runs] == [96, 0, 0, 0, 0, 0]
    assert [run.protocol for run in runs] == PLAIN
    assert len(list(Path(folders["store"]).glob("*/encoder.json"))) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_protocol_solves_what_can_be_solved_and_marks_what_chose_by_a_test_fold(
    protocol: str, folders: Folders
) -> None:
    result = harness.run("mel", "toy:right", protocol=protocol, **folders)
    assert result.score > 0.95
    assert (result.protocol, result.deviations) == (protocol, ())
    assert result.badges == (("test-selected",) if protocol in ("hear:compat", "xares:compat") else ())
    seeds = 3 if protocol.startswith("evar") else 1
    assert len(result.folds) == 5 * seeds
    assert {fold.chosen["seed"] for fold in result.folds} == set(range(42, 45) if seeds == 3 else range(1))
    assert (result.seed_std is None) == (seeds == 1)


def lengthen(one: Experiment) -> None:
    """Every third clip lasts half as long again."""
    import soundfile

    for clip in one.labelled.clips[::3]:
        wave, rate = soundfile.read(clip.path)
        soundfile.write(clip.path, np.r_[wave, wave[: len(wave) // 2]], rate)


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(
    ("protocol", "again"),
    # A third lasts 0.75 s: HEAR and ARCH fill the others up to that; EVAR takes 0.583 s, of long ones twice.
    [("hear:compat", 64), ("arch:compat", 64), ("evar:compat", 64 + 2 * 32)],
)
def test_a_published_recipe_is_told_and_encodes_again_what_it_changes(
    protocol: str, again: int, spoilt: Folders
) -> None:
    lengthen(prepared("spectrum", "kinds:tags", spoilt))
    plain = experiment.fill(prepared("spectrum", "kinds:tags", spoilt))
    assert plain["clips_encoded"] == 96
    events: list[Event] = []
    cost = experiment.fill(prepared("spectrum", "kinds:tags", spoilt, protocol=protocol), events.append)
    assert cost["clips_encoded"] == again
    (told,) = [event.text for event in events if event.kind == "forecast"]
    summary = RECIPES[PROTOCOLS[protocol].recipe].summary
    assert told.startswith(f"{protocol} hears clips its own way ({summary}): {again} are encoded again")
    assert "min and 0." in told


@pytest.mark.parametrize("protocol", ["hear:compat", "arch:compat", "evar:compat"])
@pytest.mark.parametrize("published", [True, False])
def test_a_clip_of_exactly_the_prescribed_length_is_heard_whole(
    published: bool, protocol: str, folders: Folders
) -> None:
    plain = prepared("mel", "toy:right", folders)
    one = prepared("mel", "toy:right", folders, protocol=protocol)
    known = {PROTOCOLS[protocol].benchmark: {"seconds": 0.5}} if published else {}
    labelled = label_task(replace(one.task, published=known), one.settings, one.store)
    assert [piece.key for piece in labelled.learnt] == [piece.key for piece in plain.labelled.learnt]
    assert [piece.key for piece in labelled.scored] == [piece.key for piece in plain.labelled.scored]


@pytest.mark.parametrize("protocol", ["default", "superb"])
def test_a_plain_protocol_tells_no_forecast(protocol: str, folders: Folders) -> None:
    events: list[Event] = []
    experiment.run(prepared("mel", "toy:right", folders, protocol=protocol, limit=60), events.append)
    assert "forecast" not in {event.kind for event in events}


def test_where_a_recipe_changes_some_clips_only_these_are_encoded_again(spoilt: Folders) -> None:
    lengthen(prepared("mel", "toy:right", spoilt, limit=60))
    experiment.fill(prepared("mel", "toy:right", spoilt, limit=60))
    cost = experiment.fill(prepared("mel", "toy:right", spoilt, limit=60, protocol="xares:compat"))
    assert cost["clips_encoded"] == 60 - 20


def test_cuts_to_learn_from_and_to_score_are_encoded_both(spoilt: Folders) -> None:
    one = prepared("mel", "toy:right", spoilt, limit=60)
    lengthen(one)
    task = replace(one.task, published={"superb": {"crop": 0.5, "gain": -3.0}})
    settings = replace(one.settings, protocol="superb:compat", head="ridge", interface="last")
    labelled = label_task(task, settings, one.store)
    result = experiment.run(replace(one, labelled=labelled, settings=settings))
    assert result.cost["clips_encoded"] == 60 + 20
    assert result.score > 0.95


def test_in_hear_as_published_the_first_split_chooses_for_all(
    folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = PROTOCOLS["hear:compat"].heads["hear-mlp"]
    assert isinstance(head, Trained)
    grid = tuple((("hidden_layers", 1), ("init", "normal"), ("rate", rate)) for rate in (1e-7, 1e-2, 1e-8))
    heads = {"hear-mlp": replace(head, grid=grid)}
    monkeypatch.setitem(PROTOCOLS, "hear:compat", replace(PROTOCOLS["hear:compat"], heads=heads))
    result = harness.run("mel", "toy:right", protocol="hear:compat", limit=100, **folders)
    assert Counter(candidate.split for candidate in result.candidates) == {0: 3, 1: 1, 2: 1, 3: 1, 4: 1}
    assert {fold.chosen["rate"] for fold in result.folds} == {1e-2}


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("head", ["logistic", "ridge", "knn", "nearest-mean"])
def test_a_layer_and_a_setting_that_the_first_split_chose_go_to_all_others_of_a_solved_head(
    head: str, folders: Folders
) -> None:
    given = {"protocol": "hear:compat", "interface": "best-layer", "head": head, "limit": 100}
    result = harness.run("spectrum", "toy:groups", **given, **folders)
    tried = [[c.setting for c in result.candidates if c.split == index] for index in range(5)]
    assert len({setting["layer"] for setting in tried[0]}) == 4
    (chosen,) = {tuple(sorted(fold.chosen.items())) for fold in result.folds}
    setting = {name: value for name, value in chosen if name != "seed"}
    assert setting in tried[0]
    assert tried[1:] == [[setting]] * 4


@pytest.mark.parametrize("protocol", ["default", "hear"])
def test_in_a_plain_protocol_every_split_tries_everything(protocol: str, folders: Folders) -> None:
    result = harness.run("mel", "toy:groups", protocol=protocol, head="logistic", limit=60, **folders)
    assert len(set(Counter(candidate.split for candidate in result.candidates).values())) == 1
    assert len(result.candidates) > 5


# Badges.


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("protocol", COMPAT)
def test_a_single_split_is_never_chosen_by_its_test(protocol: str, folders: Folders) -> None:
    assert harness.run("mel", "kinds:tags", protocol=protocol, **folders).badges == ()


def test_a_limited_run_is_marked_partial(folders: Folders) -> None:
    assert harness.run("mel", "toy:right", limit=100, **folders).badges == ("partial",)


def test_an_untrained_upstream_is_marked(folders: Folders) -> None:
    result = harness.run("ssamba:tiny@untrained", "toy:right", limit=20, **folders)
    assert result.badges == ("untrained", "partial")
    assert result.encoder["view"] == "mean-ln"


# Every kind of target.


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(
    ("kind", "metric", "protocols", "least"),
    [
        ("tags", "map", PLAIN, 0.9),
        ("slots", "accuracy", ["default", "superb"], 0.95),
        ("value", "r2", ["default"], 0.95),
        ("value", "r2", ["superb"], 0.6),
        ("events", "event_onset_f", ["default", "hear"], 0.9),
    ],
)
def test_every_kind_of_target_that_can_be_heard_is_heard(
    kind: str, metric: str, protocols: Sequence[str], least: float, folders: Folders
) -> None:
    for protocol in protocols:
        result = harness.run("spectrum", f"kinds:{kind}", protocol=protocol, **folders)
        assert result.metric == metric
        assert result.metrics[metric] == result.score
        assert result.score > least, protocol
        assert result.interval.method == "jackknife t over 3 groups: few"
        assert (result.interval.low, result.interval.high) != (None, None)
        assert len(read_all(Path(folders["results"]))) == protocols.index(protocol) + 1


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("head", [None, "speaker-linear"])
def test_speakers_that_can_be_told_apart_are_told_apart(head: str | None, folders: Folders) -> None:
    result = harness.run("spectrum", "kinds:trials", head=head, **folders)
    assert result.metric == "eer"
    assert result.score < 0.05
    assert result.data["trials"] == 24 * 23 // 2
    assert set(result.metrics) == {"eer", "min_dcf"}
    # The best candidate is that of the lowest rate.
    layer = result.folds[0].chosen["layer"]
    scores = {c.setting["layer"]: c.valid_score for c in result.candidates if c.valid_score is not None}
    assert scores[layer] == min(scores.values())


@pytest.mark.usefixtures("kinds")
def test_speakers_of_shuffled_trials_are_not_told_apart(folders: Folders) -> None:
    one = prepared("spectrum", "kinds:trials", folders)
    same = np.random.default_rng(0).permutation([trial.same for trial in one.labelled.trials]).tolist()
    trials = [trial._replace(same=so) for trial, so in zip(one.labelled.trials, same, strict=True)]
    result = experiment.run(replace(one, labelled=replace(one.labelled, trials=trials)))
    assert 0.3 < result.score < 0.7


@pytest.mark.usefixtures("kinds")
def test_sound_events_are_found_with_the_filter_that_validation_chose(folders: Folders) -> None:
    result = harness.run("spectrum", "kinds:events", **folders)
    assert {"median", "shortest"} <= set(result.folds[0].chosen)
    assert result.encoder["view"] == "frames[final]:float16"
    assert result.interface == "last/frames"


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("upstream", ["mel", "mfcc"])
def test_events_cannot_be_found_in_one_frame_a_clip(upstream: str, folders: Folders, refused: Refused) -> None:
    with refused("last/frames needs frames, and this upstream gives one vector a clip"):
        harness.run(upstream, "kinds:events", **folders)


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("protocol", ["superb", "superb:compat"])
def test_superb_names_what_it_lacks_for_speakers(protocol: str, folders: Folders, refused: Refused) -> None:
    with refused("x-vectors"):
        harness.run("spectrum", "kinds:trials", protocol=protocol, **folders)


# Interfaces that an upstream does not fit.


@pytest.mark.usefixtures("kinds")
def test_layers_of_unequal_width_leave_superb_the_last_and_the_result_says_so(folders: Folders) -> None:
    result = harness.run("spectrum:uneven", "kinds:tags", protocol="superb", **folders)
    assert (result.interface, result.protocol) == ("last", "superb")
    assert result.deviations == ("last in place of weighted-sum, since this upstream's layers differ in width",)
    assert result.layer_weights == ()
    assert harness.run("spectrum", "kinds:tags", protocol="superb", **folders).deviations == ()


@pytest.mark.usefixtures("kinds")
def test_a_weighted_sum_of_unequal_layers_that_is_not_the_protocols_own_is_refused(
    folders: Folders, refused: Refused
) -> None:
    asked = {"interface": "weighted-sum", "head": "superb-linear"}
    with refused("weighted-sum needs layers of one width"):
        harness.run("spectrum:uneven", "kinds:tags", **asked, **folders)


CONV = {"interface": "conv-mean", "head": "superb-linear"}
TOO_FEW = "conv-mean needs 3 layers or more, and this upstream has 2"


@pytest.mark.usefixtures("kinds")
def test_convolutions_over_too_few_layers_end_a_run_of_one(folders: Folders, refused: Refused) -> None:
    with refused(TOO_FEW):
        run_all(prepared_all(["spectrum:short"], ["kinds:tags"], folders, **CONV))
    assert not list(Path(folders["store"]).glob("*/shards/*"))


@pytest.mark.usefixtures("kinds")
def test_convolutions_over_too_few_layers_leave_a_gap_in_a_sweep(folders: Folders) -> None:
    events: list[Event] = []
    sweep = prepared_all(["spectrum:short", "spectrum"], ["kinds:tags"], folders, **CONV)
    gap, result = run_all(sweep, events.append)
    assert gap == Inapplicable("spectrum:short", "kinds:tags", TOO_FEW)
    assert isinstance(result, Result)
    assert result.interface == "conv-mean"
    assert [event.text for event in events if event.kind == "inapplicable"] == [
        f"spectrum:short on kinds:tags: not applicable: {TOO_FEW}"
    ]


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("interface", ["conv", "last/attention", "weighted-sum/attention"])
def test_an_interface_that_learns_from_frames_is_given_them(interface: str, folders: Folders) -> None:
    result = harness.run("spectrum", "kinds:slots", interface=interface, head="superb-linear", limit=60, **folders)
    assert result.encoder["view"].startswith("frames[")
    assert result.score > 0.3
    assert all(len(row) == 4 for row in result.layer_weights)
    assert len(result.layer_weights) == (interface == "weighted-sum/attention")


@pytest.mark.usefixtures("kinds")
def test_a_sweep_in_which_nothing_is_applicable_ends_with_the_sentence(folders: Folders, refused: Refused) -> None:
    events: list[Event] = []
    sweep = prepared_all(["spectrum:short"], ["kinds:tags", "kinds:slots"], folders, **CONV)
    with refused(TOO_FEW):
        run_all(sweep, events.append)
    assert [event.kind for event in events] == ["inapplicable", "inapplicable"]
    assert not list(Path(folders["results"]).glob("*"))


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(
    ("interface", "view"),
    [
        ("conv", "frames[all]:float16"),
        ("weighted-sum/attention", "frames[all]:float16"),
        ("last/attention", "frames[final]:float16"),
        ("layer:2/attention", "frames[2]:float16"),
        ("conv-mean", "mean"),
    ],
)
def test_an_experiment_is_prepared_without_loading_a_network(
    interface: str, view: str, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: UpstreamSpec, *_: Any) -> Any:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(UpstreamSpec, "load", fail)
    one = prepared("spectrum", "kinds:tags", folders, interface=interface, head="superb-linear")
    assert str(one.encoder.view) == view
    assert (len(one.key), len(one.seeds), len(one.splits(0))) == (64, 1, 1)
    with pytest.raises(AssertionError, match="a network was loaded"):
        experiment.run(one)


# Views that are asked for.


@pytest.mark.parametrize("view", ["mean-std", "mean-std-ln"])
def test_a_view_that_the_interface_does_not_show_is_refused_and_leaves_no_result(
    view: str, folders: Folders, refused: Refused
) -> None:
    with refused(f"the interface best-layer needs the view mean.*, not {view}: leave --view out"):
        harness.run("mel", "toy:right", view=view, limit=40, **folders)
    assert not list(Path(folders["results"]).glob("*"))
    assert not list(Path(folders["store"]).glob("*/shards/*"))


@pytest.mark.usefixtures("kinds")
def test_a_frames_view_without_the_layers_that_the_interface_shows_is_refused(
    folders: Folders, refused: Refused
) -> None:
    with refused(r"last/frames needs the view frames\[final\]:float16, not frames\[0,1\]:float16: leave --view out"):
        harness.run("spectrum", "kinds:events", view="frames[0,1]:float16", **folders)
    assert not list(Path(folders["results"]).glob("*"))


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("view", ["frames[all]:float16", "frames[1,final]:float16"])
def test_a_frames_view_with_more_layers_than_the_interface_shows_gives_the_same_score(
    view: str, folders: Folders
) -> None:
    plain = harness.run("spectrum", "kinds:events", limit=48, **folders)
    wider = harness.run("spectrum", "kinds:events", view=view, limit=48, **folders)
    assert (plain.encoder["view"], wider.encoder["view"]) == ("frames[final]:float16", view)
    assert wider.score == plain.score
    assert wider.candidates == plain.candidates


@pytest.mark.usefixtures("kinds")
def test_features_alone_are_kept_in_any_view(folders: Folders) -> None:
    one = prepared("spectrum", "kinds:tags", folders, view="mean-std", limit=10)
    assert experiment.fill(one)["clips_encoded"] == 10
    stored = one.shelf.get([piece.key for piece in one.labelled.pieces])["final"]
    plain = prepared("spectrum", "kinds:tags", folders, view="mean", limit=10)
    experiment.fill(plain)
    means = plain.shelf.get([piece.key for piece in plain.labelled.pieces])["final"]
    (width,) = means[0].shape
    assert [tuple(row.shape) for row in stored] == [(2 * width,)] * 10
    assert all(row[:width].equal(mean) and row[width:].std() > 0 for row, mean in zip(stored, means, strict=True))


# Runs.


def test_the_same_run_again_does_nothing_and_says_so(folders: Folders) -> None:
    first = harness.run("mel", "toy:right", limit=60, **folders)
    events: list[Event] = []
    again = experiment.run(prepared("mel", "toy:right", folders, limit=60), events.append)
    assert again == first
    assert [event.text for event in events] == ["mel on toy:right: done before, nothing to do"]


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("kind", ["tags", "slots", "value", "trials", "events"])
def test_a_run_of_any_kind_is_known_again(kind: str, folders: Folders) -> None:
    first = harness.run("spectrum", f"kinds:{kind}", limit=80, **folders)
    assert experiment.run(prepared("spectrum", f"kinds:{kind}", folders, limit=80)) == first


def test_asking_for_the_protocols_own_is_the_same_run_as_not_asking(folders: Folders) -> None:
    first = harness.run("mel", "toy:right", limit=60, **folders)
    own = {"interface": "best-layer", "head": "logistic", "view": "mean"}
    events: list[Event] = []
    again = experiment.run(prepared("mel", "toy:right", folders, limit=60, **own), events.append)
    assert (again.key, again.protocol) == (first.key, "default")
    assert [event.text for event in events] == ["mel on toy:right: done before, nothing to do"]
    assert len(list(Path(folders["results"]).glob("*.json"))) == 1


@pytest.mark.usefixtures("kinds")
def test_asking_superb_for_its_own_weighted_sum_is_the_same_run_for_layers_of_unequal_width_too(
    folders: Folders,
) -> None:
    for upstream in ("spectrum", "spectrum:uneven"):
        plain = prepared(upstream, "kinds:tags", folders, protocol="superb")
        asked = prepared(upstream, "kinds:tags", folders, protocol="superb", interface="weighted-sum")
        assert asked.key == plain.key
        assert experiment.settle(asked) == experiment.settle(plain)


def test_a_task_that_is_found_to_leak_is_run_again(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders)
    assert relabelled(one, one.labelled.clips, leaks="one recorder").key != one.key
    assert relabelled(one, one.labelled.clips).key == one.key


def test_another_setting_is_another_run_on_the_same_features(folders: Folders) -> None:
    harness.run("mel", "toy:right", limit=60, **folders)
    other = harness.run("mel", "toy:right", interface="last", limit=60, **folders)
    assert other.cost["clips_encoded"] == 0
    assert len(read_all(Path(folders["results"]))) == 2


def test_features_do_not_depend_on_where_the_data_lies(spoilt: Folders, tmp_path: Path) -> None:
    harness.run("mel", "toy:right", limit=40, **spoilt)
    Path(spoilt["data"]).rename(tmp_path / "elsewhere")
    again = harness.run(
        "mel",
        "toy:right",
        limit=40,
        **{**spoilt, "data": str(tmp_path / "elsewhere"), "results": str(tmp_path / "other")},
    )
    assert again.cost["clips_encoded"] == 0


def test_added_clips_alone_are_encoded(folders: Folders) -> None:
    small = experiment.fill(prepared("mel", "toy:right", folders, limit=100))
    whole = experiment.fill(prepared("mel", "toy:right", folders))
    assert (small["clips_encoded"], whole["clips_encoded"]) == (100, 100)


def test_a_limit_keeps_every_class_in_every_fold(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders, limit=20)
    assert len({(clip.target, clip.fold) for clip in one.labelled.clips}) == 20


@pytest.mark.usefixtures("kinds")
def test_a_limit_keeps_the_trials_between_the_clips_that_are_left(folders: Folders) -> None:
    labelled = prepared("spectrum", "kinds:trials", folders, limit=48).labelled
    kept = {clip.id for clip in labelled.clips}
    assert 0 < len(labelled.trials) < 24 * 23 // 2
    assert all({trial.one, trial.other} <= kept for trial in labelled.trials)


@pytest.mark.usefixtures("kinds")
def test_weighted_sum_learns_weights_and_reports_them(folders: Folders) -> None:
    result = harness.run("spectrum", "toy:right", interface="weighted-sum", head="superb-linear", limit=60, **folders)
    assert len(result.layer_weights) == 5
    assert all(len(row) == 4 and sum(row) == pytest.approx(1) for row in result.layer_weights)
    assert all(max(row) > 1.01 / 4 for row in result.layer_weights)


def test_seeds_of_a_random_head_are_averaged_and_their_spread_reported(folders: Folders) -> None:
    result = harness.run("mel", "toy:groups", head="superb-linear", interface="last", seeds=2, limit=100, **folders)
    assert len(result.folds) == 10
    assert result.score == pytest.approx(np.mean([fold.score for fold in result.folds]))
    by_seed = [np.mean([fold.score for fold in result.folds[start : start + 5]]) for start in (0, 5)]
    assert result.seed_std == pytest.approx(np.std(by_seed, ddof=1))
    by_fold = [np.mean([fold.score for fold in result.folds[start::5]]) for start in range(5)]
    assert result.fold_std == pytest.approx(np.std(by_fold, ddof=1))


def test_a_head_without_randomness_is_run_once_where_a_benchmark_trains_three(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders, protocol="evar", head="knn")
    assert list(one.seeds) == [42]
    assert list(prepared("mel", "toy:right", folders, protocol="evar").seeds) == [42, 43, 44]
    assert list(prepared("mel", "toy:right", folders, protocol="evar", seeds=2).seeds) == [42, 43]


def test_the_interval_holds_the_score(folders: Folders) -> None:
    result = harness.run("mel", "toy:groups", **folders)
    assert result.interval.groups == 50
    assert result.interval.low is not None
    assert result.interval.high is not None
    assert result.interval.low < result.score < result.interval.high


def test_a_result_names_no_folder_of_the_user(folders: Folders, tmp_path: Path) -> None:
    harness.run("mel", "toy:right", limit=60, **folders)
    written = list(Path(folders["results"]).iterdir())
    assert len(written) == 2
    assert all(str(tmp_path).encode() not in path.read_bytes() for path in written)


def test_a_result_tells_what_it_was_made_with(folders: Folders) -> None:
    result = harness.run("mel", "toy:right", **folders)
    assert {"torch", "numpy", "python", "harness", "processor"} <= set(result.environment)
    assert {"weights", "revision", "view", "resampler", "sample_rate", "training"} <= set(result.encoder)
    assert (result.data["clips"], result.data["groups"]) == (200, 50)
    assert len(result.candidates) == 5 * 1 * 2  # splits, layers, penalties
    assert list(result.metrics) == ["accuracy", "balanced_accuracy", "macro_f1", "map", "auroc", "d_prime"]


def test_what_is_asked_for_instead_of_the_protocols_own_is_part_of_its_name(folders: Folders) -> None:
    assert harness.run("mel", "toy:right", interface="last", limit=60, **folders).protocol == "default+last"
    assert harness.run("mel", "toy:right", view="mean-ln", limit=60, **folders).protocol == "default+mean-ln"
    assert harness.run("mel", "toy:right", head="knn", limit=60, **folders).protocol == "default+knn"
    assert harness.run("mel", "toy:right", head="logistic", limit=60, **folders).protocol == "default"


def test_clips_outside_the_limits_are_counted_also_when_nothing_is_encoded(folders: Folders) -> None:
    one = prepared("ssamba:tiny@untrained", "toy:right", folders, limit=20, interface="last")
    experiment.fill(one)
    for seconds, counts in ((0.1, (20, 0)), (1.0, (0, 0)), (60.0, (0, 20))):
        heard = [replace(piece, seconds=seconds) for piece in one.labelled.learnt]
        labelled = replace(one.labelled, learnt=heard, scored=heard)
        settings = replace(one.settings, results=Path(folders["results"]) / str(seconds))
        found = experiment.run(replace(one, labelled=labelled, settings=settings)).encoder
        assert (found["clips_padded_to_the_shortest_input"], found["clips_cut_in_windows"]) == counts


def test_the_stored_probe_guards_features_that_are_reused(folders: Folders, refused: Refused) -> None:
    one = prepared("mel", "toy:right", folders, limit=60)
    experiment.run(one)
    (one.shelf.folder / "probe.safetensors").unlink()
    one.shelf.agree({name: 1.1 * row for name, row in one.encoder.answer().items()})
    with refused("answers differently in layer"):
        harness.run("mel", "toy:right", interface="last", limit=60, **folders)


def test_a_forecast_stores_nothing(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders)
    forecast = foresee(one)
    assert (forecast.clips, forecast.seconds) == (200, 100.0)
    assert 0 < forecast.hours < 1
    assert forecast.bytes == 200 * 2 * 256 * 4
    assert not one.shelf.folder.exists()


def test_an_extraction_above_the_limit_is_refused(folders: Folders, refused: Refused) -> None:
    with refused("--max-store allows"):
        harness.run("mel", "toy:right", max_store=1000, **folders)


def test_frames_are_kept_for_other_uses_but_not_fitted(folders: Folders, refused: Refused) -> None:
    one = prepared("ssamba:tiny@untrained", "toy:right", folders, view="frames[0,final]:float16", limit=10)
    assert experiment.fill(one)["clips_encoded"] == 10
    rows = one.shelf.get([piece.key for piece in one.labelled.pieces])
    assert [rows[name][0].shape for name in ("0", "final")] == [(3, 192), (3, 192)]
    with refused(r"best-layer needs the view mean, not frames\[0,final\]:float16: leave --view out"):
        experiment.run(one)


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize(("fold", "part"), [("valid", "validation"), ("test", "test")])
def test_a_metric_that_is_no_number_ends_with_a_sentence_and_writes_nothing(
    fold: str, part: str, folders: Folders, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    task = load_task("kinds:value")

    def constant(folder: Path) -> list[Clip]:
        return [replace(clip, target=1.0) if clip.fold == fold else clip for clip in task.list_clips(folder)]

    monkeypatch.setattr(experiment, "load_task", lambda name: replace(task, list_clips=constant))
    command = ["harness", "run", "--upstream", "spectrum", "--task", "kinds:value"]
    monkeypatch.setattr("sys.argv", [*command, *(word for name, at in folders.items() for word in (f"--{name}", at))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"harness: r2 is no number on the {part} clips of the split that tests on fold test: ")
    assert not list(Path(folders["results"]).glob("*"))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"interface": "weighted-sum"}, "those that do are superb-linear"),
        ({"interface": "layer:7"}, "there is no layer 7"),
        ({"interface": "layers"}, "there is no interface 'layers'"),
        ({"interface": "last/frames"}, "no head answers class after the interface last/frames"),
        ({"head": "logistics"}, "did you mean 'logistic'"),
        ({"head": "cosine"}, "the head cosine does not answer class"),
        ({"protocol": "superbe"}, "there is no protocol 'superbe'"),
        ({"seeds": 3}, "no randomness"),
        ({"seeds": 0}, "--seeds must be 1 or more"),
        ({"view": "median"}, "there is no view 'median'"),
        ({"device": "tpu"}, "there is no device 'tpu'"),
        ({"limit": 3}, "raise --limit"),
        ({"limit": 3, "protocol": "arch:compat"}, "raise --limit"),
        ({"limit": 3, "protocol": "evar:compat"}, "no random tenth of the . training clips of toy:right"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    settings: dict[str, Any], sentence: str, folders: Folders, refused: Refused
) -> None:
    with refused(sentence):
        harness.run("mel", "toy:right", **settings, **folders)
    assert not list(Path(folders["results"]).glob("*"))


def test_a_killed_run_continues_and_ends_with_the_same_numbers(folders: Folders, toys: Path, tmp_path: Path) -> None:
    settings: dict[str, Any] = {"limit": 40, "workers": 1, "data": folders["data"]}

    def places(name: str) -> dict[str, str]:
        return {place: str(tmp_path / name / place) for place in ("store", "results")}

    given = {"limit": "40", "workers": "1", "data": folders["data"], **places("killed")}
    command = [sys.executable, "-c", "from harness.cli import main; main()", "run"]
    command += ["--upstream", "ssamba:tiny@untrained", "--task", "toy:right"]
    killed = subprocess.Popen(
        [*command, *(word for name, value in given.items() for word in (f"--{name}", value))],
        env={**os.environ, "PYTHONPATH": str(toys), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    while not (stored := sorted((tmp_path / "killed" / "store").glob("*/shards/*.safetensors"))):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = {path: path.stat().st_mtime_ns for path in stored}
    assert not list((tmp_path / "killed").glob("results/*"))

    whole, resumed = (
        harness.run("ssamba:tiny@untrained", "toy:right", **settings, **places(name)) for name in ("whole", "killed")
    )
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert resumed.cost["clips_encoded"] < whole.cost["clips_encoded"] == 40
    assert (resumed.key, resumed.score, resumed.candidates) == (whole.key, whole.score, whole.candidates)
    one, other = ({p.name: p.read_bytes() for p in (tmp_path / w).rglob("shards/*")} for w in ("whole", "killed"))
    assert one == other


#: What a result file tells of the hour and of how long things took.
TIMES = {"created", "seconds", "clips_per_second", "times_real_time", "fit_seconds"}
#: Where a process that fits kills itself: in the third step of a training, or of a regression.
DEADLY = """
import os, signal
from harness import regressions, training
from harness.cli import main
steps = []
def step(real):
    def deadly(*given):
        steps.append(None)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)
    return deadly
training.Descent.step = step(training.Descent.step)
regressions._direction = step(regressions._direction)
main()
"""


@pytest.mark.parametrize("protocol", ["default", "superb"])
def test_a_killed_fit_leaves_no_result(protocol: str, folders: Folders, toys: Path, tmp_path: Path) -> None:
    given = {**folders, "protocol": protocol, "limit": "60"}
    command = [sys.executable, "-c", DEADLY, "run", "--upstream", "mel", "--task", "toy:right"]
    killed = subprocess.run(
        [*command, *(word for name, value in given.items() for word in (f"--{name}", value))],
        env={**os.environ, "PYTHONPATH": str(toys), "OMP_NUM_THREADS": "1"},
        capture_output=True,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not list(Path(folders["results"]).glob("*"))
    again = harness.run("mel", "toy:right", protocol=protocol, limit=60, **folders)
    whole = harness.run(
        "mel", "toy:right", protocol=protocol, limit=60, **{**folders, "results": str(tmp_path / "whole")}
    )
    assert again.cost["clips_encoded"] == 0
    assert (again.score, again.folds, again.candidates) == (whole.score, whole.folds, whole.candidates)


@pytest.mark.parametrize("protocol", ["default", "superb", "hear", "arch", "evar"])
def test_the_same_seed_gives_the_same_file_bit_for_bit_but_for_times(
    protocol: str, folders: Folders, tmp_path: Path
) -> None:
    texts, answers = [], []
    for name in ("one", "other"):
        places = {place: str(tmp_path / name / place) for place in ("store", "results")}
        harness.run("mel", "toy:right", protocol=protocol, limit=60, **{**folders, **places})
        (path,) = (tmp_path / name / "results").glob("*.json")
        texts.append(path.read_text(encoding="utf-8").splitlines())
        answers.append(path.with_suffix(results.ANSWERS).read_bytes())
    differ = [one for one, other in zip(*texts, strict=True) if one != other]
    assert {line.split('"')[1] for line in differ} <= TIMES
    assert answers[0] == answers[1]


def test_one_thread_and_two_give_the_same_score(folders: Folders) -> None:
    one, two = (
        harness.run(
            "mel", "toy:groups", limit=60, workers=workers, **{**folders, "store": f"{folders['store']}{workers}"}
        )
        for workers in (1, 2)
    )
    assert one.score == two.score
