"""Protocols: every number of theirs is the one that was published, here as literals from the benchmarks' own code."""

import random
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from sklearn.model_selection import ParameterGrid

from harness import recipes, splits
from harness.catalogue import HEADS, HEAR_GRID, check_pair, describe_training, find_head
from harness.heads import Head
from harness.neighbours import KNN
from harness.networks import build
from harness.protocols import PROTOCOLS, Protocol, describe, find_protocol, table
from harness.trained import Trained
from harness.training import Training
from harness.types import KINDS

Refused = Callable[[str], AbstractContextManager[None]]
PLAIN = ["default", "superb", "hear", "arch", "evar", "xares"]
COMPAT = ["superb:compat", "hear:compat", "arch:compat", "evar:compat", "xares:compat"]

#: What a training is unless a benchmark says otherwise.
NOTHING: dict[str, Any] = {
    "steps": None,
    "epochs": None,
    "least_steps": 0,
    "checks": None,
    "check_epochs": 1,
    "patience": None,
    "keep": "best",
    "optimiser": "adam",
    "weight_decay": 0.0,
    "schedule": "constant",
    "clip": None,
    "shuffle": True,
}
SUPERB = {"batch": 32, "clip": 1.0, "checks": 40, "rates": (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)}
HEAR = {"batch": 1024, "epochs": 500, "check_epochs": 3, "patience": 20, "rates": ()}
ARCH = {"batch": 32, "epochs": 200, "rates": (1e-3,), "optimiser": "adamw", "weight_decay": 0.01}
EVAR = {"batch": 200, "epochs": 200, "patience": 20, "keep": "latest best", "weight_decay": 1e-8}
XARES = {"batch": 32, "epochs": 10, "rates": (1e-3,), "schedule": "cosine to a tenth"}
TRAINING: dict[str, dict[str, Any]] = {
    "superb": {**SUPERB, "steps": 30_000, "epochs": 200},
    "superb:compat": {**SUPERB, "steps": 200_000},
    "hear": HEAR,
    "hear:compat": {**HEAR, "shuffle": False},
    "arch": {**ARCH, "keep": "lowest loss", "schedule": "warm-up and down"},
    "arch:compat": {**ARCH, "keep": "last", "schedule": "warm-up and down, early"},
    "evar": {**EVAR, "rates": (1e-3, 3e-4, 1e-4, 3e-5)},
    "evar:compat": {**EVAR, "rates": (3e-4,)},
    "xares": {**XARES, "least_steps": 2000},
    "xares:compat": XARES,
}
USUAL = {
    "superb": dict.fromkeys(("class", "tags", "slots", "value"), ("weighted-sum", "superb-linear")),
    "hear": {"class": ("last", "hear-mlp"), "tags": ("last", "hear-mlp"), "events": ("last/frames", "hear-mlp")},
    "arch": dict.fromkeys(("class", "tags"), ("last", "arch-linear")),
    "evar": dict.fromkeys(("class", "tags"), ("last", "evar-linear")),
    "xares": dict.fromkeys(("class", "tags"), ("last", "xares-linear")),
    "default": {
        "class": ("best-layer", "logistic"),
        "tags": ("best-layer", "logistic"),
        "slots": ("best-layer", "logistic"),
        "value": ("best-layer", "ridge"),
        "trials": ("best-layer", "cosine"),
        "events": ("last/frames", "hear-mlp"),
    },
}


def head_of(name: str, kind: str = "class", **published: Any) -> Head:
    protocol = find_protocol(name)
    return protocol.method(protocol.usual[kind][1], published, "cpu").head


def training_of(name: str, **published: Any) -> Training:
    head = head_of(name, **published)
    assert isinstance(head, Trained)
    return head.training


def test_every_benchmark_has_a_plain_and_a_published_protocol() -> None:
    assert set(PROTOCOLS) == {*PLAIN, *COMPAT}
    assert all(protocol.name == name for name, protocol in PROTOCOLS.items())


# Training.


