"""How a name becomes an object: the only place that imports plugins, by name and late.

Built-in plugins are the files of ``harness/upstreams`` and ``harness/tasks``: the file's name is the plugin's name.
Other packages add theirs through the entry points ``harness.upstreams`` and ``harness.tasks``, whose value is a
module, and have the same powers. An upstream's module holds ``UPSTREAM``, a subclass of
:class:`harness.models.Upstream`. A task's module holds ``VARIANTS``, default first, and ``task(variant)``, which
gives a :class:`harness.datasets.Task`. In place of ``VARIANTS`` it may hold ``ARGUMENT``, the name of what must stand
after the colon and is handed to ``task`` as it is, such as ``FILE``; and then ``GUIDE``, what to know of it.

The grammar of names is ``NAME[:TOKEN[-TOKEN]...][@WEIGHTS]``, split at the first ``@``.
"""

import ast
import importlib
import importlib.util
import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from harness.cards import Axis, Card, Training, Variant, Weights
from harness.datasets import Task
from harness.errors import UserError, choices
from harness.models import Upstream
from harness.sources import ByHand, Source
from harness.types import Class, Events, Slots, Split, Tags, Target, Trials, Value
from harness.weights import Digest, base_name, find, folder_digest, label_of, names_a_path, published_name


@dataclass(frozen=True)
class Plugin:
    """A name, the module behind it, and one line about it that was read without importing anything."""

    name: str
    module: str
    summary: str
    built_in: bool = True

    def load(self) -> ModuleType:
        """Import the module."""
        return importlib.import_module(self.module)


def plugins(kind: str) -> dict[str, Plugin]:
    """Every plugin of a kind (``upstreams`` or ``tasks``), by name, none of them imported."""
    found = dict(_built_in(kind))
    for entry in entry_points(group=f"harness.{kind}"):
        if entry.name in found:
            raise UserError(
                f"{_owner(entry)} offers {entry.name!r} in {kind}, which {found[entry.name].module} has taken"
            )
        found[entry.name] = Plugin(entry.name, entry.value, f"from {_owner(entry)}", built_in=False)
    return dict(sorted(found.items()))


