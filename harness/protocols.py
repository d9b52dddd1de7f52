"""Protocols: frozen records of how an experiment is done, one for each published benchmark and a better default.

A plain name mends the benchmark's defects and hears whole clips, so that all plain protocols share one extraction;
``NAME:compat`` repeats what was published, clip recipe and defects included. Sources are the benchmarks' own code.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from harness import recipes
from harness.catalogue import (
    ARCH_TRAINING,
    EVAR_TRAINING,
    HEADS,
    HEAR_TRAINING,
    SUPERB_TRAINING,
    XARES_TRAINING,
    describe_training,
    find_head,
    group_of,
    hear_head,
)
from harness.errors import UserError, choices
from harness.fit import Method
from harness.heads import Head
from harness.interfaces import Interface
from harness.neighbours import KNN
from harness.splits import RULES as SPLITS
from harness.trained import Trained
from harness.training import Training

#: For each kind of target the interface and the head.
Usual = Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class Protocol:
    """How an experiment is done.

    ``usual`` has, for each kind of target that the benchmark knows, the interface and the head; ``heads`` are those
    that it trains unlike :data:`harness.catalogue.HEADS`. ``standardise`` and ``refit`` as in
    :class:`harness.fit.Method`; ``splits`` names a rule of :mod:`harness.splits`, ``recipe`` one of
    :mod:`harness.recipes`; ``view`` is how layers are averaged, the upstream's own if empty. ``seeds`` heads are
    trained, from ``first_seed`` on. ``chosen`` and ``defects`` say in words how a setting is chosen, and what a plain
    name mends or a published one keeps. ``refused`` says why a kind of target is.
    """

    name: str
    summary: str
    source: str
    usual: Usual
    chosen: str
    defects: str
    standardise: bool = False
    refit: bool = False
    splits: str = "official"
    recipe: str = recipes.WHOLE
    view: str = ""
    seeds: int = 1
    first_seed: int = 0
    heads: Mapping[str, Head] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def chooses_once(self) -> bool:
        """Whether the first split chooses for all."""
        return self.splits == "chosen-once"

    @property
    def benchmark(self) -> str:
        """The benchmark's name, under which tasks keep what it prescribes for them."""
        return self.name.partition(":")[0]

    def pair(self, kind: str, interface: str | None = None, head: str | None = None) -> tuple[Interface, str]:
        """The interface and the head for a kind of target, unless others are asked for.

        A head that is asked for alone gets an interface that it can follow, and the other way round stays refused.

        Raises:
            UserError: the protocol does not know the kind.
        """
        if kind in self.refused:
            raise UserError(f"{self.name} does not do {kind}: {self.refused[kind]}")
        if kind not in self.usual:
            raise UserError(f"{self.name} knows no {kind}, only {', '.join(self.usual)}: use --protocol default")
        usual_interface, usual_head = self.usual[kind]
        chosen = Interface.parse(interface or usual_interface)
        if interface is None and head is not None and group_of(chosen) not in find_head(head).kinds:
            chosen = Interface.parse("last")
        return chosen, head or usual_head

    def method(self, head: str, published: Mapping[str, Any], device: str) -> Method:
        """How that head is chosen and fitted on a task for which the benchmark prescribes ``published``."""
        found = self.heads.get(head) or find_head(head).head
        own = published if head in {name for _, name in self.usual.values()} else {}
        return Method(_as_prescribed(found, own), self.standardise, self.refit, device)


def _as_prescribed(head: Head, published: Mapping[str, Any]) -> Head:
    """The head with the task's own steps, epochs, batch or rate."""
    if not isinstance(head, Trained):
        return head
    known = {each.name for each in fields(Training)}
    changes = {name: value for name, value in published.items() if name in known}
    if "rate" in published:
        changes["rates"] = (published["rate"],)
    if "steps" in changes:
        changes.setdefault("epochs", None)
    return replace(head, training=replace(head.training, **changes))


