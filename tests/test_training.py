"""Training by steps is what it would be if it were written out: plans, schedules, optimisers, looks, left-out steps."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler

from harness.catalogue import (
    ARCH_TRAINING,
    EVAR_TRAINING,
    HEAR_TRAINING,
    SPEAKER_TRAINING,
    SUPERB_TRAINING,
    XARES_TRAINING,
)
from harness.course import Course, Fed, Fit, Lesson, Stream
from harness.features import Pooled
from harness.heads import Outputs, Problem, Sample, Score
from harness.networks import Probe, build
from harness.stacks import Stack
from harness.training import Descent, Training
from harness.types import Class, Value

Doubles = npt.NDArray[np.float64]
Schedule = Literal["constant", "cosine to a tenth", "warm-up and down", "warm-up and down, early"]

CLIPS, WIDTH = 21, 4


def recipe(**changes: Any) -> Training:
    return Training(**{"rates": (0.05,), "batch": 8, "epochs": 4, **changes})


# Plans.


@pytest.mark.parametrize(
    ("training", "clips", "per_epoch", "steps"),
    [
        (recipe(), 21, 3, 12),
        (recipe(), 24, 3, 12),
        (recipe(), 25, 3, 12),  # the last clip joins the eight before it
        (recipe(), 26, 4, 16),
        (recipe(), 8, 1, 4),
        (recipe(), 9, 1, 4),
        (recipe(), 1, 1, 4),
        (recipe(batch=200), 21, 1, 4),
        (recipe(steps=7), 21, 3, 7),
        (recipe(steps=70), 21, 3, 12),
        (recipe(steps=70, epochs=None), 21, 3, 70),
        (recipe(least_steps=100), 21, 3, 100),
        (recipe(least_steps=100, steps=7), 21, 3, 100),
        (recipe(least_steps=11), 21, 3, 12),
        (SUPERB_TRAINING, 1600, 50, 10_000),
        (SUPERB_TRAINING, 51_000, 1594, 30_000),
        (HEAR_TRAINING, 1200, 2, 1000),
        (ARCH_TRAINING, 1600, 50, 10_000),
        (EVAR_TRAINING, 1440, 8, 1600),
        (XARES_TRAINING, 1600, 50, 2000),
        (XARES_TRAINING, 100_000, 3125, 31_250),
        (SPEAKER_TRAINING, 100_000, 2000, 20_000),
    ],
)
def test_a_training_has_so_many_steps(training: Training, clips: int, per_epoch: int, steps: int) -> None:
    assert training.plan(clips)[:2] == (per_epoch, steps)


@pytest.mark.parametrize(
    ("training", "checks"),
    [
        (recipe(), (3, 6, 9, 12)),
        (recipe(check_epochs=3), (9, 12)),
        (recipe(check_epochs=4), (12,)),
        (recipe(check_epochs=9), (12,)),
        (recipe(steps=7), (3, 6, 7)),
        (recipe(steps=2), (2,)),
        (recipe(checks=1), (12,)),
        (recipe(checks=5), (2, 5, 7, 10, 12)),
        (recipe(checks=12), tuple(range(1, 13))),
        (recipe(checks=40), tuple(range(1, 13))),
        (recipe(checks=4, steps=1), (1,)),
    ],
)
def test_a_training_is_looked_at_after_these_steps(training: Training, checks: tuple[int, ...]) -> None:
    assert training.plan(CLIPS).checks == checks


def test_superb_looks_forty_times_evenly() -> None:
    checks = SUPERB_TRAINING.plan(51_000).checks
    assert len(checks) == 40
    assert {b - a for a, b in pairwise((0, *checks))} == {750}


def test_hear_looks_after_every_third_epoch() -> None:
    checks = HEAR_TRAINING.plan(1200).checks
    assert checks[:3] == (6, 12, 18)
    assert checks[-2:] == (996, 1000)


def test_a_training_without_an_end_has_no_plan() -> None:
    with pytest.raises(ValueError, match="empty"):
        recipe(epochs=None).plan(CLIPS)


# Schedules.


def by_torch(
    training: Training, clips: int, schedule: Callable[[torch.optim.Optimizer], LRScheduler]
) -> Iterator[float]:
    """The rate of each step, with torch's scheduler moved as the training's benchmark moves it."""
    plan = training.plan(clips)
    (rate,) = training.rates
    optimiser = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=rate)
    scheduler = schedule(optimiser)
    for step in range(plan.steps):
        yield optimiser.param_groups[0]["lr"]
        optimiser.step()
        ended = (step + 1) % plan.per_epoch == 0
        for _ in range(0 if training.schedule == "cosine to a tenth" and not ended else 1):
            scheduler.step()
        if training.schedule == "warm-up and down, early" and ended:
            scheduler.step()


def rates(training: Training, clips: int) -> list[float]:
    plan = training.plan(clips)
    return [training.rates[0] * training.factor(step, plan) for step in range(plan.steps)]


@pytest.mark.parametrize(("epochs", "clips"), [(10, 80), (1, 21), (7, 300), (40, 5)])
def test_the_cosine_is_torchs_moved_after_every_epoch(epochs: int, clips: int) -> None:
    training = recipe(schedule="cosine to a tenth", epochs=epochs)
    expected = by_torch(training, clips, lambda optimiser: CosineAnnealingLR(optimiser, epochs, eta_min=0.005))
    assert rates(training, clips) == pytest.approx(list(expected))


def test_the_cosine_of_few_clips_is_stretched_over_the_least_steps() -> None:
    training = recipe(schedule="cosine to a tenth", epochs=10, least_steps=200)
    expected = by_torch(training, 80, lambda optimiser: CosineAnnealingLR(optimiser, 20, eta_min=0.005))
    assert rates(training, 80) == pytest.approx(list(expected))


@pytest.mark.parametrize("schedule", ["warm-up and down", "warm-up and down, early"])
@pytest.mark.parametrize(("epochs", "clips"), [(200, 80), (10, 21), (3, 8), (25, 300)])
def test_the_warm_up_is_torchs_lambda_over_a_tenth_of_the_steps(schedule: Schedule, epochs: int, clips: int) -> None:
    training = recipe(schedule=schedule, epochs=epochs)
    total = epochs * math.ceil(clips / 8)
    warm = int(0.1 * total)

    def factor(step: int) -> float:
        return step / max(1, warm) if step < warm else max(0.0, (total - step) / max(1, total - warm))

    expected = list(by_torch(training, clips, lambda optimiser: LambdaLR(optimiser, factor)))
    assert rates(training, clips) == pytest.approx(expected)


def test_a_schedule_that_is_early_has_ended_before_the_training() -> None:
    late, early = (
        rates(recipe(schedule=each, epochs=30), 21) for each in ("warm-up and down", "warm-up and down, early")
    )
    assert late[-1] > 0
    assert early[-20:] == [0.0] * 20


def test_without_a_schedule_the_rate_stays() -> None:
    assert set(rates(recipe(), CLIPS)) == {0.05}


# Clips, step by step.


def batches(training: Training, clips: int = CLIPS, seed: int = 0) -> list[list[int]]:
    """The clips of every step of a training."""
    steps = training.plan(clips).steps
    return [rows.tolist() for rows in islice(training.batches(clips, seed), steps)]


@pytest.mark.parametrize("clips", [1, 2, 8, 9, 10, 16, 17, 18, 25])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_epoch_sees_every_clip_once(clips: int, shuffle: bool) -> None:
    training = recipe(shuffle=shuffle)
    seen, per_epoch = batches(training, clips), training.plan(clips).per_epoch
    assert len(seen) == 4 * per_epoch
    for epoch in range(4):
        some = seen[epoch * per_epoch : (epoch + 1) * per_epoch]
        assert sorted(i for rows in some for i in rows) == list(range(clips))


@pytest.mark.parametrize(
    ("clips", "sizes"), [(24, [8, 8, 8]), (23, [8, 8, 7]), (18, [8, 8, 2]), (25, [8, 8, 9]), (9, [9]), (3, [3])]
)
def test_a_batch_is_full_or_the_last_and_none_is_of_one_clip(clips: int, sizes: list[int]) -> None:
    assert [len(rows) for rows in batches(recipe(epochs=2), clips)] == 2 * sizes


def test_without_shuffling_the_order_stays() -> None:
    assert batches(recipe(shuffle=False)) == 4 * [list(range(8)), list(range(8, 16)), list(range(16, 21))]


def test_every_epoch_is_shuffled_anew_by_the_seed() -> None:
    one, same, other = (batches(recipe(batch=30), seed=seed) for seed in (3, 3, 4))
    assert one == same
    assert len({tuple(rows) for rows in one + other}) == 8
    assert list(range(CLIPS)) not in one


def unjudged(outputs: Outputs) -> Score:
    raise AssertionError("a course is looked at, it does not judge")


def course(training: Training, network: str = "arch-linear", seeds: Sequence[int] = (0,)) -> Course:
    """Fits to three classes, one for each seed."""
    x = Pooled(np.random.default_rng(2).normal(0, 1, (CLIPS, 1, WIDTH)).astype(np.float32))
    sample = Sample(x, np.arange(CLIPS) % 3)
    fits = []
    for number, seed in enumerate(seeds):
        problem = Problem(Class(("a", "b", "c")), sample, x, unjudged, seed=seed)
        fits.append(Fit(number, 0, Lesson(problem), {"rate": 0.05}))
    return Course(network, training, fits)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The clips that every stream of a course was asked for."""
    rows_of_each: list[list[int]] = []
    of = Stream.of

    def witness(self: Stream, rows: Tensor) -> Fed:
        rows_of_each.append(rows.tolist())
        return of(self, rows)

    monkeypatch.setattr(Stream, "of", witness)
    return rows_of_each


