"""The command line: a thin skin over the Python API; what it shows is in :mod:`harness.show`."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness import process, show
from harness.cli_data import check_app, data_app
from harness.cli_results import compare, leaderboard_app, results_app
from harness.errors import UserError
from harness.events import Event
from harness.options import (
    AnyView,
    Data,
    Device,
    DryRun,
    Head,
    Json,
    Limit,
    MaxStore,
    Partial,
    Protocols,
    Results,
    Seeds,
    Store,
    Tasks,
    Upstreams,
    View,
    Workers,
    parse_size,
)

if TYPE_CHECKING:
    from harness.experiment import Experiment

app = typer.Typer(
    help="The benchmark harness for frozen audio representations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
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
    upstream: Annotated[str, typer.Argument(help=r"NAME[:TOKEN[-TOKEN]...]\[@WEIGHTS]")],
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
    upstream: Annotated[str, typer.Argument(help=r"NAME[:TOKEN[-TOKEN]...]\[@WEIGHTS]")],
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
        list[str], typer.Option("--upstream", help=r"NAME[:TOKEN[-TOKEN]...]\[@WEIGHTS]; repeat to compare them.")
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
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep lengths that are there from the same command, versions and machine.")
    ] = False,
    results: Results = Path("results"),
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Measure time, memory and FLOPs over the length of a clip. Points go to the folder measures of --results.

    Each point has a fresh process with a budget: what crashes, hangs or takes too much ends in a row that says so.
    Measured again, a point replaces the old one; --resume continues where the same command was stopped.
    """
    from harness.measure import measure as measure_all
    from harness.measure import of_preset
    from harness.measuring import Measuring
    from harness.ways import Length

    options = {"batch": batch, "dtype": dtype, "repeats": repeats, "max_seconds": max_seconds, "threads": threads}
    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    given |= {"results": results, "device": device, "resume": resume}
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


app.command()(compare)


def _prepared(upstreams: Sequence[str], tasks: Sequence[str], *, max_store: str, **options: Any) -> "list[Experiment]":
    """Experiments as the options of a command say, checked."""
    from harness.experiment import open_store, prepare_all
    from harness.settings import Settings

    settings = Settings(max_store=parse_size(max_store), **options)
    return prepare_all(upstreams, tasks, settings, open_store(settings))


def main() -> None:
    """Run a command: exit 0 when it is done, 2 with one sentence when the user must change something."""
    process.wait_briefly()
    process.keep_freed()
    try:
        if app(standalone_mode=False) == INTERRUPTED:  # typer turns Ctrl-C into this
            again = "run the same command again (`harness measure` with --resume)"
            print(f"interrupted; what was finished is kept, so {again}", file=sys.stderr)
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
