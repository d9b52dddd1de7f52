"""The command line: a thin skin over the Python API; what it shows is in :mod:`harness.show`."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness import show
from harness.errors import UserError
from harness.events import Event

if TYPE_CHECKING:
    from harness.experiment import Experiment
    from harness.finding import Finding

app = typer.Typer(
    help="The benchmark harness for frozen audio representations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Fetch, verify and find the data of tasks.", no_args_is_help=True)
check_app = typer.Typer(help="Examine upstreams and tasks.", no_args_is_help=True)
leaderboard_app = typer.Typer(help="Render results.", no_args_is_help=True)
results_app = typer.Typer(help="List, show and export results.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(check_app, name="check")
app.add_typer(results_app, name="results")
app.add_typer(leaderboard_app, name="leaderboard")

INTERRUPTED = 130
#: What typer raises on a command line that it cannot understand; it exports only this one's child.
UsageError: Any = typer.BadParameter.__mro__[1]


class Kind(StrEnum):
    """What can be listed."""

    upstreams = "upstreams"
    tasks = "tasks"
    interfaces = "interfaces"
    heads = "heads"
    protocols = "protocols"


class Form(StrEnum):
    """How a table is written."""

    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    latex = "latex"


Upstreams = Annotated[
    list[str], typer.Option("--upstream", help="NAME[:TOKEN[-TOKEN]...][@WEIGHTS]; repeat for a sweep.")
]
Tasks = Annotated[
    list[str], typer.Option("--task", help="NAME[:VARIANT], csv:FILE or folder:PATH; repeat for a sweep.")
]
Data = Annotated[
    list[str], typer.Option("--data", help="DIR with one folder per task, or TASK=DIR; default $HARNESS_DATA.")
]
Store = Annotated[Path | None, typer.Option("--store", help="Folder of cached features; default $HARNESS_STORE.")]
Results = Annotated[Path, typer.Option("--results", help="Folder of result files.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Workers = Annotated[int | None, typer.Option("--workers", help="Threads; default one for each processor, up to 8.")]
Limit = Annotated[int | None, typer.Option("--limit", help="Only so many clips; the result is marked partial.")]
Partial = Annotated[bool, typer.Option("--partial", help="Only the clips that are there; a result is marked partial.")]
MaxStore = Annotated[str, typer.Option("--max-store", help="Refuse to extract more than this, such as 50GB.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Forecast hours and bytes; encode a few clips, store none.")]
View = Annotated[str | None, typer.Option("--view", help="mean or mean-ln, instead of the upstream's own.")]
AnyView = Annotated[str | None, typer.Option("--view", help="mean, mean-std or frames[LAYERS]:DTYPE; each with -ln.")]
Protocols = Annotated[str, typer.Option("--protocol", help="See `harness list protocols`.")]
Head = Annotated[str | None, typer.Option("--head", help="Instead of the protocol's: `harness list heads`.")]
Seeds = Annotated[int | None, typer.Option("--seeds", help="Train random heads so many times, not the protocol's.")]
Filter = Annotated[list[str], typer.Option(help="Only this; repeats.")]
Format = Annotated[Form, typer.Option("--format", help="How the table is printed.")]
Out = Annotated[Path | None, typer.Option("--out", help="Write to this file instead: .md, .csv, .json or .tex.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")]


@app.command()
def run(
    upstream: Upstreams,
    task: Tasks,
    protocol: Protocols = "default",
    interface: Annotated[str | None, typer.Option(help="Instead of the protocol's: `harness list interfaces`.")] = None,
    head: Head = None,
    seeds: Seeds = None,
    view: View = None,
    limit: Limit = None,
    partial: Partial = False,
    dry_run: DryRun = False,
    data: Data = [],
    store: Store = None,
    max_store: MaxStore = "50GB",
    results: Results = Path("results"),
    device: Device = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Score upstreams on tasks. Run again, it continues or does nothing."""
    from harness.experiment import run_all

    experiments = _prepared(
        upstream,
        task,
        protocol=protocol,
        interface=interface,
        head=head,
        seeds=seeds,
        view=view,
        limit=limit,
        partial=partial,
        data=data,
        store=store,
        max_store=max_store,
        results=results,
        device=device,
        workers=workers,
    )
    if dry_run:
        show.forecasts(experiments, as_json)
        return
    with show.reporting(as_json) as report:
        outcomes = run_all(experiments, report)
    if not as_json:
        show.results(outcomes)