def test_a_course_sees_the_clips_of_its_training_step_by_step(seen: list[list[int]]) -> None:
    for _ in course(recipe(), seeds=(5,)).looks():
        pass
    assert seen == batches(recipe(), seed=5)


def test_every_fit_of_a_course_sees_the_clips_of_its_own_seed(seen: list[list[int]]) -> None:
    for _ in course(recipe(), seeds=(5, 6)).looks():
        pass
    assert (seen[::2], seen[1::2]) == (batches(recipe(), seed=5), batches(recipe(), seed=6))


@pytest.mark.parametrize("training", [recipe(), recipe(checks=5), recipe(steps=7), recipe(least_steps=20, checks=3)])
def test_it_stops_for_every_look_and_ends_with_the_last(training: Training, seen: list[list[int]]) -> None:
    plan, looks = training.plan(CLIPS), []
    for step in course(training).looks():
        assert len(seen) == step
        looks.append(step)
    assert tuple(looks) == plan.checks
    assert len(seen) == plan.steps


def state(probe: Probe) -> dict[str, Tensor]:
    return {name: own.clone() for name, own in probe.state_dict().items()}


def test_a_look_in_evaluation_mode_does_not_stop_the_learning() -> None:
    """Dropout would be out of step, and the answers be others."""
    one, other = (course(recipe(), "arch-nonlinear") for _ in range(2))
    for _ in one.looks():
        one.probes[0].eval()
    for _ in other.looks():
        pass
    expected = state(other.probes[0])
    assert all(torch.equal(own, expected[name]) for name, own in state(one.probes[0]).items())


