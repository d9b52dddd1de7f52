"""The course of a training: fits of one shape are fed, step by step, and come to be looked at."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple, final

import numpy as np

from harness import targets
from harness.features import Array, Examples, Features, FlatFrames, Frames, Pooled
from harness.heads import Outputs, Problem
from harness.training import Descent, Training
from harness.types import Trials

if TYPE_CHECKING:
    from torch import Tensor

    from harness.networks import Probe

#: How many numbers of features are looked at together where nothing is learned.
BATCH_NUMBERS = 2**24


@final
class Lesson:
    """A problem as it is trained on, example by example: a clip is one, or a frame where each frame is answered."""

    def __init__(self, problem: Problem) -> None:
        x, y = problem.train
        if isinstance(problem.target, Trials):  # only the speakers that are learned from get weights
            y = np.unique(y, return_inverse=True)[1]
        self.problem = problem
        self.x: Examples = x
        if problem.pool == "none" and isinstance(x, Frames):
            self.x, y = FlatFrames(x), np.concatenate(list(y))
        self.y = y
        self.outputs = targets.outputs(problem.target, y)

    def answers(self, probes: "Sequence[Probe]") -> list[Outputs]:
        """What each of some fits answers to the validation clips, which are read once."""
        return answers(probes, self.problem.valid, self.problem.device)


class Fit(NamedTuple):
    """A setting of a head on a problem: the numbers of both, and themselves."""

    number: int
    place: int
    lesson: Lesson
    setting: Mapping[str, Any]

    def probe(self, network: str) -> "Probe":
        """With fresh weights from torch's global generator."""
        from harness.networks import build

        x, problem = self.lesson.x, self.lesson.problem
        own = {name: value for name, value in self.setting.items() if name != "rate"}
        return build(network, (x.layers, x.width), self.lesson.outputs, (problem.join, problem.pool), own)

    def shapes(self, network: str) -> dict[str, tuple[int, ...]]:
        """The shapes of the probe's parameters and buffers."""
        import torch

        with torch.device("meta"):
            return {name: tuple(own.shape) for name, own in self.probe(network).state_dict().items()}


@final
class Course:
    """Fits of one shape that are trained together, and their ``probes``, which are theirs alone."""

    def __init__(self, network: str, training: Training, fits: Sequence[Fit]) -> None:
        import torch

        from harness.stacks import Stack

        self._training, self._fits = training, list(fits)
        self._device = fits[0].lesson.problem.device
        self._streams = {id(fit.lesson): Stream(fit.lesson, self._device) for fit in fits}
        seeds, probes = [fit.lesson.problem.seed for fit in fits], []
        with torch.random.fork_rng([]):  # first weights come from the global generator, which is given back as it was
            for fit, seed in zip(fits, seeds, strict=True):
                torch.manual_seed(seed)
                probes.append(fit.probe(network))
        self.probes: Sequence[Probe] = probes
        self._stack = Stack(probes, seeds, self._device)
        self._descent = Descent(self._stack, training, [fit.setting["rate"] for fit in fits])

    def keep(self, kept: Sequence[bool]) -> None:
        """Go on with some of the fits that are left."""
        self._fits = [fit for fit, stays in zip(self._fits, kept, strict=True) if stays]
        if self._fits:
            self._descent.keep(kept)

    def looks(self) -> Iterator[int]:
        """Train; gives the number of steps at every look, and goes on when the next is asked for.

        The order of the examples is drawn from each fit's seed.
        """
        target, examples = self._fits[0].lesson.problem.target, len(self._fits[0].lesson.x)
        plan = self._training.plan(examples)
        looks, seeds = set(plan.checks), list({fit.lesson.problem.seed for fit in self._fits})
        batches = zip(*(self._training.batches(examples, seed) for seed in seeds), strict=True)
        for step, rows in enumerate(batches, 1):
            losses = self._stack.losses(target, *self._fed(dict(zip(seeds, rows, strict=True))))
            self._descent.step(losses, self._training.factor(step - 1, plan))
            if step in looks:
                yield step
            if step == plan.steps or not self._fits:
                return

    def _fed(self, rows: "Mapping[int, Tensor]") -> "tuple[Tensor, Tensor | None, Tensor]":
        """Features (stream, clip, [frame,] layer, width), their mask, and targets (stream, clip, ...)."""
        runs = [(lesson, len(list(run))) for lesson, run in groupby(fit.lesson for fit in self._fits)]
        if len({count for _, count in runs}) > 1:  # then every fit is a stream of its own
            runs = [(lesson, 1) for lesson, count in runs for _ in range(count)]
        known = {id(lesson): self._streams[id(lesson)].of(rows[lesson.problem.seed]) for lesson, _ in runs}
        parts = [known[id(lesson)] for lesson, _ in runs]
        x, y = _side_by_side([part.x for part in parts]), _side_by_side([part.y for part in parts])
        masks = [part.mask for part in parts if part.mask is not None]
        return x, _side_by_side(masks) if masks else None, y


def _side_by_side(parts: "list[Tensor]") -> "Tensor":
    """Stacked; one by itself is not copied."""
    import torch

    return torch.stack(parts) if len(parts) > 1 else parts[0][None]


class Fed(NamedTuple):
    """A batch of features and targets on the device."""

    x: "Tensor"
    mask: "Tensor | None"
    y: "Tensor"


@final
class Stream:
    """Gives a lesson's examples by their numbers; pooled layers lie on the device."""

    def __init__(self, lesson: Lesson, device: str) -> None:
        import torch

        self._x, self._device = lesson.x, device
        self._y = torch.from_numpy(lesson.y).to(device)
        if isinstance(lesson.x, Pooled):
            self._whole = torch.from_numpy(lesson.x.whole).to(device)
            picked = np.arange(len(lesson.x)) if lesson.x.picked is None else lesson.x.picked
            self._picked = torch.from_numpy(picked).to(device)
            self._by = None if lesson.x.by is None else lesson.x.by.tensors(device)

    def of(self, rows: "Tensor") -> Fed:
        """Those of some examples."""
        here = rows.to(self._device)
        if not isinstance(self._x, Pooled):
            x, mask = self._x.batch(rows.numpy())
            return Fed(x.to(self._device), None if mask is None else mask.to(self._device), self._y[here])
        x = self._whole[self._picked[here]]
        if self._by is not None:
            shift, factor = self._by
            x = x.sub_(shift).mul_(factor)
        return Fed(x, None, self._y[here])


def answers(probes: "Sequence[Probe]", features: Features, device: str) -> list[Outputs]:
    """The outputs of each probe for all clips, as it is now, some clips at a time."""
    from harness.networks import no_grad_outputs

    # Frames go clip by clip: what a clip gets never depends on its neighbours' lengths.
    size = 1 if isinstance(features, Frames) else max(1, BATCH_NUMBERS // (features.layers * features.width))
    each: list[list[Array]] = [[] for _ in probes]
    for rows in np.split(np.arange(len(features)), range(size, len(features), size)):
        x, mask = features.batch(rows)
        x, mask = x.to(device), None if mask is None else mask.to(device)
        for probe, own in zip(probes, each, strict=True):
            own.append(no_grad_outputs(probe, x, mask).numpy())
    return [[out[0] for out in own] if own[0].ndim > 2 else np.concatenate(own) for own in each]
