"""What is known of every task at a glance: a table of records, and what a task's features would take."""

from typing import Any

from harness.datasets import Task
from harness.errors import UserError
from harness.metrics import DEFAULTS
from harness.registry import UpstreamSpec, describe_benchmarks, describe_splits, load_task, plugins, task_names
from harness.store import file_hash
from harness.targets import kind_of
from harness.types import Class, Events, Slots, Tags
from harness.views import View

COLUMNS = ("task", "domain", "clips", "classes", "split", "metric", "licence", "benchmarks")


def rows() -> list[dict[str, str]]:
    """A row for every built-in task with data of its own, by :data:`COLUMNS`; every family's module is imported."""
    built_in = [family for family, plugin in plugins("tasks").items() if plugin.built_in]
    names = [name for family in built_in for name in task_names(family)]
    tasks = [
        load_task(name) for name in names if not hasattr(plugins("tasks")[name.partition(":")[0]].load(), "ARGUMENT")
    ]
    order = {domain: place for place, domain in enumerate(("events", "music", "speech", "animals"))}
    return [_row(task) for task in sorted(tasks, key=lambda task: (order[task.domain], task.name))]


def table() -> str:
    """The rows in Markdown."""
    lines = ["| " + " | ".join(COLUMNS) + " |", "|---" * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(row[column] or "–" for column in COLUMNS) + " |" for row in rows()]
    return "\n".join(lines)


def _row(task: Task) -> dict[str, str]:
    about = "about " if "clips" in task.unconfirmed else ""
    return {
        "task": f"`{task.name}`",
        "domain": task.domain,
        "clips": f"{about}{task.clips:,}" if task.clips else "",
        "classes": _classes(task),
        "split": describe_splits(task.splits) + (f" ({task.leaks}s in several)" if task.leaks else ""),
        "metric": task.metric or DEFAULTS[kind_of(task.target)],
        "licence": task.licence + (" (unconfirmed)" if "licence" in task.unconfirmed else ""),
        "benchmarks": describe_benchmarks(task.benchmarks),
    }


def _classes(task: Task) -> str:
    match task.target:
        case Class(labels) | Events(labels):
            return str(len(labels))
        case Tags(labels):
            return f"{len(labels)} tags"
        case Slots(labels=labels):
            return " + ".join(str(len(own)) for own in labels)
    return ""


def storage(task: Task, upstream: str, view: str | None) -> dict[str, Any]:
    """What the features of a task would take in the store, by its published hours; the upstream is loaded.

    Raises:
        UserError: the upstream or the view is unknown, or the record does not say how many clips there are.
    """
    if task.clips is None:
        raise UserError(
            f"how many clips {task.name} has is known from its data alone: ask `harness features --dry-run`"
        )
    spec = UpstreamSpec.parse(upstream)
    kept = View.parse(view or spec.cls.view)
    seconds = (task.hours or 0.0) * 3600 / task.clips
    if kept.pool == "frames" and not seconds:
        raise UserError(f"how long the clips of {task.name} are is not on record: ask `harness features --dry-run`")
    size = task.clips * kept.bytes(spec.load(spec.weights(file_hash), "cpu"), seconds)
    return {"storage": f"{size / 1e6:,.1f} MB for {task.clips:,} clips in the view {kept} of {spec.label}"}