def test_the_global_generator_is_not_drawn_from() -> None:
    before = torch.get_rng_state()
    for _ in course(recipe(), "arch-nonlinear").looks():
        pass
    assert torch.equal(torch.get_rng_state(), before)


# Optimisers, written out in float64.

RNG = np.random.default_rng(8)
X, Y = RNG.normal(0, 1, (CLIPS, WIDTH)), RNG.normal(0, 3, CLIPS)
BEGIN = RNG.normal(0, 1, WIDTH + 1)  # the last is the intercept
ONES = np.concatenate([X, np.ones((CLIPS, 1))], axis=1)


def gradient(w: Doubles, rows: list[int]) -> Doubles:
    """Of the mean squared error of a linear regression."""
    out: Doubles = 2 * ONES[rows].T @ (ONES[rows] @ w - Y[rows]) / len(rows)
    return out


def written_out(training: Training, *, rate: float = 0.05, broken: Sequence[int] = ()) -> Doubles:
    """Adam (Kingma and Ba 2015) or AdamW (Loshchilov and Hutter 2019) on clips in order; broken steps are left out."""
    plan = training.plan(CLIPS)
    w, m, v, made = BEGIN.copy(), np.zeros(WIDTH + 1), np.zeros(WIDTH + 1), 0
    for step in range(plan.steps):
        if step in broken:
            continue
        at = step % plan.per_epoch * training.batch
        g = gradient(w, list(range(at, min(at + training.batch, CLIPS))))
        if training.clip is not None:
            g *= min(1.0, training.clip / np.sqrt((g**2).sum()))
        here = rate * training.factor(step, plan)
        if training.optimiser == "adamw":
            w = w - here * training.weight_decay * w
        else:
            g = g + training.weight_decay * w
        made += 1
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        w = w - here * (m / (1 - 0.9**made)) / (np.sqrt(v / (1 - 0.999**made)) + 1e-8)
    return w


