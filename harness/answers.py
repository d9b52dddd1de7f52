"""What heads answered to test clips: the score, its interval, and what swapping with another's answers would change."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, final

import numpy as np

from harness import stats
from harness.features import Rows
from harness.formulas import label_scores
from harness.metrics import METRICS, RANKING, SHARES, bind, is_right
from harness.types import Interval, Target

#: How many numbers of weighed clips are in hand at once, and about how many in all, where a metric takes its time.
_AT_ONCE, _WEIGHED = 1 << 22, 1 << 28
LEAST_RESAMPLES = 1_000


class Answers(NamedTuple):
    """What metrics look at: scores and truths of the clips (of trials, with each one's two clips; of events, lists)."""

    scores: Any
    truth: Any
    pairs: "tuple[Rows, Rows] | None" = None


def measure(metric: str, target: Target, answers: Answers, weight: stats.Table | None = None) -> Any:
    """A metric of answers, where clip i counts ``weight[..., i]`` times: a number, or one for each draw."""
    if answers.pairs is not None and weight is not None:
        # Two speakers who were drawn twice meet four times; one who was drawn twice has each trial twice.
        one, other = (weight[..., end] for end in answers.pairs)
        weight = np.where(answers.truth, one, one * other)
    return bind(metric, target)(answers.scores, answers.truth, weight)


@dataclass(frozen=True, eq=False)
class SplitAnswers:
    """What the heads of every seed answered to the test clips of a split, one :class:`Answers` each.

    ``clips`` are numbers that stand for the clips' ids, ``groups`` the number of each clip's group (of trials, of its
    speaker) among those of all splits.
    """

    clips: Rows
    groups: Rows
    seeds: tuple[Answers, ...]

    def same_clips(self, other: "SplitAnswers") -> bool:
        """Whether both were asked the same of the same clips, grouped alike."""
        (_, truth, pairs), (_, truth_, pairs_) = self.seeds[0], other.seeds[0]
        same = truth == truth_ if isinstance(truth, list) else np.array_equal(truth, truth_)
        arrays = zip(
            (self.clips, self.groups, *(pairs or ())), (other.clips, other.groups, *(pairs_ or ())), strict=True
        )
        return bool(same) and all(np.array_equal(one, another) for one, another in arrays)


@final
@dataclass(frozen=True, eq=False)
class Kept:
    """All that was answered to test clips, and by which metric it is judged: enough to make every number anew."""

    target: Target
    metric: str
    splits: tuple[SplitAnswers, ...]

    @property
    def groups(self) -> int:
        """How many groups were tested."""
        return 1 + max(int(split.groups.max()) for split in self.splits)

    def by_seed(self, metric: str) -> stats.Table:
        """A metric of every seed and split, (seed, split)."""
        values = [[measure(metric, self.target, each) for each in split.seeds] for split in self.splits]
        return np.array(values, np.float64).T

    def same_clips(self, other: "Kept") -> bool:
        """Whether both were asked the same of the same clips, grouped alike, split by split, and judged alike."""
        mine, others = ((kept.target, kept.metric, len(kept.splits)) for kept in (self, other))
        return mine == others and all(map(SplitAnswers.same_clips, self.splits, other.splits))

    @cached_property
    def scored(self) -> stats.Scored:
        """The score, and what it becomes of other groups."""
        point = float(self.by_seed(self.metric).mean())
        if self.metric in SHARES:
            right, clips = self._shares
            return stats.Scored(point, self.groups, lambda weights: _mean_share(weights @ right, weights @ clips))
        return stats.Scored(point, self.groups, self._rescore, self._draws)

    @property
    def interval(self) -> Interval:
        """The interval of the score."""
        return self.scored.interval((0.0, 1.0) if METRICS[self.metric].percent else (-np.inf, np.inf))

    @cached_property
    def _shares(self) -> tuple[stats.Table, stats.Table]:
        """How many clips of a group and split are right, on average over the seeds, and how many there are."""
        right_of = is_right(self.metric, self.target)
        right, clips = (np.zeros((self.groups, len(self.splits))) for _ in range(2))
        for i, split in enumerate(self.splits):
            hits = [right_of(each.scores, each.truth) for each in split.seeds]
            np.add.at(right[:, i], split.groups, np.mean(hits, axis=0))
            np.add.at(clips[:, i], split.groups, 1)
        return right, clips

    @property
    def _draws(self) -> int:
        """As many resamples as the metric's work allows."""
        labels = getattr(self.target, "labels", ()) if self.metric in RANKING else ()
        numbers = sum(len(split.seeds) * _size(split) for split in self.splits) * max(1, len(labels))
        return min(stats.RESAMPLES, max(LEAST_RESAMPLES, _WEIGHED // max(1, numbers)))

    def _rescore(self, weights: stats.Table) -> stats.Table:
        size = max(1, _AT_ONCE // max(map(_size, self.splits)))
        parts = (self._some(weights[i : i + size]) for i in range(0, len(weights), size))
        return np.concatenate(list(parts))

    def _some(self, weights: stats.Table) -> stats.Table:
        columns = []
        for split in self.splits:
            drawn = weights[:, split.groups]
            each = [measure(self.metric, self.target, answers, drawn) for answers in split.seeds]
            columns.append(np.mean(each, axis=0))
        return stats.mean_of_folds(np.stack(columns, axis=1))


def compare(a: Kept, b: Kept) -> stats.Paired:
    """Whether two upstreams' scores of the same clips differ; see :meth:`Kept.same_clips`."""
    return stats.paired(a.scored, b.scored, _swapped(a, b))


def _swapped(a: Kept, b: Kept) -> stats.Swapped | None:
    """The difference that is left when groups change sides; None where answers cannot change sides.

    Each trial is of two groups, which may be on two sides; and heads of several seeds have no partners where the other
    upstream has fewer of them.
    """
    seeds = {len(split.seeds) for kept in (a, b) for split in kept.splits}
    if a.metric in SHARES:
        (right, clips), (right_, _) = a._shares, b._shares
        gained = ((right - right_) / clips.sum(0)).mean(1)  # by each group, to the difference
        return lambda flags: gained.sum() - 2 * (flags @ gained)
    if len(seeds) > 1 or any(answers.pairs for split in a.splits for answers in split.seeds):
        return None
    both = replace(a, splits=tuple(map(_side_by_side, _of_one_scale(a), _of_one_scale(b))))

    def swapped(flags: stats.Flags) -> stats.Table:
        stay, go = (~flags).astype(np.float64), flags.astype(np.float64)
        return both._rescore(np.hstack([stay, go])) - both._rescore(np.hstack([go, stay]))

    return swapped


def _of_one_scale(kept: Kept) -> list[SplitAnswers]:
    """The tested clips; where clips are ordered by their scores, with ranks for scores, which mean the same of all."""
    if kept.metric not in RANKING:
        return list(kept.splits)
    return [replace(split, seeds=tuple(map(_ranked, split.seeds))) for split in kept.splits]


def _ranked(answers: Answers) -> Answers:
    from scipy.stats import rankdata

    scores, truth = label_scores(answers.scores, answers.truth)
    return Answers(rankdata(scores, axis=1).T, truth.T)


def _side_by_side(a: SplitAnswers, b: SplitAnswers) -> SplitAnswers:
    """Both as one, with groups of their own."""
    count = 1 + int(max(a.groups.max(), b.groups.max()))
    return SplitAnswers(
        np.concatenate([a.clips, b.clips]),
        np.concatenate([a.groups, count + b.groups]),
        tuple(
            Answers(_joined(one.scores, other.scores), _joined(one.truth, other.truth))
            for one, other in zip(a.seeds, b.seeds, strict=True)
        ),
    )


def _joined(one: Any, other: Any) -> Any:
    return [*one, *other] if isinstance(one, list) else np.concatenate([one, other])


def _size(split: SplitAnswers) -> int:
    """How many clips, or trials, are weighed."""
    return max(len(split.clips), len(split.seeds[0].truth))


def _mean_share(right: stats.Table, clips: stats.Table) -> stats.Table:
    """Each split's share (draw, split), averaged over the splits that were drawn."""
    return stats.mean_of_folds(np.divide(right, clips, out=np.full(right.shape, np.nan), where=clips > 0))
