"""The rules by which published benchmarks deal clips into folds, where the data set's authors do not."""

import hashlib
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from harness.folds import grouped_folds
from harness.types import Clip, Split

#: How often HEAR's folds are dealt anew before a label is taken to be too rare to be in all of them.
MOST_RETRIES = 100
#: One split into three parts.
PARTS = (Split(("train",), ("valid",), ("test",)),)


def hear_folds(keys: Mapping[str, Collection[str]], count: int) -> dict[str, str]:
    """HEAR's folds ``fold00``, ``fold01``, ... of split keys, of each of which the labels are given.

    Keys are shuffled and cut into as equal parts as can be, until every fold has every label (hear-preprocess,
    ``split_mode`` new_split_kfold).
    """
    labels = {label for own in keys.values() for label in own}
    first = dealt = _dealt(sorted(keys), count, "split_k_folds")
    for retry in range(MOST_RETRIES):
        if len({(fold, label) for key, fold in dealt.items() for label in keys[key]}) == count * len(labels):
            return dealt
        dealt = _dealt(sorted(keys), count, f"split_k_folds_retry_{retry}")
    return first  # a part of the data, which cannot have every label everywhere


def _dealt(keys: list[str], count: int, seed: str) -> dict[str, str]:
    random.Random(seed).shuffle(keys)
    size, more = divmod(len(keys), count)
    ends = list(accumulate(size + (fold < more) for fold in range(count)))
    return {key: f"fold{next(i for i, end in enumerate(ends) if place < end):02}" for place, key in enumerate(keys)}


def hear_parts(keys: Collection[str], valid: float, test: float) -> dict[str, str]:
    """HEAR's ``train``, ``valid`` and ``test`` of split keys (``split_train_test_val``); two are given as shares."""
    order = sorted(set(keys))
    random.Random("split_train_test_val").shuffle(order)
    first = round(len(order) * valid)
    second = first + round(len(order) * test)
    return {key: "valid" if i < first else "test" if i < second else "train" for i, key in enumerate(order)}


def hear_sample(stems: Collection[str], part: str, most: int) -> set[str]:
    """The stems that HEAR keeps of a part where it caps its length (``SubsampleSplit``)."""
    import numpy as np

    seed = int(hashlib.sha1(f"SubsampleSplit({part})".encode()).hexdigest(), 16) % (2**32 - 1)
    order = sorted(set(stems))
    return {order[i] for i in np.random.RandomState(seed).choice(len(order), len(order), replace=False)[:most]}


def tfds_speakers(speakers: Collection[str], shares: Sequence[float]) -> dict[str, str]:
    """``train``, ``valid`` and ``test`` of speakers as TensorFlow Datasets and SERAB deal them, by three shares."""
    import numpy as np

    order = np.array(sorted(set(speakers)))
    np.random.RandomState(0).shuffle(order)
    first, second, _ = (int(share * len(order)) for share in accumulate(shares))
    return {key: "train" if i < first else "valid" if i < second else "test" for i, key in enumerate(order.tolist())}


def with_valid(clips: Sequence[Clip], *, parts: int = 10) -> list[Clip]:
    """Where a set has ``train`` and ``test`` alone, the same with one of so many equal parts of train as ``valid``.

    The parts are grouped, alike in their labels, and always the same. Say so in the task's ``folding``.
    """
    train = [clip for clip in clips if clip.fold == "train"]
    dealt = grouped_folds([str(clip.target) for clip in train], [clip.group for clip in train], folds=parts)
    valid = {clip.id for clip, fold in zip(train, dealt, strict=True) if fold == "1"}
    return [replace(clip, fold="valid") if clip.id in valid else clip for clip in clips]
