"""From a head's outputs to a score: one way for each kind of target."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import targets
from harness.answers import Answers, measure
from harness.errors import UserError
from harness.features import Rows
from harness.heads import Outputs, Score
from harness.metrics import METRICS, applicable
from harness.types import Clip, Events, Target, Trial, Trials

#: How many pairs of validation clips are drawn where a task has no trials of them.
DRAWN_TRIALS = 20_000
#: And between how many clips at most.
DRAWN_CLIPS = 2_000


@dataclass(frozen=True)
class Scoring:
    """What a task's clips are, and by which metric outputs are judged.

    ``times`` has the centres of each clip's frames in seconds, where events are looked for.
    """

    target: Target
    metric: str
    clips: Sequence[Clip]
    trials: Sequence[Trial] = ()
    times: Sequence[npt.NDArray[np.float64]] = ()

    @cached_property
    def y(self) -> npt.NDArray[Any]:
        """The clips' targets as heads learn them: of events, (frame, label) per clip."""
        y = targets.encode(self.target, self.clips)
        if isinstance(self.target, Events):
            from harness.detection import frame_targets

            for i, times in enumerate(self.times):
                y[i] = frame_targets(self.clips[i].target, self.target.labels, times)  # type: ignore[arg-type]
        return y

    @cached_property
    def names(self) -> list[str]:
        """The metrics that apply, the primary one first."""
        others = applicable(self.target)
        if self.metric == "pitch_accuracy":  # which is accuracy by another name
            others = ["chroma_accuracy", *(name for name in others if name != "accuracy")]
        return list(dict.fromkeys([self.metric, *others]))

    @property
    def sign(self) -> int:
        """What makes the primary metric higher where it is better."""
        return 1 if METRICS[self.metric].higher_is_better else -1

    def readings(self) -> list[Mapping[str, Any]]:
        """The ways in which outputs can become answers: one, but for the filters of events."""
        if isinstance(self.target, Events):
            return [{"median": median, "shortest": shortest} for median, shortest in self.target.filters]
        return [{}]

    def judge(self, rows: Rows) -> Callable[[Outputs], Score]:
        """Scores outputs for these clips: the best reading's."""

        def judge(outputs: Outputs) -> Score:
            loss = self._loss(outputs, rows)
            scores = []
            for reading in self.readings():
                answers = self.read(outputs, rows, reading, drawn=True)
                scores.append(Score(self.sign * self.measure(self.metric, answers), loss, reading))
            return max(scores, key=lambda score: score.rank)

        return judge

    def read(self, outputs: Outputs, rows: Rows, reading: Mapping[str, Any], *, drawn: bool = False) -> Answers:
        """Answers for these clips, from their outputs in the same order.

        Trials that a task does not list may be ``drawn`` where they choose, never where they score.

        Raises:
            UserError: the task lists no trial between these clips.
        """
        if isinstance(self.target, Trials):
            one, other, same = self._pairs(rows, drawn)
            unit = np.asarray(outputs, np.float64)
            unit = unit / np.linalg.norm(unit, axis=1, keepdims=True).clip(min=1e-12)
            return Answers((unit[one] * unit[other]).sum(1), same, (one, other))
        if isinstance(self.target, Events):
            from harness.detection import find_events

            labels = self.target.labels
            found = [
                find_events(out, labels, self.times[i], **reading)
                for out, i in zip(outputs, rows.tolist(), strict=True)
            ]
            return Answers(found, [self.clips[i].target for i in rows.tolist()])
        return Answers(outputs, self.y[rows])

    def measure(self, metric: str, answers: Answers) -> float:
        """A metric of answers."""
        return float(measure(metric, self.target, answers))

    def _loss(self, outputs: Outputs, rows: Rows) -> float:
        import torch

        if isinstance(self.target, Trials):
            return 0.0
        y = self.y[rows]
        if isinstance(self.target, Events):
            outputs, y = np.concatenate(list(outputs)), np.concatenate(list(y))
        # A class that training lacks has minus infinity, and one clip of it would make all losses equal.
        out = np.array(outputs, np.float64)
        out[np.isneginf(out)] = out.min(where=np.isfinite(out), initial=0) - 1e4
        return float(targets.loss(self.target, torch.from_numpy(out), torch.from_numpy(y)))

    def _pairs(self, rows: Rows, drawn: bool) -> tuple[Rows, Rows, npt.NDArray[np.bool_]]:
        """The trials between these clips, by position in ``rows``."""
        place = {self.clips[i].id: position for position, i in enumerate(rows.tolist())}
        known = [t for t in self.trials if t.one in place and t.other in place]
        if known:
            one, other = (np.array([place[getattr(t, end)] for t in known]) for end in ("one", "other"))
            return one, other, np.array([t.same for t in known])
        if not drawn:
            raise UserError("no trial is left between the test clips of a split: raise --limit or leave it out")
        return drawn_trials(self.y[rows])


def drawn_trials(speakers: Rows) -> tuple[Rows, Rows, npt.NDArray[np.bool_]]:
    """Pairs of clips by position, as many of one speaker as of two: all there are, or a seeded draw of them.

    Of many clips, from a seeded draw of these.
    """
    rng = np.random.default_rng(0)
    clips = np.sort(rng.choice(len(speakers), min(DRAWN_CLIPS, len(speakers)), replace=False))
    one, other = (clips[ends] for ends in np.triu_indices(len(clips), 1))
    same = speakers[one] == speakers[other]
    size = min(DRAWN_TRIALS // 2, int(same.sum()), int((~same).sum()))
    drawn = np.sort(np.concatenate([rng.choice(np.flatnonzero(part), size, replace=False) for part in (same, ~same)]))
    return one[drawn], other[drawn], same[drawn]
