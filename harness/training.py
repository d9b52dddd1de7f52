"""How a head is trained by steps: optimiser, rate, schedule, length and which check is kept; a record and its loop."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, final

if TYPE_CHECKING:
    from torch import Tensor, nn


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


def descend(
    probe: "nn.Module", loss: "Callable[[Tensor], Tensor]", training: Training, rate: float, *, clips: int, seed: int
) -> Iterator[int]:
    """Train ``probe`` in place; gives the number of steps at every look, and goes on when the next is asked for.

    ``loss`` gives the loss of some clips, by their numbers. The order of the clips is drawn from ``seed``.
    """
    import torch
    from torch import nn

    plan = training.plan(clips)
    kind = torch.optim.AdamW if training.optimiser == "adamw" else torch.optim.Adam
    optimiser = kind(probe.parameters(), lr=rate, weight_decay=training.weight_decay, fused=True)
    generator = torch.Generator().manual_seed(seed)
    step, looks = 0, set(plan.checks)
    while True:
        order = torch.randperm(clips, generator=generator) if training.shuffle else torch.arange(clips)
        for rows in order.tensor_split([i * training.batch for i in range(1, plan.per_epoch)]):
            for group in optimiser.param_groups:
                group["lr"] = rate * training.factor(step, plan)
            probe.train()
            optimiser.zero_grad()
            loss(rows).backward()
            norm = nn.utils.clip_grad_norm_(probe.parameters(), training.clip or math.inf)
            if bool(norm.isfinite()):
                optimiser.step()
            step += 1
            if step in looks:
                yield step
            if step == plan.steps:
                return
