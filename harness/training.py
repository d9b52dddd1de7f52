"""How a head is trained by steps: optimiser, rate, schedule, length and which check is kept; a record and its loop."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
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
    """Fits of one stack going down together by Adam or AdamW, each at its own rate.

    A fit that is dropped ends where it is.
    """

    def __init__(self, stack: "Stack", training: Training, rates: Sequence[float]) -> None:
        import torch

        self._stack, self._training = stack, training
        #: Of each fit its rate, and how many steps it has made.
        self._known = [(rate, 0) for rate in rates]
        self._moments = [[torch.zeros_like(own.detach()) for own in stack.parameters] for _ in range(2)]

    def keep(self, kept: Sequence[bool]) -> None:
        """Go on with some of the fits."""
        rows = [i for i, stays in enumerate(kept) if stays]
        self._known = [self._known[i] for i in rows]
        self._moments = [[own[rows] for own in moments] for moments in self._moments]
        self._stack.keep(kept)

    def step(self, losses: "Tensor", factor: float) -> None:
        """One step down, at each fit's rate times ``factor``."""
        import torch

        grads = torch.autograd.grad(losses.sum(), self._stack.parameters)
        norms = torch.stack([torch.linalg.vector_norm(grad.flatten(1), dim=1) for grad in grads]).norm(dim=0)
        bound, finite = self._training.clip, norms.isfinite().tolist()
        # Divided by this, no norm is above the bound; as torch's clip_grad_norm_ has it.
        scales = None if bound is None else ((norms + 1e-6) / bound).clamp(min=1).float()
        for run in self._runs(finite):
            self._adam(run, grads, factor, None if scales is None else scales[run.start])
        self._known = [(rate, made + ok) for (rate, made), ok in zip(self._known, finite, strict=True)]

    def _runs(self, finite: Sequence[bool]) -> Iterator[slice]:
        """Fits side by side that can make one step: of one rate, as far as each other, and with no bounds to differ."""
        every = [
            (*known, ok, i if self._training.clip else 0)
            for i, (known, ok) in enumerate(zip(self._known, finite, strict=True))
        ]
        begin = 0
        for (_, _, ok, _), run in groupby(every):
            end = begin + len(list(run))
            if ok:
                yield slice(begin, end)
            begin = end

    def _adam(self, run: slice, grads: "Sequence[Tensor]", factor: float, scale: "Tensor | None") -> None:
        import torch
        from torch.optim.adam import adam

        learned, ((rate, made), *_) = self._stack.parameters, self._known[run]
        first, second = ([own[run] for own in moments] for moments in self._moments)
        adam(
            [own.detach()[run] for own in learned],
            [grad[run] for grad in grads],
            first,
            second,
            [],
            [torch.full((), float(made), device=own.device) for own in learned],
            fused=True,
            grad_scale=scale,
            decoupled_weight_decay=self._training.optimiser == "adamw",
            amsgrad=False,
            beta1=0.9,
            beta2=0.999,
            lr=rate * factor,
            weight_decay=self._training.weight_decay,
            eps=1e-8,
            maximize=False,
        )
