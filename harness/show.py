"""What the terminal shows: names and facts, forecasts, progress, results."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import typer

from harness.errors import NotApplicable, UserError, choices
from harness.events import Event, Report
from harness.files import write_atomically

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from harness.experiment import Experiment, Inapplicable
    from harness.export import Sheet
    from harness.finding import Finding
    from harness.points import Point
    from harness.types import Result


def known(kind: str) -> dict[str, str]:
    """Names of a kind and one line each; imports nothing heavy."""
    if kind == "interfaces":
        from harness.interfaces import INTERFACES, POOLINGS

        return INTERFACES | {f"LAYERS/{name}": line for name, line in POOLINGS.items()}
    if kind == "heads":
        from harness.catalogue import HEADS

        return {name: entry.summary for name, entry in HEADS.items()}
    if kind == "protocols":
        from harness.protocols import PROTOCOLS

        return {name: protocol.summary for name, protocol in PROTOCOLS.items()}
    from harness.registry import plugins, task_names

    found = plugins(kind)
    if kind == "tasks":
        return {name: plugin.summary for family, plugin in found.items() for name in task_names(family)}
    return {name: plugin.summary for name, plugin in found.items()}


def described(name: str) -> dict[str, Any]:
    """Facts of whatever goes by a name.

    Raises:
        UserError: nothing does.
    """
    from harness import catalogue, protocols
    from harness.registry import describe, plugins

    family = re.split("[:@]", name)[0]
    kinds = [kind for kind in ("upstreams", "tasks") if family in plugins(kind)]
    if name == family and (len(kinds) == 2 or (kinds and name in protocols.PROTOCOLS)):
        return _of_several_kinds(name, kinds)
    if name in protocols.PROTOCOLS:
        return protocols.describe(name)
    if kinds:
        return describe(kinds[0], name)
    if family in protocols.PROTOCOLS:
        return protocols.describe(name)
    if name in catalogue.HEADS:
        return catalogue.describe(name)
    interfaces = known("interfaces")
    if name.partition("/")[0] in (*interfaces, "LAYERS") or family == "layer":
        return catalogue.describe_interface(name)
    names = [*plugins("upstreams"), *plugins("tasks"), *protocols.PROTOCOLS, *catalogue.HEADS, *interfaces]
    raise UserError(f"there is nothing that goes by {name!r}: {choices(name, names)}")


def _of_several_kinds(name: str, kinds: Sequence[str]) -> dict[str, Any]:
    """The facts of everything of one name, each kind's marked as its."""
    from harness.protocols import PROTOCOLS
    from harness.protocols import describe as describe_protocol
    from harness.registry import describe

    facts = {kind[:-1]: describe(kind, name) for kind in kinds}
    if name in PROTOCOLS:
        facts = {"protocol": describe_protocol(name)} | facts
    first, *others = facts
    marked = {f"{kind}: {fact}": value for kind in others for fact, value in facts[kind].items() if fact != "name"}
    return facts[first] | marked


def facts(told: Mapping[str, Any]) -> None:
    """Print facts, each on a line of its own, but for those that say nothing."""
    width = max(map(len, told))
    for name, value in told.items():
        if value not in ("", None):
            typer.echo(f"{name:<{width}}  {value}")


def tables(sheets: "Sequence[Sheet]", form: str, out: Path | None) -> None:
    """Print tables in one of the forms of :mod:`harness.export` or for the terminal, or write them to a file.

    Raises:
        UserError: the file's name ends like none of the forms, or it cannot be written.
    """
    from harness.export import FORMS, SUFFIXES

    if out is not None:
        if out.suffix not in SUFFIXES:
            raise UserError(f"{out.name!r} ends with none of {', '.join(SUFFIXES)}: the ending says how it is written")
        try:
            write_atomically(out, FORMS[SUFFIXES[out.suffix]](sheets).encode())
        except OSError as error:
            raise UserError(f"{out} cannot be written ({error.strerror}): choose another file with --out") from error
        typer.echo(out)
    elif form in FORMS:
        typer.echo(FORMS[form](sheets), nl=False)
    else:
        for sheet in sheets:
            _table(sheet)


def models() -> str:
    """Every published model by the name that runs it, in columns; imports nothing heavy."""
    from harness.registry import plugins, published_models

    rows = {name: row for family in plugins("upstreams") for name, row in published_models(family).items()}
    columns = dict.fromkeys(column for row in rows.values() for column in row if column != "summary")
    table = [["name", *columns], *([name, *(row.get(c, "") for c in columns)] for name, row in rows.items())]
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    lines = []
    for line, row in zip(table, [{}, *rows.values()], strict=True):
        cells = "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True))
        lines.append(f"{line[0]:<{widths[0]}}  {row['summary']}" if "summary" in row else cells.rstrip())
    return "\n".join(lines)