@app.command()
def features(
    upstream: Annotated[str, typer.Argument(help="NAME[:TOKEN[-TOKEN]...][@WEIGHTS]")],
    task: Annotated[str, typer.Argument(help="NAME[:VARIANT], csv:FILE or folder:PATH")],
    view: AnyView = None,
    limit: Limit = None,
    partial: Partial = False,
    dry_run: DryRun = False,
    data: Data = [],
    store: Store = None,
    max_store: MaxStore = "50GB",
    device: Device = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Only extract the features of a task into the store."""
    from harness.experiment import fill

    (experiment,) = _prepared(
        [upstream],
        [task],
        view=view,
        limit=limit,
        partial=partial,
        data=data,
        store=store,
        max_store=max_store,
        device=device,
        workers=workers,
    )
    if dry_run:
        show.forecasts([experiment], as_json)
        return
    with show.reporting(as_json) as report:
        cost = fill(experiment, report)
        encoded = cost["clips_encoded"]
        text = f"{encoded} clips encoded" if encoded else "nothing to do: every clip is in the store"
        report(Event("features", f"{text}; {cost['store_bytes'] / 1e6:.1f} MB in {experiment.shelf.folder}", cost))


@app.command()
def layers(
    upstream: Annotated[str, typer.Argument(help="NAME[:TOKEN[-TOKEN]...][@WEIGHTS]")],
    task: Annotated[str, typer.Argument(help="NAME[:VARIANT], csv:FILE or folder:PATH")],
    protocol: Protocols = "default",
    interface: Annotated[str, typer.Option(help="best-layer, or best-layer/mean-std.")] = "best-layer",
    head: Head = None,
    seeds: Seeds = None,
    view: View = None,
    limit: Limit = None,
    partial: Partial = False,
    data: Data = [],
    store: Store = None,
    max_store: MaxStore = "50GB",
    device: Device = "auto",
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option(help="Also write the curve as .html, .json or .csv.")] = None,
    as_json: Json = False,
) -> None:
    """Probe every layer by itself, draw the curve, and mark the layer that validation chooses."""
    from harness.curves import check_suffix, draw, write
    from harness.layers import curve

    if out is not None:
        check_suffix(out)
    (experiment,) = _prepared(
        [upstream],
        [task],
        protocol=protocol,
        interface=interface,
        head=head,
        seeds=seeds,
        view=view,
        limit=limit,
        partial=partial,
        data=data,
        store=store,
        max_store=max_store,
        device=device,
        workers=workers,
    )
    with show.reporting(as_json) as report:
        found = curve(experiment, report)
    if as_json:
        from dataclasses import asdict

        print(json.dumps({"event": "curve", **asdict(found)}), flush=True)
    else:
        print(draw(found))
    if out is not None:
        write(found, out)


@app.command()
def measure(
    upstream: Annotated[
        list[str], typer.Option("--upstream", help="NAME[:TOKEN[-TOKEN]...][@WEIGHTS]; repeat to compare them.")
    ] = [],
    seconds: Annotated[list[float], typer.Option("--seconds", help="Length of a clip; repeat for a curve.")] = [],
    tokens: Annotated[list[int], typer.Option("--tokens", help="Length in tokens of the upstream; repeat.")] = [],
    preset: Annotated[str | None, typer.Option(help="A published experiment, such as ssamba; options replace.")] = None,
    batch: Annotated[int | None, typer.Option(help="Clips in one forward; default 1.")] = None,
    attention: Annotated[
        str | None, typer.Option(help="eager (all scores in memory), sdpa (fused) or eager,sdpa; default sdpa.")
    ] = None,
    dtype: Annotated[str | None, typer.Option(help="float32, bfloat16 or float16; default float32.")] = None,
    repeats: Annotated[int | None, typer.Option(help="Timed forwards, after one to warm up; default 10.")] = None,
    max_seconds: Annotated[
        float | None, typer.Option("--max-seconds", help="Budget for the forwards of one point; default 60.")
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option("--max-memory", help="Budget for one forward, such as 16GB; default 80 % of what is free."),
    ] = None,
    threads: Annotated[int | None, typer.Option(help="Threads that compute on a CPU; default as torch has it.")] = None,
    results: Results = Path("results"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure time, memory and FLOPs over the length of a clip. Points go to the folder measures of --results.

    Each point has a fresh process with a budget: what crashes, hangs or takes too much ends in a row that says so.
    Measured again, a point replaces the old one.
    """
    from harness.measure import measure as measure_all
    from harness.measure import of_preset
    from harness.measuring import Measuring
    from harness.ways import Length

    options = {"batch": batch, "dtype": dtype, "repeats": repeats, "max_seconds": max_seconds, "threads": threads}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given |= {"results": results, "device": device}
    if attention is not None:
        given["attention"] = tuple(attention.split(","))
    if max_memory is not None:
        given["max_memory"] = parse_size(max_memory)
    lengths = [Length("seconds", value) for value in seconds] + [Length("tokens", float(value)) for value in tokens]
    usual: tuple[list[str], list[Length], Measuring]
    usual = ([], [], Measuring(**given)) if preset is None else of_preset(preset, given)
    with show.reporting(as_json) as report:
        points = measure_all(upstream or usual[0], lengths or usual[1], usual[2], report)
    if not as_json:
        show.points(points)


@app.command("list")
def list_(
    kind: Annotated[Kind | None, typer.Argument(help="One kind only.")] = None,
    format_: Annotated[str, typer.Option("--format", help="text, or of tasks markdown: a table of records.")] = "text",
) -> None:
    """List what there is; of upstreams alone, their published models too."""
    if format_ != "text":
        if format_ != "markdown" or kind is not Kind.tasks:
            raise UserError(f"--format {format_} is for nothing here: there is `harness list tasks --format markdown`")
        from harness.tasklist import table

        print(table())
        return
    for shown in [kind] if kind else Kind:
        if kind is None:
            print(f"{shown}:")
        if kind is Kind.upstreams:
            print(show.models())
            continue
        rows = show.known(shown)
        width = max(map(len, rows))
        for name, line in rows.items():
            print(f"  {name:<{width}}  {line}" if kind is None else f"{name:<{width}}  {line}")


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="An upstream, a task, a protocol, a head or an interface.")],
    upstream: Annotated[str | None, typer.Option(help="Of a task: what this upstream's features would take.")] = None,
    view: AnyView = None,
) -> None:
    """Show what is known of an upstream, a task, a protocol, a head or an interface."""
    facts = show.described(name)
    if upstream is not None:
        from harness.registry import load_task
        from harness.tasklist import storage

        facts |= storage(load_task(name), upstream, view)
    show.facts(facts)


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
    name: Annotated[str, typer.Argument(help="NAME[:TOKEN[-TOKEN]...][@WEIGHTS], such as beats@untrained.")],
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


