"""How a name becomes an object: the only place that imports plugins, by name and late.

Built-in plugins are the files of ``harness/upstreams`` and ``harness/tasks``: the file's name is the plugin's name.
Other packages add theirs through the entry points ``harness.upstreams`` and ``harness.tasks``, whose value is a
module, and have the same powers. An upstream's module holds ``UPSTREAM``, a subclass of
:class:`harness.models.Upstream`. A task's module holds ``VARIANTS``, default first, and ``task(variant)``, which
gives a :class:`harness.datasets.Task`.

The grammar of names is ``NAME[:TOKEN[-TOKEN]...][@WEIGHTS]``, split at the first ``@``.
"""

import ast
import importlib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from harness.datasets import Task
from harness.errors import UserError, choices
from harness.models import Axis, HubFile, Upstream, Weights

#: Gives the content hash of a file; the store has one that remembers.
Digest = Callable[[Path], str]


@dataclass(frozen=True)
class Plugin:
    """A name, the module behind it, and one line about it that was read without importing anything."""

    name: str
    module: str
    summary: str

    def load(self) -> ModuleType:
        """Import the module."""
        return importlib.import_module(self.module)


def plugins(kind: str) -> dict[str, Plugin]:
    """Every plugin of a kind (``upstreams`` or ``tasks``), by name, none of them imported."""
    package = importlib.import_module(f"harness.{kind}")
    found = {
        path.stem: Plugin(path.stem, f"{package.__name__}.{path.stem}", _first_line(path))
        for folder in package.__path__
        for path in sorted(Path(folder).glob("[!_]*.py"))
    }
    for entry in entry_points(group=f"harness.{kind}"):
        if entry.name in found:
            raise UserError(
                f"{_owner(entry)} offers {entry.name!r} in {kind}, which {found[entry.name].module} has taken"
            )
        found[entry.name] = Plugin(entry.name, entry.value, f"from {_owner(entry)}")
    return dict(sorted(found.items()))


def _first_line(path: Path) -> str:
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n")[0]


def _owner(entry: EntryPoint) -> str:
    return f"the package {entry.dist.name}" if entry.dist else f"the entry point {entry.value}"


def _plugin(kind: str, name: str) -> Plugin:
    known = plugins(kind)
    if name not in known:
        raise UserError(f"there is no {kind[:-1]} {name!r}: {choices(name, known)}")
    return known[name]


@dataclass(frozen=True)
class UpstreamSpec:
    """An upstream's name, understood: which class, with which options, from which weights. Nothing is loaded yet."""

    family: str
    cls: type[Upstream]
    tokens: Mapping[str, str]
    weights_text: str | None

    @classmethod
    def parse(cls, name: str) -> "UpstreamSpec":
        """Understand a name such as ``ssamba:tiny-s10@file.pth``.

        Raises:
            UserError: the family or a token is unknown, or two tokens pick on one axis.
        """
        head, at, weights = name.partition("@")
        family, colon, tokens = head.partition(":")
        upstream: type[Upstream] = _plugin("upstreams", family).load().UPSTREAM
        if (colon and not tokens) or (at and not weights):
            raise UserError(f"the name {name!r} ends early: write NAME[:TOKEN[-TOKEN]...][@WEIGHTS]")
        chosen = _tokens(family, upstream.axes, tokens)
        if at and not upstream.has_weights:
            raise UserError(f"{family} has no weights, so {name!r} cannot take {weights!r}: write {head!r}")
        return cls(family, upstream, chosen, weights if at else None)

    def tokens_that_matter(self, weights: Weights) -> dict[str, str]:
        """The tokens without those that say what is so anyway: defaults, and what a file tells by itself."""
        known = {axis.option for axis in self.cls.axes if axis.detected and weights.kind == "file"}
        usual = {axis.option: next(iter(axis.tokens), None) for axis in self.cls.axes}
        return {o: t for o, t in sorted(self.tokens.items()) if o not in known and t != usual[o]}

    @cached_property
    def options(self) -> dict[str, Any]:
        """The constructor's keywords."""
        return {
            axis.option: axis.value(self.tokens[axis.option]) for axis in self.cls.axes if axis.option in self.tokens
        }

    @cached_property
    def label(self) -> str:
        """The name as results show it: options in the axes' order, weights by base name."""
        tokens = [self.tokens[axis.option] for axis in self.cls.axes if axis.option in self.tokens]
        text = self.family + (":" + "-".join(tokens) if tokens else "")
        return text if self.weights_text is None else f"{text}@{Path(self.weights_text).name}"

    def weights(self, digest: Digest) -> Weights:
        """Find the weights: a file, the hub, or seeded random values."""
        if not self.cls.has_weights:
            return Weights("none")
        if self.weights_text == "untrained":
            return Weights("untrained", "untrained", "untrained-0")
        path = self._path()
        if path.is_dir():
            raise UserError(
                f"{str(path)!r} is a folder, and {self.family} takes a checkpoint file: write {self.family}@FILE"
            )
        if not path.is_file():
            raise UserError(f"there is no checkpoint {str(path)!r}, which {self.label} needs")
        return Weights("file", path.name, digest(path), path)

    def _path(self) -> Path:
        text = self.weights_text
        if text is not None and (Path(text).exists() or "/" in text or Path(text).suffix):
            return Path(text)
        source = self.cls.published(**self.options)
        if source is None:
            raise UserError(f"{self.family} has no published checkpoint on the hub: give a file, {self.family}@FILE")
        return _from_hub(source, text, self.label.partition("@")[0])

    def load(self, weights: Weights, device: str) -> Upstream:
        """Build the upstream. ``device`` is ``auto``, ``cpu`` or ``cuda``."""
        from harness.devices import pick_device

        return self.cls(weights, pick_device(device), **self.options)


