"""Which clips train, choose and score: the task's own splits, and the ways in which published benchmarks depart.

What is chosen is chosen from a :class:`ClipSplit`'s training and validation clips, which never meet its test clips;
:class:`CompatSplit` is the only exception.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.datasets import Task
from harness.errors import UserError
from harness.features import Rows
from harness.types import Clip, Split


@dataclass(frozen=True)
class ClipSplit:
    """Numbers of clips, none of which is in two of the three; ``folds`` names what is tested."""

    train: Rows
    valid: Rows
    test: Rows
    folds: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse clips with two duties."""
        every = np.concatenate([self.train, self.valid, self.test])
        if len(np.unique(every)) < len(every):
            raise ValueError("a clip both trains, chooses or scores")


@dataclass(frozen=True)
class CompatSplit:
    """A published split in which ``valid`` may meet ``test``; ``badge`` marks what comes of it."""

    train: Rows
    valid: Rows
    test: Rows
    folds: tuple[str, ...]
    badge: str = ""


AnySplit = ClipSplit | CompatSplit


def official(task: Task, clips: Sequence[Clip]) -> list[AnySplit]:
    """The task's own splits."""
    return [ClipSplit(*_rows(split, clips), split.test) for split in task.splits]


def chosen_once(task: Task, clips: Sequence[Clip]) -> list[AnySplit]:
    """The task's own splits, of which the first chooses for all: its validation fold is tested later (HEAR)."""
    badge = "test-selected" if len(task.splits) > 1 else ""
    return [CompatSplit(*_rows(split, clips), split.test, badge) for split in task.splits]


def valid_is_test(task: Task, clips: Sequence[Clip]) -> list[AnySplit]:
    """Folds are trained on all others and chosen by what is tested (X-ARES); a single split stays as it is."""
    if len(task.splits) == 1:
        return official(task, clips)
    each = [_rows(split, clips) for split in task.splits]
    return [
        CompatSplit(np.sort(np.concatenate([train, valid])), test, test, split.test, "test-selected")
        for split, (train, valid, test) in zip(task.splits, each, strict=True)
    ]


def random_fifth(task: Task, clips: Sequence[Clip]) -> list[AnySplit]:
    """Of folds, a random fifth of all that is not tested is held out, whatever its groups (ARCH)."""
    if len(task.splits) == 1:
        return official(task, clips)
    splits: list[AnySplit] = []
    for split in task.splits:
        train, valid, test = _rows(split, clips)
        rest = np.sort(np.concatenate([train, valid]))
        train, valid = _drawn(rest, 0.2, seed=42)
        splits.append(CompatSplit(train, valid, test, split.test))
    return splits


def random_tenth(task: Task, clips: Sequence[Clip]) -> list[AnySplit]:
    """Of folds, a random tenth of all that is not tested chooses, drawn until every class is in both parts (EVAR)."""
    if len(task.splits) == 1:
        return official(task, clips)
    labels = np.array([str(clip.target) for clip in clips])
    splits: list[AnySplit] = []
    for split in task.splits:
        train, valid, test = _rows(split, clips)
        rest = np.sort(np.concatenate([train, valid]))
        for seed in range(100):
            train, valid = _drawn(rest, 0.1, seed)
            if set(labels[train]) == set(labels[valid]) == set(labels[rest]):
                break
        splits.append(CompatSplit(train, valid, test, split.test))
    return splits


#: The ways by the names that protocols and results use.
RULES: dict[str, Callable[[Task, Sequence[Clip]], list[AnySplit]]] = {
    "the task's own": official,
    "the task's own, the first chooses for all": chosen_once,
    "validation is test": valid_is_test,
    "a random fifth held out": random_fifth,
    "a random tenth chooses": random_tenth,
}


def splits_of(rule: str, task: Task, clips: Sequence[Clip]) -> list[AnySplit]:
    """The splits of these clips by a rule.

    Raises:
        UserError: a split has too few clips to learn from, or to choose or score by.
    """
    splits = RULES[rule](task, clips)
    for split in splits:
        targets = {clips[i].target for i in split.train.tolist()}
        if not (len(split.valid) and len(split.test) and len(targets) > 1):
            raise UserError(
                f"the split of {task.name} that tests on fold {', '.join(split.folds)} has too few clips to learn "
                f"from: {len(split.train)} of {len(targets)} label(s) train, {len(split.valid)} choose, "
                f"{len(split.test)} score; raise --limit or give it more clips"
            )
    return splits


def _drawn(rest: Rows, share: float, seed: int) -> tuple[Rows, Rows]:
    """All but a random share of the clips, and that share."""
    from sklearn.model_selection import train_test_split

    if len(rest) < 2:
        return rest, rest[:0]
    train, valid = train_test_split(rest, test_size=share, random_state=seed)
    return train, valid


def _rows(split: Split, clips: Sequence[Clip]) -> tuple[Rows, Rows, Rows]:
    folds = np.array([clip.fold for clip in clips])
    train, valid, test = (np.flatnonzero(np.isin(folds, part)) for part in (split.train, split.valid, split.test))
    return train, valid, test
