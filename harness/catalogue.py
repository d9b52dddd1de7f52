"""The heads by name, and the table of which head follows which interface to answer which kind of target."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.closed import Logistic, Ridge
from harness.errors import UserError, choices
from harness.heads import Head
from harness.interfaces import INTERFACES, NAMES, POOLINGS, Interface
from harness.neighbours import KNN, Cosine, NearestMean
from harness.trained import Trained
from harness.training import Training


def group_of(interface: Interface) -> str:
    """The interface's group in :data:`GROUPS`."""
    if interface.pool == "none":
        return "frames"
    return "learned" if interface.learns or interface.needs_frames else "vector"


def _named(name: str) -> Interface:
    """An interface of :data:`harness.interfaces.NAMES`; of layer:K the first."""
    return Interface.parse(name.replace("layer:K", "layer:0") if name in NAMES else name)


#: The interfaces by name, in groups: one vector per clip; the same, learned with the head; one answer per frame.
GROUPS = {
    group: tuple(name for name in NAMES if group_of(_named(name)) == group) for group in ("vector", "learned", "frames")
}


@dataclass(frozen=True)
class Entry:
    """A head, what it is, and the kinds of target that it answers after each group of interfaces."""

    head: Head
    summary: str
    kinds: Mapping[str, tuple[str, ...]]


_SHORT = ("class", "tags")
_ALL = ("class", "tags", "slots", "value")


def _vector(*kinds: str) -> Mapping[str, tuple[str, ...]]:
    return {"vector": kinds}


def _learned(*kinds: str) -> Mapping[str, tuple[str, ...]]:
    return {"vector": kinds, "learned": kinds}


#: Eight of the sixteen points of HEAR's grid, in the order in which its seed draws them (``random.seed(42)``).
HEAR_GRID = (
    (1, "normal", 1e-4),
    (2, "uniform", 1e-3),
    (1, "normal", 1e-3),
    (1, "normal", 3.2e-4),
    (2, "normal", 3.2e-4),
    (2, "uniform", 3.2e-4),
    (2, "normal", 3.2e-3),
    (2, "uniform", 3.2e-3),
)


def hear_head(training: Training) -> Trained:
    """HEAR's head on its eight points, trained in some way."""
    points = [(("hidden_layers", n), ("init", init), ("rate", rate)) for n, init, rate in HEAR_GRID]
    return Trained("hear-mlp", training, tuple(points))


SUPERB_TRAINING = Training(
    rates=(1e-1, 1e-2, 1e-3, 1e-4, 1e-5), batch=32, steps=30_000, epochs=200, checks=40, clip=1.0
)
HEAR_TRAINING = Training(rates=(), batch=1024, epochs=500, check_epochs=3, patience=20)
ARCH_TRAINING = Training(
    rates=(1e-3,),
    batch=32,
    epochs=200,
    keep="lowest loss",
    optimiser="adamw",
    weight_decay=0.01,
    schedule="warm-up and down",
)
EVAR_TRAINING = Training(
    rates=(1e-3, 3e-4, 1e-4, 3e-5), batch=200, epochs=200, patience=20, keep="latest best", weight_decay=1e-8
)
XARES_TRAINING = Training(rates=(1e-3,), batch=32, epochs=10, least_steps=2000, schedule="cosine to a tenth")
SPEAKER_TRAINING = Training(
    rates=(1e-2, 1e-3, 1e-4), batch=50, steps=20_000, epochs=200, checks=40, optimiser="adamw", clip=1e3
)

HEADS: dict[str, Entry] = {
    "logistic": Entry(
        Logistic(),
        "logistic regression, L2, solved to convergence by L-BFGS; of tags one for each label",
        _vector("class", "tags", "slots"),
    ),
    "ridge": Entry(Ridge(), "ridge regression in closed form; of classes on +1 and -1", _vector(*_ALL)),
    "nearest-mean": Entry(NearestMean(), "the nearest class mean", _vector("class")),
    "knn": Entry(KNN(), "k nearest neighbours by cosine, weighted by a softmax; k is chosen", _vector(*_ALL)),
    "superb-linear": Entry(
        Trained("superb-linear", SUPERB_TRAINING),
        "SUPERB: projection to 256 and a linear layer; of slots the sum of their losses",
        _learned(*_ALL),
    ),
    "hear-mlp": Entry(
        hear_head(HEAR_TRAINING),
        "HEAR: one or two hidden layers of 1024 with batch norm and dropout; eight settings",
        {**_learned(*_ALL), "frames": ("events",)},
    ),
    "arch-linear": Entry(
        Trained("arch-linear", ARCH_TRAINING), "ARCH: a linear layer, AdamW with warm-up", _learned(*_SHORT)
    ),
    "arch-nonlinear": Entry(
        Trained("arch-nonlinear", ARCH_TRAINING), "ARCH: one hidden layer as wide as the features", _learned(*_SHORT)
    ),
    "evar-linear": Entry(
        Trained("evar-linear", EVAR_TRAINING), "EVAR: a linear layer, Adam, early stopping", _learned(*_SHORT)
    ),
    "xares-linear": Entry(
        Trained("xares-linear", XARES_TRAINING),
        "X-ARES: layer norm and a linear layer, Adam with a cosine schedule",
        {**_learned(*_SHORT), "frames": ("events",)},
    ),
    "cosine": Entry(Cosine(), "verification without training: the cosine of two clips' features", _vector("trials")),
    "speaker-linear": Entry(
        Trained("speaker-linear", SPEAKER_TRAINING),
        "verification by one linear layer to 512, trained on speakers with an additive margin",
        _learned("trials"),
    ),
}


