"""Heads: light classifiers on frozen features.

``logistic`` is multinomial logistic regression, solved to convergence (scikit-learn). ``linear`` is SUPERB's
utterance head (Yang et al. 2021): a projection to 256 and a linear layer, trained by Adam; with several layers their
softmax-weighted sum is learned along with it.
"""

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.errors import UserError, choices
from harness.interfaces import Array

Labels = npt.NDArray[np.int64]


class Sample(NamedTuple):
    """Features (clip, layer, width) and class numbers (clip,)."""

    x: Array
    y: Labels


class Tried(NamedTuple):
    """A setting, and what the validation sample says of it."""

    setting: Mapping[str, Any]
    accuracy: float
    loss: float


class Fitted(NamedTuple):
    """A trained head.

    Features (clip, layer, width) to logits (clip, class); and the layer weights it has learned, if any.
    """

    logits: Callable[[Array], Array]
    layer_weights: tuple[float, ...] = ()


class Head(ABC):
    """Something that learns classes from features."""

    #: Whether two seeds can give two answers.
    random: bool

    @abstractmethod
    def search(self, train: Sample, valid: Sample, classes: int, seed: int) -> Iterator[Tried]:
        """Try every setting: learn from ``train``, score on ``valid``."""

    @abstractmethod
    def fit(self, train: Sample, classes: int, setting: Mapping[str, Any], seed: int) -> Fitted:
        """Learn with one setting."""


@dataclass(frozen=True)
class Logistic(Head):
    """Multinomial logistic regression with an L2 penalty.

    ``grid`` holds scikit-learn's C, the inverse of its strength.
    """

    grid: tuple[float, ...] = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    random = False

    def search(self, train: Sample, valid: Sample, classes: int, seed: int) -> Iterator[Tried]:
        """One fit for each C."""
        for c in self.grid:
            setting = {"C": c}
            yield Tried(setting, *score(self.fit(train, classes, setting, seed).logits(valid.x), valid.y))

    def fit(self, train: Sample, classes: int, setting: Mapping[str, Any], seed: int) -> Fitted:
        """Solve in float64 to a gradient of 1e-6; a class that is absent from the sample is never answered."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression
        from threadpoolctl import threadpool_limits

        # In float32 the solver stops early, with logits that are off by 1 where the penalty is weak.
        model = LogisticRegression(C=setting["C"], tol=1e-6, max_iter=10_000)
        # One thread: the matrices are small, and threads that wait for each other take longer than one alone.
        with warnings.catch_warnings(), threadpool_limits(1):
            warnings.simplefilter("error", ConvergenceWarning)
            model.fit(train.x[:, 0].astype(np.float64), train.y)

        def logits(x: Array) -> Array:
            out = np.full((len(x), classes), -np.inf, np.float32)
            decision = model.decision_function(x[:, 0].astype(np.float64))
            if decision.ndim == 1:  # two classes: scikit-learn gives their difference
                decision = np.stack([np.zeros_like(decision), decision], axis=1)
            out[:, model.classes_] = decision
            return out

        return Fitted(logits)


@dataclass(frozen=True)
class Linear(Head):
    """SUPERB's utterance head on pooled features, where it is exact: it has no non-linearity before the pooling.

    Adam on batches of ``batch``; every ``check`` steps up to ``steps`` are a setting, for each rate.
    """

    rates: tuple[float, ...] = (1e-2, 1e-3, 1e-4)
    steps: int = 2000
    check: int = 100
    batch: int = 32
    projector: int = 256
    random = True

    def search(self, train: Sample, valid: Sample, classes: int, seed: int) -> Iterator[Tried]:
        """One training for each rate, looked at every ``check`` steps."""
        for rate in self.rates:
            for step, fitted in self._train(train, classes, rate, seed):
                yield Tried({"rate": rate, "steps": step}, *score(fitted.logits(valid.x), valid.y))

    def fit(self, train: Sample, classes: int, setting: Mapping[str, Any], seed: int) -> Fitted:
        """Train for the setting's number of steps."""
        return next(f for step, f in self._train(train, classes, setting["rate"], seed) if step == setting["steps"])

    def _train(self, train: Sample, classes: int, rate: float, seed: int) -> Iterator[tuple[int, Fitted]]:
        """The head as it is after every ``check`` steps; it goes on learning when the next is asked for."""
        import torch
        from torch import nn
        from torch.nn import functional

        generator = torch.Generator().manual_seed(seed)
        _, layers, width = train.x.shape
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = nn.Sequential(nn.Linear(width, self.projector), nn.Linear(self.projector, classes))
        mix = nn.Parameter(torch.zeros(layers))
        adam = torch.optim.Adam([mix, *head.parameters()], lr=rate, fused=True)
        x, y = torch.from_numpy(train.x), torch.from_numpy(train.y)

        def logits(features: Array) -> Array:
            with torch.no_grad():
                out: Array = head(torch.from_numpy(features).transpose(1, 2) @ mix.softmax(0)).numpy()
            return out

        step = 0
        while True:
            for rows in torch.randperm(len(x), generator=generator).split(self.batch):
                adam.zero_grad()
                functional.cross_entropy(head(x[rows].transpose(1, 2) @ mix.softmax(0)), y[rows]).backward()
                adam.step()
                step += 1
                if step % self.check == 0:
                    yield step, Fitted(logits, tuple(mix.detach().softmax(0).tolist()) if layers > 1 else ())
                if step == self.steps:
                    return


HEADS: dict[str, Head] = {"logistic": Logistic(), "linear": Linear()}

DESCRIPTIONS = {
    "logistic": "multinomial logistic regression, L2, solved to convergence (scikit-learn)",
    "linear": "SUPERB's utterance head: projection to 256, linear layer, Adam",
}


def check_head(name: str, interface: str) -> None:
    """Refuse a head that is none, or that cannot follow the interface.

    Raises:
        UserError: so it is.
    """
    if name not in HEADS:
        raise UserError(f"there is no head {name!r}: {choices(name, HEADS)}")
    if name == "logistic" and interface == "weighted-sum":
        raise UserError(
            "the logistic head sees one layer, so it cannot learn a weighted-sum: use --head linear with it"
        )


def score(logits: Array, y: Labels) -> tuple[float, float]:
    """Accuracy and mean cross-entropy of logits (clip, class)."""
    top = logits.max(1, keepdims=True)
    normaliser = top[:, 0] + np.log(np.exp(logits - top).sum(1))
    loss = normaliser - logits[np.arange(len(y)), y]
    return float((logits.argmax(1) == y).mean()), float(loss.mean())
