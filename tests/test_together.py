"""Many problems together give what each gives alone, for every head, and what a plain loop gives; in float64.

In float32 that cannot be told of a batch norm: the gradient of a bias before it is nothing but rounding, and Adam makes
whole steps of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from harness import regressions
from harness.catalogue import HEADS
from harness.course import Lesson
from harness.features import Features, Frames, Pooled, Rows
from harness.heads import Head, Outputs, Problem, Sample, Score
from harness.networks import build
from harness.trained import Trained
from harness.types import Class, Events, Slots, Tags, Target, Trials, Value

from plain import alike, plain_loss

LABELS = ("a", "b", "c")
TARGETS: dict[str, Target] = {
    "class": Class(LABELS),
    "tags": Tags(LABELS),
    "slots": Slots(("object", "place"), (LABELS, ("in", "out"))),
    "value": Value(),
    "trials": Trials(),
    "events": Events(LABELS),
}
CLIPS, LAYERS, WIDTH = 60, 3, 8
#: Join and pool for each group of interfaces; attention and answers for frames ask for frames.
SEEN = {
    "vector": [("one", "mean")],
    "learned": [("weighted-sum", "mean"), ("conv", "mean"), ("weighted-sum", "attention")],
    "frames": [("one", "none")],
}
CASES = [
    pytest.param(name, kind, *seen, id=f"{name}, {kind}, {'/'.join(seen)}")
    for name, entry in HEADS.items()
    for group, kinds in entry.kinds.items()
    for kind in kinds
    for seen in SEEN[group]
]


@pytest.fixture(autouse=True)
def double(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is made is float64, and what is solved is solved to the end."""
    part = Frames.part
    monkeypatch.setattr(Frames, "part", lambda *some: part(*some).double())
    monkeypatch.setattr(regressions, "TOLERANCE", 1e-11)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def features(layers: int, *, framed: bool) -> Features:
    rng = np.random.default_rng(layers)
    if not framed:
        return Pooled(rng.normal(1, 2, (CLIPS, layers, WIDTH)))  # type: ignore[arg-type]
    draws = torch.Generator().manual_seed(layers)
    lengths = rng.integers(1, 5, CLIPS).tolist()
    return Frames([[[torch.randn(n, WIDTH, generator=draws)] for _ in range(layers)] for n in lengths])