@pytest.mark.parametrize("name", TRAINING)
def test_the_training_is_the_published_one(name: str) -> None:
    assert vars(training_of(name)) == {**NOTHING, **TRAINING[name]}


def test_hears_grid_is_eight_drawn_points_of_sixteen() -> None:
    grid = {"hidden_layers": [1, 2], "initialization": ["uniform", "normal"], "lr": [3.2e-3, 1e-3, 3.2e-4, 1e-4]}
    points = list(ParameterGrid(grid))
    random.Random(42).shuffle(points)
    assert len(points) == 16
    drawn = [(point["hidden_layers"], point["initialization"], point["lr"]) for point in points[:8]]
    assert drawn == list(HEAR_GRID)
    for name in ("hear", "hear:compat"):
        head = head_of(name)
        assert isinstance(head, Trained)
        assert head.settings() == [{"hidden_layers": n, "init": init, "rate": rate} for n, init, rate in drawn]


def shapes(name: str, **setting: Any) -> list[tuple[int, ...]]:
    """The weights of a protocol's head on two outputs, after features of width 48."""
    head = head_of(name)
    assert isinstance(head, Trained)
    probe = build(head.network, (1, 48), 2, ("one", "mean"), setting)
    return [tuple(weight.shape) for weight in probe.head.parameters() if weight.ndim == 2]


@pytest.mark.parametrize("end", ["", ":compat"])
def test_the_networks_have_the_published_widths(end: str) -> None:
    assert shapes(f"superb{end}") == [(256, 48), (2, 256)]
    assert shapes(f"hear{end}", hidden_layers=1) == [(1024, 48), (2, 1024)]
    assert shapes(f"hear{end}", hidden_layers=2) == [(1024, 48), (1024, 1024), (2, 1024)]
    assert shapes(f"arch{end}") == shapes(f"evar{end}") == shapes(f"xares{end}") == [(2, 48)]


def test_hears_network_drops_a_tenth_behind_batch_norm_and_before_relu() -> None:
    probe = build("hear-mlp", (1, 48), 2, ("one", "mean"), {"hidden_layers": 1})
    assert isinstance(probe.head, torch.nn.Sequential)
    _, norm, dropout, relu, _ = probe.head
    assert isinstance(norm, torch.nn.BatchNorm1d)
    assert isinstance(dropout, torch.nn.Dropout)
    assert isinstance(relu, torch.nn.ReLU)
    assert dropout.p == 0.1


@pytest.mark.parametrize(("clips", "steps"), [(100, 200 * 4), (4000, 200 * 125), (10_000, 30_000)])
def test_superb_trains_30_000_steps_but_no_more_than_200_epochs(clips: int, steps: int) -> None:
    plan = training_of("superb").plan(clips)
    assert plan.steps == steps
    assert len(plan.checks) == 40


@pytest.mark.parametrize("name", ["superb", "superb:compat"])
def test_a_task_with_steps_of_its_own_is_trained_for_these(name: str) -> None:
    training = training_of(name, steps=4000, batch=64)
    assert training.plan(100).steps == 4000
    assert (training.batch, training.epochs) == (64, None)


@pytest.mark.parametrize(("name", "clips", "steps"), [("xares", 1600, 2000), ("xares:compat", 1600, 500)])
def test_xares_trains_small_tasks_longer_than_published(name: str, clips: int, steps: int) -> None:
    assert training_of(name).plan(clips).steps == steps


def test_a_tasks_own_rate_is_the_only_one() -> None:
    assert training_of("xares", rate=5e-3, epochs=50).rates == (5e-3,)
    assert training_of("xares", rate=5e-3, epochs=50).epochs == 50


def test_what_a_benchmark_prescribes_is_for_its_own_head_only() -> None:
    method = find_protocol("superb").method("arch-linear", {"steps": 4000}, "cpu")
    assert method.head == HEADS["arch-linear"].head


def test_words_for_the_recipe_do_not_move_the_training() -> None:
    assert training_of("superb", gain=-3.0, crop=8.0, seconds=4.0) == training_of("superb")


