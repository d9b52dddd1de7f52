"""The experiment: an upstream on a task under a protocol gives a result."""

import random
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np

from harness import fit, results, stats
from harness.catalogue import check_pair
from harness.data import cache_folder, ready_folder
from harness.datasets import Task, load_clips, load_trials, remarks, spanning_groups
from harness.devices import pick_device
from harness.errors import NotApplicable, UserError
from harness.events import Event, Report, silent
from harness.extract import Encoder, Forecast, Heard, Model, extract, forecast, pieces_of, seconds_of
from harness.features import Features
from harness.interfaces import Interface
from harness.metrics import DEFAULTS, bind
from harness.recipes import RULES as RECIPES
from harness.recipes import WHOLE
from harness.record import result_of
from harness.registry import UpstreamSpec, load_task
from harness.scoring import Scoring
from harness.settings import Settings
from harness.shards import content_key
from harness.splits import AnySplit, splits_of
from harness.store import FeatureStore, Shelf
from harness.targets import kind_of
from harness.trained import Trained
from harness.types import Clip, Events, Result, Trial, Trials
from harness.views import View


@dataclass(frozen=True)
class Labelled:
    """A task's clips under a protocol: as they are heard, and what is asked of them."""

    task: Task
    clips: Sequence[Clip]
    trials: Sequence[Trial]
    learnt: Sequence[Heard]
    scored: Sequence[Heard]
    interface: Interface
    head: str
    metric: str
    partial: bool

    @property
    def pieces(self) -> list[Heard]:
        """Everything that has to be encoded."""
        return list({piece.key: piece for piece in chain(self.learnt, self.scored)}.values())

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The clips, by content, target, fold and group: two copies of a data set are the same wherever they lie."""
        heard = zip(self.learnt, self.scored, self.clips, strict=True)
        rows = sorted((p.key, q.key, c.id, repr(c.target), c.fold, c.group) for p, q, c in heard)
        return {
            "sha256": content_key([rows, sorted(self.trials)] if self.trials else rows),
            "version": self.task.version,
            "clips": len(self.clips),
            "trials": len(self.trials),
            "groups": len({clip.group for clip in self.clips}),
            "hours": round(sum(piece.seconds for piece in self.scored) / 3600, 4),
            "licence": self.task.licence,
            "groups_spanning_folds": [] if self.task.leaks else sorted(spanning_groups(self.clips)),
            "leaks": self.task.leaks,
            "folding": self.task.folding,
            "remarks": remarks(self.task, self.clips),
        }


@dataclass(frozen=True)
class Experiment:
    """One upstream on one task, understood and checked, with nothing computed yet."""

    encoder: Encoder
    labelled: Labelled
    store: FeatureStore
    settings: Settings

    @property
    def task(self) -> Task:
        """The task's record."""
        return self.labelled.task

    @cached_property
    def shelf(self) -> Shelf:
        """Where the features are kept."""
        return self.store.shelf(self.encoder.key)

    @cached_property
    def method(self) -> fit.Method:
        """How the head is chosen and fitted."""
        preset = self.settings.preset
        published = self.task.published.get(preset.benchmark, {})
        return preset.method(self.labelled.head, published, str(pick_device(self.settings.device)))

    @cached_property
    def splits(self) -> list[AnySplit]:
        """Which clips train, choose and score."""
        return splits_of(self.settings.preset.splits, self.task, self.labelled.clips)

    @cached_property
    def seeds(self) -> range:
        """The seeds of the heads."""
        preset = self.settings.preset
        count = self.settings.seeds or (preset.seeds if self.method.head.random else 1)
        return range(preset.first_seed, preset.first_seed + count)

    @cached_property
    def key(self) -> str:
        """Everything that decides the score; a second run with the same key has nothing to do."""
        preset, method = self.settings.preset, self.method
        return content_key(
            {
                "encoder": self.encoder.key,
                "task": self.task.name,
                "version": self.task.version,
                "target": repr(self.task.target),
                "metric": self.labelled.metric,
                "data": self.labelled.facts["sha256"],
                "splits": [[split.train, split.valid, split.test] for split in self.task.splits],
                "protocol": [preset.name, preset.splits, preset.once, method.standardise, method.refit],
                "interface": [str(self.labelled.interface), self.settings.interface is None],
                "head": repr(method.head),
                "seeds": list(self.seeds),
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
    models = [Model(spec, spec.weights(store.digest), settings.device) for spec in specs]
    labelled = [_label(task, settings, store) for task in known]
    experiments = [
        Experiment(_encoder(model, each.interface, settings), each, store, settings)
        for model in models
        for each in labelled
    ]
    for experiment in experiments:
        if settings.seeds and settings.seeds > 1 and not experiment.method.head.random:
            raise UserError(
                f"the {experiment.labelled.head} head has no randomness, so --seeds {settings.seeds} would repeat one "
                "answer: drop it"
            )
    return experiments


def _label(task: Task, settings: Settings, store: FeatureStore) -> Labelled:
    """List a task's clips, and settle how they are heard and what answers for them."""
    preset, kind = settings.preset, kind_of(task.target)
    interface, head = preset.pair(kind, settings.interface, settings.head)
    check_pair(head, interface, kind)
    metric = task.metric or DEFAULTS[kind]
    bind(metric, task.target)
    folder = ready_folder(task, settings.data)
    clips = load_clips(task, folder)
    trials = load_trials(task, folder, clips) if isinstance(task.target, Trials) else []
    if partial := settings.limit is not None and settings.limit < len(clips):
        clips = spread_evenly(clips, settings.limit or 0)
        kept = {clip.id for clip in clips}
        trials = [trial for trial in trials if trial.one in kept and trial.other in kept]
    published = task.published.get(preset.benchmark, {})
    recipes = RECIPES[preset.recipe](seconds_of(clips, store), published)
    learnt, scored = (pieces_of(clips, store, each) for each in recipes)
    return Labelled(task, clips, trials, learnt, scored, interface, head, metric, partial)


def _encoder(model: Model, interface: Interface, settings: Settings) -> Encoder:
    """The model with the view that the interface needs; frames of several layers need to know how many there are."""
    own = View.parse(settings.view or settings.preset.view or model.spec.cls.view)
    if own.pool == "frames":
        return Encoder(model, own)
    single = not interface.needs_frames or interface.layers == "last" or interface.layers.startswith("layer:")
    return Encoder(model, interface.view(own, 1 if single else len(model.upstream.widths)))


def spread_evenly(clips: Sequence[Clip], limit: int) -> list[Clip]:
    """The first ``limit`` clips when pairs of a label and a fold take turns, in their old order.

    The pairs' own order is drawn once and for all, so that a small limit still meets many labels and many folds.
    """
    cells: dict[tuple[str, str], list[int]] = defaultdict(list)
    for i, clip in enumerate(clips):
        cells[str(clip.target), clip.fold].append(i)
    rank = dict(zip(random.Random(0).sample(sorted(cells), len(cells)), range(len(cells)), strict=True))
    turns = sorted((turn, rank[cell], i) for cell, members in cells.items() for turn, i in enumerate(members))
    return [clips[i] for i in sorted(i for _, _, i in turns[:limit])]


def foresee(experiment: Experiment) -> Forecast:
    """What the experiment's extraction would take."""
    workers = experiment.settings.used_workers
    return forecast(experiment.encoder, experiment.shelf, experiment.labelled.pieces, workers=workers)


def fill(experiment: Experiment, report: Report = silent) -> dict[str, Any]:
    """Extract the features that the store lacks, and say what they cost.

    Raises:
        UserError: the store would grow beyond ``max_store``, or a clip cannot be encoded.
    """
    encoder, settings, shelf = experiment.encoder, experiment.settings, experiment.shelf
    there, pieces = shelf.index(), experiment.labelled.pieces
    missing = [piece for piece in pieces if piece.key not in there]
    if missing:
        size = sum(encoder.view.bytes(encoder.upstream, piece.seconds) for piece in missing)
        if size > settings.max_store:
            raise UserError(
                f"{len(missing):,} clips in the view {encoder.view} would take {size / 1e6:,.1f} MB, "
                f"and --max-store allows {settings.max_store / 1e6:,.1f} MB: raise it, or keep less"
            )
    if missing and settings.preset.recipe != WHOLE:
        f = foresee(experiment)
        text = f"{settings.protocol} hears clips its own way ({settings.preset.recipe}): {f.clips:,} are encoded again"
        report(Event("forecast", f"{text}, about {60 * f.hours:.1f} min and {f.bytes / 1e6:,.1f} MB"))
    shelf.agree(encoder.answer())
    cost = extract(encoder, shelf, pieces, workers=settings.used_workers, report=report)
    return {**cost, "store_bytes": shelf.size()}


@dataclass(frozen=True)
class Inapplicable:
    """An upstream that a protocol's interface cannot be used with, in a sweep: ``why`` is a sentence."""

    upstream: str
    task: str
    why: str


def run_all(experiments: Sequence[Experiment], report: Report = silent) -> list[Result | Inapplicable]:
    """Run one after the other; a network is let go of after its last experiment.

    Raises:
        UserError: nothing was applicable, or something has to be changed first.
    """
    outcomes: list[Result | Inapplicable] = []
    for i, experiment in enumerate(experiments):
        try:
            outcomes.append(run(experiment, report))
        except NotApplicable as error:
            if len(experiments) == 1:
                raise
            label, task = experiment.encoder.spec.label, experiment.task.name
            outcomes.append(Inapplicable(label, task, str(error)))
            report(Event("inapplicable", f"{label} on {task}: not applicable, {error}", {"upstream": label}))
        if all(later.encoder.model is not experiment.encoder.model for later in experiments[i + 1 :]):
            experiment.encoder.model.release()
    return outcomes


def run(experiment: Experiment, report: Report = silent) -> Result:
    """Extract what is missing, fit every split and seed, score, and write the result.

    A run that is done already is only read.
    """
    settings, label = experiment.settings, f"{experiment.encoder.spec.label} on {experiment.task.name}"
    if (earlier := results.find(experiment.key, settings.results)) is not None:
        report(Event("result", f"{label}: done before, nothing to do", {"key": earlier.key}))
        return earlier

    interface, deviations = settle(experiment)
    splits = experiment.splits
    results.make_folder(settings.results)
    for remark in experiment.labelled.facts["remarks"]:
        report(Event("remark", f"{experiment.task.name}: {remark}"))
    cost = fill(experiment, report)
    data = load(experiment, interface)
    begin = time.perf_counter()
    outcomes = fit_all(experiment, data, splits, report)
    for outcome in outcomes:
        if not np.isfinite(outcome.fold.score):
            raise UserError(
                f"{data.scoring.metric} is not defined on the test fold {', '.join(outcome.fold.test)} of "
                f"{experiment.task.name}, whose clips are too alike: give it clips of every label, or raise --limit"
            )
    cost["fit_seconds"] = round(time.perf_counter() - begin, 3)
    result = result_of(experiment, interface, data, outcomes, {"cost": cost, "deviations": deviations})
    path = results.write(result, settings.results)
    text = f"{label}: {' '.join(results.describe_score(result))}"
    report(Event("result", text, {"file": str(path), "score": result.score}))
    return result


def settle(experiment: Experiment) -> tuple[Interface, tuple[str, ...]]:
    """The interface for this very upstream, and in sentences where it leaves the protocol.

    Raises:
        UserError: the view does not have what the interface needs.
        NotApplicable: the interface cannot be used with this upstream.
    """
    interface, upstream, view = experiment.labelled.interface, experiment.encoder.upstream, experiment.encoder.view
    if interface.needs_frames != (view.pool == "frames"):
        raise UserError(
            f"the interface {interface} needs {'frames' if interface.needs_frames else 'one vector a clip'}, and the "
            f"view {view} gives {'many' if view.pool == 'frames' else 'one'}: leave --view out"
        )
    asked = experiment.settings.interface is not None
    if not asked and interface.join == "weighted-sum" and len(set(upstream.widths)) > 1:
        return Interface("last"), (f"last in place of {interface}, since this upstream's layers differ in width",)
    interface.check(upstream.widths)
    if interface.pool == "none" and upstream.frame_rate is None:
        raise NotApplicable(f"{interface} is not applicable: this upstream gives one frame a clip")
    return interface, ()


def load(experiment: Experiment, interface: Interface) -> fit.Data:
    """What the heads learn from, out of the store."""
    labelled = experiment.labelled
    learnt = interface.present(experiment.shelf.get([piece.key for piece in labelled.learnt]))
    same = [p.key for p in labelled.learnt] == [p.key for p in labelled.scored]
    tested = learnt if same else interface.present(experiment.shelf.get([piece.key for piece in labelled.scored]))
    times = frame_times(experiment, learnt) if isinstance(labelled.task.target, Events) else []
    scoring = Scoring(labelled.task.target, labelled.metric, labelled.clips, labelled.trials, times)
    return fit.Data(learnt, tested, interface.join, interface.pool, scoring)


def frame_times(experiment: Experiment, inputs: Mapping[str, Features]) -> list[Any]:
    """The centres of each clip's frames, in seconds."""
    from harness.features import Frames

    upstream, (frames,) = experiment.encoder.upstream, inputs.values()
    if not isinstance(frames, Frames) or upstream.frame_rate is None:
        raise TypeError("times are those of frames")
    hop = float(1 / upstream.frame_rate)
    return [float(upstream.frame_offset) + hop * np.arange(frames.length(i)) for i in range(len(frames))]


def fit_all(
    experiment: Experiment, data: fit.Data, splits: Sequence[AnySplit], report: Report = silent
) -> list[fit.Outcome]:
    """Fit every split with every seed: all splits of the first seed, then of the next."""
    label = experiment.encoder.spec.label
    outcomes: list[fit.Outcome] = []
    total = len(splits) * len(experiment.seeds)
    for seed in experiment.seeds:
        method = experiment.method
        for index, split in enumerate(splits):
            outcomes.append(fit.fit_split(data, split, method, index=index, seed=seed))
            if experiment.settings.preset.once and isinstance(method.head, Trained):
                method = replace(method, head=method.head.narrowed(outcomes[-1].fold.chosen))
            text = f"{label} on {experiment.task.name}: {len(outcomes)}/{total} splits fitted"
            report(Event("fit", text, {"upstream": label}, len(outcomes), total))
    return outcomes
