"""Heads that compare clips with clips: nearest neighbours, the nearest class mean, and cosines for verification."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, NamedTuple, final

import numpy as np
import numpy.typing as npt

from harness.closed import vectors
from harness.features import Array, Features, Rows
from harness.heads import Fitted, Head, Problem, Targets, Tried
from harness.types import Class, Slots, Tags, Target, Value

#: How many similarities are held at a time: 256 MiB of float32.
_AT_A_TIME = 2**26
#: Stands for a share of no votes at all, so that its logarithm is finite; far below what one of many votes comes to.
_NO_VOTES = float(np.finfo(np.float32).tiny)


@final
@dataclass(frozen=True)
class NearestMean(Head):
    """The class whose mean over the training clips is nearest; outputs are minus the squared Euclidean distances.

    A class that is absent from training is never answered: its output is minus infinity.
    """

    random = False

    def narrowed(self, setting: Mapping[str, Any]) -> "NearestMean":
        """There is but one setting."""
        return self

    def search(self, problems: Sequence[Problem]) -> Iterator[Tried]:
        """The one setting there is."""
        return _only(self, problems)

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Average each class."""
        from scipy.spatial.distance import cdist

        if not isinstance(problem.target, Class):
            raise TypeError(f"a class mean is asked for, and the target is {type(problem.target).__name__}")
        (x, y), classes = (vectors(problem.train.x), problem.train.y), len(problem.target.labels)
        present = np.unique(y)
        means = np.stack([x[y == number].mean(0, dtype=np.float64) for number in present])

        def outputs(features: Features) -> Array:
            out = np.full((len(features), classes), -np.inf, np.float32)
            out[:, present] = -cdist(vectors(features).astype(np.float64), means, "sqeuclidean")
            return out

        return Fitted(outputs)