def find_head(name: str) -> Entry:
    """A head by its name.

    Raises:
        UserError: there is none of that name.
    """
    if name not in HEADS:
        raise UserError(f"there is no head {name!r}: {choices(name, HEADS)}")
    return HEADS[name]


def check_pair(head: str, interface: Interface, kind: str) -> None:
    """Refuse a head that does not follow an interface, or does not answer a kind of target after it.

    Raises:
        UserError: so it is; the sentence says what does.
    """
    entry, group = find_head(head), group_of(interface)
    if kind in entry.kinds.get(group, ()):
        return
    can = {name: each for name, each in HEADS.items() if kind in each.kinds.get(group, ())}
    if not can:
        able = {g for each in HEADS.values() for g, kinds in each.kinds.items() if kind in kinds}
        known = ", ".join(name for g, names in GROUPS.items() if g in able for name in names)
        raise UserError(f"no head answers {kind} after the interface {interface}: for {kind} there is {known}")
    raise UserError(
        f"the head {head} does not answer {kind} after the interface {interface}: those that do are {', '.join(can)}"
    )


def table() -> str:
    """Every head and group of interfaces with the kinds of target that it answers, in Markdown."""
    lines = ["| head | " + " | ".join(GROUPS) + " |", "|---" * (len(GROUPS) + 1) + "|"]
    for name, entry in HEADS.items():
        lines.append(f"| `{name}` | " + " | ".join(", ".join(entry.kinds.get(g, ())) or "–" for g in GROUPS) + " |")
    return "\n".join(lines)


def groups() -> str:
    """The interfaces of every group, in Markdown."""
    lines = ["| group | interfaces |", "|---|---|"]
    lines += [f"| {group} | " + ", ".join(f"`{name}`" for name in names) + " |" for group, names in GROUPS.items()]
    return "\n".join(lines)


def describe(name: str) -> dict[str, str]:
    """What ``harness info`` shows of a head."""
    entry = find_head(name)
    length, grid = describe_training(entry.head)
    follows: dict[str, list[str]] = {}
    for group, kinds in entry.kinds.items():
        follows.setdefault(", ".join(kinds), []).extend(GROUPS[group])
    answers = {kinds: f"after {', '.join(names)}" for kinds, names in follows.items()}
    return {"name": name, "summary": entry.summary, "training": length, "grid": grid, **answers}


def describe_interface(name: str) -> dict[str, str]:
    """What ``harness info`` shows of an interface, or of a pooling under the name ``LAYERS/POOLING``.

    Raises:
        UserError: there is none of that name.
    """
    members = [each for each in NAMES if name == f"LAYERS/{each.partition('/')[2]}"]
    interface = _named(members[0] if members else name)
    layers = "layer:K" if interface.layers.startswith("layer:") else interface.layers
    facts = {"interfaces": ", ".join(members)} if members else {"summary": INTERFACES[layers]}
    facts["pooling"] = POOLINGS.get(interface.pooling, "the mean over time")
    facts["stored"] = "frames" if interface.needs_frames else "one vector for each clip and layer"
    group = group_of(interface)
    heads = {head: ", ".join(entry.kinds[group]) for head, entry in HEADS.items() if group in entry.kinds}
    return {"name": name, **facts, **heads}


_SCHEDULES = {
    "constant": "constant rate",
    "cosine to a tenth": "cosine to a tenth of the rate, epoch by epoch",
    "warm-up and down": "linear warm-up over a tenth of the steps, then linear to 0",
    "warm-up and down, early": "linear warm-up over a tenth of the steps, then linear to 0, reached early",
}


def describe_training(head: Head) -> tuple[str, str]:
    """Training and grid of a head, in words."""
    if not isinstance(head, Trained):
        return "solved, not trained by steps", "; ".join(f"{name} {_numbers(each)}" for name, each in _grids(head))
    t = head.training
    limits = [f"{count:,} {unit}" for count, unit in ((t.steps, "steps"), (t.epochs, "epochs")) if count]
    length = " or ".join(limits) + (", whichever is shorter" if len(limits) > 1 else "")
    least = f", at least {t.least_steps:,} steps" if t.least_steps else ""
    order = "" if t.shuffle else ", never shuffled"
    decay = f", weight decay {t.weight_decay:g}" if t.weight_decay else ""
    optimiser = {"adam": "Adam", "adamw": "AdamW"}[t.optimiser] + decay
    grid = f"rate {_numbers(t.rates)}" if t.rates else f"{len(head.grid)} drawn points of depth, first weights and rate"
    bound = f", gradients bounded at norm {t.clip:g}" if t.clip else ""
    told = f"{optimiser}{bound}, {length}{least}, batches of {t.batch}{order}, {_SCHEDULES[t.schedule]}"
    return "; ".join([told, *_looks(t)]), grid


def _looks(training: Training) -> list[str]:
    """When validation looks at a training, where it does."""
    if training.keep == "last":
        return []
    epochs = "epoch" if training.check_epochs == 1 else f"{training.check_epochs} epochs"
    looks = f"looked at {training.checks} times" if training.checks else f"looked at after every {epochs}"
    return [looks + (f", stops after {training.patience} looks without gain" if training.patience else "")]


def _grids(head: Head) -> list[tuple[str, tuple[float, ...]]]:
    """What a head that is solved chooses from."""
    match head:
        case Logistic(grid):
            return [("C", grid)]
        case Ridge(grid):
            return [("alpha", grid)]
        case KNN(ks, temperatures):
            return [("k", ks), ("temperature", temperatures)]
    return []


def _numbers(values: tuple[Any, ...]) -> str:
    return ", ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)