@cache
def _built_in(kind: str) -> Mapping[str, Plugin]:
    package = importlib.import_module(f"harness.{kind}")
    return {
        path.stem: Plugin(path.stem, f"{package.__name__}.{path.stem}", _first_line(path))
        for folder in package.__path__
        for path in sorted(Path(folder).glob("[!_]*.py"))
    }


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
        if at and not upstream.reads:
            raise UserError(f"{family} has no weights, so {name!r} cannot take {weights!r}: write {head!r}")
        return cls(family, upstream, chosen, weights if at else None)

    def tokens_that_matter(self, weights: Weights) -> dict[str, str]:
        """The tokens without those that say what is so anyway: defaults, and what a checkpoint tells by itself."""
        known = {axis.option for axis in self.cls.axes if axis.detected and (weights.trained or axis.text)}
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
        text = self.family + (":" + "-".join(map(base_name, tokens)) if tokens else "")
        return text if self.weights_text is None else f"{text}@{base_name(self.weights_text)}"

    @cached_property
    def variant(self) -> Variant | None:
        """The published model that the tokens and defaults pick, if the family lists it."""
        return next(iter(self._fitting(known=True).values()), None)

    def _fitting(self, *, known: bool) -> dict[str, Variant]:
        """The published models that the name fits; unless it is ``known``, what a checkpoint tells is left open."""
        words = {word for name in self.cls.variants for word in name.split("-")}
        axes = [axis for axis in self.cls.axes if words & set(axis.tokens) or axis.text]

        def fits(name: str) -> bool:
            for axis in axes:
                usual = next(iter(axis.tokens), "")
                own = name if axis.text else next((word for word in name.split("-") if word in axis.tokens), usual)
                given = self.tokens.get(axis.option, usual if known or not axis.detected else own)
                if given != own:
                    return False
            return True

        return {name: variant for name, variant in self.cls.variants.items() if fits(name)}

    @cached_property
    def card(self) -> Card:
        """The family's card, with what the variant says otherwise.

        Of a checkpoint that the user gives it says no more than is certain: its file's name may be a published one's,
        a token may say which model it is, or all that fit may agree.
        """
        if self.weights_text == "untrained":
            return replace(card_of(self.cls, self.variant), training=Training("none", note="seeded random weights"))
        if not self.cls.variants or self.weights_text is None or not names_a_path(self.weights_text):
            return card_of(self.cls, self.variant)
        fitting = self._fitting(known=False)
        named = [each for each in fitting.values() if published_name(each.source) == base_name(self.weights_text)]
        cards = [card_of(self.cls, each) for each in named or fitting.values()]
        if len({card.training for card in cards}) == 1 and len({card.licence for card in cards}) == 1:
            return cards[0]
        tokens = next((name for name in fitting if name), "TOKEN")
        note = f"the name fits several models: a token such as {self.family}:{tokens}@... says which it is"
        return replace(self.cls.card, training=Training("unknown", note=note), licence="unknown")

    @property
    def told_by_folder(self) -> bool:
        """Whether only a folder says which network it is, so that even an untrained one needs it."""
        return "folder" in self.cls.reads and any(axis.text for axis in self.cls.axes)

    def weights(self, digest: Digest) -> Weights:
        """Find the weights: a file, a folder, the hub, or seeded random values.

        Raises:
            UserError: they cannot be had; the sentence says where they are published.
        """
        if not self.cls.reads:
            return Weights("none")
        if self.weights_text == "untrained" and not self.told_by_folder:
            return Weights("untrained", "untrained", "untrained-0")
        path = self._path()
        if not path.exists():
            raise UserError(f"there is no checkpoint {str(path)!r}, which {self.label} needs")
        kind: Literal["file", "folder"] = "folder" if path.is_dir() else "file"
        if kind not in self.cls.reads:
            raise UserError(
                f"{str(path)!r} is a {kind}, and {self.family} takes a checkpoint {' or '.join(self.cls.reads)}: "
                f"write {self.family}@{self.cls.reads[0].upper()}"
            )
        if self.weights_text == "untrained":  # the folder says only what is to be built
            return Weights("untrained", "untrained", f"untrained-0-{folder_digest(path, digest, settings=True)}", path)
        identity = folder_digest(path, digest) if kind == "folder" else digest(path)
        return Weights(kind, label_of(path), identity, path)

    def _path(self) -> Path:
        text = None if self.weights_text == "untrained" else self.weights_text
        if text is not None and names_a_path(text):
            return Path(text)
        head = self.label.partition("@")[0]
        own = f"{head}@{' or '.join(map(str.upper, self.cls.reads))}, or use {head}@untrained as a control"
        otherwise = f"write {f'{self.family}:FOLDER' if self.told_by_folder else own}"
        return find(self.cls.published(**self.options), text, label=head, otherwise=otherwise)

    def load(self, weights: Weights, device: str, dtype: str = "float32") -> Upstream:
        """Build the upstream. ``device`` is ``auto``, ``cpu`` or ``cuda``; ``dtype`` as :attr:`Upstream.dtype`.

        Raises:
            UserError: it does not run in that dtype, or the weights are not its own.
        """
        from harness.devices import pick_device

        upstream = self.cls(weights, pick_device(device), **self.options)
        if dtype not in (known := ("float32", *upstream.dtypes)):
            raise UserError(f"{self.family} does not run in {dtype!r}: {choices(dtype, known)}")
        upstream.dtype = dtype
        return upstream


def card_of(cls: type[Upstream], variant: Variant | None) -> Card:
    """The card of a family, with what one of its variants says otherwise."""
    own = {name: getattr(variant, name, None) for name in ("training", "licence", "paper")}
    return replace(cls.card, **{name: value for name, value in own.items() if value is not None})


