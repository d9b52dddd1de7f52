"""A stack computes for every fit what torch's own modules compute for it by itself, gradients and all, in float64."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.catalogue import GROUPS, HEADS
from harness.interfaces import Interface
from harness.joins import AttentionPool, HierarchicalConv, LayerMean, MeanPool, NoPool, Only, WeightedSum
from harness.networks import LastAxisNorm, Probe, SpeakerLinear, build
from harness.stacks import Noise, Own, Stack, linear, pooled, run, speaker_losses
from harness.trained import Trained
from harness.types import Class, Events, Slots, Tags, Target, Trials, Value

from plain import alike, margin_loss, plain_loss

Doubles = npt.NDArray[np.float64]

EXAMPLES, WIDTH, LAYERS, FRAMES = 7, 6, 4, 5
#: Streams and fits: one for all, one for each, and some for several each.
SHARES = [(1, 1), (1, 3), (3, 3), (2, 6), (3, 6)]
LABELS = ("a", "b", "c")
TARGETS: dict[str, Target] = {
    "class": Class(LABELS),
    "tags": Tags(LABELS),
    "slots": Slots(("object", "place"), (LABELS, ("in", "out"))),
    "value": Value(),
    "trials": Trials(),
    "events": Events(LABELS),
}


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """What is made is float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def shaken(module: nn.Module, seed: int) -> nn.Module:
    """With all its numbers drawn by lot; variances stay positive."""
    for i, (name, own) in enumerate(sorted(module.state_dict().items())):
        if own.is_floating_point():
            own.copy_(0.5 * drawn(*own.shape, seed=100 * seed + i))
            if name.endswith("running_var"):
                own.abs_().add_(0.5)
    return module


def many(make: Callable[[], nn.Module], fits: int) -> list[nn.Module]:
    return [shaken(make(), seed).train() for seed in range(1, fits + 1)]


def own_of(modules: Sequence[nn.Module]) -> Own:
    """Parameters and buffers of some modules, side by side."""
    tensors = {}
    for name, first in modules[0].state_dict().items():
        if first.is_floating_point():
            tensors[name] = torch.stack([module.state_dict()[name] for module in modules])
    for name, _ in modules[0].named_parameters():
        tensors[name].requires_grad_()
    return Own(tensors, Noise(range(len(modules)), "cpu"))


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


def compare(
    modules: Sequence[nn.Module],
    x: Tensor,
    stacked: Callable[[Tensor, Own], Tensor],
    alone: Callable[[Any, Tensor, int], Tensor],
) -> None:
    """All at once against one after the other: what comes out, gradients (of what is seen, too), and buffers.

    ``alone`` is told a module, its stream, and the stream's number.
    """
    fits, streams, own = len(modules), len(x), own_of(modules)
    mine, theirs = (x.detach().clone().requires_grad_() for _ in range(2))
    found = stacked(mine, own)
    found = found.repeat_interleave(fits // len(found), 0)
    which = [i * streams // fits for i in range(fits)]
    expected = torch.stack([alone(module, theirs[k], k) for module, k in zip(modules, which, strict=True)])
    close(found, expected)
    outward = drawn(*expected.shape, seed=77)
    for out in (found, expected):
        (out * outward).sum().backward()
    assert mine.grad is not None and theirs.grad is not None
    assert theirs.grad.abs().max() > 1e-3
    close(mine.grad, theirs.grad)
    for i, module in enumerate(modules):
        for name, parameter in module.named_parameters():
            grads, grad = own[name].grad, parameter.grad
            assert grads is not None and grad is not None
            close(grads[i], grad)
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                close(own[name][i], buffer)


# Modules, one by one.

VECTORS: list[Any] = [
    pytest.param(lambda: nn.Linear(WIDTH, 4), id="linear"),
    pytest.param(lambda: nn.ReLU(), id="relu"),
    pytest.param(lambda: nn.LayerNorm(WIDTH), id="layer norm"),
    pytest.param(lambda: nn.Sequential(nn.Linear(WIDTH, 5), nn.ReLU(), nn.Linear(5, 2)), id="sequence"),
    pytest.param(lambda: nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 5)), id="layer norm, linear"),
    pytest.param(lambda: nn.Sequential(nn.Linear(WIDTH, 8), LastAxisNorm(8), nn.ReLU()), id="linear, batch norm"),
    pytest.param(lambda: nn.Sequential(nn.Sequential(nn.Linear(WIDTH, 4)), nn.ReLU()), id="sequence in a sequence"),
]
JOINS: list[Any] = [
    pytest.param(1, lambda: Only(WIDTH), id="one"),
    pytest.param(LAYERS, lambda: LayerMean(WIDTH), id="mean"),
    pytest.param(LAYERS, lambda: WeightedSum(LAYERS, WIDTH), id="weighted-sum"),
    *(
        pytest.param(layers, lambda layers=layers: HierarchicalConv(layers, WIDTH), id=f"conv-{layers}")
        for layers in (3, 5, 9, 13, 27)
    ),
]
POOLS: list[Any] = [
    pytest.param(MeanPool, id="mean"),
    pytest.param(lambda: AttentionPool(WIDTH), id="attention"),
]


