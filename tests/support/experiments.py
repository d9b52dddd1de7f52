"""Experiments of tests: understood and checked, with nothing computed yet, or with other labels than their task's."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.experiment import Experiment, open_store, prepare_all
from harness.settings import Settings
from harness.types import Clip

#: Where a run finds and leaves things.
Folders = dict[str, str]


def prepared_all(upstreams: Sequence[str], tasks: Sequence[str], folders: Folders, **settings: Any) -> list[Experiment]:
    """Every upstream on every task."""
    chosen = Settings(
        data=[folders["data"]], store=Path(folders["store"]), results=Path(folders["results"]), **settings
    )
    return prepare_all(upstreams, tasks, chosen, open_store(chosen))


def prepared(upstream: str, task: str, folders: Folders, **settings: Any) -> Experiment:
    """One upstream on one task."""
    (one,) = prepared_all([upstream], [task], folders, **settings)
    return one


def relabelled(one: Experiment, clips: Sequence[Clip], **task: Any) -> Experiment:
    """The same experiment with other clips, and other facts of their task."""
    return replace(one, labelled=replace(one.labelled, clips=clips, task=replace(one.task, **task)))