def _tokens(family: str, axes: tuple[Axis, ...], text: str) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for token in text.split("-") if text else []:
        axis = next((axis for axis in axes if axis.knows(token)), None)
        if axis is None:
            raise UserError(
                f"{family} has no variant {token!r}: {choices(token, [t for a in axes for t in a.examples()])}"
            )
        if axis.option in chosen:
            raise UserError(f"{family} takes one {axis.option}, not both {chosen[axis.option]!r} and {token!r}")
        chosen[axis.option] = token
    return chosen


def _from_hub(source: HubFile, revision: str | None, label: str) -> Path:
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    from huggingface_hub.utils.logging import set_verbosity_error
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    set_verbosity_error()  # else it tells of each of its attempts
    try:
        return Path(hf_hub_download(source.repo, source.filename, revision=revision or source.revision))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UserError(
            f"the weights of {label}, {source.filename} of the hub repository {source.repo}, cannot be had "
            f"({type(error).__name__}): get the file and write {label}@FILE, or use {label}@untrained as a control"
        ) from error


def load_task(name: str) -> Task:
    """Understand a task's name such as ``esc50:esc10``.

    Raises:
        UserError: the task or the variant is unknown.
    """
    family, colon, variant = name.partition(":")
    module = _plugin("tasks", family).load()
    if variant not in module.VARIANTS or (colon and not variant):
        known = [f"{family}:{word}" if word else family for word in module.VARIANTS]
        raise UserError(f"{family} has no variant {variant!r}: {choices(name, known)}")
    task: Task = module.task(variant)
    return task


def describe(kind: str, name: str) -> dict[str, Any]:
    """What ``harness info`` shows of one plugin, as plain values."""
    if kind == "tasks":
        task = load_task(name)
        facts = {
            "version": task.version,
            "clips": task.clips,
            "classes": len(task.target.labels),
            "splits": len(task.splits),
            "metric": task.metric,
            "licence": task.licence,
            "paper": task.paper,
            "variants": ", ".join(v for v in _plugin(kind, name.partition(":")[0]).load().VARIANTS if v),
            "groups known to span folds": ", ".join(sorted(task.spanning)),
        }
        return {"name": name, "summary": task.description, **facts}
    cls = UpstreamSpec.parse(name).cls
    facts = {
        "paper": cls.card.paper,
        "licence": cls.card.licence,
        "training data": cls.card.training,
        "homepage": cls.card.homepage,
        "sample rate": f"{cls.sample_rate} Hz",
        "default view": cls.view,
        "revision": cls.revision,
    }
    for axis in cls.axes:
        facts[axis.option] = ", ".join(axis.examples())
    return {"name": name, "summary": (inspect.getdoc(cls) or "").partition("\n")[0], **facts}
