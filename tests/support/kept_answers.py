"""Kept answers of every kind, as heads could have given them, and the results that a run would leave of them."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np

from harness import answer_file, results
from harness.answers import Answers, Kept, SplitAnswers
from harness.metrics import METRICS
from harness.types import Class, Events, Result, Slots, SoundEvent, Tags, Target, Trials, Value

CLASSES = Class(("60", "61", "67", "72", "73"))
SLOTS = Slots(("who", "where"), (("a", "b", "c"), ("d", "e")))
TARGETS: dict[str, Target] = {
    "class": CLASSES,
    "tags": Tags(("a", "b", "c")),
    "slots": SLOTS,
    "value": Value(),
    "trials": Trials(),
    "events": Events(("a", "b")),
}
PAIRS = [(name, kind) for name, metric in METRICS.items() for kind in sorted(metric.kinds)]
CLIPS, GROUPS, SPLITS = 48, 12, 2


def truths(kind: str, rng: np.random.Generator) -> Any:
    match kind:
        case "class":
            return rng.integers(0, 5, CLIPS)
        case "tags":
            return (rng.random((CLIPS, 3)) < 0.4).astype(np.float32)
        case "slots":
            return np.stack([rng.integers(0, 3, CLIPS), rng.integers(0, 2, CLIPS)], axis=1)
        case "value":
            return rng.normal(3, 2, CLIPS).astype(np.float32)
        case _:
            return [events(rng) for _ in range(CLIPS)]


def events(rng: np.random.Generator) -> tuple[SoundEvent, ...]:
    return tuple(SoundEvent(str(rng.choice(["a", "b"])), t, t + 0.3) for t in rng.uniform(0, 1, 3).tolist())


def answered(kind: str, truth: Any, rng: np.random.Generator) -> Answers:
    """Better than chance."""
    match kind:
        case "class":
            return Answers(rng.normal(0, 1, (CLIPS, 5)).astype(np.float32) + np.eye(5, dtype=np.float32)[truth], truth)
        case "tags":
            return Answers(rng.normal(truth, 1).astype(np.float32), truth)
        case "slots":
            known = np.concatenate([np.eye(3)[truth[:, 0]], np.eye(2)[truth[:, 1]]], axis=1)
            return Answers(rng.normal(known, 0.7).astype(np.float32), truth)
        case "value":
            return Answers(rng.normal(truth, 1).astype(np.float32)[:, None], truth)
        case _:
            return Answers([events(rng) if rng.random() < 0.5 else own for own in truth], truth)


def trials(rng: np.random.Generator, groups: Any) -> Answers:
    one, other = (ends[::5] for ends in np.triu_indices(CLIPS, 1))
    same = groups[one] == groups[other]
    return Answers(rng.normal(same, 0.8), same, (one, other))


def kept(kind: str, metric: str, seed: int = 0, seeds: int = 2) -> Kept:
    """What heads of some seeds answered to the same clips, whatever ``seed`` the answers are drawn from."""
    world, rng = np.random.default_rng(99), np.random.default_rng(seed)
    splits = []
    for _ in range(SPLITS):
        groups = world.integers(0, GROUPS, CLIPS)
        groups[:GROUPS] = np.arange(GROUPS)
        clips = world.integers(0, 2**62, CLIPS)
        truth = None if kind == "trials" else truths(kind, world)
        each = [trials(rng, groups) if kind == "trials" else answered(kind, truth, rng) for _ in range(seeds)]
        splits.append(SplitAnswers(clips, groups, tuple(each)))
    return Kept(TARGETS[kind], metric, tuple(splits))


ENVIRONMENT = {"device": "cpu", "processor": "EPYC", "threads": 2}


def result(upstream: str, task: str, given: Kept, **changes: Any) -> Result:
    """What a run would have left of answers."""
    fields: dict[str, Any] = {
        "key": hashlib.sha256(repr((upstream, task, changes)).encode()).hexdigest(),
        "upstream": upstream,
        "task": task,
        "protocol": "default",
        "interface": "last",
        "head": "logistic",
        "metric": given.metric,
        "score": given.scored.point,
        "interval": given.interval,
        "metrics": {given.metric: given.scored.point},
        "folds": (),
        "fold_std": None,
        "seed_std": None,
        "badges": (),
        "deviations": (),
        "candidates": (),
        "layer_weights": (),
        "data": {"sha256": f"data of {task}"},
        "method": {},
        "encoder": {"parameters": 1_000_000},
        "cost": {"clips_per_second": 10.0},
        "environment": ENVIRONMENT,
        "created": "2026-01-05T10:00:00+00:00",
        "answers": hashlib.sha256(answer_file.to_bytes(given)).hexdigest(),
    }
    return Result(**{**fields, **changes})


def left(folder: Path, upstream: str, task: str, given: Kept, **changes: Any) -> Result:
    one = result(upstream, task, given, **changes)
    results.write(one, folder, answer_file.to_bytes(given))
    return one