# All but the training.


@pytest.mark.parametrize("name", PLAIN)
def test_plain_protocols_hear_whole_clips_on_the_tasks_own_splits_in_the_upstreams_own_view(name: str) -> None:
    protocol = find_protocol(name)
    assert (protocol.recipe, protocol.splits, protocol.view) == ("whole", "official", "")
    assert not protocol.chooses_once


@pytest.mark.parametrize(
    ("name", "recipe", "rule"),
    [
        ("superb:compat", recipes.superb, splits.official),
        ("hear:compat", recipes.hear, splits.chosen_once),
        ("arch:compat", recipes.arch, splits.random_fifth),
        ("evar:compat", recipes.evar, splits.random_tenth),
        ("xares:compat", recipes.xares, splits.valid_is_test),
    ],
)
def test_published_protocols_have_the_published_recipe_and_splits(name: str, recipe: Any, rule: Any) -> None:
    protocol = find_protocol(name)
    assert recipes.RULES[protocol.recipe].rule is recipe
    assert splits.RULES[protocol.splits].rule is rule
    assert (protocol.view, protocol.chooses_once) == ("mean", name == "hear:compat")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_rule_that_a_protocol_names_is_there(name: str) -> None:
    assert find_protocol(name).recipe in recipes.RULES
    assert find_protocol(name).splits in splits.RULES


@pytest.mark.parametrize("name", PROTOCOLS)
def test_evar_standardises_and_so_does_the_default(name: str) -> None:
    assert find_protocol(name).standardise == (name in ("default", "evar", "evar:compat"))
    told = describe(name)["standardised"]
    assert told == ("by the training clips" if find_protocol(name).standardise else "no")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_only_the_default_refits(name: str) -> None:
    assert find_protocol(name).refit == (name == "default")


@pytest.mark.parametrize("name", PROTOCOLS)
def test_evar_trains_seeds_42_to_44_and_the_others_one(name: str) -> None:
    protocol = find_protocol(name)
    seeds = list(range(protocol.first_seed, protocol.first_seed + protocol.seeds))
    assert seeds == ([42, 43, 44] if name in ("evar", "evar:compat") else [0])


def test_xares_neighbours_are_ten_at_a_temperature_of_7_hundredths_and_normalised_its_way() -> None:
    published = KNN(ks=(10,), temperatures=(0.07,), normalise="feature")
    assert find_protocol("xares:compat").method("knn", {}, "cpu").head == published
    assert find_protocol("xares").method("knn", {}, "cpu").head == HEADS["knn"].head


@pytest.mark.parametrize("name", ["arch-linear", "arch-nonlinear"])
def test_both_of_archs_heads_keep_its_last_epoch(name: str) -> None:
    head = find_protocol("arch:compat").method(name, {}, "cpu").head
    assert isinstance(head, Trained)
    assert vars(head.training) == {**NOTHING, **TRAINING["arch:compat"]}


# Interface and head.


@pytest.mark.parametrize("name", PROTOCOLS)
def test_each_kind_of_target_gets_the_interface_and_the_head_of_the_benchmark(name: str) -> None:
    assert find_protocol(name).usual == USUAL[name.partition(":")[0]]


@pytest.mark.parametrize(("name", "kind"), [(name, kind) for name in PROTOCOLS for kind in PROTOCOLS[name].usual])
def test_every_usual_pair_is_in_the_catalogue(name: str, kind: str) -> None:
    interface, head = find_protocol(name).pair(kind)
    check_pair(head, interface, kind)
    assert kind in KINDS


@pytest.mark.parametrize("name", ["superb", "superb:compat"])
def test_superb_refuses_trials_since_there_are_no_x_vectors(name: str, refused: Refused) -> None:
    with refused(f"{name} does not do trials: .*x-vectors"):
        find_protocol(name).pair("trials")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in PROTOCOLS
        for kind in KINDS
        if kind not in (*PROTOCOLS[name].usual, *PROTOCOLS[name].refused)
    ],
)
def test_a_kind_that_a_benchmark_does_not_know_is_refused(name: str, kind: str, refused: Refused) -> None:
    with refused(f"{name} knows no {kind}, only {', '.join(find_protocol(name).usual)}: use --protocol default"):
        find_protocol(name).pair(kind)


