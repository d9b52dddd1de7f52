"""What commands take: their options and arguments, each written once."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from harness.errors import UserError


class Form(StrEnum):
    """How a table is written."""

    terminal = "terminal"
    markdown = "markdown"
    csv = "csv"
    json = "json"
    latex = "latex"


Upstreams = Annotated[
    list[str], typer.Option("--upstream", help=r"NAME[:TOKEN[-TOKEN]...]\[@WEIGHTS]; repeat for a sweep.")
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


def parse_size(text: str) -> float:
    """Bytes of a size such as ``500MB``, ``50GB`` or ``1e9``."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?(?:e\d+)?)\s*([kMGT]?)B?\s*", text, re.IGNORECASE)
    if match is None:
        raise UserError(f"{text!r} is no size: write one such as 500MB or 50GB")
    return float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}[match[2].lower()]
