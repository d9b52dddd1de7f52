"""Logistic regressions with an L2 penalty, solved many at a time: L-BFGS in the eigenbasis of the features.

What is made small is the mean loss plus half the squared weights / (clips C); the intercept is not penalised. Rotated
to the eigenvectors of their covariance, features leave the problem as it is, and its curvature is all but known: that
of the loss along an eigenvector goes with the eigenvalue. Divided by it, features that are strongly correlated cost
no more steps than others. Weaker penalties begin where stronger ones point to. Most of the way goes in float32, the
rest in float64.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, final

import torch
from torch import Tensor
from torch.nn import functional

#: The largest number of a gradient with which a regression is solved, and with which float64 takes over.
TOLERANCE, ROUGHLY = 1e-6, 2e-6
#: How many steps are remembered.
_MEMORY = 3
#: How many steps are made at most; in float32 more would be lost on what only float64 can tell.
_MOST = {torch.float32: 200, torch.float64: 10_000}
#: A step is halved so many times before it is given up.
_HALVINGS = 30
#: The values of C that are passed on the way to one, whichever are asked for: what it gives depends on it alone.
WAY = (1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class NotConverged(ArithmeticError):
    """A regression whose gradient cannot be made small."""


@final
class Basis:
    """Features (fit, clip, width) in float64, each fit's rotated to the eigenvectors of its own covariance.

    ``rotated`` is (fit, axis, clip), as many axes as clips or widths, whichever are fewer, and then ones for the
    intercept; ``variance`` (fit, 1, axis) what their mean squares are.
    """

    def __init__(self, x: Tensor) -> None:
        self._mean = x.mean(1, keepdim=True)
        x = x - self._mean
        rows = torch.linalg.qr(x.mT).Q if x.shape[1] < x.shape[2] else None
        x = x if rows is None else x @ rows
        variance, axes = torch.linalg.eigh(x.mT @ x / x.shape[1])
        self._axes = axes if rows is None else rows @ axes
        self.rotated = functional.pad(axes.mT @ x.mT, (0, 0, 0, 1), value=1.0)
        self.variance = functional.pad(variance.clamp(min=0), (0, 1), value=1.0)[:, None]

    def back(self, fits: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
        """Weights (fit, output, width) and bias (fit, output) of some fits, from (fit, output, axis)."""
        weights = point[..., :-1] @ self._axes[fits].mT
        return weights, point[..., -1] - (weights @ self._mean[fits].mT)[..., 0]


@dataclass(frozen=True)
class Task:
    """Regressions of one shape: ``x`` (fit, axis, clip), ``variance`` (fit, 1, axis), ``y`` (fit, output, clip) 0 or 1.

    ``exclusive`` outputs are classes, of which a clip has one, and they are one regression; of others each is its own.
    ``penalty`` (axis,) is what half the squared weights are multiplied with.
    """

    x: Tensor
    variance: Tensor
    y: Tensor
    penalty: Tensor
    exclusive: bool

    @property
    def alone(self) -> tuple[int, ...]:
        """Along which axes of (fit, output, axis) everything is one regression's."""
        return (1, 2) if self.exclusive else (2,)

    def to(self, dtype: torch.dtype) -> "Task":
        """The same in another kind of number."""
        x, variance, y, penalty = (own.to(dtype) for own in (self.x, self.variance, self.y, self.penalty))
        return Task(x, variance, y, penalty, self.exclusive)

    def under(self, strength: float) -> "Task":
        """The same with a penalty so many times as strong."""
        return replace(self, penalty=self.penalty * strength)

    def sum(self, x: Tensor) -> Tensor:
        """The sum of each regression's numbers, (fit, 1 or output, 1)."""
        return x.sum(self.alone, keepdim=True)

    def look(self, point: Tensor) -> "Look":
        """What there is to see at (fit, output, axis)."""
        logits, clips = point @ self.x, self.x.shape[2]
        if self.exclusive:
            total = logits.logsumexp(1, keepdim=True)
            likely = (logits - total).exp()
            losses = self.sum(total - (self.y * logits).sum(1, keepdim=True))
        else:
            likely = logits.sigmoid()
            losses = self.sum(functional.softplus(logits) - self.y * logits)
        value = losses / clips + self.sum(self.penalty * point.square()) / 2
        gradient = (likely - self.y) @ self.x.mT / clips + self.penalty * point
        spread = (likely - likely.square()).mean(self.alone, keepdim=True)
        return Look(point, value, gradient, spread.clamp(min=1e-6))


class Look(NamedTuple):
    """A point, the value and the gradient there, and the mean variance of what is predicted."""

    point: Tensor
    value: Tensor
    gradient: Tensor
    spread: Tensor

    def where(self, here: Tensor, other: "Look") -> "Look":
        """This one for some of the regressions, the other for the rest."""
        return Look(*(torch.where(here, one, two) for one, two in zip(self, other, strict=True)))


