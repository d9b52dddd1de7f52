"""The experiment: an upstream on a task under a protocol gives a result."""

import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from harness import fit, results, stats
from harness.data import cache_folder, ready_folder
from harness.datasets import Task, load_clips, spanning_groups
from harness.errors import UserError
from harness.events import Event, Report, silent
from harness.extract import Encoder, Forecast, extract, forecast, pieces_of
from harness.heads import HEADS
from harness.interfaces import check_layer, present
from harness.provenance import environment
from harness.registry import UpstreamSpec, load_task
from harness.settings import Settings
from harness.shards import content_key
from harness.store import FeatureStore, Piece, Shelf
from harness.types import Clip, Interval, Result
from harness.views import View


@dataclass(frozen=True)
class Experiment:
    """One upstream on one task, understood and checked, with nothing computed yet."""

    encoder: Encoder
    task: Task
    clips: Sequence[Clip]
    pieces: Sequence[Piece]
    store: FeatureStore
    settings: Settings

    @cached_property
    def shelf(self) -> Shelf:
        """Where the features are kept."""
        return self.store.shelf(self.encoder.key)

    @cached_property
    def data(self) -> dict[str, Any]:
        """The clips, by content, target, fold and group: two copies of a data set are the same wherever they lie."""
        rows = sorted((p.key, c.id, c.target, c.fold, c.group) for p, c in zip(self.pieces, self.clips, strict=True))
        return {
            "sha256": content_key(rows),
            "version": self.task.version,
            "clips": len(self.clips),
            "groups": len({clip.group for clip in self.clips}),
            "hours": round(sum(piece.seconds for piece in self.pieces) / 3600, 4),
            "licence": self.task.licence,
            "groups_spanning_folds": sorted(spanning_groups(self.clips)),
        }

    @cached_property
    def key(self) -> str:
        """Everything that decides the score; a second run with the same key has nothing to do."""
        return content_key(
            {
                "encoder": self.encoder.key,
                "task": self.task.name,
                "version": self.task.version,
                "labels": self.task.target.labels,
                "metric": self.task.metric,
                "data": self.data["sha256"],
                "splits": [[split.train, split.valid, split.test] for split in self.task.splits],
                "protocol": self.settings.protocol,
                "interface": self.settings.used_interface,
                "head": repr(HEADS[self.settings.used_head]),
                "seeds": self.settings.seeds,
                "revisions": [fit.REVISION, stats.REVISION],
            }
        )


def open_store(settings: Settings) -> FeatureStore:
    """The feature store that the settings name."""
    return FeatureStore(settings.store or cache_folder("HARNESS_STORE", "store"))


def prepare_all(
    upstreams: Sequence[str], tasks: Sequence[str], settings: Settings, store: FeatureStore
) -> list[Experiment]:
    """Every upstream on every task: understand the names, find the files of weights and data, before anything starts.

    Raises:
        UserError: something is not as it must be; the sentence says what.
    """
    specs = [UpstreamSpec.parse(name) for name in dict.fromkeys(upstreams)]
    known = [load_task(name) for name in dict.fromkeys(tasks)]
    encoders = [
        Encoder(
            spec,
            spec.weights(store.digest),
            View.parse(settings.view or spec.cls.view),
            settings.preset.recipe,
            settings.device,
        )
        for spec in specs
    ]
    labelled = []
    for task in known:
        clips = load_clips(task, ready_folder(task, settings.data))
        if settings.limit is not None and settings.limit < len(clips):
            clips = spread_evenly(clips, settings.limit)
        labelled.append((task, clips, pieces_of(clips, store)))
    return [Experiment(encoder, *each, store, settings) for encoder in encoders for each in labelled]


def spread_evenly(clips: Sequence[Clip], limit: int) -> list[Clip]:
    """The first ``limit`` clips when pairs of a label and a fold take turns, in their old order.

    The pairs' own order is drawn once and for all, so that a small limit still meets many labels and many folds.
    """
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, clip in enumerate(clips):
        cells[clip.target, clip.fold].append(i)
    rank = dict(zip(random.Random(0).sample(sorted(cells), len(cells)), range(len(cells)), strict=True))
    turns = sorted((turn, rank[cell], i) for cell, members in cells.items() for turn, i in enumerate(members))
    return [clips[i] for i in sorted(i for _, _, i in turns[:limit])]


def foresee(experiment: Experiment) -> Forecast:
    """What the experiment's extraction would take."""
    workers = experiment.settings.used_workers
    return forecast(experiment.encoder, experiment.shelf, experiment.clips, experiment.pieces, workers=workers)


def fill(experiment: Experiment, report: Report = silent) -> dict[str, Any]:
    """Extract the features that the store lacks, and say what they cost.

    Raises:
        UserError: the store would grow beyond ``max_store``, or a clip cannot be encoded.
    """
    encoder, settings, shelf = experiment.encoder, experiment.settings, experiment.shelf
    there = shelf.index()
    missing = [piece for piece in experiment.pieces if piece.key not in there]
    if missing:
        size = sum(encoder.view.bytes(encoder.upstream, piece.seconds) for piece in missing)
        if size > settings.max_store:
            raise UserError(
                f"{len(missing):,} clips in the view {encoder.view} would take {size / 1e6:,.1f} MB, "
                f"and --max-store allows {settings.max_store / 1e6:,.1f} MB: raise it, or keep less"
            )
    shelf.agree(encoder.answer())
    cost = extract(encoder, shelf, experiment.clips, experiment.pieces, workers=settings.used_workers, report=report)
    return {**cost, "store_bytes": shelf.size()}