def _tokens(family: str, axes: tuple[Axis, ...], text: str) -> dict[str, str]:
    chosen: dict[str, str] = {}
    free = [axis for axis in axes if axis.text]
    if free and not text:
        raise UserError(f"{family} needs the name of a model or a folder after a colon: write {family}:NAME")
    for token in [text] if free else text.split("-") if text else []:
        axis = next((axis for axis in axes if axis.knows(token)), None)
        if axis is None:
            raise UserError(
                f"{family} has no variant {token!r}: {choices(token, [t for a in axes for t in a.examples()])}"
            )
        if axis.number and token not in axis.tokens:  # t0512 is t512
            token = f"{axis.number}{axis.value(token)}"
        if axis.option in chosen:
            raise UserError(f"{family} takes one {axis.option}, not both {chosen[axis.option]!r} and {token!r}")
        chosen[axis.option] = token
    return chosen


def load_task(name: str) -> Task:
    """Understand a task's name such as ``esc50:esc10`` or ``csv:FILE``.

    Raises:
        UserError: the task or the variant is unknown, or what must stand after the colon is missing.
    """
    family, colon, variant = name.partition(":")
    module = _plugin("tasks", family).load()
    if argument := getattr(module, "ARGUMENT", None):
        if not variant:
            raise UserError(f"{family} needs a {argument.lower()} after a colon: write {family}:{argument}")
    elif variant not in module.VARIANTS or (colon and not variant):
        known = [f"{family}:{word}" if word else family for word in module.VARIANTS]
        raise UserError(f"{family} has no variant {variant!r}: {choices(name, known)}")
    task: Task = module.task(variant)
    return task


def describe(kind: str, name: str) -> dict[str, Any]:
    """What ``harness info`` shows of one plugin, as plain values."""
    if kind == "tasks":
        return _describe_task(name)
    family = _plugin("upstreams", re.split("[:@]", name)[0])
    spec = UpstreamSpec(name, family.load().UPSTREAM, {}, None) if name == family.name else UpstreamSpec.parse(name)
    cls, card = spec.cls, spec.card
    return {
        "name": name,
        "summary": (inspect.getdoc(cls) or "").partition("\n")[0],
        **(_sizes(spec.variant) if spec.variant else {}),
        "paper": card.paper,
        "licence": card.licence,
        "training data": str(card.training),
        "homepage": card.homepage,
        "default view": cls.view,
        "dtypes": ", ".join(("float32", *cls.dtypes)),
        "revision": cls.revision,
        **{axis.option: ", ".join(axis.examples()) for axis in cls.axes},
        "weights": " or ".join(cls.reads),
    }


def task_names(family: str) -> list[str]:
    """The names that run a task's variants, or ``csv:FILE``; of another package's task, its family alone.

    Nothing is imported: what a built-in task's module assigns to ``VARIANTS`` or ``ARGUMENT`` is read from its text.
    """
    plugin = _plugin("tasks", family)
    spec = importlib.util.find_spec(plugin.module) if plugin.built_in else None
    if spec is None or spec.origin is None:
        return [family]
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        match node:
            case ast.Assign([ast.Name("VARIANTS")], value):
                return [f"{family}:{word}" if word else family for word in ast.literal_eval(value)]
            case ast.Assign([ast.Name("ARGUMENT")], value):
                return [f"{family}:{ast.literal_eval(value)}"]
    return [family]


