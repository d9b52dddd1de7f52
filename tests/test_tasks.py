"""Every built-in task on a miniature of its data set, in the authors' layout: the contract holds, and it runs."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import cache
from pathlib import Path

import pytest

import harness
from harness.contract import CHECKS, TaskSubject, examine
from harness.finding import Finding
from harness.registry import load_task, plugins, task_names
from harness.types import Events

import trees

Refused = Callable[[str], AbstractContextManager[None]]

#: Tasks of a user's own audio, and the one that is generated.
TREELESS = {"csv", "folder", "hear", "hf", "synthetic"}
FAMILIES = sorted(set(plugins("tasks")) - TREELESS)
NAMES = [name for family in FAMILIES for name in task_names(family)]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a task's miniature, which no test changes."""

    @cache
    def make(name: str) -> Path:
        folder = tmp_path_factory.mktemp("tree")
        trees.write(name, folder)
        return folder

    return make


@pytest.fixture(scope="module")
def found(tree: Callable[[str], Path]) -> Callable[[str, str], Finding]:
    """Gives what a check finds of a task on its miniature."""

    @cache
    def subject(name: str) -> TaskSubject:
        return TaskSubject.of(name, [f"{name}={tree(name)}"])

    return lambda name, check: examine(subject(name), check)


def test_every_built_in_has_a_miniature() -> None:
    assert trees.known() == set(FAMILIES)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", NAMES)
def test_the_contract_holds(found: Callable[[str, str], Finding], name: str, check: str) -> None:
    finding = found(name, check)
    assert not finding.change, finding


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_on_the_part_that_is_there(
    tree: Callable[[str], Path], folders: dict[str, str], quick: None, name: str
) -> None:
    folders["data"] = f"{name}={tree(name)}"
    upstream = "crepe:tiny" if isinstance(load_task(name).target, Events) else "mel"  # events are told frame by frame
    assert "partial" in harness.run(upstream, name, partial=True, **folders).badges


@pytest.mark.parametrize("name", NAMES)
def test_without_partial_a_part_is_refused(tree: Callable[[str], Path], refused: Refused, name: str) -> None:
    from harness.datasets import load_clips

    with refused("missing|another release"):
        load_clips(load_task(name), tree(name))
