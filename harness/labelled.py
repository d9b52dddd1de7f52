"""A task's clips under a protocol: which, how they are heard, and what is to answer for them."""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

from harness.catalogue import check_pair
from harness.data import ready_folder
from harness.datasets import Task, load_clips, load_trials, remarks, spanning_groups
from harness.extract import Heard, pieces_of, seconds_of
from harness.interfaces import Interface
from harness.metrics import DEFAULTS, bind
from harness.partial import load_present
from harness.recipes import RULES as RECIPES
from harness.settings import Settings
from harness.shards import content_key
from harness.store import FeatureStore
from harness.targets import kind_of
from harness.types import Clip, Trial, Trials


@dataclass(frozen=True)
class Labelled:
    """A task's clips under a protocol: as they are heard, and what is asked of them."""

    task: Task
    clips: Sequence[Clip]
    trials: Sequence[Trial]
    learnt: Sequence[Heard]
    scored: Sequence[Heard]
    interface: Interface
    head: str
    metric: str
    partial: bool

    @property
    def pieces(self) -> list[Heard]:
        """Everything that has to be encoded."""
        return list({piece.key: piece for piece in chain(self.learnt, self.scored)}.values())

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The clips, by content, target, fold and group: two copies of a data set are the same wherever they lie."""
        heard = zip(self.learnt, self.scored, self.clips, strict=True)
        rows = sorted((p.key, q.key, c.id, repr(c.target), c.fold, c.group) for p, q, c in heard)
        return {
            "sha256": content_key([rows, sorted(self.trials)] if self.trials else rows),
            "version": self.task.version,
            "clips": len(self.clips),
            "trials": len(self.trials),
            "groups": len({clip.group for clip in self.clips}),
            "hours": round(sum(piece.seconds for piece in self.scored) / 3600, 4),
            "licence": self.task.licence,
            "groups_spanning_folds": [] if self.task.leaks else sorted(spanning_groups(self.clips)),
            "leaks": self.task.leaks,
            "folding": self.task.folding,
            "remarks": remarks(self.task, self.clips),
        }


def label_task(task: Task, settings: Settings, store: FeatureStore) -> Labelled:
    """List a task's clips, and settle how they are heard and what answers for them."""
    preset, kind = settings.preset, kind_of(task.target)
    interface, head = preset.pair(kind, settings.interface, settings.head)
    check_pair(head, interface, kind)
    metric = task.metric or DEFAULTS[kind]
    bind(metric, task.target)
    folder = ready_folder(task, settings.data)
    whole = True
    if settings.partial:
        task, clips, whole = load_present(task, folder)
    else:
        clips = load_clips(task, folder)
    partial = not whole
    trials = load_trials(task, folder, clips, partial=partial) if isinstance(task.target, Trials) else []
    if settings.limit is not None and settings.limit < len(clips):
        partial, clips = True, spread_evenly(clips, settings.limit)
        kept = {clip.id for clip in clips}
        trials = [trial for trial in trials if trial.one in kept and trial.other in kept]
    published = task.published.get(preset.benchmark, {})
    recipes = RECIPES[preset.recipe].rule(seconds_of(clips, store), published)
    learnt, scored = (pieces_of(clips, store, each) for each in recipes)
    return Labelled(task, clips, trials, learnt, scored, interface, head, metric, partial)


def spread_evenly(clips: Sequence[Clip], limit: int) -> list[Clip]:
    """The first ``limit`` clips when pairs of a label and a fold take turns, in their old order.

    The pairs' own order is drawn once and for all, so that a small limit still meets many labels and many folds.
    """
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, clip in enumerate(clips):
        cells[str(clip.target), clip.fold].append(i)
    rank = dict(zip(random.Random(0).sample(sorted(cells), len(cells)), range(len(cells)), strict=True))
    turns = sorted((turn, rank[cell], i) for cell, members in cells.items() for turn, i in enumerate(members))
    return [clips[i] for i in sorted(i for _, _, i in turns[:limit])]
