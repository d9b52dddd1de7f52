"""How a head is trained by steps: optimiser, rate, schedule, length and which check is kept; a record and its loop."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, final

if TYPE_CHECKING:
    from torch import Tensor

    from harness.stacks import Stack


class Plan(NamedTuple):
    """What a :class:`Training` means for so many clips: steps in an epoch, steps in all, and after which to look."""

    per_epoch: int
    steps: int
    checks: tuple[int, ...]


@final
@dataclass(frozen=True)
class Training:
    """One recipe of gradient descent.

    It ends after ``steps``, or ``epochs``, whichever comes first, but not before ``least_steps``; it is looked at
    ``checks`` times in all, or after every ``check_epochs``, and stops when ``patience`` looks have brought nothing
    better. ``keep`` says what is taken: the look with the best metric (of equals the first, or the ``latest``), with
    the lowest validation ``loss``, or the ``last`` one. ``clip`` bounds the gradient's norm; a step whose gradient is
    not finite is left out.
    """

    rates: tuple[float, ...]
    batch: int
    steps: int | None = None
    epochs: int | None = None
    least_steps: int = 0
    checks: int | None = None
    check_epochs: int = 1
    patience: int | None = None
    keep: Literal["best", "latest best", "lowest loss", "last"] = "best"
    optimiser: Literal["adam", "adamw"] = "adam"
    weight_decay: float = 0.0
    schedule: Literal["constant", "cosine to a tenth", "warm-up and down", "warm-up and down, early"] = "constant"
    clip: float | None = None
    shuffle: bool = True

    def plan(self, clips: int) -> Plan:
        """The plan for a training set of so many clips."""
        # A clip that would be alone in the last batch joins the one before: batch norm learns nothing of one.
        per_epoch = max(1, math.ceil((clips - 1) / self.batch))
        limits = [self.steps, None if self.epochs is None else self.epochs * per_epoch]
        steps = max(self.least_steps, min(limit for limit in limits if limit is not None))
        if self.checks is not None:
            looks = {max(1, round(i * steps / self.checks)) for i in range(1, self.checks + 1)}
        else:
            looks = {*range(self.check_epochs * per_epoch, steps, self.check_epochs * per_epoch), steps}
        return Plan(per_epoch, steps, tuple(sorted(looks)))

    def batches(self, examples: int, seed: int) -> "Iterator[Tensor]":
        """The numbers of the examples of every step, without end; their order is drawn from ``seed``."""
        import torch

        cuts = [i * self.batch for i in range(1, self.plan(examples).per_epoch)]
        generator = torch.Generator().manual_seed(seed)
        while True:
            order = torch.randperm(examples, generator=generator) if self.shuffle else torch.arange(examples)
            yield from order.tensor_split(cuts)

    def factor(self, step: int, plan: Plan) -> float:
        """What the rate is multiplied with in a step, counted from 0."""
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "cosine to a tenth":  # anew in every epoch
            epoch, epochs = step // plan.per_epoch, math.ceil(plan.steps / plan.per_epoch)
            return 0.1 + 0.9 * (1 + math.cos(math.pi * epoch / epochs)) / 2
        if self.schedule == "warm-up and down, early":  # counts every epoch's end as one more step
            step += step // plan.per_epoch
        warm = plan.steps // 10
        return step / warm if step < warm else max(0.0, (plan.steps - step) / max(1, plan.steps - warm))


@final
class Descent:
    """Fits of one stack going down together, each at its own rate.

    ``feed`` gives what the losses of a step need, from the number of the epoch's step; a fit that is dropped ends
    where it is.
    """

    def __init__(self, stack: "Stack", training: Training, rates: Sequence[float]) -> None:
        self._stack, self._training, self._rates = stack, training, list(rates)
        self._begin({})

    def _begin(self, states: "Mapping[int, list[dict[str, Tensor]]]") -> None:
        """Hand every fit's rows to the optimiser, with what it knows of those that go on."""
        import torch

        rows = [[own.detach()[i] for own in self._stack.parameters] for i in range(len(self._rates))]
        groups = [
            {"params": [row for i, own in enumerate(rows) if self._rates[i] == rate for row in own], "rate": rate}
            for rate in dict.fromkeys(self._rates)
        ]
        kind = torch.optim.AdamW if self._training.optimiser == "adamw" else torch.optim.Adam
        self._optimiser = kind(groups, lr=0.0, weight_decay=self._training.weight_decay, fused=True)
        self._rows = rows
        for i, known in states.items():
            for row, state in zip(rows[i], known, strict=True):
                self._optimiser.state[row] = state

    def keep(self, kept: Sequence[bool]) -> None:
        """Go on with some of the fits."""
        going = [rows for rows, stays in zip(self._rows, kept, strict=True) if stays]
        states = {i: [self._optimiser.state[row] for row in rows] for i, rows in enumerate(going)}
        self._rates = [rate for rate, stays in zip(self._rates, kept, strict=True) if stays]
        self._stack.keep(kept)
        self._begin(states)

    def step(self, losses: "Tensor", factor: float) -> None:
        """One step down, at each fit's rate times ``factor``."""
        import torch

        learned = self._stack.parameters
        for own in learned:
            own.grad = None
        losses.sum().backward()
        grads = [own.grad for own in learned if own.grad is not None]
        norms = torch.stack([torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in grads]).norm(dim=0)
        if self._training.clip is not None:
            shrink = (self._training.clip / (norms + 1e-6)).clamp(max=1)
            if bool((shrink < 1).any()):
                for grad in grads:
                    grad.mul_(shrink.view(-1, *[1] * (grad.ndim - 1)))
        for i, (rows, finite) in enumerate(zip(self._rows, norms.isfinite().tolist(), strict=True)):
            for row, grad in zip(rows, grads, strict=True):
                row.grad = grad[i] if finite else None
        for group in self._optimiser.param_groups:
            group["lr"] = group["rate"] * factor
        self._optimiser.step()
