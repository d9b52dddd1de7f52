"""Results as files: written whole, read back equal, and refused when they are something else."""

import json
import os
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from harness import results
from harness.files import write_atomically
from harness.protocols import PROTOCOLS
from harness.results import (
    COLUMNS,
    describe_metric,
    describe_protocol,
    describe_score,
    find,
    load,
    read,
    read_all,
)
from harness.types import Candidate, FoldScore, Interval, Result

Refused = Callable[[str], AbstractContextManager[None]]

RESULT = Result(
    key="0123456789abcdef" * 4,
    upstream="ssamba:tiny@file",
    task="esc50:esc10",
    protocol="default",
    interface="best-layer",
    head="logistic",
    metric="accuracy",
    score=0.7 + 0.1,
    interval=Interval(0.71, 0.87, 0.95, "bootstrap over groups, 10,000 resamples", 103),
    metrics={"accuracy": 0.7 + 0.1, "d_prime": 2 / 3},
    folds=(FoldScore(("1",), 0.75, 80, {"layer": "3", "C": 0.01, "seed": 0}), FoldScore(("2", "3"), 0.85, 160, {})),
    fold_std=1 / 3,
    seed_std=None,
    badges=("untrained", "partial"),
    deviations=("last in place of weighted-sum, since layers differ in width", "no more than 5 folds"),
    candidates=(Candidate(0, 0, {"layer": "final", "C": 1e-4}, 2 / 3), Candidate(1, 2, {"steps": 100}, 0.5)),
    layer_weights=((0.25, 0.75), (0.5, 0.5)),
    data={"clips": 240, "sha256": "ab" * 32, "groups_spanning_folds": []},
    method={"head": {"kind": "Logistic", "grid": [0.1, 1.0]}, "refitted": True, "seeds": [0]},
    encoder={"parameters": 4_800_000, "recipe": {"duration": None}},
    cost={"clips_per_second": 12.5},
    environment={"device": "cpu", "torch": "2.6"},
    created="2025-01-02T03:04:05+00:00",
    answers="cd" * 32,
)
ALONE = replace(
    RESULT,
    interval=Interval(None, None, 0.95, "none: one group", 1),
    layer_weights=(),
    folds=(),
    metrics={},
    deviations=(),
)


def write(result: Result, folder: Path) -> Path:
    return results.write(result, folder, b"answers")


def document(change: Mapping[str, Any]) -> str:
    """A result's JSON with some fields changed."""
    return json.dumps({**asdict(RESULT), **change})


# Written and read.


@pytest.mark.parametrize("result", [RESULT, ALONE])
def test_a_result_is_read_as_it_was_written(tmp_path: Path, result: Result) -> None:
    assert read(write(result, tmp_path / "results")) == result


def test_a_result_is_written_as_the_same_bytes_every_time(tmp_path: Path) -> None:
    assert write(RESULT, tmp_path / "a").read_bytes() == write(RESULT, tmp_path / "b").read_bytes()


def test_a_result_that_was_read_is_written_as_the_same_bytes(tmp_path: Path) -> None:
    path = write(RESULT, tmp_path / "a")
    assert write(read(path), tmp_path / "b").read_bytes() == path.read_bytes()


def test_a_result_replaces_its_predecessor(tmp_path: Path) -> None:
    write(RESULT, tmp_path)
    write(replace(RESULT, score=0.5), tmp_path)
    assert [result.score for result in read_all(tmp_path)] == [0.5]


def test_results_of_two_keys_lie_side_by_side(tmp_path: Path) -> None:
    write(RESULT, tmp_path)
    write(replace(RESULT, key="f" * 64), tmp_path)
    assert {result.key for result in read_all(tmp_path)} == {RESULT.key, "f" * 64}


