"""The command line: a thin skin over the Python API, and the only place that prints."""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from textwrap import wrap
from typing import Annotated, Any

import typer

from harness.errors import UserError, choices
from harness.events import Event, Report

app = typer.Typer(
    help="The benchmark harness for frozen audio representations.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app = typer.Typer(help="Fetch, verify and find the data of tasks.", no_args_is_help=True)
check_app = typer.Typer(help="Examine upstreams.", no_args_is_help=True)
leaderboard_app = typer.Typer(help="Render results.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(check_app, name="check")
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
MaxStore = Annotated[str, typer.Option("--max-store", help="Refuse to extract more than this, such as 50GB.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Forecast hours and bytes; encode a few clips, store none.")]
View = Annotated[str | None, typer.Option("--view", help="mean or mean-ln, instead of the upstream's own.")]
AnyView = Annotated[str | None, typer.Option("--view", help="mean, mean-std or frames[LAYERS]:DTYPE; each with -ln.")]
Protocols = Annotated[str, typer.Option("--protocol", help="See `harness list protocols`.")]
Head = Annotated[str | None, typer.Option("--head", help="Instead of the protocol's: `harness list heads`.")]
Seeds = Annotated[int | None, typer.Option("--seeds", help="Train random heads so many times, not the protocol's.")]
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
    from harness.experiment import open_store, prepare_all, run_all
    from harness.settings import Settings

    settings = Settings(
        protocol=protocol,
        interface=interface,
        head=head,
        seeds=seeds,
        view=view,
        limit=limit,
        data=data,
        store=store,
        max_store=parse_size(max_store),
        results=results,
        device=device,
        workers=workers,
    )
    experiments = prepare_all(upstream, task, settings, open_store(settings))
    if dry_run:
        _show_forecast(experiments, as_json)
        return
    with _reporting(as_json) as report:
        outcomes = run_all(experiments, report)
    if not as_json:
        _show_results(outcomes)


@app.command()
def features(
    upstream: Annotated[str, typer.Argument(help="NAME[:TOKEN[-TOKEN]...][@WEIGHTS]")],
    task: Annotated[str, typer.Argument(help="NAME[:VARIANT], csv:FILE or folder:PATH")],
    view: AnyView = None,
    limit: Limit = None,
    dry_run: DryRun = False,
    data: Data = [],
    store: Store = None,
    max_store: MaxStore = "50GB",
    device: Device = "auto",
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Only extract the features of a task into the store."""
    from harness.experiment import fill, open_store, prepare_all
    from harness.settings import Settings

    settings = Settings(
        view=view,
        limit=limit,
        data=data,
        store=store,
        max_store=parse_size(max_store),
        device=device,
        workers=workers,
    )
    (experiment,) = prepare_all([upstream], [task], settings, open_store(settings))
    if dry_run:
        _show_forecast([experiment], as_json)
        return
    with _reporting(as_json) as report:
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
    data: Data = [],
    store: Store = None,
    max_store: MaxStore = "50GB",
    device: Device = "auto",
    workers: Workers = None,
    out: Annotated[Path | None, typer.Option(help="Also write the curve as .html, .csv or .json.")] = None,
    as_json: Json = False,
) -> None:
    """Probe every layer by itself, draw the curve, and mark the layer that validation chooses."""
    from harness.curves import check_suffix, draw, write
    from harness.experiment import open_store, prepare_all
    from harness.layers import curve
    from harness.settings import Settings

    if out is not None:
        check_suffix(out)
    settings = Settings(
        protocol=protocol,
        interface=interface,
        head=head,
        seeds=seeds,
        view=view,
        limit=limit,
        data=data,
        store=store,
        max_store=parse_size(max_store),
        device=device,
        workers=workers,
    )
    (experiment,) = prepare_all([upstream], [task], settings, open_store(settings))
    with _reporting(as_json) as report:
        found = curve(experiment, report)
    if as_json:
        from dataclasses import asdict

        print(json.dumps({"event": "curve", **asdict(found)}), flush=True)
    else:
        print(draw(found))
    if out is not None:
        write(found, out)


@app.command("list")
def list_(kind: Annotated[Kind | None, typer.Argument(help="One kind only.")] = None) -> None:
    """List what there is; of upstreams alone, their published models too."""
    for shown in [kind] if kind else Kind:
        if kind is None:
            print(f"{shown}:")
        if kind is Kind.upstreams:
            _show_models()
            continue
        rows = _known(shown)
        width = max(map(len, rows))
        for name, line in rows.items():
            print(f"  {name:<{width}}  {line}" if kind is None else f"{name:<{width}}  {line}")


@app.command()
def info(name: Annotated[str, typer.Argument(help="An upstream, a task, a protocol, a head or an interface.")]) -> None:
    """Show what is known of an upstream, a task, a protocol, a head or an interface."""
    facts = _described(name)
    width = max(map(len, facts))
    for fact, value in facts.items():
        if value not in ("", None):
            print(f"{fact:<{width}}  {value}")


@data_app.command("path")
def data_path(task: str, data: Data = []) -> None:
    """Print the folder where a task's data lie or would lie."""
    from harness.data import task_folder
    from harness.registry import load_task

    print(task_folder(load_task(task), data))


@data_app.command("fetch")
def data_fetch(task: str, data: Data = [], as_json: Json = False) -> None:
    """Get a task's data and unpack them, whole or not at all."""
    from harness.data import fetch
    from harness.registry import load_task

    with _reporting(as_json) as report:

        def progress(done: int, total: int) -> None:
            report(Event("fetch", f"{done / 1e6:.0f} MB", {}, done, total or None))

        folder = fetch(load_task(task), data, progress)
        report(Event("fetch", f"the data of {task} are in {folder}", {"folder": str(folder)}))


@data_app.command("verify")
def data_verify(task: str, data: Data = [], as_json: Json = False) -> None:
    """Decode every clip of a task and name what is missing or unreadable."""
    from harness.data import verify
    from harness.registry import load_task

    with _reporting(as_json) as report:

        def progress(done: int, total: int) -> None:
            if done % 100 == 0 or done == total:
                report(Event("verify", f"{done}/{total} clips decoded", {}, done, total))

        problems = verify(load_task(task), data, progress)
        for problem in problems:
            report(Event("problem", problem))
        if not problems:
            report(Event("verify", f"{task} is complete and readable"))
    if problems:
        raise UserError(f"{task} has {len(problems)} problems, named above")


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
    if not as_json:
        print(f"{subject.summary()}\n", flush=True)
    states = Counter[str]()
    for title in CHECKS:
        finding = examine(subject, title)
        states[finding.state] += 1
        print(json.dumps(finding._asdict() | {"state": finding.state}) if as_json else letter(finding), flush=True)
    if ill := states["ILL"]:
        raise UserError(f"{name} fails {ill} of {len(CHECKS)} checks, told above")
    if not as_json:
        print(f"\n{name} is well: {states['well']} checks passed, {states['left out']} did not apply.")


def letter(finding: Any) -> str:
    """A finding as a doctor would write it."""
    lines = [f"{finding.state:<9} {finding.check}" + (f": {finding.left_out}" if finding.left_out else "")]
    for word, text in (("tried", finding.tried), ("saw", finding.seen), ("change", finding.change)):
        if text:
            lines += wrap(text, 110, initial_indent=f"{'':<10}{word:<7}", subsequent_indent=" " * 17)
    return "\n".join(lines)


@leaderboard_app.command("build")
def leaderboard_build(
    results: Results = Path("results"),
    out: Annotated[Path, typer.Option("--out", help="Folder for index.html, leaderboard.md and leaderboard.csv.")] = (
        Path("leaderboard-out")
    ),
) -> None:
    """Render results as one self-contained page, Markdown and CSV."""
    from harness.leaderboard.page import build
    from harness.results import read_all

    for path in build(read_all(results), out):
        print(path)


def parse_size(text: str) -> float:
    """Bytes of a size such as ``500MB``, ``50GB`` or ``1e9``."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([kMGT]?)B?\s*", text, re.IGNORECASE)
    if match is None:
        raise UserError(f"{text!r} is no size: write one such as 500MB or 50GB")
    return float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}[match[2].lower()]


def duration(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    unit, size = next(((u, s) for u, s in (("h", 3600), ("min", 60)) if seconds >= 2 * s), ("s", 1))
    return f"{seconds / size:.1f} {unit}"


def _known(kind: Kind) -> dict[str, str]:
    """Names and one line each; imports nothing heavy."""
    if kind is Kind.interfaces:
        from harness.interfaces import INTERFACES, POOLINGS

        return INTERFACES | {f".../{name}": line for name, line in POOLINGS.items()}
    if kind is Kind.heads:
        from harness.catalogue import HEADS

        return {name: entry.summary for name, entry in HEADS.items()}
    if kind is Kind.protocols:
        from harness.protocols import PROTOCOLS

        return {name: protocol.summary for name, protocol in PROTOCOLS.items()}
    from harness.registry import plugins, task_names

    found = plugins(kind)
    if kind is Kind.tasks:
        return {name: plugin.summary for family, plugin in found.items() for name in task_names(family)}
    return {name: plugin.summary for name, plugin in found.items()}


def _described(name: str) -> dict[str, Any]:
    """Facts of whatever goes by a name."""
    from harness import catalogue, interfaces, protocols
    from harness.registry import describe, plugins

    family = re.split("[:@]", name)[0]
    for kind in ("upstreams", "tasks"):
        if family in plugins(kind):
            return describe(kind, name)
    if family in protocols.PROTOCOLS:
        return protocols.describe(name)
    if name in catalogue.HEADS:
        return catalogue.describe(name)
    if name.partition("/")[0] in interfaces.INTERFACES or family == "layer":
        return catalogue.describe_interface(name)
    known = [*plugins("upstreams"), *plugins("tasks"), *protocols.PROTOCOLS, *catalogue.HEADS, *interfaces.INTERFACES]
    raise UserError(f"there is nothing that goes by {name!r}: {choices(name, known)}")


def _show_models() -> None:
    """Every published model by the name that runs it, in columns; imports nothing heavy."""
    from harness.registry import plugins, published_models

    rows = {name: row for family in plugins("upstreams") for name, row in published_models(family).items()}
    columns = dict.fromkeys(column for row in rows.values() for column in row if column != "summary")
    table = [["name", *columns], *([name, *(row.get(c, "") for c in columns)] for name, row in rows.items())]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    for line, row in zip(table, [{}, *rows.values()], strict=True):
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        print(f"{line[0]:<{widths[0]}}  {row['summary']}" if "summary" in row else cells.rstrip())


@contextmanager
def _reporting(as_json: bool) -> Iterator[Report]:
    """Bars on a terminal, one line per event elsewhere, JSON lines if asked."""
    if as_json:
        yield _print_json
    elif not sys.stderr.isatty():
        yield lambda event: print(event.text, file=sys.stderr, flush=True)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        with Progress(TextColumn("{task.description}"), BarColumn(), console=Console(stderr=True)) as progress:
            yield _bars(progress)


def _bars(progress: Any) -> Callable[[Event], None]:
    from rich.markup import escape

    bars: dict[tuple[str, Any], Any] = {}

    def report(event: Event) -> None:
        if event.done is None:
            progress.console.print(escape(event.text))
            return
        name = (event.kind, event.values.get("upstream"))
        if name not in bars:
            bars[name] = progress.add_task("")
        progress.update(bars[name], description=escape(event.text), completed=event.done, total=event.total)
        if event.done == event.total:
            progress.remove_task(bars.pop(name))
            progress.console.print(escape(event.text))

    return report


def _print_json(event: Event) -> None:
    row = {"event": event.kind, "text": event.text, **event.values}
    if event.done is not None:
        row |= {"done": event.done, "total": event.total}
    print(json.dumps(row), flush=True)


def _show_forecast(experiments: Sequence[Any], as_json: bool) -> None:
    from harness.experiment import foresee

    for experiment in experiments:
        f = foresee(experiment)
        label, task = experiment.encoder.spec.label, experiment.task.name
        text = (
            f"{label} on {task}: {f.clips:,} clips to encode ({duration(f.seconds)} of audio), "
            f"about {duration(3600 * f.hours)} and {f.bytes / 1e6:,.1f} MB"
        )
        event = Event("forecast", text, {"upstream": label, "task": task, "hours": f.hours, "bytes": f.bytes})
        if as_json:
            _print_json(event)
        else:
            print(text)


def _show_results(outcomes: Sequence[Any]) -> None:
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from harness.experiment import Inapplicable
    from harness.results import describe_score

    table = Table("task", "upstream", "metric", "score", "95 % interval", "layers chosen", "", box=box.SIMPLE)
    for result in outcomes:
        if isinstance(result, Inapplicable):
            table.add_row(*map(escape, (result.task, result.upstream, "", "not applicable")))
            continue
        layers = ", ".join(sorted({str(fold.chosen["layer"]) for fold in result.folds}, key=lambda n: (len(n), n)))
        marks = ", ".join([*result.badges, *result.deviations])
        cells = (result.task, result.upstream, result.metric, *describe_score(result), layers, marks)
        table.add_row(*map(escape, cells))
    # A pipe has no width of its own, and a table must not be folded to 80 columns in a log.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    console.print(table)


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
