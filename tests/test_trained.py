"""Heads that are trained keep the look they should, can be had again, and learn what there is to learn and no more."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn

from harness import course, targets
from harness.catalogue import HEADS, HEAR_GRID
from harness.features import Array, Batch, Frames, Pooled, Rows
from harness.heads import Fitted, Outputs, Problem, Sample, Score, Tried
from harness.trained import Trained
from harness.training import Training
from harness.types import Class, Events, Slots, Tags, Target, Trials, Value

Doubles = npt.NDArray[np.float64]

LABELS = ("a", "b", "c")
ROOMS = Slots(("object", "place"), (LABELS, ("in", "out")))
TARGETS: dict[str, Target] = {
    "class": Class(LABELS),
    "tags": Tags(LABELS),
    "slots": ROOMS,
    "value": Value(),
    "trials": Trials(),
    "events": Events(LABELS),
}
LAYERS, WIDTH, FRAMES = 4, 8, 6


# Problems: three hidden numbers of each clip (of events, of each frame) lie in the features, and make up its target.


def answers(target: Target, hidden: Doubles) -> npt.NDArray[Any]:
    match target:
        case Class() | Trials():
            return np.asarray(hidden.argmax(-1))
        case Slots():
            return np.stack([hidden.argmax(-1), (hidden[:, 0] > 0.5).astype(np.int64)], axis=1)
        case Value():
            return hidden[:, 0].astype(np.float32)
    return (hidden > 0.5).astype(np.float32)


def sample(
    target: Target, clips: int = 90, *, layers: int = LAYERS, framed: bool = False, seed: int = 0, informative: int = -1
) -> Sample:
    """Clips with a bit of noise; only the ``informative`` layer (all of them if -1) says anything."""
    rng, mix = np.random.default_rng(seed), np.random.default_rng(99).normal(0, 1, (3, layers, WIDTH))
    if informative >= 0:
        mix[:, np.arange(layers) != informative] = 0
    events = isinstance(target, Events)
    lengths = rng.integers(2, FRAMES + 1, clips) if framed else np.ones(clips, int)
    hidden = [rng.normal(0, 1, (length if events else 1, 3)) for length in lengths]
    for each in hidden:  # away from where answers change
        each += 0.5 * np.sign(each) + 2 * np.eye(3)[rng.integers(3, size=len(each))]
    x = [
        (np.einsum("fh,hlw->flw", h, mix) + rng.normal(0, 0.2, (n, layers, WIDTH))).astype(np.float32)
        for h, n in zip(hidden, lengths, strict=True)
    ]
    if events:
        y = np.empty(clips, object)
        y[:] = [answers(target, h) for h in hidden]
    else:
        y = answers(target, np.concatenate(hidden))
    if not framed:
        return Sample(Pooled(np.concatenate(x)), y)
    return Sample(Frames([[[torch.from_numpy(clip[:, i])] for i in range(layers)] for clip in x]), y)


def value(target: Target, out: Outputs, y: npt.NDArray[Any]) -> float:
    """How good outputs are, 1 at best."""
    if isinstance(target, Events):
        out, y = np.concatenate(list(out)), np.concatenate(list(y))
    out = np.asarray(out)
    match target:
        case Class():
            return float((out.argmax(1) == y).mean())
        case Tags() | Events():
            return float(average_precision_score(y, out, average="macro"))
        case Slots():
            return float(((out[:, :3].argmax(1) == y[:, 0]) & (out[:, 3:].argmax(1) == y[:, 1])).mean())
        case Value():
            return 1 - float(np.square(out[:, 0] - y).mean() / y.var())
        case Trials():
            unit = out / np.linalg.norm(out, axis=1, keepdims=True)
            one, other = np.triu_indices(len(y), 1)
            return float(roc_auc_score(y[one] == y[other], (unit @ unit.T)[one, other]))


def problem(target: Target, train: Sample, valid: Sample, **changes: Any) -> Problem:
    """With the join and pool that the features allow, judged by :func:`value`."""

    def judge(out: Outputs) -> Score:
        return Score(value(target, out, valid.y), 0.0)

    usual = {"join": "weighted-sum", "pool": "none" if isinstance(target, Events) else "mean"}
    return Problem(target, train, valid.x, judge, **{**usual, **changes})


def toy(kind: str = "class", **changes: Any) -> Problem:
    target = TARGETS[kind]
    framed = changes.get("pool") == "attention" or kind == "events"
    layers = 1 if changes.get("join") == "one" else LAYERS
    sizes = (40, 20) if framed else (90, 60)
    train, valid = (sample(target, n, layers=layers, framed=framed, seed=seed) for seed, n in enumerate(sizes))
    return problem(target, train, valid, **changes)


QUICK = Training(rates=(1e-2,), batch=32, epochs=20, check_epochs=4)
OWN = {"hidden_layers": 1, "init": "normal"}  # of hear-mlp


def head(network: str = "arch-nonlinear", **changes: Any) -> Trained:
    return Trained(network, replace(QUICK, **changes), (tuple(OWN.items()),) if network == "hear-mlp" else ((),))


def searched(head: Trained, problem: Problem) -> Tried:
    """Of a head with one setting."""
    (tried,) = head.search([problem])
    return tried


def numbers(out: Outputs) -> Array:
    assert isinstance(out, np.ndarray)
    assert out.dtype == np.float32
    return out


def same(one: Outputs, other: Outputs) -> bool:
    return len(one) == len(other) and all(np.array_equal(*pair) for pair in zip(one, other, strict=True))


# Which look is kept.

NAN, INF = math.nan, math.inf


@dataclass
class Script:
    """A judge that says what it is told, and remembers what it was shown."""

    scores: Sequence[Score]
    shown: list[Array] = field(default_factory=list)

    def __call__(self, out: Outputs) -> Score:
        self.shown.append(numbers(out).copy())
        return self.scores[len(self.shown) - 1]


def told(values: Sequence[float], losses: Sequence[float] = ()) -> Script:
    return Script([Score(v, loss) for v, loss in zip(values, losses or [0.0] * len(values), strict=True)])


def scripted(script: Script, **changes: Any) -> tuple[Tried, Problem]:
    """A training that is looked at as often as the script has scores, two steps apart."""
    count = len(script.scores)
    given = replace(toy(), judge=script)
    return searched(head(epochs=None, steps=2 * count, checks=count, **changes), given), given


@pytest.mark.parametrize(
    ("keep", "values", "losses", "kept"),
    [
        ("best", [0.1, 0.4, 0.2, 0.3], [1, 2, 0, 0], 1),
        ("best", [0.1, 0.4, 0.4, 0.3], [1, 2, 0, 0], 1),
        ("best", [0.5, 0.4, 0.5, 0.5], [9, 2, 1, 0], 0),
        ("best", [-3.0, -2.0, -5.0], [1, 2, 0], 1),
        ("best", [NAN, 0.4, 0.2], [1, 2, 0], 1),
        ("best", [0.2, NAN, 0.4, NAN], [1, 2, 0, 0], 2),
        ("best", [NAN, NAN], [1, 0], 0),
        ("latest best", [0.1, 0.4, 0.2, 0.3], [1, 2, 0, 0], 1),
        ("latest best", [0.1, 0.4, 0.4, 0.3], [1, 2, 3, 0], 2),
        ("latest best", [0.5, 0.4, 0.5, 0.5], [0, 2, 1, 9], 3),
        ("latest best", [NAN, 0.4, NAN], [0, 2, 1], 1),
        ("lowest loss", [0.1, 0.4, 0.2, 0.3], [1, 2, 0.5, 3], 2),
        ("lowest loss", [0.1, 0.4, 0.2, 0.3], [1, 0.5, 0.5, 0.5], 1),
        ("lowest loss", [0.9, 0.4, 0.2, 0.3], [INF, 7, 8, NAN], 1),
        ("lowest loss", [0.9, 0.4, 0.2], [NAN, INF, 5], 2),
    ],
)
def test_the_look_that_is_kept(
    keep: Literal["best", "latest best", "lowest loss"], values: list[float], losses: list[float], kept: int
) -> None:
    script = told(values, losses)
    tried, given = scripted(script, keep=keep)
    assert len(script.shown) == len(values)
    assert tried.setting == {"rate": 1e-2, "steps": 2 * (kept + 1)}
    assert tried.score is script.scores[kept]
    np.testing.assert_array_equal(numbers(tried.fitted.outputs(given.valid)), script.shown[kept])


def test_looks_differ_so_that_keeping_one_means_something() -> None:
    scripted(script := told([0.1, 0.2, 0.3]))
    assert min(np.abs(one - other).max() for one, other in zip(script.shown, script.shown[1:], strict=False)) > 1e-3


def test_the_last_look_may_be_kept_and_is_then_the_only_one() -> None:
    script = told([0.7])
    tried = searched(head(keep="last", steps=10), replace(toy(), judge=script))
    assert (tried.setting, tried.score) == ({"rate": 1e-2, "steps": 10}, script.scores[0])
    np.testing.assert_array_equal(numbers(tried.fitted.outputs(toy().valid)), script.shown[0])


@pytest.mark.parametrize(
    ("keep", "patience", "values", "looks"),
    [
        ("best", 2, [0.5, 0.4, 0.3, 0.9], 3),
        ("best", 2, [0.5, 0.5, 0.5, 0.9], 3),
        ("best", 2, [0.5, 0.4, 0.6, 0.5, 0.4, 0.9], 5),
        ("best", 3, [0.5, 0.4, 0.3, 0.9], 4),
        ("best", 1, [0.1, 0.2, 0.3], 3),
        ("best", None, [0.5, 0.4, 0.3, 0.2, 0.1], 5),
        ("latest best", 2, [0.5, 0.5, 0.4, 0.5, 0.4, 0.4, 0.9], 6),
        ("lowest loss", 2, [0.1, 0.2, 0.3, 0.4], 3),
    ],
)
def test_patience_ends_with_so_many_looks_that_bring_nothing(
    keep: Literal["best", "latest best", "lowest loss"], patience: int | None, values: list[float], looks: int
) -> None:
    script = told(values, [1.0, *[2.0] * (len(values) - 1)])
    scripted(script, keep=keep, patience=patience)
    assert len(script.shown) == looks


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        (Score(0.1, 0), Score(0.2, 9)),
        (Score(0.2, 9), Score(0.2, 1)),
        (Score(NAN, 0), Score(-5, 9)),
        (Score(0.2, NAN), Score(0.2, 9)),
        (Score(0.2, INF), Score(0.2, 9)),
        (Score(-INF, 0), Score(-5, 9)),
    ],
)
def test_scores_are_ranked_by_value_then_by_loss(worse: Score, better: Score) -> None:
    assert worse.rank < better.rank


# Settings.


def test_every_rate_is_tried_at_every_point_in_order() -> None:
    grid = ((("hidden_layers", 1), ("init", "normal")), (("hidden_layers", 2), ("init", "uniform")))
    many = Trained("hear-mlp", replace(QUICK, rates=(1e-2, 1e-3), steps=2), grid)
    expected = [{"rate": rate, "hidden_layers": n, "init": i} for ((_, n), (_, i)) in grid for rate in (1e-2, 1e-3)]
    assert many.settings() == expected
    assert [{**tried.setting} for tried in many.search([toy()])] == [{**each, "steps": 2} for each in expected]


def test_points_may_have_rates_of_their_own() -> None:
    hear = HEADS["hear-mlp"].head
    assert isinstance(hear, Trained)
    assert [(each["hidden_layers"], each["init"], each["rate"]) for each in hear.settings()] == list(HEAR_GRID)
    grid = product((1, 2), ("normal", "uniform"), (3.2e-3, 1e-3, 3.2e-4, 1e-4))
    assert len(set(HEAR_GRID)) == 8 and set(HEAR_GRID) < set(grid)


@pytest.mark.parametrize("name", [name for name, entry in HEADS.items() if isinstance(entry.head, Trained)])
def test_a_head_can_be_narrowed_to_each_of_its_settings(name: str) -> None:
    wide = HEADS[name].head
    assert isinstance(wide, Trained)
    for setting in wide.settings():
        narrow = wide.narrowed({**setting, "layer": "3", "steps": 7, "seed": 1})
        assert narrow.settings() == [setting]
        assert replace(narrow.training, rates=()) == replace(wide.training, rates=())


def test_a_narrowed_head_is_trained_as_the_wide_one_was() -> None:
    points = tuple((("hidden_layers", n), ("init", "normal"), ("rate", rate)) for n, rate in ((1, 1e-2), (2, 1e-3)))
    wide = Trained("hear-mlp", replace(QUICK, rates=(), steps=4), points)
    for tried in wide.search([toy()]):
        again = searched(wide.narrowed(tried.setting), toy())
        assert (again.setting, again.score) == (tried.setting, tried.score)
        assert same(again.fitted.outputs(toy().valid), tried.fitted.outputs(toy().valid))


# Having it again.

SCHEDULES = ("constant", "cosine to a tenth", "warm-up and down", "warm-up and down, early")


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("kept", [0, 2, 3])
def test_a_fit_is_the_head_that_the_search_kept(schedule: str, kept: int) -> None:
    script = told([1.0 if i == kept else 0.0 for i in range(4)])
    tried, given = scripted(script, schedule=schedule)
    fitted = head(schedule=schedule).fit(given, tried.setting)
    assert same(fitted.outputs(given.valid), tried.fitted.outputs(given.valid))
    assert fitted.layer_weights == tried.fitted.layer_weights


@pytest.mark.parametrize("keep", ["best", "latest best", "lowest loss", "last"])
@pytest.mark.parametrize(
    ("network", "kind", "pool"),
    [
        ("superb-linear", "slots", "mean"),
        ("superb-linear", "value", "attention"),
        ("hear-mlp", "class", "mean"),
        ("hear-mlp", "events", "none"),
        ("arch-nonlinear", "tags", "attention"),
        ("speaker-linear", "trials", "mean"),
        ("xares-linear", "events", "none"),
    ],
)
def test_whatever_is_learned_can_be_had_again(
    network: str, kind: str, pool: str, keep: Literal["best", "latest best", "lowest loss", "last"]
) -> None:
    given, some = toy(kind, pool=pool), head(network, keep=keep, epochs=2, check_epochs=1, shuffle=keep != "last")
    tried = searched(some, given)
    fitted = some.fit(given, tried.setting)
    assert same(fitted.outputs(given.valid), tried.fitted.outputs(given.valid))


def test_a_schedule_says_how_long_it_was() -> None:
    tried, _ = scripted(told([0.0, 1.0, 0.0]), schedule="warm-up and down")
    assert tried.setting == {"rate": 1e-2, "steps": 4, "planned_steps": 6}


def test_a_fit_is_not_judged() -> None:
    script = told([])
    head().fit(replace(toy(), judge=script), {"rate": 1e-2, "steps": 3})
    assert script.shown == []


def test_a_fit_does_not_look_at_validation_clips() -> None:
    given = toy()
    setting = {"rate": 1e-2, "steps": 12}
    other = replace(given, valid=sample(TARGETS["class"], 20, seed=9).x)
    one, two = (head().fit(each, setting).outputs(given.valid) for each in (given, other))
    assert same(one, two)


def everything(some: Trained, given: Problem) -> tuple[Any, ...]:
    """What a search says, and the outputs of what it gives."""
    tried = searched(some, given)
    return tried.setting, tried.score, tried.fitted.layer_weights, numbers(tried.fitted.outputs(given.valid)).tobytes()


@pytest.mark.parametrize("network", ["superb-linear", "hear-mlp", "arch-nonlinear"])
def test_the_same_seed_gives_the_same_head_to_the_last_bit(network: str) -> None:
    one, again, other = (everything(head(network, epochs=3), toy(seed=seed)) for seed in (3, 3, 4))
    assert one == again
    assert one[-1] != other[-1]


@pytest.mark.parametrize("network", ["hear-mlp", "arch-nonlinear"])
@pytest.mark.parametrize("kind", ["class", "tags"])
def test_the_global_generator_neither_matters_nor_moves(network: str, kind: str) -> None:
    some, given = head(network, epochs=2), toy(kind)
    first = everything(some, given)
    torch.manual_seed(77)
    np.random.seed(77)
    state = torch.get_rng_state()
    assert everything(some, given) == first
    some.fit(given, first[0])
    assert torch.equal(torch.get_rng_state(), state)


def orders(some: Trained, seed: int, monkeypatch: pytest.MonkeyPatch) -> list[list[int]]:
    """The clips of every step, in their order."""
    seen: list[list[int]] = []
    batch = Frames.batch

    def witness(self: Frames, rows: Rows) -> Batch:
        seen.append(rows.tolist())
        return batch(self, rows)

    with monkeypatch.context() as patch:
        patch.setattr(Frames, "batch", witness)
        some.fit(toy(pool="attention", seed=seed), {"rate": 1e-2, "steps": 4})
    return seen


def test_the_order_of_clips_follows_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    one, again, other = (orders(head(), seed, monkeypatch) for seed in (3, 3, 4))
    assert one == again
    assert one != other


def test_the_order_of_clips_stays_where_a_training_does_not_shuffle(monkeypatch: pytest.MonkeyPatch) -> None:
    assert orders(head(shuffle=False), 3, monkeypatch) == 2 * [list(range(32)), list(range(32, 40))]


def test_a_head_answers_the_same_after_another_was_trained() -> None:
    given = toy()
    first = head().fit(given, {"rate": 1e-2, "steps": 5})
    before = first.outputs(given.valid)
    head().fit(toy(seed=1), {"rate": 1e-2, "steps": 5})
    assert same(before, first.outputs(given.valid))


@pytest.mark.parametrize("kind", ["class", "events"])
def test_features_are_left_as_they_are(kind: str) -> None:
    given, untouched = toy(kind), toy(kind)
    searched(head("xares-linear", epochs=2), given)
    for one, other in ((given.train.x, untouched.train.x), (given.valid, untouched.valid)):
        assert torch.equal(one.batch(np.arange(len(one))).x, other.batch(np.arange(len(other))).x)


# Written out.


def test_superbs_head_is_two_linear_layers_on_a_weighted_sum_trained_by_adam() -> None:
    """One batch that holds all clips, whose order does not matter: a few steps, written down once more."""
    given = toy(seed=5)
    x, y = given.train.x.batch(np.arange(90)).x.double(), torch.from_numpy(given.train.y)
    torch.manual_seed(5)
    first, second = nn.Linear(WIDTH, 256), nn.Linear(256, 3)
    mix = nn.Parameter(torch.zeros(LAYERS, dtype=torch.float64))
    weights = [mix, *first.double().parameters(), *second.double().parameters()]
    adam = torch.optim.Adam(weights, lr=1e-2)

    def logits(x: torch.Tensor) -> torch.Tensor:
        shares = mix.exp() / mix.exp().sum()
        mixed: torch.Tensor = second(first((x * shares[:, None]).sum(1)))
        return mixed

    for _ in range(5):
        adam.zero_grad()
        (-logits(x).log_softmax(1)[torch.arange(90), y].mean()).backward()
        norm = sum(weight.grad.square().sum() for weight in weights if weight.grad is not None) ** 0.5
        for weight in weights:
            assert weight.grad is not None
            weight.grad /= max(1, float(norm))
        adam.step()
    fitted = head("superb-linear", batch=90, clip=1.0).fit(given, {"rate": 1e-2, "steps": 5})
    np.testing.assert_allclose(numbers(fitted.outputs(given.train.x)), logits(x).detach(), rtol=1e-3, atol=1e-4)
    assert fitted.layer_weights == pytest.approx((mix.exp() / mix.exp().sum()).tolist(), rel=1e-4)


# Learning.


def mean_loss(target: Target, fitted: Fitted, train: Sample) -> float:
    out, y = fitted.outputs(train.x), train.y
    if isinstance(target, Trials):
        return 1 - value(target, out, y)
    if isinstance(target, Events):
        out, y = np.concatenate(list(out)), np.concatenate(list(y))
    return targets.loss(target, torch.from_numpy(np.asarray(out)), torch.from_numpy(y)).item()


NETWORKS = ("superb-linear", "hear-mlp", "arch-linear", "arch-nonlinear", "evar-linear", "xares-linear")
JOINS = ("one", "mean", "weighted-sum", "conv")


@pytest.mark.parametrize(
    ("network", "join", "pool", "kind"),
    [
        *product(NETWORKS, JOINS, ("mean", "attention"), ("class",)),
        *product(NETWORKS, JOINS, ("none",), ("events",)),
        *product(("speaker-linear",), JOINS, ("mean", "attention"), ("trials",)),
        *product(("superb-linear", "hear-mlp"), ("weighted-sum",), ("mean",), ("tags", "slots", "value")),
    ],
)
def test_the_loss_falls(network: str, join: str, pool: str, kind: str) -> None:
    given = toy(kind, join=join, pool=pool)
    rate, most = (3e-3, 12) if network == "hear-mlp" else (2e-2, 25)
    before, after = (head(network).fit(given, {"rate": rate, "steps": steps, **OWN}) for steps in (1, most))
    first, last = (mean_loss(given.target, fitted, given.train) for fitted in (before, after))
    assert last < 0.85 * first
    assert math.isfinite(first)


@pytest.mark.parametrize(
    ("name", "kind", "group"),
    [
        (name, kind, group)
        for name, entry in HEADS.items()
        if isinstance(entry.head, Trained)
        for group, kinds in entry.kinds.items()
        for kind in kinds
    ],
)
def test_every_trained_head_learns_every_kind_that_it_says_it_answers(name: str, kind: str, group: str) -> None:
    given = toy(kind, **({"join": "one"} if group == "vector" else {}))
    known = HEADS[name].head
    assert isinstance(known, Trained)
    # Fewer steps than a real training has, and therefore larger ones.
    shortened = replace(known.training, steps=80, epochs=None, least_steps=0, checks=3)
    rate = 3e-3 if name == "hear-mlp" else 3e-2
    tried = searched(replace(known, training=shortened).narrowed({**known.settings()[0], "rate": rate}), given)
    knows_nothing = {"class": 0.45, "tags": 0.6, "slots": 0.35, "value": 0.0, "trials": 0.5, "events": 0.6}[kind]
    assert tried.score.value > (1 + knows_nothing) / 2


@pytest.mark.parametrize("kind", TARGETS)
def test_outputs_are_so_many_floats_for_each_clip(kind: str) -> None:
    given = toy(kind)
    fitted = head("speaker-linear" if kind == "trials" else "xares-linear").fit(given, {"rate": 1e-2, "steps": 1})
    count = 512 if kind == "trials" else targets.outputs(given.target, given.train.y)
    if not isinstance(given.valid, Frames):
        assert numbers(fitted.outputs(given.valid)).shape == (60, count)
        return
    shapes = [out.shape for out in fitted.outputs(given.valid)]
    assert shapes == [(given.valid.length(i), count) for i in range(20)]


@pytest.mark.parametrize("network", ["hear-mlp", "arch-nonlinear"])
@pytest.mark.parametrize("framed", [False, True])
def test_noise_is_not_learned(network: str, framed: bool) -> None:
    rng = np.random.default_rng(3)
    parts = []
    for seed, clips in ((0, 200), (1, 100), (2, 900)):
        x, _ = sample(Class(LABELS), clips, framed=framed, seed=seed)
        parts.append(Sample(x, rng.permutation(np.arange(clips) % 3)))
    train, valid, test = parts
    given = problem(Class(LABELS), train, valid, pool="attention" if framed else "mean")
    tried = searched(head(network, batch=100, epochs=6 if framed else 20, check_epochs=2), given)
    # Four standard deviations of a guess.
    assert abs(value(Class(LABELS), tried.fitted.outputs(test.x), test.y) - 1 / 3) < 4 * math.sqrt(2 / 9 / 900)


# Layers.


@pytest.mark.parametrize("network", ["superb-linear", "hear-mlp", "xares-linear"])
def test_layer_weights_sum_to_one(network: str) -> None:
    weights = searched(head(network, epochs=3), toy()).fitted.layer_weights
    assert len(weights) == LAYERS
    assert sum(weights) == pytest.approx(1)
    assert len(set(weights)) == LAYERS


@pytest.mark.parametrize("informative", range(LAYERS))
def test_layer_weights_favour_the_layer_that_helps(informative: int) -> None:
    train, valid = (sample(Class(LABELS), seed=seed, informative=informative) for seed in (0, 1))
    given = problem(Class(LABELS), train, valid)
    weights = head("superb-linear").fit(given, {"rate": 1e-2, "steps": 60}).layer_weights
    assert int(np.argmax(weights)) == informative
    assert max(weights) > 0.3


@pytest.mark.parametrize("join", ["one", "mean", "conv"])
def test_other_joins_have_no_layer_weights(join: str) -> None:
    assert searched(head(epochs=1), toy(join=join)).fitted.layer_weights == ()


# Neighbours.


@pytest.mark.parametrize(("kind", "pool"), [("class", "mean"), ("class", "attention"), ("events", "none")])
def test_an_answer_does_not_depend_on_the_other_clips(kind: str, pool: str) -> None:
    given = toy(kind, pool=pool)
    fitted = head("xares-linear").fit(given, {"rate": 1e-2, "steps": 9})
    rows = np.array([5, 19, 2])
    some = fitted.outputs(given.valid.rows(rows))
    every = fitted.outputs(given.valid)
    for found, row in zip(some, rows, strict=True):
        np.testing.assert_allclose(found, every[row], rtol=1e-4, atol=1e-5)


def test_many_clips_are_answered_some_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    given = toy()
    fitted = head().fit(given, {"rate": 1e-2, "steps": 9})
    whole = numbers(fitted.outputs(given.valid))
    monkeypatch.setattr(course, "BATCH_NUMBERS", 7 * LAYERS * WIDTH)
    np.testing.assert_allclose(numbers(fitted.outputs(given.valid)), whole, rtol=1e-4, atol=1e-5)


def test_names_of_speakers_that_are_not_learned_from_move_nothing() -> None:
    given = toy("trials")
    gaps = replace(given, train=Sample(given.train.x, given.train.y * 5 + 2))
    one, two = (everything(head("speaker-linear", epochs=2), each) for each in (given, gaps))
    assert one == two
