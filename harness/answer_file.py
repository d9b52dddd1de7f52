"""Answers as files: one small safetensors file beside each result, from which its score can be made again.

What the primary metric looks at is kept exactly: the label that was answered where only that counts, else the scores.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.answers import Answers, Kept, SplitAnswers
from harness.errors import UserError
from harness.metrics import METRICS, RANKING
from harness.targets import kind_of, outputs, slices
from harness.types import KINDS, Class, Clip, Events, Slots, SoundEvent, Tags, Target, Trials

Array = npt.NDArray[Any]
FORMAT = "1"
#: A file that is larger is not read: it comes from strangers.
LARGEST = 1 << 30
MOST_SEEDS = 10_000


def to_bytes(kept: Kept) -> bytes:
    """The content of a file; the same answers always give the same bytes."""
    from safetensors.numpy import save

    tensors: dict[str, Array] = {}
    for i, split in enumerate(kept.splits):
        own = {"clips": split.clips, "groups": split.groups.astype(np.int32), **_tensors(kept, split)}
        tensors |= {f"{i}.{name}": np.ascontiguousarray(tensor) for name, tensor in own.items()}
    target = {"kind": kind_of(kept.target), **asdict(kept.target)}
    about = {"format": FORMAT, "metric": kept.metric, "target": target, "splits": len(kept.splits)}
    return save(tensors, {"answers": json.dumps(about, sort_keys=True)})


def read(path: Path, sha256: str) -> Kept:
    """The answers of a result, which says their hash.

    Raises:
        UserError: the file cannot be read, it is another one, or what it holds cannot be.
    """
    again = "get it anew from where the result came from, or delete the result and run it again"
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"the answers {path} are larger than {LARGEST >> 30} GB, and are not read")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"the answers {path} cannot be read ({error.strerror}): {again}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UserError(f"the answers {path} are not those of the result beside them (their hash differs): {again}")
    return from_bytes(content, path.name)


def from_bytes(content: bytes, name: str) -> Kept:
    """What :func:`to_bytes` made.

    Raises:
        UserError: it did not.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        about, tensors = json.loads(header["__metadata__"]["answers"]), load(content)
        if about["format"] != FORMAT:
            raise UserError(f"the answers {name} are of format {about['format']!r}, and this version reads {FORMAT!r}")
        target = _target(dict(about["target"]))
        splits = tuple(_tested(target, about["metric"], _own(tensors, i)) for i in range(about["splits"]))
        kept = Kept(target, about["metric"], splits)
        _check(kept)
    except (SafetensorError, ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise UserError(f"{name} holds no answers of harness ({type(error).__name__})") from error
    return kept


def number_of(clip: Clip) -> int:
    """A number that stands for a clip's id."""
    return int.from_bytes(hashlib.sha256(clip.id.encode("utf-8", "surrogateescape")).digest()[:8], "little") >> 1


def _tensors(kept: Kept, split: SplitAnswers) -> dict[str, Array]:
    """Truths and answers of a split, as small as they can be."""
    first = split.seeds[0]
    match kept.target:
        case Class() if kept.metric not in RANKING:
            answered = np.stack([each.scores.argmax(1) for each in split.seeds])
            return {"truth": first.truth.astype(np.uint16), "answers": answered.astype(np.uint16)}
        case Slots() as target:
            parts = slices(target)
            answered = np.stack([[each.scores[:, part].argmax(1) for part in parts] for each in split.seeds])
            return {"truth": first.truth.astype(np.uint16), "answers": answered.astype(np.uint16)}
        case Events(labels=labels):
            column = {label: i for i, label in enumerate(labels)}
            found = [_rows(each.scores, column, seed) for seed, each in enumerate(split.seeds)]
            seeds = np.array([len(split.seeds)])
            return {"truth": _rows(first.truth, column, 0), "answers": np.concatenate(found), "seeds": seeds}
    scores = np.stack([np.asarray(each.scores) for each in split.seeds])
    truth = first.truth.astype(np.uint16) if isinstance(kept.target, Class) else first.truth
    pairs = {} if first.pairs is None else {"pairs": np.stack(first.pairs).astype(np.int32)}
    return {"truth": truth, "scores": scores, **pairs}


def _rows(lists: Sequence[Sequence[SoundEvent]], column: Mapping[str, int], seed: int) -> Array:
    """Events as rows of seed, clip, label, onset, offset."""
    rows = [(seed, clip, column[label], on, off) for clip, events in enumerate(lists) for label, on, off in events]
    return np.array(rows, np.float64).reshape(-1, 5)


def _own(tensors: Mapping[str, Array], split: int) -> dict[str, Array]:
    prefix = f"{split}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _target(told: dict[str, Any]) -> Target:
    """A target from its JSON, in which tuples are lists."""

    def frozen(value: Any) -> Any:
        return tuple(map(frozen, value)) if isinstance(value, list) else value

    return KINDS[told.pop("kind")](**{name: frozen(value) for name, value in told.items()})


def _tested(target: Target, metric: str, own: Mapping[str, Array]) -> SplitAnswers:
    clips, groups = own["clips"].astype(np.int64), own["groups"].astype(np.int64)
    return SplitAnswers(clips, groups, tuple(_answers(target, metric, own, len(clips))))


def _answers(target: Target, metric: str, own: Mapping[str, Array], clips: int) -> list[Answers]:
    """One for each seed; labels that were answered get a score of 1, and others 0."""
    truth = own["truth"]
    match target:
        case Class(labels) if metric not in RANKING:
            chances = np.eye(len(labels), dtype=np.float32)
            return [Answers(chances[each], truth.astype(np.int64)) for each in own["answers"]]
        case Slots(labels=slots):
            each_slot = [np.eye(len(labels), dtype=np.float32) for labels in slots]
            return [
                Answers(
                    np.concatenate([eye[slot] for eye, slot in zip(each_slot, seed, strict=True)], axis=1),
                    truth.astype(np.int64),
                )
                for seed in own["answers"]
            ]
        case Events(labels=names):
            true = _lists(truth, names, clips)
            found, seeds = own["answers"], own["seeds"].item()
            if seeds > MOST_SEEDS:
                raise ValueError("seeds")
            return [Answers(_lists(found[found[:, 0] == i], names, clips), true) for i in range(seeds)]
        case Trials():
            one, other = own["pairs"].astype(np.int64)
            return [Answers(each, truth, (one, other)) for each in own["scores"]]
    known = truth.astype(np.int64) if isinstance(target, Class) else truth
    return [Answers(each, known) for each in own["scores"]]


def _lists(rows: Array, labels: Sequence[str], clips: int) -> list[tuple[SoundEvent, ...]]:
    lists: list[list[SoundEvent]] = [[] for _ in range(clips)]
    for _, clip, label, onset, offset in rows.tolist():
        lists[int(clip)].append(SoundEvent(labels[int(label)], onset, offset))
    return list(map(tuple, lists))


def _check(kept: Kept) -> None:
    """Refuse what cannot be, before it is worked with: numbers that point outside, or arrays that do not fit.

    Raises:
        ValueError: so it is.
    """
    if kept.metric not in METRICS or kind_of(kept.target) not in METRICS[kept.metric].kinds:
        raise ValueError("metric")
    for split in kept.splits:
        clips = len(split.clips)
        if len(split.groups) != clips or not split.seeds or split.groups.min() < 0:
            raise ValueError("groups")
        for answers in split.seeds:
            _check_answers(kept.target, answers, clips)
    if kept.groups > sum(len(split.clips) for split in kept.splits):
        raise ValueError("groups")


def _check_answers(target: Target, answers: Answers, clips: int) -> None:
    scores, truth, pairs = answers
    if pairs is not None:
        ends = np.concatenate(pairs)
        if scores.shape != truth.shape or scores.shape != pairs[0].shape or ends.min() < 0 or ends.max() >= clips:
            raise ValueError("trials")
    elif isinstance(scores, np.ndarray):
        shape = {Tags: scores.shape, Slots: (clips, len(getattr(target, "names", ())))}.get(type(target), (clips,))
        if scores.shape != (clips, outputs(target, truth)) or truth.shape != shape:
            raise ValueError("answers")
        if isinstance(target, Class) and truth.max() >= len(target.labels):
            raise ValueError("truth")
