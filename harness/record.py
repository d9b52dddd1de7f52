"""What a run leaves: its result, put together from what the splits gave."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import fit
from harness.answer_file import number_of
from harness.answers import Kept, SplitAnswers
from harness.interfaces import Interface
from harness.provenance import environment
from harness.shards import content_key
from harness.targets import kind_of
from harness.types import Class, Result, Trials

if TYPE_CHECKING:
    from harness.experiment import Experiment


def result_of(
    experiment: "Experiment",
    interface: Interface,
    data: fit.Data,
    outcomes: Sequence[fit.Outcome],
    kept: Kept,
    told: dict[str, Any],
) -> Result:
    """The result of what was answered; ``told`` are its cost, its deviations and the hash of the answers' file."""
    labelled, scoring = experiment.labelled, data.scoring
    scores = kept.by_seed(scoring.metric)
    return Result(
        key=experiment.key,
        upstream=experiment.encoder.spec.label,
        task=labelled.task.name,
        protocol=protocol_name(experiment),
        interface=str(interface),
        head=labelled.head,
        metric=scoring.metric,
        score=kept.scored.point,
        interval=kept.interval,
        metrics=_finite({name: float(kept.by_seed(name).mean()) for name in scoring.names}),
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


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    """Without those that are not defined on some split, such as the area under the curve of one class."""
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def kept_of(experiment: "Experiment", data: fit.Data, outcomes: Sequence[fit.Outcome]) -> Kept:
    """What was answered to the test clips of every split by the heads of every seed."""
    clips, count = experiment.labelled.clips, len(outcomes) // len(experiment.seeds)
    speakers = isinstance(data.scoring.target, Trials)
    groups = [str(clip.target) if speakers else clip.group for clip in clips]
    numbers = np.array(list(map(number_of, clips)), np.int64)
    names = sorted({groups[i] for outcome in outcomes for i in outcome.rows.tolist()})
    place = {name: i for i, name in enumerate(names)}
    splits = []
    for index in range(count):
        rows = outcomes[index].rows
        where = np.array([place[groups[i]] for i in rows.tolist()], np.int64)
        splits.append(SplitAnswers(numbers[rows], where, tuple(outcome.answers for outcome in outcomes[index::count])))
    return Kept(data.scoring.target, data.scoring.metric, tuple(splits))


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
