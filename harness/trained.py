"""Heads that are trained by steps: a network, a training and a grid of settings."""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, final

import numpy as np

from harness import targets
from harness.features import Array, Batch, Examples, Features, FlatFrames, Frames, Pooled, Rows
from harness.heads import Fitted, Head, Outputs, Problem, Score, Tried
from harness.training import Training, descend
from harness.types import Trials

if TYPE_CHECKING:
    from torch import Tensor

    from harness.networks import Probe

#: How many numbers of features are looked at together where nothing is learned.
BATCH_NUMBERS = 2**24


class _Look(NamedTuple):
    step: int
    score: Score


@final
@dataclass(frozen=True)
class Trained(Head):
    """A network of :mod:`harness.networks`, trained for every rate of its training and every point of its grid.

    ``grid`` holds the network's own settings as pairs of a name and a value; where a training has no rates, each
    point has its own ``rate``.
    """

    network: str
    training: Training
    grid: tuple[tuple[tuple[str, Any], ...], ...] = ((),)
    random: ClassVar[bool] = True

    def settings(self) -> list[dict[str, Any]]:
        """Every setting, in the order in which they are tried."""
        points = [dict(point) for point in self.grid]
        rates = self.training.rates
        return [{"rate": rate, **point} for point in points for rate in rates] if rates else points

    def narrowed(self, setting: Mapping[str, Any]) -> "Trained":
        """The same head with this one setting."""
        own = tuple(self._own(setting).items())
        return replace(self, training=replace(self.training, rates=(setting["rate"],)), grid=(own,))

    def _own(self, setting: Mapping[str, Any]) -> dict[str, Any]:
        """The network's own part of a setting."""
        return {name: setting[name] for name, _ in self.grid[0] if name != "rate"}

    def search(self, problem: Problem) -> Iterator[Tried]:
        """One training for each setting; of each the look that the training keeps.

        The setting then says after how many ``steps`` it was, and ``of`` how many if the rate followed a schedule.
        """
        for setting in self.settings():
            yield self._train(problem, setting)

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Train with one setting for the number of steps that it says, on the schedule that it was found on."""
        length = setting.get("of", setting["steps"])
        exact = replace(self.training, steps=length, epochs=None, least_steps=0, checks=length, keep="last")
        return replace(self, training=exact)._train(problem, setting, judged=False).fitted

    def _train(self, problem: Problem, setting: Mapping[str, Any], judged: bool = True) -> Tried:
        import torch

        from harness.networks import build

        x, y = _per_row(problem)
        # Dropout draws from the global generators too, so they are lent for the whole training.
        devices = [problem.device] if problem.device.startswith("cuda") else []
        with torch.random.fork_rng(devices):
            torch.manual_seed(problem.seed)
            outputs = targets.outputs(problem.target, y)
            probe = build(self.network, (x.layers, x.width), outputs, (problem.join, problem.pool), self._own(setting))
            probe.to(problem.device)
            loader, answers = _loader(x, problem.device), torch.from_numpy(y).to(problem.device)

            def loss(rows: "Tensor") -> "Tensor":
                batch = loader(rows.numpy())
                return probe.loss(problem.target, batch.x, batch.mask, answers[rows.to(answers.device)])

            look, best = _Look(0, Score(-np.inf, np.inf)), None
            idle = 0
            for step in descend(probe, loss, self.training, setting["rate"], clips=len(x), seed=problem.seed):
                if not judged or self.training.keep == "last":
                    look = _Look(step, look.score)
                    if step == setting.get("steps"):
                        break
                    continue
                score = problem.judge(_outputs(probe, problem.valid, problem.device))
                if best is None or self._better(score, look.score):
                    look, best, idle = _Look(step, score), copy.deepcopy(probe.state_dict()), 0
                else:
                    idle += 1
                if self.training.patience is not None and idle >= self.training.patience:
                    break
            if best is not None:
                probe.load_state_dict(best)
            elif judged:
                look = _Look(look.step, problem.judge(_outputs(probe, problem.valid, problem.device)))
        fitted = Fitted(lambda features: _outputs(probe, features, problem.device), probe.interface.layer_weights())
        length = {} if self.training.schedule == "constant" else {"of": self.training.plan(len(x)).steps}
        return Tried({**setting, "steps": look.step, **length}, look.score, fitted)

    def _better(self, new: Score, old: Score) -> bool:
        if self.training.keep == "lowest loss":
            return new.rank[1] > old.rank[1]
        if self.training.keep == "latest best":
            return new.rank[0] >= old.rank[0]
        return new.rank[0] > old.rank[0]


def _per_row(problem: Problem) -> tuple[Examples, np.ndarray[Any, Any]]:
    """What one example is: a clip, or a frame where each frame is answered."""
    x, y = problem.train
    if isinstance(problem.target, Trials):  # only the speakers that are learned from get weights
        y = np.unique(y, return_inverse=True)[1]
    if problem.pool != "none" or not isinstance(x, Frames):
        return x, y
    return FlatFrames(x), np.concatenate(list(y))


def _loader(x: Examples, device: str) -> Callable[[Rows], Batch]:
    """Batches by row numbers; pooled features are small enough to lie on the device."""
    import torch

    if isinstance(x, Pooled):
        whole = x.batch(np.arange(len(x))).x.to(device)
        return lambda rows: Batch(whole[torch.from_numpy(rows).to(device)])

    def load(rows: Rows) -> Batch:
        batch = x.batch(rows)
        return Batch(batch.x.to(device), None if batch.mask is None else batch.mask.to(device))

    return load


def _outputs(probe: "Probe", features: Features, device: str) -> Outputs:
    """Outputs of all clips, some at a time."""
    from harness.networks import no_grad_outputs

    load = _loader(features, device)
    if not isinstance(features, Frames):
        size = max(1, BATCH_NUMBERS // (features.layers * features.width))
        parts = [np.arange(start, min(start + size, len(features))) for start in range(0, len(features), size)]
        return np.concatenate([no_grad_outputs(probe, *load(rows)).numpy() for rows in parts])
    # Clip by clip: what a clip gets never depends on its neighbours' lengths.
    each: list[Array] = [no_grad_outputs(probe, *load(np.array([i])))[0].numpy() for i in range(len(features))]
    return each if each[0].ndim > 1 else np.stack(each)
