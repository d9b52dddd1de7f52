"""The whole pipeline, on toys whose right score is known."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import harness
from harness import experiment, heads
from harness.datasets import load_clips, rotation
from harness.events import Event
from harness.experiment import Experiment, foresee, open_store, prepare_all
from harness.results import read_all
from harness.settings import Settings
from harness.types import Split

Refused = Callable[[str], AbstractContextManager[None]]
Folders = dict[str, str]
pytestmark = pytest.mark.usefixtures("toys")


def prepared(upstream: str, task: str, folders: Folders, **settings: object) -> Experiment:
    chosen = Settings(
        data=[folders["data"]],
        store=Path(folders["store"]),
        results=Path(folders["results"]),
        **settings,  # type: ignore[arg-type]
    )
    (one,) = prepare_all([upstream], [task], chosen, open_store(chosen))
    return one


def test_a_task_that_can_be_solved_is_solved(folders: Folders) -> None:
    assert harness.run("mel", "toy:right", **folders).score == 1.0


def test_shuffled_labels_score_at_chance(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders)
    labels = np.random.default_rng(0).permutation([clip.target for clip in one.clips])
    clips = [replace(clip, target=str(label)) for clip, label in zip(one.clips, labels, strict=True)]
    assert experiment.run(replace(one, clips=clips)).score < 0.4


def test_a_clean_split_of_group_cues_scores_at_chance(folders: Folders) -> None:
    assert harness.run("mel", "toy:groups", **folders).score < 0.45


def test_a_leaking_split_of_group_cues_would_score_one(folders: Folders) -> None:
    one = prepared("mel", "toy:groups", folders)
    clips = [replace(clip, fold=str(1 + i % 4)) for i, clip in enumerate(one.clips)]
    leaky = replace(one.task, splits=rotation(("1", "2", "3", "4")))
    assert experiment.run(replace(one, clips=clips, task=leaky)).score > 0.95


def test_a_task_whose_groups_leak_is_refused(folders: Folders, refused: Refused) -> None:
    one = prepared("mel", "toy:groups", folders)
    clips = [replace(clip, fold=str(1 + i % 5)) for i, clip in enumerate(one.clips)]
    with refused("groups of toy:groups leak"):
        load_clips(replace(one.task, list_clips=lambda folder: clips), Path(folders["data"]))


def test_the_test_folds_choose_nothing(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders)
    split = Split(train=("1", "2", "3"), valid=("4",), test=("5",))
    lying = [replace(clip, target="a") if clip.fold == "5" else clip for clip in one.clips]
    honest, misled = (
        experiment.run(replace(one, clips=clips, task=replace(one.task, splits=(split,))))
        for clips in (one.clips, lying)
    )
    assert honest.candidates == misled.candidates
    assert honest.folds[0].chosen == misled.folds[0].chosen
    assert misled.score < 0.5 < honest.score


def test_the_same_run_again_does_nothing_and_says_so(folders: Folders) -> None:
    first = harness.run("mel", "toy:right", **folders)
    events: list[Event] = []
    again = experiment.run(prepared("mel", "toy:right", folders), events.append)
    assert again == first
    assert [event.text for event in events] == ["mel on toy:right: done before, nothing to do"]


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


def test_a_limited_run_is_marked_partial(folders: Folders) -> None:
    assert harness.run("mel", "toy:right", limit=100, **folders).badges == ("partial",)


def test_a_limit_keeps_every_class_in_every_fold(folders: Folders) -> None:
    one = prepared("mel", "toy:right", folders, limit=20)
    assert len({(clip.target, clip.fold) for clip in one.clips}) == 20


def test_an_untrained_upstream_is_marked(folders: Folders) -> None:
    result = harness.run("ssamba:tiny@untrained", "toy:right", limit=40, **folders)
    assert result.badges == ("untrained", "partial")
    assert result.encoder["view"] == "mean-ln"


@pytest.fixture
def short_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """SUPERB's head with a hundredth of its steps."""
    monkeypatch.setitem(heads.HEADS, "linear", heads.Linear(rates=(1e-3,), steps=60, check=30))


@pytest.mark.usefixtures("short_training")
def test_weighted_sum_learns_weights_and_reports_them(folders: Folders) -> None:
    settings = {"interface": "weighted-sum", "head": "linear", "limit": 40}
    result = harness.run("ssamba:tiny@untrained", "toy:right", **settings, **folders)
    assert len(result.layer_weights) == 5
    assert all(len(row) == 13 and sum(row) == pytest.approx(1) for row in result.layer_weights)


