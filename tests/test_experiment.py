"""The whole pipeline, on toys whose right score is known."""

import json
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

import harness
from harness import experiment
from harness.catalogue import HEADS
from harness.datasets import load_clips, rotation
from harness.events import Event
from harness.experiment import Experiment, Inapplicable, foresee, open_store, prepare_all, run_all
from harness.extract import Encoder
from harness.heads import Head
from harness.protocols import PROTOCOLS
from harness.results import read_all
from harness.settings import Settings
from harness.trained import Trained
from harness.types import Clip, Result, Split

Refused = Callable[[str], AbstractContextManager[None]]
Folders = dict[str, str]
pytestmark = pytest.mark.usefixtures("toys")

PLAIN = [name for name in PROTOCOLS if ":" not in name]
COMPAT = [name for name in PROTOCOLS if ":" in name]


def prepared_all(upstreams: Sequence[str], tasks: Sequence[str], folders: Folders, **settings: Any) -> list[Experiment]:
    chosen = Settings(
        data=[folders["data"]], store=Path(folders["store"]), results=Path(folders["results"]), **settings
    )
    return prepare_all(upstreams, tasks, chosen, open_store(chosen))


def prepared(upstream: str, task: str, folders: Folders, **settings: Any) -> Experiment:
    (one,) = prepared_all([upstream], [task], folders, **settings)
    return one