def _both(interface: str, head: str, *kinds: str) -> Usual:
    return dict.fromkeys(kinds, (interface, head))


_SUPERB = Protocol(
    "superb",
    "SUPERB: a learned weighted sum of layers, a linear head, whole clips",
    "Yang et al. 2021, s3prl",
    _both("weighted-sum", "superb-linear", "class", "tags", "slots", "value"),
    chosen="rate and check with the best validation metric; every split by itself",
    defects="mended: the rate is chosen from one stated grid, never by hand; validation is not drawn at random, and "
    "clips are not padded in batches",
    refused={"trials": "its speaker verification trains x-vectors, which are not here yet; use --protocol default"},
)
_HEAR = Protocol(
    "hear",
    "HEAR: one or two hidden layers on the final output",
    "Turian et al. 2022, hear-eval-kit",
    {**_both("last", "hear-mlp", "class", "tags"), "events": ("last/frames", "hear-mlp")},
    chosen="one of the eight drawn grid points, and the check with the best validation metric; every split by itself",
    defects="mended: training clips are shuffled, every split chooses for itself, clips are not cut or filled",
)
_ARCH = Protocol(
    "arch",
    "ARCH: a linear layer on the final output",
    "La Quatra et al. 2024, ARCH",
    _both("last", "arch-linear", "class", "tags"),
    chosen="the epoch with the lowest validation loss",
    defects="mended: the epoch is chosen (the published code always takes the last), validation is the task's own, "
    "clips are not cut or filled",
)
_EVAR = Protocol(
    "evar",
    "EVAR: a linear layer on the standardised final output, three seeds",
    "Niizumi et al. 2023, EVAR",
    _both("last", "evar-linear", "class", "tags"),
    chosen="rate and epoch with the best validation metric, early stopping",
    defects="mended: the rate is chosen from one stated grid, not set by hand for each model; validation is the "
    "task's own; two classes are scored like more; clips are not cut or filled",
    standardise=True,
    seeds=3,
    first_seed=42,
)
_XARES = Protocol(
    "xares",
    "X-ARES: layer norm and a linear layer on the final output",
    "Zhang et al. 2025, X-ARES",
    _both("last", "xares-linear", "class", "tags"),
    chosen="the epoch with the best validation metric",
    defects="mended: validation is never the test fold, at least 2,000 steps are trained, neighbours are normalised "
    "clip by clip, clips are not filled up in batches",
)
_DEFAULT = Protocol(
    "default",
    "whole clips; layer and settings chosen on each split's own validation, then refitted with it",
    "harness",
    {
        **_both("best-layer", "logistic", "class", "tags", "slots"),
        "value": ("best-layer", "ridge"),
        "trials": ("best-layer", "cosine"),
        "events": ("last/frames", "hear-mlp"),
    },
    chosen="layer and setting with the best validation metric (then the lower loss); every split by itself; the "
    "winner is fitted anew on training and validation clips",
    defects="none known",
    standardise=True,
    refit=True,
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        _DEFAULT,
        _SUPERB,
        replace(
            _SUPERB,
            name="superb:compat",
            summary="SUPERB as published: 200,000 steps unless the task has its own number",
            view="mean",
            recipe="superb",
            heads={"superb-linear": Trained("superb-linear", replace(SUPERB_TRAINING, steps=200_000, epochs=None))},
            defects="kept: layers are summed as they are, however much their scales differ; not kept: clips are not "
            "padded in batches, and where a task has a crop, clips are cut once, not anew in every epoch, those that "
            "choose too",
        ),
        _HEAR,
        replace(
            _HEAR,
            name="hear:compat",
            summary="HEAR as published: clips of one length, never shuffled, the first split chooses for all",
            view="mean",
            recipe="hear",
            splits="chosen-once",
            heads={"hear-mlp": hear_head(replace(HEAR_TRAINING, shuffle=False))},
            chosen="one of the eight drawn grid points on the first split only, for all splits; in each the check "
            "with the best validation metric",
            defects="kept: training clips are shuffled once and then never again; the first split's validation fold "
            "is a later one's test",
        ),
        _ARCH,
        replace(
            _ARCH,
            name="arch:compat",
            summary="ARCH as published: clips of one length, the last epoch",
            view="mean",
            recipe="arch",
            splits="random-fifth",
            heads={
                name: Trained(name, replace(ARCH_TRAINING, keep="last", schedule="warm-up and down, early"))
                for name in ("arch-linear", "arch-nonlinear")
            },
            chosen="nothing: the last epoch",
            defects="kept: a random fifth of the training clips is held out for a choice that is never made; filled "
            "frames are averaged in",
        ),
        _EVAR,
        replace(
            _EVAR,
            name="evar:compat",
            summary="EVAR as published: cuts of one length, one rate, a random tenth for early stopping",
            view="mean",
            recipe="evar",
            splits="random-tenth",
            heads={"evar-linear": Trained("evar-linear", replace(EVAR_TRAINING, rates=(3e-4,)))},
            chosen="the epoch with the best validation metric, early stopping; one rate",
            defects="kept: validation clips are drawn at random from the training folds, whatever their groups, and "
            "standardised with them; not kept: two classes are scored like more, and the loss is not divided by the "
            "number of classes, of which Adam takes no notice",
        ),
        _XARES,
        replace(
            _XARES,
            name="xares:compat",
            summary="X-ARES as published: folds are chosen by their test clips",
            view="mean",
            recipe="xares",
            splits="valid-is-test",
            heads={
                "xares-linear": Trained("xares-linear", replace(XARES_TRAINING, least_steps=0)),
                "knn": KNN(ks=(10,), normalise="feature"),
            },
            defects="kept: of tasks in folds the epoch is chosen on the test fold; few steps on small tasks; filled "
            "frames are averaged in; neighbours are normalised across clips; not kept: the sixteen that are filled up "
            "together are neighbours in the task's list",
        ),
    )
}