def test_the_default_knows_every_kind() -> None:
    assert set(find_protocol("default").usual) == set(KINDS)


@pytest.mark.parametrize(
    ("name", "kind", "interface", "head", "expected"),
    [
        ("default", "class", "last", None, ("last", "logistic")),
        ("default", "class", None, "knn", ("best-layer", "knn")),
        ("default", "class", "conv-mean", "superb-linear", ("conv-mean", "superb-linear")),
        ("superb", "class", None, "hear-mlp", ("weighted-sum", "hear-mlp")),
        ("superb", "class", None, "logistic", ("last", "logistic")),
        ("superb", "class", "layer:06", None, ("layer:6", "superb-linear")),
        ("hear", "events", None, "xares-linear", ("last/frames", "xares-linear")),
        ("default", "trials", None, "speaker-linear", ("best-layer", "speaker-linear")),
    ],
)
def test_what_is_asked_for_wins_and_a_head_gets_an_interface_that_it_can_follow(
    name: str, kind: str, interface: str | None, head: str | None, expected: tuple[str, str]
) -> None:
    found, named = find_protocol(name).pair(kind, interface, head)
    assert (str(found), named) == expected
    check_pair(named, found, kind)


def test_an_interface_that_is_asked_for_alone_keeps_the_protocols_head(refused: Refused) -> None:
    interface, head = find_protocol("default").pair("class", "weighted-sum")
    with refused("logistic does not answer class after the interface weighted-sum"):
        check_pair(head, interface, "class")


def test_an_unknown_protocol_is_refused_with_the_nearest_name(refused: Refused) -> None:
    with refused("there is no protocol 'superbe': did you mean 'superb'"):
        find_protocol("superbe")


# The table.


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("superb", ["norm 1, 30,000 steps or 200 epochs, whichever is shorter, batches of 32", "looked at 40 times"]),
        ("superb:compat", ["norm 1, 200,000 steps, batches of 32", "0.1, 0.01, 0.001, 0.0001, 1e-05"]),
        ("hear", ["500 epochs, batches of 1024", "every 3 epochs", "stops after 20 looks", "8 drawn points"]),
        ("arch", ["AdamW", "weight decay 0.01", "200 epochs, batches of 32, linear warm-up", "rate 0.001"]),
        ("hear:compat", ["500 epochs, batches of 1024, never shuffled"]),
        ("evar", ["rate 0.001, 0.0003, 0.0001, 3e-05", "stops after 20 looks"]),
        ("xares", ["10 epochs, at least 2,000 steps", "cosine to a tenth of the rate"]),
        ("default", ["solved, not trained by steps", "C 0.0001, 0.001, 0.01, 0.1, 1, 10"]),
    ],
)
def test_a_training_is_told_in_words(name: str, words: list[str]) -> None:
    told = "; ".join(describe_training(head_of(name)))
    assert all(word in told for word in words), told


def test_the_table_has_a_row_for_every_protocol_and_tells_its_defects() -> None:
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table().splitlines()]
    assert [row[0] for row in rows[2:]] == [f"`{name}`" for name in PROTOCOLS]
    assert {len(row) for row in rows} == {8}
    for row, protocol in zip(rows[2:], PROTOCOLS.values(), strict=True):
        rules = [splits.RULES[protocol.splits].summary, recipes.RULES[protocol.recipe].summary]
        assert row[4:] == [protocol.chosen, *rules, protocol.defects]


def test_a_protocol_of_no_benchmark_would_be_like_any_other() -> None:
    one = Protocol("mine", "mine", "me", {"class": ("last", "knn")}, chosen="k", defects="none")
    assert one.method("knn", {}, "cpu").head is find_head("knn").head
    assert (one.benchmark, one.recipe, one.splits) == ("mine", "whole", "official")
