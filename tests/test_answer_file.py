"""Files of answers: what is read is what was written, small, the same every time, and foreign ones are refused."""

import hashlib
import json
import struct
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from harness import answer_file
from harness.answer_file import from_bytes, number_of, read, to_bytes
from harness.answers import Kept, compare
from harness.metrics import RANKING
from harness.types import Clip

from kept_answers import CLIPS, PAIRS, kept

Refused = Callable[[str], AbstractContextManager[None]]


def again(one: Kept) -> Kept:
    return from_bytes(to_bytes(one), "answers")


@pytest.mark.parametrize(("metric", "kind"), PAIRS)
def test_the_score_and_its_interval_are_the_same_from_a_file(metric: str, kind: str) -> None:
    one = kept(kind, metric)
    found = again(one)
    assert found.target == one.target
    assert found.scored.point == one.scored.point
    assert found.interval == one.interval
    assert found.same_clips(one)


@pytest.mark.parametrize(("metric", "kind"), PAIRS)
def test_two_upstreams_differ_as_much_from_files(metric: str, kind: str) -> None:
    one, other = kept(kind, metric, 0), kept(kind, metric, 1)
    assert compare(again(one), again(other)) == compare(one, other)


@pytest.mark.parametrize("metric", ["balanced_accuracy", "macro_f1", "chroma_accuracy"])
def test_answers_that_were_kept_for_their_accuracy_tell_what_else_looks_at_answers_only(metric: str) -> None:
    one = kept("class", "accuracy")
    assert np.array_equal(again(one).by_seed(metric), one.by_seed(metric))


@pytest.mark.parametrize(("metric", "kind"), PAIRS)
def test_the_same_answers_are_the_same_bytes(metric: str, kind: str) -> None:
    assert to_bytes(kept(kind, metric)) == to_bytes(kept(kind, metric))
    assert to_bytes(again(kept(kind, metric))) == to_bytes(kept(kind, metric))


def test_an_answer_takes_two_bytes_where_only_that_counts() -> None:
    sizes = {seeds: len(to_bytes(kept("class", "accuracy", seeds=seeds))) for seeds in (1, 11)}
    assert sizes[11] - sizes[1] == pytest.approx(10 * 2 * 2 * CLIPS, abs=100)  # two splits, two bytes a clip


def test_a_number_stands_for_a_clips_id() -> None:
    one, other = (Clip(name, Path("x"), "a", "1", "g") for name in ("1-a", "1-b"))
    assert number_of(one) == number_of(replace(one, path=Path("elsewhere"), group="h"))
    assert number_of(one) != number_of(other)
    assert 0 <= number_of(one) < 2**63


# Files from strangers.


def stored(tmp_path: Path, content: bytes) -> tuple[Path, str]:
    path = tmp_path / "result.safetensors"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def test_a_file_is_read_by_its_hash(tmp_path: Path) -> None:
    one = kept("tags", "map")
    assert read(*stored(tmp_path, to_bytes(one))).interval == one.interval


def test_a_file_of_another_hash_is_refused(tmp_path: Path, refused: Refused) -> None:
    path, _ = stored(tmp_path, to_bytes(kept("tags", "map")))
    with refused("result.safetensors are not those of the result beside them .*: get it anew"):
        read(path, "00" * 32)


def test_a_file_that_is_not_there_is_told(tmp_path: Path, refused: Refused) -> None:
    with refused("result.safetensors cannot be read .No such file or directory.: get it anew .* or delete the result"):
        read(tmp_path / "result.safetensors", "00" * 32)


def test_a_huge_file_is_not_read(tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_file, "LARGEST", 1000)
    with refused("are larger than .* and are not read"):
        read(*stored(tmp_path, to_bytes(kept("tags", "map"))))


def changed(one: Kept, about: Mapping[str, Any], tensors: Mapping[str, Any] = MappingProxyType({})) -> bytes:
    """A file with another header, or other tensors."""
    content = to_bytes(one)
    header = json.loads(content[8 : 8 + struct.unpack("<Q", content[:8])[0]])
    told = json.loads(header["__metadata__"]["answers"]) | dict(about)
    return save(load(content) | dict(tensors), {"answers": json.dumps(told)})


CLASS, TAGS, TRIALS = kept("class", "accuracy"), kept("tags", "map"), kept("trials", "eer")
EVENTS, MAP = kept("events", "event_onset_f"), kept("class", "map")
GROUPS = TAGS.splits[0].groups.astype(np.int32)
FOREIGN = {
    "nothing": b"",
    "no header": b"\xff" * 100,
    "a cut file": to_bytes(TAGS)[:-10],
    "another safetensors file": save({"a": np.zeros(3)}),
    "an unknown metric": changed(CLASS, {"metric": "luck"}),
    "a metric of another kind": changed(CLASS, {"metric": "eer"}),
    "an unknown kind": changed(CLASS, {"target": {"kind": "dream"}}),
    "a target with more than it has": changed(CLASS, {"target": {"kind": "class", "labels": ["a"], "more": 1}}),
    "more splits than there are": changed(CLASS, {"splits": 3}),
    "no splits": changed(CLASS, {"splits": 0}),
    "fewer labels than were answered": changed(CLASS, {"target": {"kind": "class", "labels": ["60"]}}),
    "answers to fewer clips": changed(CLASS, {}, {"0.answers": np.zeros((2, 3), np.uint16)}),
    "scores of fewer clips": changed(TAGS, {}, {"0.scores": np.zeros((2, 3, 3), np.float32)}),
    "scores of fewer labels": changed(TAGS, {}, {"0.scores": np.zeros((2, CLIPS, 2), np.float32)}),
    "scores of fewer classes": changed(MAP, {}, {"0.scores": np.zeros((2, CLIPS, 2), np.float32)}),
    "no seed": changed(TAGS, {}, {"0.scores": np.zeros((0, CLIPS, 3), np.float32)}),
    "a group below nothing": changed(TAGS, {}, {"0.groups": GROUPS - 1}),
    "a group as far as memory": changed(TAGS, {}, {"0.groups": np.where(GROUPS == 1, 2**31 - 1, GROUPS)}),
    "groups of fewer clips": changed(TAGS, {}, {"0.groups": GROUPS[:3]}),
    "trials of clips that are not there": changed(TRIALS, {}, {"0.pairs": np.full((2, 226), CLIPS, np.int32)}),
    "trials of clips before the first": changed(TRIALS, {}, {"0.pairs": np.full((2, 226), -1, np.int32)}),
    "events of clips that are not there": changed(EVENTS, {}, {"0.answers": np.array([[0.0, CLIPS, 0, 0, 1]])}),
    "events of labels that are not there": changed(EVENTS, {}, {"0.answers": np.array([[0.0, 1, 7, 0, 1]])}),
    "events of no number": changed(EVENTS, {}, {"0.answers": np.array([[0.0, np.nan, 1, 0, 1]])}),
    "as many seeds as never end": changed(EVENTS, {}, {"0.seeds": np.array([2**40])}),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_what_cannot_be_answers_is_refused(content: bytes, refused: Refused) -> None:
    with refused("strange.safetensors holds no answers of harness"):
        from_bytes(content, "strange.safetensors")


def test_what_other_versions_have_written_is_refused_by_its_format(refused: Refused) -> None:
    with refused("the answers old are of format '0', and this version reads '1'"):
        from_bytes(changed(CLASS, {"format": "0"}), "old")


def test_every_metric_that_ranks_keeps_its_scores() -> None:
    for metric in RANKING:
        assert "0.scores" in load(to_bytes(kept("class", metric)))