@leaderboard_app.command("build")
def leaderboard_build(
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option("--out", help="Folder for index.html, leaderboard.md and leaderboard.csv.")] = (
        Path("leaderboard-out")
    ),
) -> None:
    """Render results as one self-contained page, Markdown and CSV."""
    from harness import points
    from harness.compare import pairwise
    from harness.leaderboard.page import build
    from harness.results import read_all

    found = read_all(results)
    for path in build(found, out, pairwise(found, results), points.read_all(results)):
        print(path)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="An upstream, as results show it.")],
    b: Annotated[str, typer.Argument(help="Another.")],
    results: Results = Path("results"),
    task: Filter = [],
    protocol: Filter = [],
    form: Format = Form.terminal,
    out: Out = None,
) -> None:
    """Say on which tasks two upstreams differ, by how much, how surely, and what each costs."""
    from harness import sheets
    from harness.compare import compare as compared
    from harness.results import chosen

    found = compared(chosen(results, {"task": task, "protocol": protocol}), a, b, results)
    show.tables([sheets.of_comparison(found)], form.value, out)


@results_app.command("ls")
def results_ls(
    results: Results = Path("results"),
    upstream: Filter = [],
    task: Filter = [],
    protocol: Filter = [],
    form: Format = Form.terminal,
    out: Out = None,
) -> None:
    """List results, one line each."""
    from harness import sheets
    from harness.results import chosen

    found = chosen(results, {"upstream": upstream, "task": task, "protocol": protocol})
    show.tables([sheets.of_results(found)], form.value, out)


