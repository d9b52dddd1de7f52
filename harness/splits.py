"""Which clips train, choose and score: the task's own splits, and the ways in which published benchmarks depart.

What is chosen is chosen from a :class:`ClipSplit`'s training and validation clips, which never meet its test clips;
:class:`CompatSplit` is the only exception.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np

from harness.datasets import Task
from harness.errors import UserError
from harness.features import Rows
from harness.types import Clip, Split, Tags


@dataclass(frozen=True)
class ClipSplit:
    """Numbers of clips, none of which is in two of the three; ``folds`` names what is tested."""

    train: Rows
    valid: Rows
    test: Rows
    folds: tuple[str, ...]
    badge: ClassVar[str] = ""

    def __post_init__(self) -> None:
        """Refuse clips with two duties."""
        every = np.concatenate([self.train, self.valid, self.test])
        if len(np.unique(every)) < len(every):
            raise ValueError("a clip both trains, chooses or scores")

    @property
    def scaling(self) -> Rows:
        """The clips that features are standardised by."""
        return self.train


@dataclass(frozen=True)
class CompatSplit:
    """A published split in which ``valid`` may meet ``test``; ``badge`` marks what comes of it.

    Features are standardised by ``scaling``, which may hold validation clips.
    """

    train: Rows
    valid: Rows
    test: Rows
    folds: tuple[str, ...]
    scaling: Rows
    badge: str = ""


AnySplit = ClipSplit | CompatSplit
#: From a task, its clips and the seed of the heads to the splits.
Rule = Callable[[Task, Sequence[Clip], int], list[AnySplit]]


def official(task: Task, clips: Sequence[Clip], seed: int) -> list[AnySplit]:
    """The task's own."""
    return [ClipSplit(*_rows(split, clips), split.test) for split in task.splits]


def chosen_once(task: Task, clips: Sequence[Clip], seed: int) -> list[AnySplit]:
    """The task's own; the first chooses for all.

    HEAR's: its validation fold is tested later. Training clips are shuffled once, fold after fold, as its
    preprocessing writes them.
    """
    badge = "test-selected" if len(task.splits) > 1 else ""
    order = np.random.default_rng(0).permutation(len(clips))
    splits: list[AnySplit] = []
    for split in task.splits:
        _, valid, test = _rows(split, clips)
        train = np.concatenate([order[[clips[i].fold == fold for i in order.tolist()]] for fold in split.train])
        splits.append(CompatSplit(train, valid, test, split.test, train, badge))
    return splits


def valid_is_test(task: Task, clips: Sequence[Clip], seed: int) -> list[AnySplit]:
    """Of folds, validation is the test fold (X-ARES); a single split is the task's own."""
    if len(task.splits) == 1:
        return official(task, clips, seed)
    splits: list[AnySplit] = []
    for split in task.splits:
        rest, test = _rest(split, clips)
        splits.append(CompatSplit(rest, test, test, split.test, rest, "test-selected"))
    return splits


def random_fifth(task: Task, clips: Sequence[Clip], seed: int) -> list[AnySplit]:
    """Of folds, a random fifth of what is not tested is held out (ARCH); a single split is the task's own."""
    from sklearn.model_selection import train_test_split

    if len(task.splits) == 1:
        return official(task, clips, seed)
    splits: list[AnySplit] = []
    for split in task.splits:
        rest, test = _rest(split, clips)
        train, valid = train_test_split(rest, test_size=0.2, random_state=42) if len(rest) > 1 else (rest, rest[:0])
        splits.append(CompatSplit(train, valid, test, split.test, train))
    return splits


def random_tenth(task: Task, clips: Sequence[Clip], seed: int) -> list[AnySplit]:
    """Of folds, a random tenth of what is not tested chooses, anew for every seed (EVAR); a single split is the
    task's own.

    It is drawn up to a hundred times until it and the rest have every label; features are standardised with it.

    Raises:
        UserError: no draw has.
    """
    if len(task.splits) == 1:
        return official(task, clips, seed)
    splits: list[AnySplit] = []
    for split in task.splits:
        rest, test = _rest(split, clips)
        train, valid = _tenth(task, clips, rest, seed)
        splits.append(CompatSplit(train, valid, test, split.test, rest))
    return splits


def _tenth(task: Task, clips: Sequence[Clip], rest: Rows, seed: int) -> tuple[Rows, Rows]:
    from sklearn.model_selection import train_test_split

    def labels(rows: Rows) -> set[object]:
        given = [clips[i].target for i in rows.tolist()]
        return {tag for tags in given for tag in tags} if isinstance(task.target, Tags) else set(given)

    draws = np.random.RandomState(seed)
    for _ in range(100 if len(rest) > 1 else 0):
        train, valid = train_test_split(rest, test_size=0.1, random_state=draws)
        if labels(train) == labels(valid) == labels(rest):
            return train, valid
    raise UserError(
        f"no random tenth of the {len(rest)} training clips of {task.name} holds all its labels, which EVAR's "
        "validation needs: raise --limit, or use --protocol evar, which takes the task's own"
    )


class Way(NamedTuple):
    """A rule, and what it does in a few words."""

    rule: Rule
    summary: str


#: The rules by the names that protocols use.
RULES: dict[str, Way] = {
    "official": Way(official, "the task's own"),
    "chosen-once": Way(chosen_once, "the task's own; the first chooses for all"),
    "valid-is-test": Way(valid_is_test, "of folds, validation is the test fold"),
    "random-fifth": Way(random_fifth, "of folds, a random fifth of the rest is held out"),
    "random-tenth": Way(random_tenth, "of folds, a random tenth of the rest chooses, anew for every seed"),
}


def splits_of(rule: str, task: Task, clips: Sequence[Clip], seed: int = 0) -> list[AnySplit]:
    """The splits of these clips by a rule.

    Raises:
        UserError: a split has too few clips to learn from, or to choose or score by.
    """
    splits = RULES[rule].rule(task, clips, seed)
    for split in splits:
        targets = {clips[i].target for i in split.train.tolist()}
        if not (len(split.valid) and len(split.test) and len(targets) > 1):
            raise UserError(
                f"the split of {task.name} that tests on fold {', '.join(split.folds)} has too few clips to learn "
                f"from: clips that train {len(split.train)}, with {len(targets)} different label(s), that choose "
                f"{len(split.valid)}, that are scored {len(split.test)}; raise --limit or give it more clips"
            )
    return splits


def _rows(split: Split, clips: Sequence[Clip]) -> tuple[Rows, Rows, Rows]:
    folds = np.array([clip.fold for clip in clips])
    train, valid, test = (np.flatnonzero(np.isin(folds, part)) for part in (split.train, split.valid, split.test))
    return train, valid, test


def _rest(split: Split, clips: Sequence[Clip]) -> tuple[Rows, Rows]:
    """All that is not tested, and what is."""
    train, valid, test = _rows(split, clips)
    return np.sort(np.concatenate([train, valid])), test