@pytest.mark.parametrize(("streams", "fits"), SHARES)
@pytest.mark.parametrize("make", VECTORS)
def test_a_module_computes_for_each_fit_what_it_would_by_itself(
    make: Callable[[], nn.Module], streams: int, fits: int
) -> None:
    modules = many(make, fits)
    compare(
        modules,
        drawn(streams, WIDTH, EXAMPLES),
        lambda x, own: run(modules[0], x, own),
        lambda module, x, _: module(x.T).T,
    )


def test_a_batch_norm_of_each_fit_follows_its_own_examples() -> None:
    modules = many(lambda: LastAxisNorm(WIDTH), 3)
    x = drawn(3, WIDTH, EXAMPLES) * torch.tensor([1.0, 5.0, 0.1])[:, None, None]
    compare(modules, x, lambda x, own: run(modules[0], x, own), lambda module, x, _: module(x.T).T)


@pytest.mark.parametrize(("streams", "fits"), SHARES)
@pytest.mark.parametrize(("layers", "make"), JOINS)
def test_a_join_computes_for_each_fit_what_it_would_by_itself(
    layers: int, make: Callable[[], nn.Module], streams: int, fits: int
) -> None:
    modules = many(make, fits)
    compare(
        modules,
        drawn(streams, EXAMPLES, layers, WIDTH),
        lambda x, own: run(modules[0], x, own),
        lambda module, x, _: module(x).T,
    )


MASK = torch.arange(FRAMES) < torch.tensor([[5, 1, 3], [2, 5, 4], [3, 4, 5]])[..., None]  # (stream, clip, frame)