class Pair(NamedTuple):
    """A step, how the gradient changed with it, and 1 / their product: 0 where there is nothing to remember."""

    step: Tensor
    change: Tensor
    inverse: Tensor

    @classmethod
    def of(cls, task: Task, step: Tensor, change: Tensor, other: "Pair | None" = None) -> "Pair":
        """What a step has told; where it has told nothing, another."""
        product = task.sum(step * change)
        told = product > torch.finfo(product.dtype).eps * task.sum(change.square())
        other = other or cls(torch.zeros_like(step), torch.zeros_like(change), torch.zeros_like(product))
        return cls(*map(torch.where, (told,) * 3, (step, change, 1 / product), other))

    def to(self, task: Task) -> "Pair":
        """The same in the kind of number of another task."""
        return Pair.of(task, self.step.to(task.x.dtype), self.change.to(task.x.dtype))


def solve(basis: Basis, fits: Tensor, y: Tensor, grid: Sequence[float], *, exclusive: bool) -> list[Tensor]:
    """The points (fit, output, axis) at which regressions are solved, for each C of a grid.

    ``y`` (fit, output, clip) is 0 or 1, and ``fits`` says whose features each has.

    Raises:
        NotConverged: one was not.
    """
    x = basis.rotated[fits]
    penalty = torch.ones_like(x[0, :, 0])
    penalty[-1] = 0
    exact = Task(x, basis.variance[fits], y.to(x.dtype), penalty, exclusive)
    rough = exact.to(torch.float32)
    point, found = torch.zeros_like(exact.y[:, :, :1] * x[:, None, :, 0]), {}
    further = torch.zeros_like(point)
    for c in sorted({*grid, *(each for each in WAY if each < max(grid))}):
        pairs, before = deque[Pair](maxlen=_MEMORY), point
        point = point + further
        for all_of, tolerance in ((rough, ROUGHLY), (exact, TOLERANCE)):
            task = all_of.under(1 / (x.shape[2] * c))
            pairs = deque((pair.to(task) for pair in pairs), _MEMORY)
            point = _descend(task, point.to(task.x.dtype), pairs, tolerance)
        # What is added to all classes changes no answer.
        found[c] = point = point - point.mean(1, keepdim=True) if exclusive else point
        # From one decade of C to the next points go on about as far.
        further = point - before
    return [found[c] for c in grid]


def _descend(task: Task, point: Tensor, pairs: deque[Pair], tolerance: float) -> Tensor:
    """L-BFGS (Nocedal and Wright, algorithm 7.4), every regression by itself; what it learns is put into ``pairs``.

    Raises:
        NotConverged: float64 does not lead there. Where float32 does not, it gives what it has.
    """
    here = task.look(point)
    size = torch.ones_like(here.value)
    for made in range(_MOST[point.dtype] + 1):
        going = ~(here.gradient.abs().amax(task.alone, keepdim=True) <= tolerance)
        stuck = (size < 0.5**_HALVINGS) | (made == _MOST[point.dtype])
        if point.dtype == torch.float64 and bool((going & stuck).any()):
            raise NotConverged(f"the gradient of a logistic regression does not fall below {tolerance:g}")
        going &= ~stuck
        if not bool(going.any()):
            break
        direction = _direction(task, here, pairs) * going
        there = task.look(here.point + size * direction)
        accepted = _lower(task, here, there, size, direction) & going
        there = there.where(accepted, here)
        # The last pair twice changes nothing.
        pairs.append(
            Pair.of(task, there.point - here.point, there.gradient - here.gradient, pairs[-1] if pairs else None)
        )
        here, size = there, torch.where(accepted, 1.0, torch.where(going, size / 2, size))
    return here.point


def _direction(task: Task, here: Look, pairs: Sequence[Pair]) -> Tensor:
    """Minus the gradient times what is known of the inverse curvature."""
    towards, shares = -here.gradient, []
    for step, change, inverse in reversed(pairs):
        shares.append(inverse * task.sum(step * towards))
        towards = towards - shares[-1] * change
    guess = 1 / (here.spread * task.variance + task.penalty)
    if pairs:
        _, change, inverse = pairs[-1]
        curved = task.sum(guess * change.square()) * inverse
        towards = towards / torch.where(curved > 0, curved, 1.0)
    towards = guess * towards
    for (step, change, inverse), share in zip(pairs, reversed(shares), strict=True):
        towards = towards + step * (share - inverse * task.sum(change * towards))
    return towards


def _lower(task: Task, here: Look, there: Look, size: Tensor, direction: Tensor) -> Tensor:
    """Whether a step has led down: by its value, or where values can no longer be told apart, by its slopes."""
    slope, later = task.sum(here.gradient * direction), task.sum(there.gradient * direction)
    rounding = 10 * torch.finfo(here.value.dtype).eps * (1 + here.value)
    enough = there.value <= here.value + 1e-4 * size * slope
    return enough | ((later <= -0.8 * slope) & (there.value <= here.value + rounding))