def answers(target: Target, x: Features) -> npt.NDArray[Any]:
    """Drawn by lot, but each label occurs in every problem."""
    rng = np.random.default_rng(5)
    numbers = np.arange(CLIPS)
    match target:
        case Class() | Trials():
            return rng.permutation(10)[numbers % 10] % 3
        case Slots():
            return np.stack([numbers % 3, numbers // 2 % 2], axis=1)
        case Tags():
            return rng.integers(0, 2, (CLIPS, 3)).astype(np.float64)
        case Events():
            assert isinstance(x, Frames)
            y = np.empty(CLIPS, object)
            y[:] = [rng.integers(0, 2, (x.length(i), 3)).astype(np.float64) for i in range(CLIPS)]
            return y
    return rng.normal(0, 1, CLIPS)


def judge(out: Outputs) -> Score:
    """A number that tells outputs apart."""
    every = np.concatenate([np.ravel(each) for each in out]).astype(np.float64)
    finite = every[np.isfinite(every)]
    return Score(float(np.tanh(finite).mean()), float(np.square(finite).mean()))


def problems(kind: str, join: str, pool: str) -> list[Problem]:
    """Folds of the same clips, one as they are and the others standardised; two seeds; one fold is smaller."""
    target, framed = TARGETS[kind], pool != "mean"
    x = features(1 if join == "one" else LAYERS, framed=framed)
    y = answers(target, x)

    def made(train: Rows, seed: int, *, scaled: bool = True) -> Problem:
        known = x.scaled(x.scale(train)) if scaled else x
        valid = np.setdiff1d(np.arange(CLIPS), train)
        return Problem(target, Sample(known.rows(train), y[train]), known.rows(valid), judge, join, pool, seed)

    first, second, small = np.arange(40), np.arange(20, 60), np.arange(10, 40)
    return [made(first, 0), made(second, 0), made(small, 1), made(first, 1, scaled=False)]


def shortened(name: str) -> Head:
    """A head of the catalogue; what is trained by steps, by few of them, and at two settings."""
    head = HEADS[name].head
    if not isinstance(head, Trained):
        return head
    rates = head.training.rates[:2]
    few = replace(head.training, rates=rates, steps=4, epochs=None, least_steps=0, checks=2, batch=16)
    return replace(head, training=few, grid=head.grid[:2])


def close(found: Outputs, expected: Outputs | Sequence[npt.NDArray[np.float64]]) -> None:
    """Outputs are float32."""
    assert len(found) == len(expected)
    most = max(np.abs(each[np.isfinite(each)]).max() for each in expected)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5 * most)


@pytest.mark.parametrize(("name", "kind", "join", "pool"), CASES)
def test_many_problems_together_give_what_each_gives_alone(name: str, kind: str, join: str, pool: str) -> None:
    head, given = shortened(name), problems(kind, join, pool)
    together = {(each.problem, each.place): each for each in head.search(given)}
    alone = {(i, each.place): each for i, problem in enumerate(given) for each in head.search([problem])}
    assert together.keys() == alone.keys()
    for key, expected in alone.items():
        found, valid = together[key], given[key[0]].valid
        assert found.setting == expected.setting
        assert found.score.value == pytest.approx(expected.score.value, rel=1e-5, abs=1e-6)
        close(found.fitted.outputs(valid), expected.fitted.outputs(valid))
        assert found.fitted.layer_weights == pytest.approx(expected.fitted.layer_weights, rel=1e-5)


def plainly(head: Trained, problem: Problem, setting: Mapping[str, Any]) -> nn.Module:
    """A fit by itself: torch's modules, optimiser and bound on gradients, step by step."""
    lesson, training = Lesson(problem), head.training
    own = {name: value for name, value in setting.items() if name not in ("rate", "steps", "planned_steps")}
    with torch.random.fork_rng([]):
        torch.manual_seed(problem.seed)
        shape = (lesson.x.layers, lesson.x.width)
        fresh = build(head.network, shape, lesson.outputs, (problem.join, problem.pool), own)
    probe = alike(fresh, problem.seed).train()
    kind = torch.optim.AdamW if training.optimiser == "adamw" else torch.optim.Adam
    optimiser = kind(probe.parameters(), lr=setting["rate"], weight_decay=training.weight_decay)
    plan, batches = training.plan(len(lesson.x)), training.batches(len(lesson.x), problem.seed)
    for step, rows in enumerate(islice(batches, setting["steps"])):
        x, mask = lesson.x.batch(rows.numpy())
        optimiser.param_groups[0]["lr"] = setting["rate"] * training.factor(step, plan)
        optimiser.zero_grad()
        plain_loss(probe, problem.target, x, mask, torch.from_numpy(lesson.y)[rows]).backward()
        if training.clip is not None:
            nn.utils.clip_grad_norm_(probe.parameters(), training.clip)
        optimiser.step()
    trained: nn.Module = probe.eval()
    return trained


def outputs(probe: nn.Module, features: Features) -> Sequence[npt.NDArray[np.float64]]:
    """Clip by clip, with nothing dropped."""
    for module in probe.modules():
        for name, child in list(module.named_children()):
            if type(child).__name__ == "Dropped":
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        each = (features.batch(np.array([i])) for i in range(len(features)))
        return [probe(x, mask)[0].numpy() for x, mask in each]


@pytest.mark.parametrize(
    ("name", "kind", "join", "pool"),
    [case for case in CASES if isinstance(HEADS[str(case.values[0])].head, Trained)],
)
def test_what_is_trained_together_is_what_a_plain_loop_trains(name: str, kind: str, join: str, pool: str) -> None:
    head, given = shortened(name), problems(kind, join, pool)
    assert isinstance(head, Trained)
    for tried in head.search(given):
        problem = given[tried.problem]
        probe = plainly(head, problem, tried.setting)
        close(tried.fitted.outputs(problem.valid), outputs(probe, problem.valid))
