"""The records that pass between the parts: no logic, nothing heavy to import."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Clip:
    """One labelled stretch of audio.

    ``id`` is unique in its task and does not depend on where the data lies. ``start`` and ``stop`` are seconds;
    ``None`` means the file's beginning and end. Clips of one ``group`` (a speaker, a recording) belong in one fold.
    """

    id: str
    path: Path
    target: str
    fold: str
    group: str
    start: float | None = None
    stop: float | None = None


@dataclass(frozen=True)
class Split:
    """Which folds train, choose and score. ``valid`` never meets ``test``."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]


@dataclass(frozen=True)
class Class:
    """The target kind *one of these labels*; its metric is accuracy."""

    labels: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """A confidence interval of a score, and how it was made; ``low`` and ``high`` are None where none can be made."""

    low: float | None
    high: float | None
    level: float
    method: str
    groups: int


@dataclass(frozen=True)
class FoldScore:
    """What one split gave: the score on its test folds, and what its own validation folds chose."""

    test: tuple[str, ...]
    score: float
    clips: int
    chosen: Mapping[str, Any]


@dataclass(frozen=True)
class Candidate:
    """One setting that was tried on one split, with the score on that split's validation folds."""

    split: int
    seed: int
    setting: Mapping[str, Any]
    valid_score: float


@dataclass(frozen=True)
class Result:
    """One upstream on one task under one protocol, with everything needed to trust or redo it."""

    key: str
    upstream: str
    task: str
    protocol: str
    interface: str
    head: str
    metric: str
    score: float
    interval: Interval
    folds: tuple[FoldScore, ...]
    fold_std: float | None
    seed_std: float | None
    badges: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    layer_weights: tuple[tuple[float, ...], ...]
    data: Mapping[str, Any]
    encoder: Mapping[str, Any]
    cost: Mapping[str, Any]
    environment: Mapping[str, Any]
    created: str
    schema: int = 1
