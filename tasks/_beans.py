"""What the data sets of BEANS share: its random split, and folds that keep what belongs together in one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from harness.datasets import rotation
from harness.errors import UserError
from harness.folds import grouped_folds
from harness.types import Clip, Split

from ._splits import PARTS

FOLDS = ("1", "2", "3", "4", "5")
APART = "5 grouped, stratified folds (seed 0)"
RANDOM = "BEANS's split by clip: three fifths, a fifth and a fifth at random (seed 42), stratified"


def splits_of(variant: str) -> tuple[Split, ...]:
    """Three parts for the variant ``beans``, else five folds that take turns."""
    return PARTS if variant == "beans" else rotation(FOLDS)


def folded(variant: str, clips: Sequence[Clip]) -> list[Clip]:
    """Clips in the order of their table with their folds, sorted by id."""
    labels = [str(clip.target) for clip in clips]
    folds = beans_parts(labels) if variant == "beans" else grouped_folds(labels, [clip.group for clip in clips])
    dealt = (replace(clip, fold=fold) for clip, fold in zip(clips, folds, strict=True))
    return sorted(dealt, key=lambda clip: clip.id)


def beans_parts(labels: Sequence[str]) -> list[str]:
    """BEANS's ``train``, ``valid`` and ``test`` of clips in the order of their table (its ``scripts``).

    Raises:
        UserError: a label has too few clips.
    """
    from sklearn.model_selection import train_test_split

    def halve(places: Sequence[int], share: float) -> tuple[list[int], list[int]]:
        own = [labels[place] for place in places]
        one, other = train_test_split(places, test_size=share, random_state=42, shuffle=True, stratify=own)
        return one, other

    try:
        _, rest = halve(range(len(labels)), 0.4)
        valid, test = halve(rest, 0.5)
    except ValueError as error:
        label, count = min(Counter(labels).items(), key=lambda item: item[1], default=("", 0))
        raise UserError(
            f"the table names {count} clip(s) of {label!r}, too few to be split as BEANS does: get the whole data set"
        ) from error
    part = dict.fromkeys(valid, "valid") | dict.fromkeys(test, "test")
    return [part.get(place, "train") for place in range(len(labels))]