class Trial:
    """The same by a :class:`Descent`: linear regressions side by side, and their weights before every step."""

    def __init__(
        self,
        training: Training,
        rates: Sequence[float] = (0.05,),
        broken: Mapping[int, Sequence[int]] | None = None,
        *,
        by: float = math.nan,
    ) -> None:
        """The losses of a fit in its ``broken`` steps are multiplied with ``by``."""
        probes = [build("arch-linear", (1, WIDTH), 1, ("one", "mean"), {}) for _ in rates]
        for probe in probes:
            probe.get_parameter("head.weight").data = torch.from_numpy(BEGIN[None, :WIDTH]).float()
            probe.get_parameter("head.bias").data = torch.from_numpy(BEGIN[WIDTH:]).float()
        self.probes, self.stack = probes, Stack(probes, [0] * len(rates), "cpu")
        self.descent = Descent(self.stack, training, rates)
        self.training, self.by = training, by
        self.broken = [(broken or {}).get(i, ()) for i in range(len(rates))]
        self.before: list[list[Doubles]] = []

    def weights(self) -> list[Doubles]:
        both = [[probe.get_parameter(f"head.{name}").detach() for name in ("weight", "bias")] for probe in self.probes]
        return [torch.cat([own.flatten() for own in each]).double().numpy() for each in both]

    def losses(self, rows: Tensor) -> Tensor:
        x, y = torch.from_numpy(X).float(), torch.from_numpy(Y).float()
        return self.stack.losses(Value(), x[rows][None, :, None], None, y[rows][None])

    def step(self, step: int, rows: Tensor) -> None:
        self.before.append(self.weights())
        factors = torch.tensor([self.by if step in broken else 1.0 for broken in self.broken])
        self.descent.step(self.losses(rows) * factors, self.training.factor(step, self.training.plan(CLIPS)))

    def run(self) -> "Trial":
        plan = self.training.plan(CLIPS)
        for step, rows in enumerate(islice(self.training.batches(CLIPS, 0), plan.steps)):
            self.step(step, rows)
        return self


