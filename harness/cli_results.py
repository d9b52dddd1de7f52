"""Commands that read results: ``harness results``, ``harness compare`` and ``harness leaderboard``."""

import json
from pathlib import Path
from typing import Annotated

import typer

from harness import show
from harness.options import Filter, Form, Format, Json, Out, Results

results_app = typer.Typer(help="List, show and export results.", no_args_is_help=True)
leaderboard_app = typer.Typer(help="Render results.", no_args_is_help=True)


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