def _describe_task(name: str) -> dict[str, Any]:
    from harness.metrics import DEFAULTS
    from harness.targets import kind_of

    family = name.partition(":")[0]
    plugin = _plugin("tasks", family)
    module = plugin.load()
    if name == family and hasattr(module, "ARGUMENT"):
        return {"name": f"{family}:{module.ARGUMENT}", "summary": plugin.summary, **module.GUIDE}
    task = load_task(name)
    facts = {
        "name": name if hasattr(module, "VARIANTS") else task.name,
        "summary": task.description,
        "domain": task.domain,
        "version": task.version,
        "clips": f"{task.clips:,}" if task.clips else "",
        "hours": f"{task.hours:,.2f}" if task.hours else "",
        "target": describe_target(task.target),
        "splits": describe_splits(task.splits),
        "counts": ", ".join(f"{fold} {count:,}" for fold, count in task.counts.items()),
        "folds": task.folding,
        "metric": task.metric or DEFAULTS[kind_of(task.target)],
        "licence": task.licence,
        "paper": task.paper,
        "source": _describe_source(task.source),
        "benchmarks": describe_benchmarks(task.benchmarks),
        "variants": ", ".join(variant for variant in getattr(module, "VARIANTS", ()) if variant),
        "groups known to span folds": ", ".join(sorted(task.spanning)),
        "known to lie in several folds": task.leaks,
        "clips that copies may lack": ", ".join(sorted(task.may_lack)),
        "prescribed by benchmarks": "; ".join(
            f"{benchmark}: {', '.join(f'{what} {value}' for what, value in own.items())}"
            for benchmark, own in task.published.items()
        ),
    }
    unsure = {fact: f"{facts[fact]} (unconfirmed)" for fact in task.unconfirmed & facts.keys() if facts[fact]}
    return facts | unsure


def _describe_source(source: Source) -> str:
    match source:
        case tuple():
            return ", ".join(url for archive in source for url in archive.urls)
        case ByHand(ask, put):
            return f"by hand: {ask}; put {put} into its folder"
        case None:
            return ""
    return "made on first use"


def describe_splits(splits: Sequence[Split]) -> str:
    """How many splits there are, and of what."""
    if len(splits) > 1:
        return f"{len(splits)} folds in turn"
    return "train, valid, test"


def describe_benchmarks(benchmarks: Mapping[str, float | None]) -> str:
    """The benchmarks that use a task; weights in their mean are in brackets."""
    return ", ".join(name if weight is None else f"{name} ({weight:g})" for name, weight in benchmarks.items())


def describe_target(target: Target) -> str:
    """What is asked of a clip, in words."""
    match target:
        case Class(labels):
            return f"one of {len(labels)} labels"
        case Tags(labels):
            return f"any of {len(labels)} labels"
        case Slots(names, labels):
            return "one label each of " + ", ".join(
                f"{name} ({len(own)})" for name, own in zip(names, labels, strict=True)
            )
        case Value():
            return "a number"
        case Events(labels):
            return f"when each of {len(labels)} labels sounds"
        case Trials():
            return "whether two clips have one speaker"


def published_models(family: str) -> dict[str, dict[str, str]]:
    """What ``harness list upstreams`` shows: a row for each published model of a family, by the name that runs it.

    Only the built-in families' modules are imported, which import nothing heavy; of another package's, the name is
    shown.
    """
    plugin = _plugin("upstreams", family)
    cls = plugin.load().UPSTREAM if plugin.built_in else None
    if cls is None or not cls.variants:
        return {family: {"summary": plugin.summary}}
    return {f"{family}:{name}" if name else family: _row(cls, variant) for name, variant in cls.variants.items()}


def _row(cls: type[Upstream], variant: Variant) -> dict[str, str]:
    card = card_of(cls, variant)
    return {**_sizes(variant), "licence": card.licence, "training data": str(card.training)}


def _sizes(variant: Variant) -> dict[str, str]:
    low, high = min(variant.widths), max(variant.widths)
    return {
        "parameters": f"{variant.parameters:.1f} M" if variant.parameters else "none",
        "layers x width": f"{len(variant.widths)} x {low if low == high else f'{low}-{high}'}",
        "frames/s": "1 a clip" if variant.frame_rate is None else f"{float(variant.frame_rate):.4g}",
        "sample rate": f"{variant.sample_rate} Hz",
    }