def test_others_may_read_a_result_like_any_file(tmp_path: Path) -> None:
    (tmp_path / "any file").write_text("any text", encoding="utf-8")
    assert write(RESULT, tmp_path).stat().st_mode == (tmp_path / "any file").stat().st_mode


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: Refused
) -> None:
    path = write(RESULT, tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with refused("cannot be written .No space left on device"):
        write(replace(RESULT, score=0.5), tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([path, path.with_suffix(".safetensors")])
    assert read(path) == RESULT


def test_an_interrupted_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(tmp_path / "file", b"some text")
    assert list(tmp_path.iterdir()) == []


def test_a_results_folder_below_a_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with refused("the results folder .* cannot be written"):
        write(RESULT, tmp_path / "file" / "results")


HOSTILE = {
    "a path upwards": "../../out",
    "an absolute path": "/etc/out",
    "dots": "..",
    "a hidden file": ".out",
    "a pattern": "*[a]?",
    "quotes and a line break": "a\"b'c\n",
    "a backslash": "a\\..\\b",
    "a null": "a\0b",
    "nothing": "",
    "a long name": "x" * 500,
    "another script": "音声" * 100,
}


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("field", ["upstream", "task", "protocol"])
def test_a_hostile_name_is_written_inside_the_folder_and_read_back(tmp_path: Path, field: str, name: str) -> None:
    change: dict[str, Any] = {field: name}
    result = replace(RESULT, **change)
    path = write(result, tmp_path / "results")
    assert path.resolve().parent == tmp_path / "results"
    assert list(tmp_path.rglob("*.json")) == [path]
    assert read(path) == result


def test_a_name_that_is_hostile_everywhere_is_written(tmp_path: Path) -> None:
    name = "音声" * 100
    write(replace(RESULT, upstream=name, task=name, protocol=name), tmp_path)
    assert find(RESULT.key, tmp_path) is not None


def test_bytes_that_are_no_text_are_written_as_question_marks(tmp_path: Path) -> None:
    assert read(write(replace(RESULT, upstream="model-\udcff"), tmp_path)).upstream == "model-?"


NAMES = {
    "hear:compat": "hear-compat",
    "csv:pets.csv@1a2b3c4d": "csv-pets.csv-1a2b3c4d",
    "default+last/attention": "default+last-attention",
    "superb:compat+layer:7+knn": "superb-compat+layer-7+knn",
}


@pytest.mark.parametrize(("name", "safe"), NAMES.items())
@pytest.mark.parametrize("field", ["upstream", "task", "protocol"])
def test_a_file_is_named_as_its_result_as_far_as_a_file_system_lets_it(
    tmp_path: Path, field: str, name: str, safe: str
) -> None:
    change: dict[str, Any] = {field: name}
    words = {"task": "esc50-esc10", "upstream": "ssamba-tiny-file", "protocol": "default"} | {field: safe}
    assert write(replace(RESULT, **change), tmp_path).name == "__".join([*words.values(), "0123456789ab.json"])


# What is no result is refused.


FOREIGN = {
    "nothing": "",
    "text": "this is no JSON",
    "half a result": document({})[:500],
    "a list": "[1, 2]",
    "a number": "5",
    "null": "null",
    "an object": '{"some": "thing"}',
    "just a schema": '{"schema": 3}',
    "a result with a field too many": document({"other": 1}),
    "a result with a field too few": json.dumps({k: v for k, v in asdict(RESULT).items() if k != "metric"}),
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN.keys())
def test_a_foreign_file_is_named_not_read(tmp_path: Path, refused: Refused, text: str) -> None:
    path = tmp_path / "foreign.json"
    path.write_text(text, encoding="utf-8")
    with refused(f"{path} is no result of harness"):
        read(path)


def test_bytes_that_are_no_text_are_named_not_read(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "foreign.json").write_bytes(b"\xff\xfe\x80")
    with refused("foreign.json is no result of harness"):
        read(tmp_path / "foreign.json")


@pytest.mark.parametrize("schema", [1, 2, 99, 0, "3", None])
def test_another_schema_is_refused_with_what_to_do(tmp_path: Path, refused: Refused, schema: object) -> None:
    (tmp_path / "other.json").write_text(document({"schema": schema}), encoding="utf-8")
    with refused(
        rf"other.json has schema '?{schema}'?, and this version reads schema 3: make it anew with .harness run"
    ):
        read(tmp_path / "other.json")


def test_a_result_of_the_first_schema_is_told_by_it_not_by_what_it_lacks(tmp_path: Path, refused: Refused) -> None:
    old = {name: value for name, value in asdict(RESULT).items() if name not in ("metrics", "deviations")}
    (tmp_path / "old.json").write_text(json.dumps({**old, "schema": 1}), encoding="utf-8")
    with refused("old.json has schema 1"):
        read(tmp_path / "old.json")


INTERVAL, FOLD, CANDIDATE = asdict(RESULT.interval), asdict(RESULT.folds[0]), asdict(RESULT.candidates[0])
WRONG: dict[str, Mapping[str, Any]] = {
    "a score that is NaN": {"score": float("nan")},
    "an infinite score": {"score": float("inf")},
    "a score in words": {"score": "high"},
    "a score in digits": {"score": "0.5"},
    "no score": {"score": None},
    "a list of scores": {"score": [0.5]},
    "an upstream that is a number": {"upstream": 5},
    "a task that is null": {"task": None},
    "a task that is a list": {"task": ["esc50"]},
    "a key that is a number": {"key": 5},
    "a date that is a number": {"created": 5},
    "an interval that is a list": {"interval": [0.1, 0.2]},
    "an interval of words": {"interval": {**INTERVAL, "low": "low"}},
    "an interval of NaN": {"interval": {**INTERVAL, "high": float("nan")}},
    "groups in words": {"interval": {**INTERVAL, "groups": "many"}},
    "metrics that are a list": {"metrics": [0.5]},
    "a metric in words": {"metrics": {"accuracy": "high"}},
    "a metric of NaN": {"metrics": {"accuracy": float("nan")}},
    "no metrics": {"metrics": None},
    "folds that are a number": {"folds": 5},
    "a fold that is a list": {"folds": [[1, 2]]},
    "a fold that tests on a number": {"folds": [{**FOLD, "test": 5}]},
    "a fold with a score in words": {"folds": [{**FOLD, "score": "high"}]},
    "a fold with a score of NaN": {"folds": [{**FOLD, "score": float("nan")}]},
    "a spread in words": {"fold_std": "wide"},
    "badges that are a number": {"badges": 5},
    "badges that are one word": {"badges": "untrained"},
    "deviations that are one sentence": {"deviations": "last in place of weighted-sum"},
    "a deviation that is a number": {"deviations": [5]},
    "candidates that are a number": {"candidates": 5},
    "a candidate with a split in words": {"candidates": [{**CANDIDATE, "split": "first"}]},
    "a candidate with a score in words": {"candidates": [{**CANDIDATE, "valid_score": "high"}]},
    "a candidate whose setting is a list": {"candidates": [{**CANDIDATE, "setting": [1]}]},
    "layer weights that are numbers": {"layer_weights": [0.5, 0.5]},
    "layer weights in words": {"layer_weights": [["much", "little"]]},
    "data that are a list": {"data": [1]},
    "an encoder that is null": {"encoder": None},
    "costs in words": {"cost": "much"},
    "an environment that is a number": {"environment": 5},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_a_field_of_a_wrong_kind_is_refused(tmp_path: Path, refused: Refused, change: Mapping[str, Any]) -> None:
    (tmp_path / "wrong.json").write_text(document(change), encoding="utf-8")
    with refused("wrong.json is no result of harness"):
        read(tmp_path / "wrong.json")


def test_a_folder_with_a_foreign_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    write(RESULT, tmp_path)
    (tmp_path / "zzz.json").write_text("[]", encoding="utf-8")
    with refused("zzz.json is no result of harness"):
        read_all(tmp_path)


def test_a_missing_file_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("none.json is no result of harness"):
        read(tmp_path / "none.json")


# Found and tabled.


def test_a_result_is_found_by_its_key(tmp_path: Path) -> None:
    write(replace(RESULT, key="f" * 64, score=0.5), tmp_path)
    write(RESULT, tmp_path)
    assert find(RESULT.key, tmp_path) == RESULT


@pytest.mark.parametrize("key", ["e" * 64, RESULT.key[:12] + "f" * 52])
def test_a_key_that_no_result_has_finds_none(tmp_path: Path, key: str) -> None:
    write(RESULT, tmp_path)
    assert find(key, tmp_path) is None


def test_nothing_is_found_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert find(RESULT.key, tmp_path / "none") is None


def test_a_table_has_a_row_for_each_result(tmp_path: Path) -> None:
    write(RESULT, tmp_path)
    write(replace(ALONE, key="f" * 64, upstream="mel"), tmp_path)
    table = load(tmp_path)
    assert tuple(table.columns) == COLUMNS
    assert list(table["upstream"]) == ["mel", "ssamba:tiny@file"]


def test_a_row_says_what_the_result_says(tmp_path: Path) -> None:
    write(RESULT, tmp_path)
    assert load(str(tmp_path)).iloc[0].to_dict() == {
        "upstream": "ssamba:tiny@file",
        "task": "esc50:esc10",
        "protocol": "default",
        "interface": "best-layer",
        "head": "logistic",
        "metric": "accuracy",
        "score": RESULT.score,
        "low": 0.71,
        "high": 0.87,
        "level": 0.95,
        "interval_method": "bootstrap over groups, 10,000 resamples",
        "groups": 103,
        "fold_std": RESULT.fold_std,
        "seed_std": None,
        "metrics": "accuracy=0.8; d_prime=0.666667",
        "badges": "untrained, partial",
        "deviations": "last in place of weighted-sum, since layers differ in width; no more than 5 folds",
        "clips": 240,
        "parameters": 4_800_000,
        "clips_per_second": 12.5,
        "device": "cpu",
        "created": "2025-01-02T03:04:05+00:00",
        "key": RESULT.key,
    }


def test_an_empty_folder_gives_an_empty_table(tmp_path: Path) -> None:
    table = load(tmp_path)
    assert (len(table), tuple(table.columns)) == (0, COLUMNS)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path, refused: Refused) -> None:
    with refused("there is no results folder .*none"):
        load(tmp_path / "none")


def test_files_that_are_being_written_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[list[Result]] = []
    monkeypatch.setattr(os, "fsync", lambda _: seen.append(results.read_all(tmp_path)))
    write(RESULT, tmp_path)
    assert seen == [[], []]


# Told in words.


SCORES = {
    "accuracy": ("80.0", "[71.0, 87.0]"),
    "eer": ("80.0", "[71.0, 87.0]"),
    "r2": ("0.800", "[0.710, 0.870]"),
    "min_dcf": ("0.800", "[0.710, 0.870]"),
    "one of a stranger": ("0.800", "[0.710, 0.870]"),
}


@pytest.mark.parametrize(("metric", "said"), SCORES.items())
def test_only_shares_are_told_in_percent(metric: str, said: tuple[str, str]) -> None:
    assert describe_score(replace(RESULT, metric=metric)) == said


def test_a_missing_interval_is_told() -> None:
    assert describe_score(ALONE) == ("80.0", "no interval")


METRICS = {
    "accuracy": "accuracy in %, higher is better",
    "eer": "eer in %, lower is better",
    "r2": "r2, higher is better",
    "min_dcf": "min_dcf, lower is better",
    "of a stranger": "of a stranger, unknown here and ordered as if higher were better",
}


@pytest.mark.parametrize(("metric", "said"), METRICS.items())
def test_a_metric_is_told_with_its_unit_and_direction(metric: str, said: str) -> None:
    assert describe_metric(metric) == said


@pytest.mark.parametrize("name", ["superb", "hear:compat"])
def test_a_protocol_is_told_by_its_summary(name: str) -> None:
    assert describe_protocol(name) == PROTOCOLS[name].summary


def test_what_was_asked_for_instead_is_told_after_the_summary() -> None:
    said = describe_protocol("superb+last/attention+knn")
    assert said == f"{PROTOCOLS['superb'].summary}; but with last/attention and knn"


@pytest.mark.parametrize("name", ["", "+", "one of a stranger", "Superb"])
def test_nothing_is_told_of_a_protocol_that_is_unknown(name: str) -> None:
    assert describe_protocol(name) == ""
