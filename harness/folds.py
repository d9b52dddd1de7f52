"""Folds for clips that come without: grouped, stratified, and the same whatever order the clips are in."""

import warnings
from collections import Counter
from collections.abc import Sequence

from harness.errors import UserError


def grouped_folds(labels: Sequence[str], groups: Sequence[str], *, folds: int = 5, seed: int = 0) -> list[str]:
    """A fold (``1`` to ``5``) for each clip, with each group in one fold and labels in all alike as far as that goes.

    Where there are fewer groups than ``folds``, there is a fold for each group. Every fold holds clips. It is
    scikit-learn's StratifiedGroupKFold, and where no two clips share a group StratifiedKFold, on clips in the order
    of their groups.

    Raises:
        UserError: there are fewer than three groups.
    """
    count = min(folds, len(set(groups)))
    if count < 3:
        raise UserError(
            f"three groups or more are needed to make folds, to train, choose and score by: there are {count}"
        )
    order = sorted(range(len(groups)), key=lambda clip: (groups[clip], labels[clip]))
    ordered = [groups[clip] for clip in order]
    dealt: list[str] = []
    if max(Counter(labels).values()) >= count:
        dealt = _deal([labels[clip] for clip in order], ordered, count, seed)
    if len(set(dealt)) < count:  # labels too rare to be in every fold, or so spread that a fold was left empty
        dealt = _deal([""] * len(order), ordered, count, seed)
    where = dict(zip(order, dealt, strict=True))
    return [where[clip] for clip in range(len(order))]


def rarest(tags: Sequence[Sequence[str]]) -> list[str]:
    """Of each clip's tags the one that the fewest clips have, and an empty text where it has none."""
    times = Counter(tag for own in tags for tag in own)
    return [min(own, key=lambda tag: (times[tag], tag), default="") for own in tags]


def _deal(labels: Sequence[str], groups: Sequence[str], count: int, seed: int) -> list[str]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    alone = len(set(groups)) == len(groups)  # many times faster, and exact
    splitter = (StratifiedKFold if alone else StratifiedGroupKFold)(count, shuffle=True, random_state=seed)
    dealt = [""] * len(labels)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        for fold, (_, test) in enumerate(splitter.split(labels, labels, None if alone else groups), 1):
            for clip in test:
                dealt[clip] = str(fold)
    return dealt