def run_all(experiments: Sequence[Experiment], report: Report = silent) -> list[Result]:
    """Run one after the other; a network is let go of after its last experiment."""
    outcomes = []
    for i, experiment in enumerate(experiments):
        outcomes.append(run(experiment, report))
        if all(later.encoder is not experiment.encoder for later in experiments[i + 1 :]):
            experiment.encoder.release()
    return outcomes


def run(experiment: Experiment, report: Report = silent) -> Result:
    """Extract what is missing, fit every split and seed, score, and write the result.

    A run that is done already is only read.
    """
    settings, task = experiment.settings, experiment.task
    label = experiment.encoder.spec.label
    if experiment.encoder.view.kind == "frames":
        raise UserError(f"run needs one vector a clip, and {experiment.encoder.view} gives many: use mean or mean-ln")
    if (earlier := results.find(experiment.key, settings.results)) is not None:
        report(Event("result", f"{label} on {task.name}: done before, nothing to do", {"key": earlier.key}))
        return earlier

    check_layer(settings.used_interface, experiment.encoder.upstream.widths)
    results.make_folder(settings.results)
    cost = fill(experiment, report)
    features = experiment.shelf.get([piece.key for piece in experiment.pieces])
    layers = {name: np.stack([row.numpy() for row in rows]) for name, rows in features.items()}
    numbers = {name: i for i, name in enumerate(task.target.labels)}
    data = fit.Data(
        present(settings.used_interface, layers),
        np.array([numbers[clip.target] for clip in experiment.clips]),
        np.array([clip.fold for clip in experiment.clips]),
        len(numbers),
    )
    begin = time.perf_counter()
    outcomes = []
    for seed in range(settings.seeds):
        for index, split in enumerate(task.splits):
            outcomes.append(fit.fit_split(data, split, HEADS[settings.used_head], index=index, seed=seed))
            text = f"{label} on {task.name}: {len(outcomes)}/{len(task.splits) * settings.seeds} splits fitted"
            report(Event("fit", text, {"upstream": label}, len(outcomes), len(task.splits) * settings.seeds))
    cost["fit_seconds"] = round(time.perf_counter() - begin, 3)

    result = _result(experiment, data, outcomes, cost)
    path = results.write(result, settings.results)
    report(
        Event(
            "result",
            f"{label} on {task.name}: {' '.join(results.describe_score(result))}",
            {"file": str(path), "score": result.score},
        )
    )
    return result


def _result(experiment: Experiment, data: fit.Data, outcomes: Sequence[fit.Outcome], cost: dict[str, Any]) -> Result:
    settings, task, encoder = experiment.settings, experiment.task, experiment.encoder
    splits = len(task.splits)
    by_seed = [
        np.mean([outcome.fold.score for outcome in outcomes[i : i + splits]]) for i in range(0, len(outcomes), splits)
    ]
    by_fold = [np.mean([outcome.fold.score for outcome in outcomes[i::splits]]) for i in range(splits)]
    return Result(
        key=experiment.key,
        upstream=encoder.spec.label,
        task=task.name,
        protocol=_protocol(experiment),
        interface=settings.used_interface,
        head=settings.used_head,
        metric=task.metric,
        score=float(np.mean(by_seed)),
        interval=_interval(experiment, data, outcomes),
        folds=tuple(outcome.fold for outcome in outcomes),
        fold_std=fit.spread([float(score) for score in by_fold]),
        seed_std=fit.spread([float(score) for score in by_seed]),
        badges=_badges(experiment),
        candidates=tuple(candidate for outcome in outcomes for candidate in outcome.candidates),
        layer_weights=tuple(outcome.layer_weights for outcome in outcomes if outcome.layer_weights),
        data={**experiment.data, "chance": fit.chance(data.y, data.classes)},
        encoder=_encoder_facts(experiment),
        cost=cost,
        environment=environment(str(encoder.upstream.device)),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _interval(experiment: Experiment, data: fit.Data, outcomes: Sequence[fit.Outcome]) -> Interval:
    """Answers of all seeds to one clip in one split are one observation."""
    splits = len(experiment.task.splits)
    correct, folds, groups = [], [], []
    for index in range(splits):
        rows = outcomes[index].rows
        answers = np.stack([outcome.answers for outcome in outcomes[index::splits]])
        correct.append((answers == data.y[rows]).mean(0))
        folds += [index] * int(rows.sum())
        groups += [experiment.clips[i].group for i in np.flatnonzero(rows).tolist()]
    return stats.accuracy_interval(np.concatenate(correct), folds, groups)


def _protocol(experiment: Experiment) -> str:
    """The protocol's name and whatever was asked for instead of its own: what differs is not ranked together."""
    settings, preset = experiment.settings, experiment.settings.preset
    own = (preset.interface, preset.head, experiment.encoder.spec.cls.view)
    used = (settings.used_interface, settings.used_head, str(experiment.encoder.view))
    return "+".join([preset.name, *(name for name, usual in zip(used, own, strict=True) if name != usual)])


def _badges(experiment: Experiment) -> tuple[str, ...]:
    untrained = experiment.encoder.weights.kind == "untrained"
    partial = len(experiment.clips) < experiment.task.clips
    return tuple(name for name, so in (("untrained", untrained), ("partial", partial)) if so)


def _encoder_facts(experiment: Experiment) -> dict[str, Any]:
    upstream, spec = experiment.encoder.upstream, experiment.encoder.spec
    training = upstream.training or spec.card.training
    lengths = [round(piece.seconds * upstream.sample_rate) for piece in experiment.pieces]
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