def near(found: Doubles, expected: Doubles) -> None:
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("schedule", ["constant", "cosine to a tenth", "warm-up and down", "warm-up and down, early"])
@pytest.mark.parametrize("clip", [None, 1.0, 1e3])
@pytest.mark.parametrize(("optimiser", "weight_decay"), [("adam", 0.0), ("adam", 0.1), ("adamw", 0.0), ("adamw", 0.1)])
def test_a_training_is_the_loop_written_out(
    optimiser: Literal["adam", "adamw"], weight_decay: float, clip: float | None, schedule: Schedule
) -> None:
    training = recipe(
        optimiser=optimiser, weight_decay=weight_decay, clip=clip, schedule=schedule, epochs=10, shuffle=False
    )
    rates = (0.05, 0.01, 0.2, 0.05)
    for rate, found in zip(rates, Trial(training, rates).run().weights(), strict=True):
        near(found, written_out(training, rate=rate))


def test_weight_decay_clipping_and_the_kind_of_optimiser_all_matter() -> None:
    made = [
        written_out(recipe(epochs=10, shuffle=False, **changes))
        for changes in ({}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "optimiser": "adamw"}, {"clip": 1.0})
    ]
    for i, one in enumerate(made):
        for other in made[:i]:
            assert np.abs(one - other).max() > 1e-3


@pytest.mark.parametrize("by", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("clip", [None, 1.0])
@pytest.mark.parametrize("optimiser", ["adam", "adamw"])
def test_a_step_without_a_finite_gradient_is_left_out(
    optimiser: Literal["adam", "adamw"], by: float, clip: float | None
) -> None:
    training, broken = recipe(optimiser=optimiser, weight_decay=0.1, clip=clip, shuffle=False), (0, 4, 5)
    trial = Trial(training, broken={0: broken}, by=by).run()
    (found,), before = trial.weights(), [own for (own,) in trial.before]
    for step in broken:
        np.testing.assert_array_equal(before[step], before[step + 1])
    assert not np.array_equal(before[1], before[2])
    near(found, written_out(training, broken=broken))


@pytest.mark.parametrize("clip", [None, 1.0])
def test_each_fit_leaves_out_steps_of_its_own(clip: float | None) -> None:
    training, broken = recipe(shuffle=False, clip=clip), {0: (0, 4, 5), 2: (1,)}
    for i, found in enumerate(Trial(training, [0.05] * 3, broken).run().weights()):
        near(found, written_out(training, broken=broken.get(i, ())))


def test_one_weight_without_a_finite_gradient_holds_all_of_its_fit_back() -> None:
    trial = Trial(recipe(), rates=(0.05, 0.05))
    before, factors = trial.weights(), torch.tensor([[1.0, math.inf, 1, 1], [1, 1, 1, 1]])
    weight, bias = trial.stack.parameters
    for _ in range(3):
        trial.descent.step((weight.flatten(1) * factors).sum(1) + bias.flatten(), 1.0)
    held, moved = trial.weights()
    np.testing.assert_array_equal(held, before[0])
    assert (moved < before[1]).all()


@pytest.mark.parametrize("kept", [(True, False, True), (False, True, False), (True, True, True)])
def test_those_that_are_kept_go_down_as_they_would_have_and_the_others_end(kept: Sequence[bool]) -> None:
    training, rates, broken = recipe(shuffle=False, epochs=10, clip=1.0), (0.05, 0.01, 0.2), {0: (2,), 1: (9,)}
    trial, steps = Trial(training, rates, broken), training.plan(CLIPS).steps
    for step, rows in enumerate(islice(training.batches(CLIPS, 0), steps)):
        if step == 8:
            ended = trial.weights()
            trial.descent.keep(kept)
            trial.broken = [each for each, stays in zip(trial.broken, kept, strict=True) if stays]
        trial.step(step, rows)
    for i, found in enumerate(trial.weights()):
        if kept[i]:
            near(found, written_out(training, rate=rates[i], broken=broken.get(i, ())))
        else:
            np.testing.assert_array_equal(found, ended[i])