@pytest.mark.parametrize("masked", [True, False])
@pytest.mark.parametrize("joined", ["by stream", "by fit"])
@pytest.mark.parametrize(("streams", "fits"), SHARES)
@pytest.mark.parametrize("make", POOLS)
def test_a_pool_computes_for_each_fit_what_it_would_by_itself(
    make: Callable[[], nn.Module], streams: int, fits: int, joined: str, masked: bool
) -> None:
    modules, mask = many(make, fits), MASK[:streams] if masked else None
    there = streams if joined == "by stream" else fits

    def alone(module: nn.Module, x: Tensor, number: int) -> Tensor:
        mine = None if mask is None else mask[number * streams // there]
        out: Tensor = module(x.permute(1, 2, 0), mine).T
        return out

    compare(modules, drawn(there, WIDTH, 3, FRAMES), lambda x, own: pooled(modules[0], x, mask, own), alone)


@pytest.mark.parametrize("make", POOLS)
def test_what_stands_where_a_clip_has_ended_does_not_matter(make: Callable[[], nn.Module]) -> None:
    modules, x = many(make, 3), drawn(3, WIDTH, 3, FRAMES)
    own, ended = own_of(modules), ~MASK[:, None].expand_as(x)
    one, other = (pooled(modules[0], x.masked_fill(ended, filler), MASK, own) for filler in (0.0, 1e6))
    assert torch.equal(one, other)


def test_without_pooling_every_frame_is_an_example() -> None:
    x = drawn(2, WIDTH, 3, FRAMES)
    found = pooled(NoPool(), x, None, own_of([nn.ReLU()]))
    assert torch.equal(found, torch.stack([NoPool()(each.permute(1, 2, 0), None).flatten(0, 1).T for each in x]))


@pytest.mark.parametrize(("streams", "fits"), SHARES)
def test_fits_of_one_stream_are_one_wide_product(streams: int, fits: int) -> None:
    weight, bias, x = drawn(fits, 4, WIDTH), drawn(fits, 4), drawn(streams, WIDTH, EXAMPLES)
    expected = [functional.linear(x[i * streams // fits].T, weight[i], bias[i]).T for i in range(fits)]
    close(linear(weight, bias, x), torch.stack(expected))


@pytest.mark.parametrize("compute", [lambda m, x, own: run(m, x, own), lambda m, x, own: pooled(m, x, None, own)])
def test_a_module_that_is_not_known_is_not_guessed(compute: Callable[..., Tensor]) -> None:
    with pytest.raises(NotImplementedError, match="no way to train many GELU at once"):
        compute(nn.GELU(), drawn(1, WIDTH, EXAMPLES), own_of([nn.ReLU()]))


# Speakers.


def speakers(fits: int, count: int = 3) -> list[nn.Module]:
    return many(lambda: SpeakerLinear(WIDTH, count), fits)


@pytest.mark.parametrize("count", [2, 7])
@pytest.mark.parametrize(("streams", "fits"), SHARES)
def test_speakers_are_learned_by_the_additive_margin_softmax(count: int, streams: int, fits: int) -> None:
    modules, y = speakers(fits, count), torch.arange(EXAMPLES * streams).view(streams, -1) % count
    (head,) = (module for module in modules[:1] if isinstance(module, SpeakerLinear))
    compare(
        modules,
        drawn(streams, WIDTH, EXAMPLES),
        lambda x, own: speaker_losses(head, x, own, y.repeat_interleave(fits // streams, 0)),
        lambda module, x, k: margin_loss(module, x.T, y[k]),
    )


def test_the_size_of_a_speakers_weights_does_not_matter() -> None:
    modules, x, y = speakers(2), drawn(2, WIDTH, EXAMPLES), torch.arange(2 * EXAMPLES).view(2, -1) % 3
    (head, _) = modules
    assert isinstance(head, SpeakerLinear)
    before = speaker_losses(head, x, own_of(modules), y)
    head.speakers.weight.data *= torch.tensor([[1.0], [3.0], [0.1]])
    close(speaker_losses(head, x, own_of(modules), y), before)


# Dropout.


def plain_masks(seed: int, shape: tuple[int, ...], count: int, share: float = 0.25) -> list[Tensor]:
    """What a fit of that seed is multiplied with, step by step, where it is by itself."""
    noise = Noise([seed], "cpu")
    return [noise.drop(torch.ones(1, *shape), share)[0] for _ in range(count)]


def test_a_share_is_dropped_and_the_rest_made_as_much_larger() -> None:
    out = Noise([3, 3, 4], "cpu").drop(torch.ones(3, 200, 500), 0.1)
    assert sorted(set(out.unique().tolist())) == pytest.approx([0, 1 / 0.9])
    for each in out:
        assert (each == 0).double().mean().item() == pytest.approx(0.1, abs=0.005)


@pytest.mark.parametrize("seeds", [[1], [1, 1, 1], [1, 1, 2, 2], [1, 2, 1, 2], [2, 1, 1, 3, 2]])
def test_fits_of_one_seed_drop_the_same_as_each_would_by_itself(seeds: list[int]) -> None:
    noise, x = Noise(seeds, "cpu"), drawn(len(seeds), 20, EXAMPLES)
    alone = {seed: plain_masks(seed, (20, EXAMPLES), 3) for seed in set(seeds)}
    for step in range(3):
        close(noise.drop(x, 0.25), torch.stack([x[i] * alone[seed][step] for i, seed in enumerate(seeds)]))
    assert len({tuple(each.flatten().tolist()) for masks in alone.values() for each in masks}) == 3 * len(alone)


@pytest.mark.parametrize("kept", [[1, 1, 0, 1, 1], [0, 0, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 1, 1]])
def test_the_fits_that_go_on_drop_what_they_would_have(kept: list[int]) -> None:
    seeds = [1, 1, 2, 1, 3]
    noise, x = Noise(seeds, "cpu"), drawn(5, 20, EXAMPLES)
    noise.drop(x, 0.25)
    noise.keep([bool(stays) for stays in kept])
    going = [i for i, stays in enumerate(kept) if stays]
    for step in (1, 2):
        masks = [plain_masks(seeds[i], (20, EXAMPLES), 3)[step] for i in going]
        close(noise.drop(x[going], 0.25), x[going] * torch.stack(masks))


def test_what_is_dropped_has_nothing_to_do_with_the_order_of_the_examples() -> None:
    order = torch.empty(20, EXAMPLES).bernoulli_(0.75, generator=torch.Generator().manual_seed(5)) > 0
    assert not torch.equal(plain_masks(5, (20, EXAMPLES), 1)[0] > 0, order)


def test_dropout_drops_the_share_of_its_module() -> None:
    own = own_of([nn.Linear(1, 1)])
    dropped = run(nn.Dropout(0.75), torch.ones(1, 100, 100), own) == 0
    assert dropped.double().mean().item() == pytest.approx(0.75, abs=0.02)


# Whole probes.


def answers(target: Target, *shape: int) -> Tensor:
    numbers = torch.arange(math.prod(shape)).view(shape)
    match target:
        case Slots():
            return torch.stack([numbers % 3, numbers % 2], dim=-1)
        case Tags() | Events():
            return (drawn(*shape, 3, seed=5) > 0).double()
        case Value():
            return drawn(*shape, seed=5)
    return numbers % 3


def learned(name: str) -> list[tuple[str, str, str]]:
    """Every join, pool and kind of target that a trained head of the catalogue has to do with."""
    found = set()
    for group, kinds in HEADS[name].kinds.items():
        for each in GROUPS[group]:
            interface = Interface.parse(each.replace("layer:K", "layer:0"))
            found |= {(interface.join, interface.pool, kind) for kind in kinds}
    return sorted(found)


TRAINED = [name for name, entry in HEADS.items() if isinstance(entry.head, Trained)]
#: With the place of a setting: HEAR's first has one hidden layer, its last has two.
CATALOGUE = [
    *((name, 0, *each) for name in TRAINED for each in learned(name)),
    ("hear-mlp", -1, "weighted-sum", "attention", "class"),
    ("hear-mlp", -1, "one", "none", "events"),
]


@pytest.mark.parametrize(("streams", "fits"), [(1, 2), (2, 2), (2, 4)])
@pytest.mark.parametrize(("name", "place", "join", "pool", "kind"), CATALOGUE)
def test_a_stack_has_the_losses_and_the_gradients_of_its_probes(
    name: str, place: int, join: str, pool: str, kind: str, streams: int, fits: int
) -> None:
    head, target = HEADS[name].head, TARGETS[kind]
    assert isinstance(head, Trained)
    layers, clips = 1 if join == "one" else LAYERS, 3 if pool == "attention" else EXAMPLES
    outputs, point = {"slots": 5, "value": 1}.get(kind, 3), head.settings()[place]
    setting = {key: value for key, value in point.items() if key != "rate"}
    made = many(lambda: build(head.network, (layers, WIDTH), outputs, (join, pool), setting), fits)
    probes = [probe for probe in made if isinstance(probe, Probe)]
    twins, y = [alike(probe, seed) for seed, probe in enumerate(probes)], answers(target, streams, clips)
    framed = (FRAMES,) if pool == "attention" else ()
    x, mask = drawn(streams, clips, *framed, layers, WIDTH), MASK[:streams] if framed else None
    stack = Stack(probes, range(fits), "cpu")
    found = stack.losses(target, x, mask, y)
    found.sum().backward()
    for i, twin in enumerate(twins):
        k = i * streams // fits
        loss = plain_loss(twin, target, x[k], None if mask is None else mask[k], y[k])
        loss.backward()
        close(found[i], loss)
        for key, parameter in twin.named_parameters():
            grads = stack.tensors[key].grad
            assert grads is not None and parameter.grad is not None
            close(grads[i], parameter.grad)
        for key, buffer in twin.named_buffers():
            if buffer.is_floating_point():
                close(dict(probes[i].named_buffers())[key], buffer)


# Stacks.


def hear(fits: int, seeds: Sequence[int] | None = None) -> tuple[Stack, list[Probe]]:
    """A stack of networks with all there is: buffers, dropout, two linear layers and a weighted sum."""
    setting = {"hidden_layers": 1, "init": "normal"}
    made = many(lambda: build("hear-mlp", (LAYERS, WIDTH), 3, ("weighted-sum", "mean"), setting), fits)
    probes = [probe for probe in made if isinstance(probe, Probe)]
    return Stack(probes, seeds or [0] * fits, "cpu"), probes


def numbers(probe: nn.Module) -> dict[str, Tensor]:
    return {name: own.clone() for name, own in probe.state_dict().items() if own.is_floating_point()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(own, other[name]) for name, own in one.items())


def learn(stack: Stack, x: Tensor) -> Tensor:
    """One step down; the losses before it."""
    y = torch.arange(EXAMPLES).expand(len(x), -1) % 3
    losses = stack.losses(TARGETS["class"], x, None, y)
    grads = torch.autograd.grad(losses.sum(), stack.parameters)
    with torch.no_grad():
        for own, grad in zip(stack.parameters, grads, strict=True):
            own -= 0.1 * grad
    return losses.detach()


def test_a_stack_holds_what_its_probes_had_and_they_see_what_becomes_of_it() -> None:
    probes = hear(3)[1]
    before = [numbers(probe) for probe in probes]
    stack = Stack(probes, [0, 0, 0], "cpu")
    assert [same(numbers(probe), each) for probe, each in zip(probes, before, strict=True)] == 3 * [True]
    learn(stack, drawn(1, EXAMPLES, LAYERS, WIDTH))
    for i, probe in enumerate(probes):
        after = numbers(probe)
        assert same(after, {name: own[i] for name, own in stack.tensors.items()})
        assert not any(torch.equal(own, before[i][name]) for name, own in after.items())


def test_what_is_learned_is_the_parameters_and_not_the_running_statistics() -> None:
    stack, (probe, _) = hear(2)
    assert [own.shape[1:] for own in stack.parameters] == [own.shape for own in probe.parameters()]
    assert all(own.requires_grad and own.is_leaf for own in stack.parameters)
    assert not stack.tensors["head.1.running_mean"].requires_grad


@pytest.mark.parametrize("kept", [[1, 0, 1, 1], [0, 0, 0, 1], [0, 1, 1, 0], [1, 1, 1, 1]])
def test_those_that_are_kept_go_on_as_they_would_have_and_the_others_stay(kept: list[int]) -> None:
    (stack, probes), (other, others) = hear(4, [1, 1, 2, 2]), hear(4, [1, 1, 2, 2])
    first, second = (drawn(4, EXAMPLES, LAYERS, WIDTH, seed=seed) for seed in (1, 2))
    for each in (stack, other):
        learn(each, first)
    left = [numbers(probe) for probe in probes]
    stack.keep([bool(stays) for stays in kept])
    rows = [i for i, stays in enumerate(kept) if stays]
    assert stack.probes == [probes[i] for i in rows]
    close(learn(stack, second[rows]), learn(other, second)[rows])
    for i, probe in enumerate(probes):
        now, expected = numbers(probe), numbers(others[i]) if kept[i] else left[i]
        for name, own in now.items():
            close(own, expected[name])
        assert same(now, left[i]) == (not kept[i])


@pytest.mark.parametrize("streams", [1, 3])
def test_a_fit_that_is_broken_breaks_no_other(streams: int) -> None:
    (stack, probes), (other, _) = hear(3), hear(3)
    probes[1].get_parameter("interface.join.logits").data.fill_(math.nan)
    x = drawn(streams, EXAMPLES, LAYERS, WIDTH)
    y = torch.arange(EXAMPLES).expand(streams, -1) % 3
    broken, whole = (each.losses(TARGETS["class"], x, None, y) for each in (stack, other))
    assert broken.isfinite().tolist() == [True, False, True]
    for losses in (broken, whole):
        losses.sum().backward()
    close(broken[::2], whole[::2])
    for mine, theirs in zip(stack.parameters, other.parameters, strict=True):
        assert mine.grad is not None and theirs.grad is not None
        close(mine.grad[::2], theirs.grad[::2])


def test_a_stack_learns_whatever_mode_its_probes_are_in() -> None:
    (stack, probes), (other, _) = hear(2), hear(2)
    for probe in probes:
        probe.eval()
    x = drawn(2, EXAMPLES, LAYERS, WIDTH)
    close(learn(stack, x), learn(other, x))
    close(stack.tensors["head.1.running_mean"], other.tensors["head.1.running_mean"])