def letter(finding: "Finding") -> str:
    """A finding as a doctor would write it."""
    lines = [f"{finding.state:<9} {finding.check}" + (f": {finding.left_out}" if finding.left_out else "")]
    for word, text in (("tried", finding.tried), ("saw", finding.seen), ("change", finding.change)):
        if text:
            lines += wrap(text, 110, initial_indent=f"{'':<10}{word:<7}", subsequent_indent=" " * 17)
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """A length of time in the unit that suits it."""
    unit, size = next(((u, s) for u, s in (("h", 3600), ("min", 60)) if seconds >= 2 * s), ("s", 1))
    return f"{seconds / size:.1f} {unit}"


def forecasts(experiments: "Sequence[Experiment]", as_json: bool) -> None:
    """Show what each extraction would take, or that an upstream is not applicable.

    Raises:
        NotApplicable: none is applicable.
    """
    from harness.experiment import foresee

    applicable = False
    for experiment in experiments:
        label, task = experiment.encoder.spec.label, experiment.task.name
        values = {"upstream": label, "task": task}
        try:
            f = foresee(experiment)
        except NotApplicable as error:
            if experiment is experiments[-1] and not applicable:
                raise
            event = Event("inapplicable", f"{label} on {task}: not applicable: {error}", values)
        else:
            applicable = True
            text = (
                f"{label} on {task}: {f.clips:,} clips to encode ({duration(f.seconds)} of audio), "
                f"about {duration(3600 * f.hours)} and {f.bytes / 1e6:,.1f} MB"
            )
            event = Event("forecast", text, {**values, "hours": f.hours, "bytes": f.bytes})
        if as_json:
            _json(event)
        else:
            typer.echo(event.text)


@contextmanager
def reporting(as_json: bool) -> Iterator[Report]:
    """Bars on a terminal, one line per event elsewhere, JSON lines if asked."""
    if as_json:
        yield _json
    elif not sys.stderr.isatty():
        yield lambda event: typer.echo(event.text, err=True)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        with Progress(TextColumn("{task.description}"), BarColumn(), console=Console(stderr=True)) as progress:
            yield _bars(progress)


def results(outcomes: "Sequence[Result | Inapplicable]") -> None:
    """Show a table of results."""
    from rich import box
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
    _console().print(table)


def _table(sheet: "Sheet") -> None:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from harness.export import Cell, mark, plain

    def text(cell: Cell) -> str:
        style = " ".join(name for name, on in (("bold", cell.bold), ("underline", cell.underlined)) if on)
        told = f"[{style}]{escape(plain(cell.text))}[/]" if style else escape(plain(cell.text))
        marks = "".join(f" ({','.join(map(mark, cell.footnotes))})" if cell.footnotes else "")
        return " ".join(filter(None, [told, escape(plain(cell.rest))])) + marks

    table = Table(title=escape(plain(sheet.title)), title_justify="left", box=box.SIMPLE)
    for column in sheet.columns:
        heading = ", ".join(filter(None, [column.name, column.unit]))
        table.add_column(escape(plain(heading)), justify="right" if column.number else "left")
    for row in sheet.rows:
        table.add_row(*map(text, row))
    console = _console()
    console.print(table)
    for i, note in enumerate(sheet.footnotes):
        console.print(escape(f"({mark(i)}) {plain(note)}"))
    for note in sheet.notes:
        console.print(escape(plain(note)))


def _console() -> "Console":
    from rich.console import Console

    # A pipe has no width of its own, and a table must not be folded to 80 columns in a log.
    return Console(highlight=False) if sys.stdout.isatty() else Console(width=160, highlight=False)


def points(measured: "Sequence[Point]") -> None:
    """Show measured points as a table, and below it what they say of growth and of each other."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    from harness.summary import cells, sentences

    rows = [cells(point) for point in measured]
    used = [name for name in dict.fromkeys(name for row in rows for name in row) if any(row.get(name) for row in rows)]
    table = Table(*used, box=box.SIMPLE)
    for row in rows:
        table.add_row(*(escape(row.get(name, "")) for name in used))
    _console().print(table)
    for sentence in sentences(measured):
        typer.echo(sentence)


def _bars(progress: "Progress") -> Callable[[Event], None]:
    from rich.markup import escape

    bars: dict[tuple[str, Any], TaskID] = {}

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


def _json(event: Event) -> None:
    row = {"event": event.kind, "text": event.text, **event.values}
    if event.done is not None:
        row |= {"done": event.done, "total": event.total}
    typer.echo(json.dumps(row))
