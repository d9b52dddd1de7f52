"""The records that pass between the parts: next to no logic, nothing heavy to import."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple


class SoundEvent(NamedTuple):
    """Something heard from ``onset`` to ``offset``, in seconds from the clip's beginning."""

    label: str
    onset: float
    offset: float


#: What a clip is labelled with; which of these it is depends on the task's target.
Label = str | float | tuple[str, ...] | tuple[SoundEvent, ...]


@dataclass(frozen=True)
class Clip:
    """One labelled stretch of audio.

    ``id`` is unique in its task and does not depend on where the data lies. ``start`` and ``stop`` are seconds;
    ``None`` means the file's beginning and end. Clips of one ``group`` (a speaker, a recording) belong in one fold.
    """

    id: str
    path: Path
    target: Label
    fold: str
    group: str
    start: float | None = None
    stop: float | None = None


@dataclass(frozen=True)
class Split:
    """Which folds train, choose and score: no fold does two of these, so nothing is chosen by what is scored."""

    train: tuple[str, ...]
    valid: tuple[str, ...]
    test: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse a fold with two duties."""
        used = (*self.train, *self.valid, *self.test)
        if len(set(used)) < len(used) or not (self.train and self.valid and self.test):
            raise ValueError(f"training, validation and test folds are not kept apart: {self}")


@dataclass(frozen=True)
class Class:
    """The target kind *one of these labels*; a clip's target is one of them."""

    labels: tuple[str, ...]


@dataclass(frozen=True)
class Tags:
    """The target kind *any of these labels*; a clip's target is a tuple of them, perhaps empty."""

    labels: tuple[str, ...]


@dataclass(frozen=True)
class Slots:
    """The target kind *one label for each slot*; a clip's target is a tuple of labels in the order of ``names``.

    ``labels`` has a tuple of labels for each name.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Value:
    """The target kind *a number*; a clip's target is a float."""


@dataclass(frozen=True)
class Events:
    """The target kind *what sounds when*; a clip's target is a tuple of :class:`SoundEvent`.

    ``filters`` are the pairs of median filter and shortest event (seconds) that a frame-level head chooses from.
    """

    labels: tuple[str, ...]
    filters: tuple[tuple[float, float], ...] = ((0.25, 0.25), (0.25, 0.125))


class Trial(NamedTuple):
    """Two clips, by their ids, and whether one speaker speaks in both."""

    one: str
    other: str
    same: bool


@dataclass(frozen=True)
class Trials:
    """The target kind *the same speaker or not*, asked of pairs of clips; a clip's target is its speaker."""


Target = Class | Tags | Slots | Value | Events | Trials
#: The kinds by the names that tables use.
KINDS: Mapping[str, type[Target]] = {
    "class": Class,
    "tags": Tags,
    "slots": Slots,
    "value": Value,
    "events": Events,
    "trials": Trials,
}


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
    """One setting that was tried on one split, with the score on that split's validation clips.

    The score is None where it is no number, as of a head whose training diverged.
    """

    split: int
    seed: int
    setting: Mapping[str, Any]
    valid_score: float | None


@dataclass(frozen=True)
class Result:
    """One upstream on one task under one protocol, with everything needed to trust or redo it.

    ``score`` is the primary ``metric`` and ``metrics`` are all that apply; ``deviations`` say in sentences where the
    run had to leave its protocol. ``answers`` is the SHA-256 of the file beside it with the answers to the test clips.
    """

    key: str
    upstream: str
    task: str
    protocol: str
    interface: str
    head: str
    metric: str
    score: float
    interval: Interval
    metrics: Mapping[str, float]
    folds: tuple[FoldScore, ...]
    fold_std: float | None
    seed_std: float | None
    badges: tuple[str, ...]
    deviations: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    layer_weights: tuple[tuple[float, ...], ...]
    data: Mapping[str, Any]
    method: Mapping[str, Any]
    encoder: Mapping[str, Any]
    cost: Mapping[str, Any]
    environment: Mapping[str, Any]
    created: str
    answers: str
    schema: int = 3
