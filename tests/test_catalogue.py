"""The catalogue: which head follows which interface to answer which kind of target, and what a refusal says."""

import re
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from harness.catalogue import (
    ARCH_TRAINING,
    GROUPS,
    HEADS,
    check_pair,
    describe,
    describe_interface,
    describe_training,
    find_head,
    group_of,
    groups,
    table,
)
from harness.errors import UserError
from harness.interfaces import INTERFACES, NAMES, POOLINGS, Interface
from harness.trained import Trained
from harness.types import KINDS

Refused = Callable[[str], AbstractContextManager[None]]

#: Every interface that there is, by its group.
GROUP = {
    **dict.fromkeys(["best-layer", "last", "layer:3", "mean", "concat"], "vector"),
    **dict.fromkeys(["best-layer/mean-std", "last/mean-std", "layer:3/mean-std", "concat/mean-std"], "vector"),
    **dict.fromkeys(["weighted-sum", "conv", "conv-mean"], "learned"),
    **dict.fromkeys([f"{name}/attention" for name in ("last", "layer:3", "mean", "concat")], "learned"),
    **dict.fromkeys(["weighted-sum/attention", "conv/attention"], "learned"),
    **dict.fromkeys([f"{name}/frames" for name in ("last", "layer:3", "mean", "concat")], "frames"),
    **dict.fromkeys(["weighted-sum/frames", "conv/frames"], "frames"),
}
#: What each head answers: of one vector a clip, of what is learned with it, of frames.
ANSWERS = {
    "logistic": ("class tags slots", "", ""),
    "ridge": ("class tags slots value", "", ""),
    "nearest-mean": ("class", "", ""),
    "knn": ("class tags slots value", "", ""),
    "superb-linear": ("class tags slots value", "class tags slots value", ""),
    "hear-mlp": ("class tags slots value", "class tags slots value", "events"),
    "arch-linear": ("class tags", "class tags", ""),
    "arch-nonlinear": ("class tags", "class tags", ""),
    "evar-linear": ("class tags", "class tags", ""),
    "xares-linear": ("class tags", "class tags", "events"),
    "cosine": ("trials", "", ""),
    "speaker-linear": ("trials", "trials", ""),
}


def answered(head: str, interface: str) -> set[str]:
    return set(ANSWERS[head][list(GROUPS).index(GROUP[interface])].split())


def test_the_heads_are_those_that_are_tested() -> None:
    assert set(HEADS) == set(ANSWERS)


def test_the_names_of_interfaces_are_those_that_can_be_parsed_and_all_are_tested() -> None:
    found = set()
    for layers in INTERFACES:
        for name in (layers, *(f"{layers}/{pooling}" for pooling in POOLINGS)):
            try:
                Interface.parse(name.replace("K", "3"))
            except UserError:
                continue
            found.add(name)
    assert len(NAMES) == len(found)
    assert found == set(NAMES) == {name.replace("3", "K") for name in GROUP}


@pytest.mark.parametrize("interface", GROUP)
def test_every_interface_is_of_one_group(interface: str) -> None:
    assert group_of(Interface.parse(interface)) == GROUP[interface]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interface", GROUP)
@pytest.mark.parametrize("head", ANSWERS)
def test_a_pair_is_let_pass_where_the_table_has_it_and_else_refused_in_one_sentence(
    head: str, interface: str, kind: str
) -> None:
    def check() -> None:
        check_pair(head, Interface.parse(interface), kind)

    if kind in answered(head, interface):
        check()
        return
    with pytest.raises(UserError) as caught:
        check()
    sentence = str(caught.value)
    assert not re.search(r"\n|\.(\s|$)", sentence)
    assert kind in sentence
    assert interface in sentence


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("interface", GROUP)
def test_a_refusal_names_the_heads_that_would_do(interface: str, kind: str) -> None:
    able = [head for head in ANSWERS if kind in answered(head, interface)]
    for head in set(ANSWERS) - set(able) if able else ():
        with pytest.raises(UserError, match=f"those that do are {', '.join(able)}$"):
            check_pair(head, Interface.parse(interface), kind)