@final
@dataclass(frozen=True)
class KNN(Head):
    """A vote of the ``k`` most similar training clips, each weighted by the softmax of its similarity / temperature.

    Outputs are the logarithms of the shares of votes of each class (and of each slot's classes), the log-odds of each
    tag, or the weighted mean of values; a share of 0 is taken for 1e-38, so all are finite. Of equally similar clips
    the earlier counts first; a ``k`` beyond the training clips means all of them.

    ``normalise`` is ``clip`` for cosine similarity. ``feature`` repeats what X-ARES computes
    (``src/xares/trainer.py``): only the clip that is asked about has norm 1, while the training clips are divided,
    feature by feature, by that feature's norm over all of them.
    """

    ks: tuple[int, ...] = (1, 3, 10, 30)
    temperatures: tuple[float, ...] = (0.07,)
    normalise: Literal["clip", "feature"] = "clip"
    random = False

    def narrowed(self, setting: Mapping[str, Any]) -> "KNN":
        """With one k and one temperature."""
        return KNN((setting["k"],), (setting["temperature"],), self.normalise)

    def search(self, problems: Sequence[Problem]) -> Iterator[Tried]:
        """Every k at every temperature, from one look at the neighbours of each problem."""
        for number, problem in enumerate(problems):
            nearest = self._nearest(problem, problem.valid, max(self.ks))
            for place, (k, temperature) in enumerate(product(self.ks, self.temperatures)):
                setting = {"k": k, "temperature": temperature}
                outputs = _vote(problem.target, problem.train.y, nearest.first(k), temperature)
                yield Tried(number, place, setting, problem.judge(outputs), self.fit(problem, setting))

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Remember the training clips; the work is in answering."""
        target, y = problem.target, problem.train.y

        def outputs(features: Features) -> Array:
            return _vote(target, y, self._nearest(problem, features, setting["k"]), setting["temperature"])

        return Fitted(outputs)

    def _nearest(self, problem: Problem, features: Features, k: int) -> "_Nearest":
        """The most similar training clips of each clip."""
        import torch
        from torch.nn.functional import normalize

        known = normalize(torch.tensor(vectors(problem.train.x)), dim=1 if self.normalise == "clip" else 0)
        asked = normalize(torch.tensor(vectors(features)), dim=1)
        k = min(k, len(known))
        found = [_first(part @ known.T, k) for part in asked.split(max(1, _AT_A_TIME // len(known)))]
        return _Nearest(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


@final
@dataclass(frozen=True)
class Cosine(Head):
    """Verification without training: outputs are the features at norm 1, whose products are cosines.

    It answers what the title of arXiv 2402.00340 asks: "Can you remove the downstream model for speaker recognition
    with self-supervised speech features?"
    """

    random = False

    def narrowed(self, setting: Mapping[str, Any]) -> "Cosine":
        """There is but one setting."""
        return self

    def search(self, problems: Sequence[Problem]) -> Iterator[Tried]:
        """The one setting there is."""
        return _only(self, problems)

    def fit(self, problem: Problem, setting: Mapping[str, Any]) -> Fitted:
        """Learn nothing."""
        from torch import tensor
        from torch.nn.functional import normalize

        return Fitted(lambda features: normalize(tensor(vectors(features)), dim=1).numpy())


class _Nearest(NamedTuple):
    """Training clips (clip, neighbour), the most similar first, and how similar they are."""

    rows: Rows
    similarity: Array

    def first(self, k: int) -> "_Nearest":
        return _Nearest(self.rows[:, :k], self.similarity[:, :k])


def _only(head: Head, problems: Sequence[Problem]) -> Iterator[Tried]:
    """What a head that has no settings gives."""
    for number, problem in enumerate(problems):
        fitted = head.fit(problem, {})
        yield Tried(number, 0, {}, problem.judge(fitted.outputs(problem.valid)), fitted)


def _first(similarity: Any, k: int) -> _Nearest:
    """The k highest of each row (clip, training clip) of a tensor, in order."""
    least = similarity.topk(k).values[:, -1].numpy()
    similarity = similarity.numpy()
    rows = np.empty((len(similarity), k), np.int64)
    # topk leaves open which of equals it takes, so only its values are used.
    for i, row in enumerate(similarity):
        near = np.flatnonzero(row >= least[i])
        rows[i] = near[np.argsort(-row[near], kind="stable")[:k]]
    return _Nearest(rows, np.take_along_axis(similarity, rows, axis=1))


def _vote(target: Target, y: Targets, nearest: _Nearest, temperature: float) -> Array:
    """Outputs (clip, output)."""
    from scipy.special import softmax

    weights = softmax(nearest.similarity.astype(np.float64) / temperature, axis=1)
    match target:
        case Class(labels):
            out = _log(_shares(y, nearest.rows, weights, len(labels)))
        case Slots(labels=slots):
            shares = [_shares(y[:, i], nearest.rows, weights, len(labels)) for i, labels in enumerate(slots)]
            out = _log(np.concatenate(shares, axis=1))
        case Tags():
            out = _log(_mean(y, nearest.rows, weights)) - _log(_mean(1 - y, nearest.rows, weights))
        case Value():
            out = _mean(y[:, None], nearest.rows, weights)
        case _:
            raise TypeError(f"neighbours cannot vote on {type(target).__name__}")
    return out.astype(np.float32)


def _shares(y: Targets, rows: Rows, weights: npt.NDArray[np.float64], classes: int) -> npt.NDArray[np.float64]:
    """The votes of each class, (clip, class)."""
    shares = np.zeros((len(rows), classes))
    for near, weight in zip(rows.T, weights.T, strict=True):
        shares[np.arange(len(rows)), y[near]] += weight
    return shares


def _mean(y: Targets, rows: Rows, weights: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The mean of the neighbours' targets, (clip, output)."""
    mean = np.zeros((len(rows), y.shape[1]))
    for near, weight in zip(rows.T, weights.T, strict=True):
        mean += weight[:, None] * y[near]
    return mean


def _log(shares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    out: npt.NDArray[np.float64] = np.log(shares.clip(min=_NO_VOTES))
    return out