@pytest.mark.usefixtures("short_training")
def test_seeds_of_a_random_head_are_averaged_and_their_spread_reported(folders: Folders) -> None:
    result = harness.run("mel", "toy:groups", head="linear", interface="last", seeds=2, limit=100, **folders)
    assert len(result.folds) == 10
    assert result.seed_std is not None
    assert result.score == pytest.approx(np.mean([fold.score for fold in result.folds]))


def test_the_interval_holds_the_score(folders: Folders) -> None:
    interval = harness.run("mel", "toy:groups", **folders).interval
    assert interval.groups == 50
    assert interval.low is not None
    assert interval.high is not None
    assert interval.low < harness.run("mel", "toy:groups", **folders).score < interval.high


def test_a_result_names_no_folder_of_the_user(folders: Folders, tmp_path: Path) -> None:
    harness.run("mel", "toy:right", **folders)
    (path,) = Path(folders["results"]).iterdir()
    assert str(tmp_path) not in path.read_text()


def test_a_result_tells_what_it_was_made_with(folders: Folders) -> None:
    result = harness.run("mel", "toy:right", **folders)
    assert {"torch", "numpy", "python", "harness", "processor"} <= set(result.environment)
    assert {"weights", "revision", "view", "recipe", "resampler", "sample_rate", "training"} <= set(result.encoder)
    assert result.data["clips"] == 200
    assert len(result.candidates) == 5 * 1 * 6  # splits, layers, penalties


def test_what_is_asked_for_instead_of_the_protocols_own_is_part_of_its_name(folders: Folders) -> None:
    assert harness.run("mel", "toy:right", interface="last", **folders).protocol == "default+last"
    assert harness.run("mel", "toy:right", view="mean-ln", **folders).protocol == "default+mean-ln"
    assert harness.run("mel", "toy:right", head="logistic", **folders).protocol == "default"


@pytest.mark.parametrize(("seconds", "counts"), [(0.1, (20, 0)), (1.0, (0, 0)), (60.0, (0, 20))])
def test_clips_outside_the_limits_are_counted_also_when_nothing_is_encoded(
    seconds: float, counts: tuple[int, int], folders: Folders
) -> None:
    one = prepared("ssamba:tiny@untrained", "toy:right", folders, limit=20, interface="last")
    experiment.fill(one)
    found = experiment.run(replace(one, pieces=[replace(piece, seconds=seconds) for piece in one.pieces])).encoder
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
    rows = one.shelf.get([piece.key for piece in one.pieces])
    assert [rows[name][0].shape for name in ("0", "final")] == [(3, 192), (3, 192)]
    with refused("run needs one vector a clip"):
        experiment.run(one)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"interface": "weighted-sum"}, "use --head linear"),
        ({"interface": "layer:7"}, "there is no layer 7"),
        ({"interface": "layers"}, "there is no interface 'layers'"),
        ({"head": "logistics"}, "did you mean 'logistic'"),
        ({"protocol": "superbe"}, "there is no protocol 'superbe'"),
        ({"seeds": 3}, "no randomness"),
        ({"seeds": 0}, "--seeds must be 1 or more"),
        ({"view": "median"}, "there is no view 'median'"),
        ({"device": "tpu"}, "there is no device 'tpu'"),
        ({"limit": 3}, "raise --limit"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    settings: dict[str, object], sentence: str, folders: Folders, refused: Refused
) -> None:
    with refused(sentence):
        harness.run("mel", "toy:right", **settings, **folders)
    assert not list(Path(folders["results"]).glob("*"))


def test_a_killed_run_continues_and_ends_with_the_same_numbers(folders: Folders, toys: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from harness.cli import main; main()", "run", "--task", "toy:right"]
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
    assert resumed["cost"]["clips_encoded"] < whole["cost"]["clips_encoded"] == 200
    assert (resumed["score"], resumed["candidates"]) == (whole["score"], whole["candidates"])
    shards = ({p.name: p.read_bytes() for p in (tmp_path / w).rglob("shards/*")} for w in ("whole", "killed"))
    assert next(shards) == next(shards)


def test_one_thread_and_two_give_the_same_score(folders: Folders) -> None:
    one, two = (
        harness.run("mel", "toy:groups", workers=workers, **{**folders, "store": f"{folders['store']}{workers}"})
        for workers in (1, 2)
    )
    assert one.score == two.score