@pytest.mark.parametrize(
    ("interface", "kind", "instead"),
    [("last", "events", "last/frames, layer:K/frames"), ("last/frames", "class", "best-layer, .*, conv/attention$")],
)
def test_where_no_head_would_do_the_refusal_names_the_interfaces(
    interface: str, kind: str, instead: str, refused: Refused
) -> None:
    with refused(f"no head answers {kind} after the interface {interface}: for {kind} there is .*{instead}"):
        check_pair("logistic", Interface.parse(interface), kind)


def test_an_unknown_head_is_refused_with_the_nearest_name(refused: Refused) -> None:
    with refused("there is no head 'logistics': did you mean 'logistic'"):
        find_head("logistics")


@pytest.mark.parametrize("name", [name for name, entry in HEADS.items() if isinstance(entry.head, Trained)])
def test_a_trained_head_goes_by_the_name_of_its_network(name: str) -> None:
    head = HEADS[name].head
    assert isinstance(head, Trained)
    assert head.network == name


def test_the_table_has_a_row_for_every_head_and_a_column_for_every_group() -> None:
    header, rule, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table().splitlines()]
    assert header == ["head", *GROUPS]
    assert rule == ["---"] * 4
    assert rows == [
        [f"`{head}`", *(own.replace(" ", ", ") or "–" for own in answers)] for head, answers in ANSWERS.items()
    ]


def test_the_groups_state_every_interface() -> None:
    _, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in groups().splitlines()]
    expected = defaultdict(set)
    for name, group in GROUP.items():
        expected[group].add(f"`{name.replace('3', 'K')}`")
    assert {group: set(names.split(", ")) for group, names in rows} == expected
    assert [group for group, _ in rows] == list(GROUPS)


@pytest.mark.parametrize("head", ANSWERS)
def test_info_of_a_head_states_the_interfaces_that_it_follows(head: str) -> None:
    told = {
        (kind, name)
        for kinds, line in describe(head).items()
        for kind in KINDS
        if kind in kinds.split(", ")
        for name in line.removeprefix("after ").split(", ")
    }
    assert told == {(kind, name.replace("3", "K")) for name in GROUP for kind in answered(head, name)}


@pytest.mark.parametrize("interface", GROUP)
def test_info_of_an_interface_states_the_heads_that_follow_it(interface: str) -> None:
    told = {head: kinds for head, kinds in describe_interface(interface).items() if head in HEADS}
    assert {head: set(kinds.split(", ")) for head, kinds in told.items()} == {
        head: answered(head, interface) for head in ANSWERS if answered(head, interface)
    }


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("logistic", ("solved, not trained by steps", "C 0.0001, 0.001, 0.01, 0.1, 1, 10")),
        ("ridge", ("solved, not trained by steps", "alpha 0.01, 0.1, 1, 10, 100, 1000, 10000")),
        ("knn", ("solved, not trained by steps", "k 1, 3, 10, 30; temperature 0.07")),
        ("cosine", ("solved, not trained by steps", "")),
        (
            "hear-mlp",
            (
                "Adam, 500 epochs, batches of 1024, constant rate; looked at after every 3 epochs, stops after 20 "
                "looks without gain",
                "8 drawn points of depth, first weights and rate",
            ),
        ),
        (
            "xares-linear",
            (
                "Adam, 10 epochs, at least 2,000 steps, batches of 32, cosine to a tenth of the rate, epoch by epoch; "
                "looked at after every epoch",
                "rate 0.001",
            ),
        ),
    ],
)
def test_a_training_is_told_in_words_that_a_reader_knows(head: str, told: tuple[str, str]) -> None:
    assert describe_training(HEADS[head].head) == told


def test_a_training_that_keeps_the_last_step_is_not_looked_at() -> None:
    kept, _ = describe_training(Trained("arch-linear", replace(ARCH_TRAINING, keep="last")))
    looked, _ = describe_training(Trained("arch-linear", ARCH_TRAINING))
    assert looked == f"{kept}; looked at after every epoch"
    assert kept.endswith("linear warm-up over a tenth of the steps, then linear to 0")