def relabelled(one: Experiment, clips: Sequence[Clip], **task: Any) -> Experiment:
    """The same experiment with other clips, and other facts of their task."""
    return replace(one, labelled=replace(one.labelled, clips=clips, task=replace(one.task, **task)))


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every head is trained for sixty steps with one setting."""

    def short(head: Head) -> Head:
        if not isinstance(head, Trained):
            return head
        rates = (1e-2,) if head.training.rates else ()
        training = replace(head.training, rates=rates, batch=64, steps=60, epochs=None, least_steps=0, checks=4)
        return replace(head, training=training, grid=head.grid[2:3] or head.grid)

    for name, entry in HEADS.items():
        monkeypatch.setitem(HEADS, name, replace(entry, head=short(entry.head)))
    for name, protocol in PROTOCOLS.items():
        heads = {own: short(head) for own, head in protocol.heads.items()}
        monkeypatch.setitem(PROTOCOLS, name, replace(protocol, heads=heads))


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


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("protocol", ["default", "superb", "evar"])
def test_the_test_folds_choose_nothing(protocol: str, folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders, protocol=protocol)
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


@pytest.mark.usefixtures("quick", "kinds")
def test_every_plain_protocol_runs_from_one_extraction(folders: Folders, encoded: Counter[bytes]) -> None:
    runs = [harness.run("spectrum", "kinds:tags", protocol=protocol, **folders) for protocol in PLAIN]
    assert len(encoded) == 96
    assert set(encoded.values()) == {1}
    assert [run.cost["clips_encoded"] for run in runs] == [96, 0, 0, 0, 0, 0]
    assert [run.protocol for run in runs] == PLAIN
    assert len(list(Path(folders["store"]).glob("*/encoder.json"))) == 1


@pytest.mark.usefixtures("quick")
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


@pytest.mark.usefixtures("quick", "kinds")
@pytest.mark.parametrize("protocol", ["hear:compat", "arch:compat", "evar:compat"])
def test_a_published_recipe_is_told_and_encodes_again(protocol: str, folders: Folders) -> None:
    plain = harness.run("spectrum", "kinds:tags", **folders)
    one = prepared("spectrum", "kinds:tags", folders, protocol=protocol)
    events: list[Event] = []
    result = experiment.run(one, events.append)
    assert result.cost["clips_encoded"] == plain.cost["clips_encoded"] == 96
    (told,) = [event.text for event in events if event.kind == "forecast"]
    assert told.startswith(f"{protocol} hears clips its own way ({PROTOCOLS[protocol].recipe}): 96 are encoded again")
    assert "min and 0." in told


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("protocol", ["default", "superb"])
def test_a_plain_protocol_tells_no_forecast(protocol: str, folders: Folders) -> None:
    events: list[Event] = []
    experiment.run(prepared("mel", "toy:right", folders, protocol=protocol, limit=60), events.append)
    assert "forecast" not in {event.kind for event in events}


def lengthen(one: Experiment) -> None:
    """Every third clip lasts half as long again."""
    import soundfile

    for clip in one.labelled.clips[::3]:
        wave, rate = soundfile.read(clip.path)
        soundfile.write(clip.path, np.r_[wave, wave[: len(wave) // 2]], rate)


@pytest.mark.usefixtures("quick")
def test_where_a_recipe_changes_some_clips_only_these_are_encoded_again(folders: Folders) -> None:
    lengthen(prepared("mel", "toy:right", folders))
    harness.run("mel", "toy:right", **folders)
    result = harness.run("mel", "toy:right", protocol="xares:compat", **folders)
    assert result.cost["clips_encoded"] == 200 - len(range(0, 200, 3))


@pytest.mark.usefixtures("quick")
def test_cuts_to_learn_from_and_to_score_are_encoded_both(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders)
    lengthen(one)
    task = replace(one.task, published={"superb": {"crop": 0.5, "gain": -3.0}})
    settings = replace(one.settings, protocol="superb:compat", head="ridge", interface="last")
    labelled = experiment._label(task, settings, one.store)
    result = experiment.run(replace(one, labelled=labelled, settings=settings))
    assert result.cost["clips_encoded"] == 200 + len(range(0, 200, 3))
    assert result.score > 0.95


@pytest.mark.usefixtures("quick")
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


# Badges.


@pytest.mark.usefixtures("quick", "kinds")
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


@pytest.mark.usefixtures("quick", "kinds")
@pytest.mark.parametrize(
    ("kind", "metric", "protocols", "least"),
    [
        ("tags", "map", PLAIN, 0.95),
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


@pytest.mark.usefixtures("quick", "kinds")
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


@pytest.mark.usefixtures("quick", "kinds")
def test_sound_events_are_found_with_the_filter_that_validation_chose(folders: Folders) -> None:
    result = harness.run("spectrum", "kinds:events", **folders)
    assert {"median", "shortest"} <= set(result.folds[0].chosen)
    assert result.encoder["view"] == "frames[final]:float16"
    assert result.interface == "last/frames"


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("upstream", ["mel", "mfcc"])
def test_events_cannot_be_found_in_one_frame_a_clip(upstream: str, folders: Folders, refused: Refused) -> None:
    with refused("last/frames is not applicable: this upstream gives one frame a clip"):
        harness.run(upstream, "kinds:events", **folders)


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("protocol", ["superb", "superb:compat"])
def test_superb_names_what_it_lacks_for_speakers(protocol: str, folders: Folders, refused: Refused) -> None:
    with refused("x-vectors"):
        harness.run("spectrum", "kinds:trials", protocol=protocol, **folders)


# Interfaces that an upstream does not fit.


@pytest.mark.usefixtures("quick", "kinds")
def test_layers_of_unequal_width_leave_superb_the_last_and_the_result_says_so(folders: Folders) -> None:
    result = harness.run("spectrum:uneven", "kinds:tags", protocol="superb", **folders)
    assert (result.interface, result.protocol) == ("last", "superb")
    assert result.deviations == ("last in place of weighted-sum, since this upstream's layers differ in width",)
    assert result.layer_weights == ()
    assert harness.run("spectrum", "kinds:tags", protocol="superb", **folders).deviations == ()


@pytest.mark.usefixtures("quick", "kinds")
def test_a_weighted_sum_of_unequal_layers_that_is_asked_for_is_refused(folders: Folders, refused: Refused) -> None:
    with refused("weighted-sum needs layers of one width"):
        harness.run("spectrum:uneven", "kinds:tags", protocol="superb", interface="weighted-sum", **folders)


CONV = {"interface": "conv-mean", "head": "superb-linear"}
TOO_FEW = "conv-mean is not applicable: it needs 3 layers or more, and this upstream has 2"


@pytest.mark.usefixtures("quick", "kinds")
def test_convolutions_over_too_few_layers_end_a_run_of_one(folders: Folders, refused: Refused) -> None:
    with refused(TOO_FEW):
        run_all(prepared_all(["spectrum:short"], ["kinds:tags"], folders, **CONV))
    assert not list(Path(folders["store"]).glob("*/shards/*"))


@pytest.mark.usefixtures("quick", "kinds")
def test_convolutions_over_too_few_layers_leave_a_gap_in_a_sweep(folders: Folders) -> None:
    events: list[Event] = []
    sweep = prepared_all(["spectrum:short", "spectrum"], ["kinds:tags"], folders, **CONV)
    gap, result = run_all(sweep, events.append)
    assert gap == Inapplicable("spectrum:short", "kinds:tags", TOO_FEW)
    assert isinstance(result, Result)
    assert result.interface == "conv-mean"
    assert [event.text for event in events if event.kind == "inapplicable"] == [
        f"spectrum:short on kinds:tags: not applicable, {TOO_FEW}"
    ]


@pytest.mark.usefixtures("quick", "kinds")
@pytest.mark.parametrize("interface", ["conv", "last/attention", "weighted-sum/attention"])
def test_an_interface_that_learns_from_frames_is_given_them(interface: str, folders: Folders) -> None:
    result = harness.run("spectrum", "kinds:slots", interface=interface, head="superb-linear", limit=60, **folders)
    assert result.encoder["view"].startswith("frames[")
    assert result.score > 0.3
    assert all(len(row) == 4 for row in result.layer_weights)
    assert len(result.layer_weights) == (interface == "weighted-sum/attention")


# Runs.


def test_the_same_run_again_does_nothing_and_says_so(folders: Folders) -> None:
    first = harness.run("mel", "toy:right", **folders)
    events: list[Event] = []
    again = experiment.run(prepared("mel", "toy:right", folders), events.append)
    assert again == first
    assert [event.text for event in events] == ["mel on toy:right: done before, nothing to do"]


@pytest.mark.usefixtures("quick", "kinds")
@pytest.mark.parametrize("kind", ["tags", "slots", "value", "trials", "events"])
def test_a_run_of_any_kind_is_known_again(kind: str, folders: Folders) -> None:
    first = harness.run("spectrum", f"kinds:{kind}", limit=80, **folders)
    assert experiment.run(prepared("spectrum", f"kinds:{kind}", folders, limit=80)) == first


def test_another_setting_is_another_run_on_the_same_features(folders: Folders) -> None:
    harness.run("mel", "toy:right", **folders)
    other = harness.run("mel", "toy:right", interface="last", **folders)
    assert other.cost["clips_encoded"] == 0
    assert len(read_all(Path(folders["results"]))) == 2


def test_features_do_not_depend_on_where_the_data_lies(folders: Folders, tmp_path: Path) -> None:
    harness.run("mel", "toy:right", **folders)
    Path(folders["data"]).rename(tmp_path / "elsewhere")
    again = harness.run(
        "mel", "toy:right", **{**folders, "data": str(tmp_path / "elsewhere"), "results": str(tmp_path / "other")}
    )
    assert again.cost["clips_encoded"] == 0


def test_added_clips_alone_are_encoded(folders: Folders) -> None:
    small = harness.run("mel", "toy:right", limit=100, **folders)
    whole = harness.run("mel", "toy:right", **folders)
    assert (small.cost["clips_encoded"], whole.cost["clips_encoded"]) == (100, 100)


def test_a_limit_keeps_every_class_in_every_fold(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders, limit=20)
    assert len({(clip.target, clip.fold) for clip in one.labelled.clips}) == 20


@pytest.mark.usefixtures("kinds")
def test_a_limit_keeps_the_trials_between_the_clips_that_are_left(folders: Folders) -> None:
    labelled = prepared("spectrum", "kinds:trials", folders, limit=48).labelled
    kept = {clip.id for clip in labelled.clips}
    assert 0 < len(labelled.trials) < 24 * 23 // 2
    assert all({trial.one, trial.other} <= kept for trial in labelled.trials)


@pytest.mark.usefixtures("quick", "kinds")
def test_weighted_sum_learns_weights_and_reports_them(folders: Folders) -> None:
    result = harness.run("spectrum", "toy:right", interface="weighted-sum", head="superb-linear", **folders)
    assert len(result.layer_weights) == 5
    assert all(len(row) == 4 and sum(row) == pytest.approx(1) for row in result.layer_weights)
    assert all(max(row) > 1.01 / 4 for row in result.layer_weights)


@pytest.mark.usefixtures("quick")
def test_seeds_of_a_random_head_are_averaged_and_their_spread_reported(folders: Folders) -> None:
    result = harness.run("mel", "toy:groups", head="superb-linear", interface="last", seeds=2, limit=100, **folders)
    assert len(result.folds) == 10
    assert result.score == pytest.approx(np.mean([fold.score for fold in result.folds]))
    by_seed = [np.mean([fold.score for fold in result.folds[start : start + 5]]) for start in (0, 5)]
    assert result.seed_std == pytest.approx(np.std(by_seed, ddof=1))
    by_fold = [np.mean([fold.score for fold in result.folds[start::5]]) for start in range(5)]
    assert result.fold_std == pytest.approx(np.std(by_fold, ddof=1))


@pytest.mark.usefixtures("quick")
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
    harness.run("mel", "toy:right", **folders)
    (path,) = Path(folders["results"]).iterdir()
    assert str(tmp_path) not in path.read_text()


def test_a_result_tells_what_it_was_made_with(folders: Folders) -> None:
    result = harness.run("mel", "toy:right", **folders)
    assert {"torch", "numpy", "python", "harness", "processor"} <= set(result.environment)
    assert {"weights", "revision", "view", "resampler", "sample_rate", "training"} <= set(result.encoder)
    assert (result.data["clips"], result.data["groups"]) == (200, 50)
    assert len(result.candidates) == 5 * 1 * 6  # splits, layers, penalties
    assert list(result.metrics) == ["accuracy", "balanced_accuracy", "macro_f1", "map", "auroc", "d_prime"]


def test_chance_is_the_share_of_the_most_frequent_class(folders: Folders) -> None:
    result = harness.run("mel", "toy:groups", **folders)
    counts = Counter(clip.target for clip in prepared("mel", "toy:groups", folders).labelled.clips)
    assert result.data["chance"] == max(counts.values()) / 200


def test_what_is_asked_for_instead_of_the_protocols_own_is_part_of_its_name(folders: Folders) -> None:
    assert harness.run("mel", "toy:right", interface="last", **folders).protocol == "default+last"
    assert harness.run("mel", "toy:right", view="mean-ln", **folders).protocol == "default+mean-ln"
    assert harness.run("mel", "toy:right", head="knn", **folders).protocol == "default+knn"
    assert harness.run("mel", "toy:right", head="logistic", **folders).protocol == "default"


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
    one = prepared("mel", "toy:right", folders)
    experiment.run(one)
    (one.shelf.folder / "probe.safetensors").unlink()
    one.shelf.agree({name: 1.1 * row for name, row in one.encoder.answer().items()})
    with refused("answers differently in layer"):
        harness.run("mel", "toy:right", interface="last", **folders)


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
    with refused("needs one vector a clip, and the view .* gives many: leave --view out"):
        experiment.run(one)


@pytest.mark.usefixtures("kinds")
def test_a_metric_that_is_undefined_on_a_test_fold_is_refused(folders: Folders, refused: Refused) -> None:
    one = prepared("spectrum", "kinds:value", folders)
    clips = [replace(clip, target=1.0) if clip.fold == "test" else clip for clip in one.labelled.clips]
    with refused("r2 is not defined on the test fold test of kinds:value"):
        experiment.run(relabelled(one, clips))


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
        ({"limit": 3, "protocol": "evar:compat"}, "raise --limit"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    settings: dict[str, Any], sentence: str, folders: Folders, refused: Refused
) -> None:
    with refused(sentence):
        harness.run("mel", "toy:right", **settings, **folders)
    assert not list(Path(folders["results"]).glob("*"))


def test_a_killed_run_continues_and_ends_with_the_same_numbers(folders: Folders, toys: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-c",
        "from harness.cli import main; main()",
        "run",
        "--task",
        "toy:right",
        "--limit",
        "40",
    ]
    command += ["--upstream", "ssamba:tiny@untrained", "--workers", "1", "--data", folders["data"]]
    environment = {**os.environ, "PYTHONPATH": str(toys), "OMP_NUM_THREADS": "1"}

    def start(place: str) -> subprocess.Popen[bytes]:
        more = ["--store", str(tmp_path / place / "store"), "--results", str(tmp_path / place / "results")]
        return subprocess.Popen(
            [*command, *more], env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )

    assert start("whole").wait() == 0
    killed = start("killed")
    while not (stored := sorted((tmp_path / "killed" / "store").glob("*/shards/*.safetensors"))):
        assert killed.poll() is None
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    before = {path: path.stat().st_mtime_ns for path in stored}
    assert not list((tmp_path / "killed").glob("results/*"))

    assert start("killed").wait() == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
    whole, resumed = (json.loads(next((tmp_path / p / "results").iterdir()).read_text()) for p in ("whole", "killed"))
    assert resumed["cost"]["clips_encoded"] < whole["cost"]["clips_encoded"] == 40
    assert (resumed["score"], resumed["candidates"]) == (whole["score"], whole["candidates"])
    shards = ({p.name: p.read_bytes() for p in (tmp_path / w).rglob("shards/*")} for w in ("whole", "killed"))
    assert next(shards) == next(shards)


def test_one_thread_and_two_give_the_same_score(folders: Folders) -> None:
    one, two = (
        harness.run("mel", "toy:groups", workers=workers, **{**folders, "store": f"{folders['store']}{workers}"})
        for workers in (1, 2)
    )
    assert one.score == two.score
