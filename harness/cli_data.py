"""Commands on data and contracts: ``harness data`` and ``harness check``."""

import json
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from harness import show
from harness.errors import UserError
from harness.events import Event
from harness.options import Data, Device, Json, Partial

if TYPE_CHECKING:
    from harness.finding import Finding

data_app = typer.Typer(help="Fetch, verify and find the data of tasks.", no_args_is_help=True)
check_app = typer.Typer(help="Examine upstreams and tasks.", no_args_is_help=True)


@data_app.command("path")
def data_path(task: str, data: Data = []) -> None:
    """Print the folder where a task's data lie or would lie."""
    from harness.data import task_folder
    from harness.registry import load_task

    print(task_folder(load_task(task), data))


@data_app.command("fetch")
def data_fetch(task: str, data: Data = [], as_json: Json = False) -> None:
    """Get a task's data and unpack them, whole or not at all."""
    from harness.data import fetch, told_of_fetch
    from harness.registry import load_task

    with show.reporting(as_json) as report:
        folder = fetch(load_task(task), data, report)
        for note in told_of_fetch(folder):
            report(Event("note", note))
        report(Event("fetch", f"the data of {task} are in {folder}", {"folder": str(folder)}))


@data_app.command("verify")
def data_verify(task: str, data: Data = [], partial: Partial = False, as_json: Json = False) -> None:
    """Decode every clip of a task and name what is missing, unreadable, or there twice."""
    from harness.registry import load_task
    from harness.verify import verify

    with show.reporting(as_json) as report:

        def progress(done: int, total: int) -> None:
            if done % 100 == 0 or done == total:
                report(Event("verify", f"{done}/{total} clips decoded", {}, done, total))

        verdict = verify(load_task(task), data, progress, partial=partial)
        for note in verdict.notes:
            report(Event("note", note))
        for problem in verdict.problems:
            report(Event("problem", problem))
        if not verdict.problems:
            report(Event("verify", f"{task} is {'readable' if partial else 'complete and readable'}"))
    if verdict.problems:
        raise UserError(f"{task} has {len(verdict.problems)} problems, named above")


@check_app.command("upstream")
def check_upstream(
    name: Annotated[str, typer.Argument(help=r"NAME[:TOKEN[-TOKEN]...]\[@WEIGHTS], such as beats@untrained.")],
    quick: Annotated[bool, typer.Option("--quick", help="Short clips; of an untrained upstream a small network.")] = (
        False
    ),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Examine an upstream: does it keep the contract that every number rests on?"""
    from harness.testing import CHECKS, Subject, examine

    subject = Subject.of(name, quick=quick, device=device)
    _examined(name, subject.summary(), (examine(subject, title) for title in CHECKS), as_json)


@check_app.command("task")
def check_task(
    name: Annotated[str, typer.Argument(help="NAME[:VARIANT], csv:FILE or folder:PATH")],
    data: Data = [],
    as_json: Json = False,
) -> None:
    """Examine a task: its record, and what its folder holds if that is there."""
    from harness.contract import CHECKS, TaskSubject, examine

    subject = TaskSubject.of(name, data)
    _examined(name, subject.summary(), (examine(subject, title) for title in CHECKS), as_json)


def _examined(name: str, summary: str, findings: "Iterable[Finding]", as_json: bool) -> None:
    """Show findings as they come, and end with exit code 2 if one is ill."""
    if not as_json:
        print(f"{summary}\n", flush=True)
    states = Counter[str]()
    for finding in findings:
        states[finding.state] += 1
        print(json.dumps(finding._asdict() | {"state": finding.state}) if as_json else show.letter(finding), flush=True)
    if ill := states["ILL"]:
        raise UserError(f"{name} fails {ill} of {states.total()} checks, told above")
    if not as_json:
        print(f"\n{name} is well: {states['well']} checks passed, {states['left out']} did not apply.")