@results_app.command("show")
def results_show(
    key: Annotated[str, typer.Argument(help="The beginning of a result's key, as `harness results ls` lists it.")],
    results: Results = Path("results"),
    as_json: Json = False,
) -> None:
    """Show everything about one result, and whether its answers give its score."""
    from dataclasses import asdict

    from harness import sheets
    from harness.compare import kept_answers
    from harness.results import by_key

    result = by_key(results, key)
    kept = kept_answers(result, results)
    if as_json:
        print(json.dumps({**asdict(result), "answers_agree": kept is not None}, indent=1))
        return
    agree = "kept; they give this score" if kept else f"not in {results}: the score cannot be made again from here"
    show.facts({**sheets.facts(result), "answers": agree})


@results_app.command("export")
def results_export(
    results: Results = Path("results"),
    upstream: Filter = [],
    task: Filter = [],
    protocol: Filter = [],
    form: Format = Form.terminal,
    out: Out = None,
) -> None:
    """Write a table for each protocol: upstreams by tasks, the best bold, what ties with it underlined."""
    from harness.compare import pairwise
    from harness.leaderboard.overview import overviews
    from harness.results import chosen

    found = chosen(results, {"upstream": upstream, "task": task, "protocol": protocol})
    show.tables(overviews(found, pairwise(found, results)), form.value, out)


def parse_size(text: str) -> float:
    """Bytes of a size such as ``500MB``, ``50GB`` or ``1e9``."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([kMGT]?)B?\s*", text, re.IGNORECASE)
    if match is None:
        raise UserError(f"{text!r} is no size: write one such as 500MB or 50GB")
    return float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}[match[2].lower()]


def _prepared(upstreams: Sequence[str], tasks: Sequence[str], *, max_store: str, **options: Any) -> "list[Experiment]":
    """Experiments as the options of a command say, checked."""
    from harness.experiment import open_store, prepare_all
    from harness.settings import Settings

    settings = Settings(max_store=parse_size(max_store), **options)
    return prepare_all(upstreams, tasks, settings, open_store(settings))


def main() -> None:
    """Run a command: exit 0 when it is done, 2 with one sentence when the user must change something."""
    try:
        if app(standalone_mode=False) == INTERRUPTED:  # typer turns Ctrl-C into this
            print("interrupted; run the same command again to continue", file=sys.stderr)
            sys.exit(INTERRUPTED)
    except UserError as error:
        _end(str(error))
    except UsageError as error:
        given = error.format_message().rstrip(".?").replace(". Did", ", did")
        if not given:  # no command at all: the help has been shown
            sys.exit(2)
        _end(f"{given[0].lower()}{given[1:]}: `harness --help` and `harness COMMAND --help` show what there is")


def _end(sentence: str) -> None:
    print(f"harness: {' '.join(sentence.split())}", file=sys.stderr)
    sys.exit(2)