def find_protocol(name: str) -> Protocol:
    """A protocol by its name.

    Raises:
        UserError: there is none of that name.
    """
    if name not in PROTOCOLS:
        raise UserError(f"there is no protocol {name!r}: {choices(name, PROTOCOLS)}")
    return PROTOCOLS[name]


def describe(name: str) -> dict[str, str]:
    """What ``harness info`` shows of a protocol."""
    protocol = find_protocol(name)
    usual = {kind: f"{interface}, {head}" for kind, (interface, head) in protocol.usual.items()}
    refused = {kind: f"refused: {why}" for kind, why in protocol.refused.items()}
    length, grid = describe_training(_usual_head(protocol))
    return {
        "name": name,
        "summary": protocol.summary,
        "source": protocol.source,
        **usual,
        **refused,
        "training": length,
        "grid": grid,
        "chosen": protocol.chosen,
        "splits": SPLITS[protocol.splits].summary,
        "clips": recipes.RULES[protocol.recipe].summary,
        "layers averaged as": protocol.view or "the upstream's own view says",
        "standardised": "by the training clips" if protocol.standardise else "no",
        "seeds": ", ".join(map(str, range(protocol.first_seed, protocol.first_seed + protocol.seeds))),
        "defects": protocol.defects,
    }


def _usual_head(protocol: Protocol) -> Head:
    _, head = protocol.usual["class"]
    return protocol.heads.get(head) or HEADS[head].head


def table() -> str:
    """Every protocol with its steps, grid, selection, recipe and defects, in Markdown."""
    columns = ("protocol", "interface, head", "training", "grid", "chosen", "splits", "clips", "defects")
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    for protocol in PROTOCOLS.values():
        cells = (
            f"`{protocol.name}`",
            ", ".join(protocol.usual["class"]),
            *describe_training(_usual_head(protocol)),
            protocol.chosen,
            SPLITS[protocol.splits].summary,
            recipes.RULES[protocol.recipe].summary,
            protocol.defects,
        )
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
