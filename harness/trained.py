"""Heads that are trained by steps: a network, a training and a grid of settings."""

import copy
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, final

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

        The setting then says after how many ``steps`` it was and, where the rate follows a schedule, for how many
        ``planned_steps`` that was made.
        """
        for setting in self.settings():
            yield self._train(problem, setting)

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Train with one setting for the number of steps that it says, on the schedule that it was found on."""
        length = setting.get("planned_steps", setting["steps"])
        exact = replace(self.training, steps=length, epochs=None, least_steps=0, checks=length, keep="last")
        with _lent_generators(problem):
            probe, looks = self._begun(problem, setting, exact)
            next(step for step in looks if step == setting["steps"])
        return _fitted(probe, problem.device)

    def _train(self, problem: Problem, setting: Mapping[str, Any]) -> Tried:
        """Train with one setting, and keep what the training says."""
        with _lent_generators(problem):
            probe, looks = self._begun(problem, setting, self.training)
            answers = _answering(probe, problem.valid, problem.device)
            step, score = self._kept(probe, looks, lambda: problem.judge(answers()))
        found = {**setting, "steps": step}
        if self.training.schedule != "constant":
            found["planned_steps"] = self.training.plan(len(_per_row(problem)[0])).steps
        return Tried(found, score, _fitted(probe, problem.device))

    def _begun(self, problem: Problem, setting: Mapping[str, Any], training: Training) -> "tuple[Probe, Iterator[int]]":
        """A fresh probe, and its training, which goes on as it is asked for the next look."""
        import torch

        from harness.networks import build

        x, y = _per_row(problem)
        how = (problem.join, problem.pool)
        probe = build(self.network, (x.layers, x.width), targets.outputs(problem.target, y), how, self._own(setting))
        probe.to(problem.device)
        loader, answers = _loader(x, problem.device), torch.from_numpy(y).to(problem.device)

        def loss(rows: "Tensor") -> "Tensor":
            batch = loader(rows.numpy())
            return probe.loss(problem.target, batch.x, batch.mask, answers[rows.to(answers.device)])

        return probe, descend(probe, loss, training, setting["rate"], clips=len(x), seed=problem.seed)

    def _kept(self, probe: "Probe", looks: Iterator[int], judge: Callable[[], Score]) -> tuple[int, Score]:
        """Train to the end, or until patience does, and put the probe back to the look that is kept."""
        if self.training.keep == "last":
            (*_, step) = looks
            return step, judge()
        kept, state, idle = (0, Score(-np.inf, np.inf)), None, 0
        for step in looks:
            score = judge()
            if state is None or self._better(score, kept[1]):
                kept, state, idle = (step, score), copy.deepcopy(probe.state_dict()), 0
            else:
                idle += 1
            if self.training.patience is not None and idle >= self.training.patience:
                break
        if state is not None:
            probe.load_state_dict(state)
        return kept

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


@contextmanager
def _lent_generators(problem: Problem) -> Iterator[None]:
    """The global generators, seeded, for as long as dropout draws from them too; they are given back as they were."""
    import torch

    with torch.random.fork_rng([problem.device] if problem.device.startswith("cuda") else []):
        torch.manual_seed(problem.seed)
        yield


def _fitted(probe: "Probe", device: str) -> Fitted:
    return Fitted(lambda features: _answering(probe, features, device)(), probe.interface.layer_weights())


def _answering(probe: "Probe", features: Features, device: str) -> Callable[[], Outputs]:
    """Gives the outputs of all clips, some at a time, as the probe is when it is called."""
    from harness.networks import no_grad_outputs

    load = _loader(features, device)
    # Frames go clip by clip: what a clip gets never depends on its neighbours' lengths.
    size = 1 if isinstance(features, Frames) else max(1, BATCH_NUMBERS // (features.layers * features.width))
    parts = np.split(np.arange(len(features)), range(size, len(features), size))

    def outputs() -> Outputs:
        each: list[Array] = [no_grad_outputs(probe, *load(rows)).numpy() for rows in parts]
        return [out[0] for out in each] if each[0].ndim > 2 else np.concatenate(each)

    return outputs
