"""Results as files: one small JSON file per run, written whole or not at all."""

import json
import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UserError, choices
from harness.files import write_atomically
from harness.types import Result

if TYPE_CHECKING:
    import pandas as pd

SCHEMA = 3
#: The suffix of the file beside a result that holds its answers.
ANSWERS = ".safetensors"
#: The columns of :func:`load`.
COLUMNS = (
    "upstream",
    "task",
    "protocol",
    "interface",
    "head",
    "metric",
    "score",
    "low",
    "high",
    "level",
    "interval_method",
    "groups",
    "fold_std",
    "seed_std",
    "metrics",
    "badges",
    "deviations",
    "clips",
    "parameters",
    "clips_per_second",
    "device",
    "created",
    "key",
)


def file_name(result: Result) -> str:
    """A name that a person can read and a file system can hold; the key makes it unique."""
    words = (result.task, result.upstream, result.protocol)
    safe = "__".join("".join(c if c.isascii() and (c.isalnum() or c in ".+") else "-" for c in w)[:60] for w in words)
    return f"{safe}__{result.key[:12]}.json"


def write(result: Result, folder: Path, answers: bytes) -> Path:
    """Write a result into a folder, atomically, after the file with its answers.

    Raises:
        UserError: the folder cannot be written.
    """
    path = folder / file_name(result)
    text = json.dumps(asdict(result), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    try:
        write_atomically(path.with_suffix(ANSWERS), answers)
        # A file name may hold bytes that are no text.
        write_atomically(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise UserError(
            f"the results folder {folder} cannot be written ({error.strerror}): choose another with --results"
        ) from error
    return path


def answers_file(result: Result, folder: Path) -> Path | None:
    """The file with a result's answers, if it lies in the folder."""
    if not re.fullmatch("[0-9a-f]{12,}", result.key):  # files come from strangers
        return None
    return next(iter(sorted(folder.glob(f"*__{result.key[:12]}{ANSWERS}"))), None)


def make_folder(folder: Path) -> None:
    """Make the results folder, so that a run that could not write its result ends before it begins.

    Raises:
        UserError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"the results folder {folder} cannot be written ({error.strerror}): choose another with --results"
        ) from error


def read(path: Path) -> Result:
    """Read one result.

    Raises:
        UserError: the file is no result, or of another schema. Results come from strangers, so every type is looked at.
    """
    from pydantic import TypeAdapter, ValidationError

    try:
        given = json.loads(path.read_text(encoding="utf-8"))
        if given["schema"] != SCHEMA:
            raise UserError(
                f"{path} has schema {given['schema']!r}, and this version reads schema {SCHEMA}: make it anew with "
                "`harness run`, or read it with the version of harness that wrote it"
            )
        if unknown := set(given) - {field.name for field in fields(Result)}:
            raise UserError(f"{path} is no result of harness (it has a field {min(unknown)!r})")
        # Written again without NaN and infinity, which Python's reader lets pass.
        return TypeAdapter(Result).validate_json(json.dumps(given, allow_nan=False), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(f"{path} is no result of harness ({where}: {first['msg']})") from error
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UserError(f"{path} is no result of harness ({type(error).__name__})") from error


def find(key: str, folder: Path) -> Result | None:
    """The result of an earlier run with the same key, if there is one."""
    found = map(read, sorted(folder.glob(f"*__{key[:12]}.json")))
    return next((result for result in found if result.key == key), None)


def read_all(folder: Path) -> list[Result]:
    """Every result in a folder, in the order of the file names.

    Raises:
        UserError: there is no such folder, or a file in it is no result.
    """
    if not folder.is_dir():
        raise UserError(f"there is no results folder {folder}: `harness run` makes one")
    return [read(path) for path in sorted(folder.glob("*.json"))]


def chosen(folder: Path, only: Mapping[str, Sequence[str]]) -> list[Result]:
    """The results in a folder whose fields have one of the values that are asked for; any, where none is.

    Raises:
        UserError: nothing has.
    """
    results = read_all(folder)
    if not results:
        raise UserError(f"there are no results in {folder}: `harness run` makes them")
    for field, values in only.items():
        known = sorted({str(getattr(result, field)) for result in results})
        for value in values:
            if value not in known:
                raise UserError(f"no result in {folder} has the {field} {value!r}: {choices(value, known)}")
    found = [r for r in results if all(not values or getattr(r, field) in values for field, values in only.items())]
    if not found:
        raise UserError(f"no result in {folder} has all that is asked for together: leave an option out")
    return found


def by_key(folder: Path, beginning: str) -> Result:
    """The one result in a folder whose key begins so.

    Raises:
        UserError: none does, or several do.
    """
    found = [result for result in read_all(folder) if beginning and result.key.startswith(beginning)]
    if not found:
        raise UserError(
            f"no result in {folder} has a key that begins with {beginning!r}: `harness results ls` lists them"
        )
    if len(found) > 1:
        raise UserError(f"{len(found)} results in {folder} have keys that begin with {beginning!r}: write more of it")
    return found[0]


def load(folder: str | Path) -> "pd.DataFrame":
    """Every result in a folder as a table, one row each, with the columns :data:`COLUMNS`."""
    import pandas as pd

    return pd.DataFrame([row(result) for result in read_all(Path(folder))], columns=list(COLUMNS))


def describe_score(result: Result) -> tuple[str, str]:
    """A score, in percent where its metric is a share, and its interval."""
    low, high = result.interval.low, result.interval.high
    score = shown(result.score, result.metric)
    if low is None or high is None:
        return score, "no interval"
    return score, f"[{shown(low, result.metric)}, {shown(high, result.metric)}]"


def shown(value: float, metric: str) -> str:
    """A value of a metric as people read it: a share in percent with one decimal, anything else with three."""
    return f"{100 * value:.1f}" if is_share(metric) else f"{value:.3f}"


def is_share(metric: str) -> bool:
    """Whether a metric is shown in percent; one that is unknown here is not."""
    from harness.metrics import METRICS

    return metric in METRICS and METRICS[metric].percent


def higher_is_better(metric: str) -> bool:
    """Whether the higher of two values of a metric is the better; of one that is unknown here it is."""
    from harness.metrics import METRICS

    return metric not in METRICS or METRICS[metric].higher_is_better


def describe_metric(metric: str) -> str:
    """A metric with its unit and its direction, such as ``eer in %, lower is better``."""
    from harness.metrics import METRICS

    if metric not in METRICS:
        return f"{metric}, unknown here and ordered as if higher were better"
    return f"{metric}{' in %' * is_share(metric)}, {'higher' if higher_is_better(metric) else 'lower'} is better"


def describe_protocol(name: str) -> str:
    """A protocol in one line, and what was asked for instead of its own; empty if it is unknown here."""
    from harness.protocols import PROTOCOLS

    known, *instead = name.split("+")
    if known not in PROTOCOLS:
        return ""
    return f"{PROTOCOLS[known].summary}{'; but with ' * bool(instead)}{' and '.join(instead)}"


def row(result: Result) -> dict[str, Any]:
    """One result as a flat row."""
    values = {
        **asdict(result),
        "low": result.interval.low,
        "high": result.interval.high,
        "level": result.interval.level,
        "interval_method": result.interval.method,
        "groups": result.interval.groups,
        "metrics": "; ".join(f"{name}={value:.6g}" for name, value in result.metrics.items()),
        "badges": ", ".join(result.badges),
        "deviations": "; ".join(result.deviations),
        "clips": result.data.get("clips"),
        "parameters": result.encoder.get("parameters"),
        "clips_per_second": result.cost.get("clips_per_second"),
        "device": result.environment.get("device"),
    }
    return {name: values[name] for name in COLUMNS}
