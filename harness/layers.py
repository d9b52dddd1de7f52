"""The layer curve: every layer of an upstream probed by itself on a task, and which one validation would choose."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness import fit
from harness.errors import UserError
from harness.events import Event, Report, silent
from harness.experiment import Experiment, fill, fit_all, load, settle
from harness.record import badges_of, kept_of
from harness.types import Interval


@dataclass(frozen=True)
class Layer:
    """One layer: its mean score on the validation and on the test clips of all splits, and the latter's interval.

    ``chosen`` says in how many fits, one for each split and seed, validation liked this layer best.
    """

    name: str
    valid: float
    test: float
    interval: Interval
    chosen: int


@dataclass(frozen=True)
class Curve:
    """All layers of an upstream on a task; ``score`` is what choosing the layer by validation gives, in ``fits``
    fits. ``badges`` are what a result would have, ``remarks`` what the data make one careful about.

    Test scores of single layers are there to be looked at: whoever picks the best of them has chosen by the test.
    """

    upstream: str
    task: str
    protocol: str
    metric: str
    layers: tuple[Layer, ...]
    score: float
    fits: int
    badges: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


def curve(experiment: Experiment, report: Report = silent) -> Curve:
    """Probe every layer, from one extraction.

    Raises:
        UserError: the experiment's interface is not ``best-layer``, or something has to be changed first.
    """
    interface, _ = settle(experiment)
    if interface.layers != "best-layer":
        raise UserError(f"the interface {interface} shows no single layers: leave --interface out")
    for remark in experiment.labelled.facts["remarks"]:
        report(Event("remark", f"{experiment.task.name}: {remark}"))
    fill(experiment, report)
    data = load(experiment, interface)
    single = [replace(data, inputs={name: x}) for name, x in data.inputs.items()]
    return _drawn_from(experiment, data, dict(zip(data.inputs, fit_all(experiment, single, report), strict=True)))


def _drawn_from(experiment: Experiment, data: fit.Data, probed: dict[str, list[fit.Outcome]]) -> Curve:
    # One row per fit: the layer that validation likes best, of equals the first, as in a run.
    choices = [
        max(probed, key=lambda name: outcomes_of[name].valid.rank)
        for outcomes_of in (dict(zip(probed, each, strict=True)) for each in zip(*probed.values(), strict=True))
    ]
    if experiment.settings.preset.chooses_once:
        splits = len(choices) // len(experiment.seeds)
        choices = [choices[i - i % splits] for i in range(len(choices))]
    layers = []
    for name, outcomes in probed.items():
        test = _mean([outcome.fold.score for outcome in outcomes])
        valid = _mean([data.scoring.sign * outcome.valid.value for outcome in outcomes])
        interval = kept_of(experiment, data, outcomes).interval
        layers.append(Layer(name, valid, test, interval, choices.count(name)))
    chosen = [probed[name][i].fold.score for i, name in enumerate(choices)]
    return Curve(
        experiment.encoder.spec.label,
        experiment.task.name,
        experiment.settings.protocol,
        data.scoring.metric,
        tuple(layers),
        _mean(chosen),
        len(chosen),
        badges_of(experiment),
        tuple(experiment.labelled.facts["remarks"]),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
