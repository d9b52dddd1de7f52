"""What a run leaves: its result, put together from what the splits gave."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import fit, stats
from harness.interfaces import Interface
from harness.metrics import METRICS
from harness.provenance import environment
from harness.shards import content_key
from harness.targets import kind_of
from harness.types import Class, Interval, Result, Trials

if TYPE_CHECKING:
    from harness.experiment import Experiment


def result_of(
    experiment: "Experiment",
    interface: Interface,
    data: fit.Data,
    outcomes: Sequence[fit.Outcome],
    told: dict[str, Any],
) -> Result:
    """The result; ``told`` are its cost and its deviations."""
    labelled, scoring = experiment.labelled, data.scoring
    scores = _table(experiment, scoring.metric, data, outcomes)
    return Result(
        key=experiment.key,
        upstream=experiment.encoder.spec.label,
        task=labelled.task.name,
        protocol=protocol_name(experiment),
        interface=str(interface),
        head=labelled.head,
        metric=scoring.metric,
        score=_mean(scores),
        interval=interval_of(experiment, data, outcomes, _mean(scores)),
        metrics=_finite({name: _mean(_table(experiment, name, data, outcomes)) for name in scoring.names}),
        folds=tuple(outcome.fold for outcome in outcomes),
        fold_std=fit.spread([float(x) for x in scores.mean(0)]),
        seed_std=fit.spread([float(x) for x in scores.mean(1)]),
        badges=badges_of(experiment),
        candidates=tuple(candidate for outcome in outcomes for candidate in outcome.candidates),
        layer_weights=tuple(outcome.layer_weights for outcome in outcomes if outcome.layer_weights),
        data={**labelled.facts, **_chance(data, outcomes)},
        method=_method_facts(experiment),
        encoder=_encoder_facts(experiment),
        environment=environment(str(experiment.encoder.upstream.device)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        **told,
    )


def protocol_name(experiment: "Experiment") -> str:
    """The protocol's name and whatever was asked for instead of its own: what differs is not ranked together."""
    preset, labelled = experiment.settings.preset, experiment.labelled
    usual = (*preset.pair(kind_of(experiment.task.target)), experiment.usual_view)
    used = (labelled.interface, labelled.head, experiment.encoder.view)
    # Another interface may come with another view, which then is its usual one.
    return "+".join([preset.name, *(str(name) for name, own in zip(used, usual, strict=True) if name != own)])


def _table(experiment: "Experiment", metric: str, data: fit.Data, outcomes: Sequence[fit.Outcome]) -> stats.Table:
    """A metric of every seed and split, (seed, split)."""
    values = [data.scoring.measure(metric, outcome.answers) for outcome in outcomes]
    return np.array(values).reshape(len(experiment.seeds), -1)


def _mean(scores: stats.Table) -> float:
    return float(scores.mean())


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """Without those that are not defined on some split, such as the area under the curve of one class."""
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def interval_of(experiment: "Experiment", data: fit.Data, outcomes: Sequence[fit.Outcome], point: float) -> Interval:
    """Answers of all seeds to one clip in one split are one observation."""
    splits = len(outcomes) // len(experiment.seeds)
    clips = experiment.labelled.clips
    speakers = isinstance(data.scoring.target, Trials)
    groups = [str(clip.target) if speakers else clip.group for clip in clips]
    if data.scoring.metric == "accuracy" and isinstance(data.scoring.target, Class):
        correct, folds, drawn = [], [], []
        for index in range(splits):
            rows = outcomes[index].rows
            right = [o.answers.scores.argmax(1) == o.answers.truth for o in outcomes[index::splits]]
            correct.append(np.mean(right, axis=0))
            folds += [index] * len(rows)
            drawn += [groups[i] for i in rows.tolist()]
        return stats.accuracy_interval(np.concatenate(correct), folds, drawn)

    tested = np.unique(np.concatenate([outcome.rows for outcome in outcomes]))
    names, number = np.unique([groups[i] for i in tested.tolist()], return_inverse=True)
    group = np.zeros(len(clips), np.int64)
    group[tested] = number

    def rescore(weight: stats.Table) -> float:
        """The score when every group counts so many times; a fold where it is undefined is left out."""
        values = [data.scoring.measure(data.scoring.metric, o.answers, weight[group[o.rows]]) for o in outcomes]
        folds = np.array(values).reshape(-1, splits).mean(0)
        return float(folds[np.isfinite(folds)].mean()) if np.isfinite(folds).any() else float("nan")

    return stats.interval(rescore, len(names), point, share=METRICS[data.scoring.metric].percent)


def badges_of(experiment: "Experiment") -> tuple[str, ...]:
    """What keeps a result from being ranked with others."""
    task = experiment.task
    marks = {
        "untrained": experiment.encoder.weights.kind == "untrained",
        "partial": experiment.labelled.partial,
        "leaky": bool(task.leaks),
        "test-selected": any(split.badge == "test-selected" for split in experiment.splits(experiment.seeds[0])),
    }
    return tuple(name for name, so in marks.items() if so)


def _chance(data: fit.Data, outcomes: Sequence[fit.Outcome]) -> dict[str, float]:
    """The accuracy of always answering the label that is tested most, where accuracy is what is scored."""
    if data.scoring.metric != "accuracy" or not isinstance(data.scoring.target, Class):
        return {}
    tested = [data.scoring.y[outcome.rows] for outcome in outcomes]
    most = np.bincount(np.concatenate(tested)).argmax()
    return {"chance": float(np.mean([(y == most).mean() for y in tested]))}


def _method_facts(experiment: "Experiment") -> dict[str, Any]:
    """Everything that the protocol fixed, so that the run can be redone by hand."""
    preset, method = experiment.settings.preset, experiment.method
    return {
        "head": {"kind": type(method.head).__name__, **json.loads(json.dumps(asdict(method.head)))},  # type: ignore[call-overload]
        "standardised": method.standardise,
        "refitted": method.refit,
        "splits": preset.splits,
        "clips": preset.recipe,
        "seeds": list(experiment.seeds),
    }


def _encoder_facts(experiment: "Experiment") -> dict[str, Any]:
    upstream, spec = experiment.encoder.upstream, experiment.encoder.spec
    training = upstream.training or spec.card.training
    lengths = [round(piece.seconds * upstream.sample_rate) for piece in experiment.labelled.pieces]
    return {
        **experiment.encoder.key,
        "key": content_key(experiment.encoder.key),
        "weights_label": experiment.encoder.weights.label,
        "layers": len(upstream.widths),
        "width": upstream.final_width,
        "parameters": upstream.parameters,
        "clips_padded_to_the_shortest_input": sum(samples < upstream.shortest for samples in lengths),
        "clips_cut_in_windows": sum(samples > (upstream.longest or samples) for samples in lengths),
        "sample_rate": upstream.sample_rate,
        "paper": spec.card.paper,
        "licence": spec.card.licence,
        "training": {**asdict(training), "sets": list(training.sets)},
        **upstream.found,
    }
