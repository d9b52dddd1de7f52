"""Miniature data sets in their authors' layouts: one module per family, by the family's name, with one function.

``write(folder, variant)`` lays out in an empty folder what the authors' archives unpack to, with real file names and
metadata columns and generated audio: a few clips of every part, so that the task can train, choose and score.
"""

import importlib
from pathlib import Path


def known() -> set[str]:
    """The families that have a tree."""
    return {path.stem for path in Path(__file__).parent.glob("[!_]*.py")}


def write(name: str, folder: Path) -> None:
    """Lay out the tree of a task's name, such as ``crema_d:hear``."""
    family, _, variant = name.partition(":")
    folder.mkdir(parents=True, exist_ok=True)
    importlib.import_module(f"trees.{family}").write(folder, variant)
