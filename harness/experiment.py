"""The experiment: an upstream on a task under a protocol gives a result."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from harness import answer_file, fit, results, stats
from harness.data import cache_folder
from harness.datasets import Task
from harness.devices import pick_device
from harness.errors import NotApplicable, UserError
from harness.events import Event, Report, silent
from harness.extract import Encoder, Forecast, Heard, Model, extract, forecast
from harness.features import Features, Frames
from harness.interfaces import Interface
from harness.labelled import Labelled, label_task
from harness.recipes import RULES as RECIPES
from harness.recipes import WHOLE
from harness.record import kept_of, result_of
from harness.registry import UpstreamSpec, load_task
from harness.scoring import Scoring
from harness.settings import Settings
from harness.shards import content_key
from harness.splits import AnySplit, splits_of
from harness.store import FeatureStore, Shelf
from harness.targets import kind_of
from harness.types import Events, Result
from harness.views import View


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
    def usual_view(self) -> View:
        """The view, if none is asked for."""
        return _view(self.encoder.model, self.labelled.interface, replace(self.settings, view=None))

    @cached_property
    def method(self) -> fit.Method:
        """How the head is chosen and fitted."""
        preset = self.settings.preset
        published = self.task.published.get(preset.benchmark, {})
        return preset.method(self.labelled.head, published, str(pick_device(self.settings.device)))

    def splits(self, seed: int) -> list[AnySplit]:
        """Which clips train, choose and score, for heads of this seed."""
        return splits_of(self.settings.preset.splits, self.task, self.labelled.clips, seed)

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
                "leaks": self.task.leaks,
                "protocol": [preset.name, preset.splits, method.standardise, method.refit],
                "interface": str(self.labelled.interface),
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
    labelled = [label_task(task, settings, store) for task in known]
    experiments = [
        Experiment(Encoder(model, _view(model, each.interface, settings)), each, store, settings)
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


def _view(model: Model, interface: Interface, settings: Settings) -> View:
    """The view that the interface needs; where that is frames of many layers, of all."""
    own = View.parse(settings.view or settings.preset.view or model.spec.cls.view)
    if own.pool != "mean":  # asked for
        return own
    needed = interface.view(own, 1)
    one = interface.layers == "last" or interface.layers.startswith("layer:")
    return needed if one or not interface.needs_frames else replace(needed, layers=())


def foresee(experiment: Experiment) -> Forecast:
    """What the experiment's extraction would take.

    Raises:
        NotApplicable: the interface cannot be used with this upstream.
    """
    settle(experiment)
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
        f = forecast(encoder, shelf, pieces, workers=settings.used_workers)
        how = RECIPES[settings.preset.recipe].summary
        text = f"{settings.protocol} hears clips its own way ({how}): {f.clips:,} are encoded again"
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
            report(Event("inapplicable", f"{label} on {task}: not applicable: {error}", {"upstream": label}))
            if i == len(experiments) - 1 and not any(isinstance(outcome, Result) for outcome in outcomes):
                raise
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
    experiment.splits(experiment.seeds[0])  # refused now, if at all
    results.make_folder(settings.results)
    for remark in experiment.labelled.facts["remarks"]:
        report(Event("remark", f"{experiment.task.name}: {remark}"))
    cost = fill(experiment, report)
    data = load(experiment, interface)
    begin = time.perf_counter()
    (outcomes,) = fit_all(experiment, [data], report)
    cost["fit_seconds"] = round(time.perf_counter() - begin, 3)
    kept = kept_of(experiment, data, outcomes)
    content = answer_file.to_bytes(kept)
    told = {"cost": cost, "deviations": deviations, "answers": hashlib.sha256(content).hexdigest()}
    result = result_of(experiment, interface, data, outcomes, kept, told)
    path = results.write(result, settings.results, content)
    text = f"{label}: {' '.join(results.describe_score(result))}"
    report(Event("result", text, {"file": str(path), "score": result.score}))
    return result


def settle(experiment: Experiment) -> tuple[Interface, tuple[str, ...]]:
    """The interface for this very upstream, and in sentences where it leaves the protocol.

    Raises:
        UserError: the view does not have what the interface needs.
        NotApplicable: the interface cannot be used with this upstream.
    """
    interface, upstream = experiment.labelled.interface, experiment.encoder.upstream
    usual, _ = experiment.settings.preset.pair(kind_of(experiment.task.target))
    deviations: tuple[str, ...] = ()
    if interface == usual and interface.join == "weighted-sum" and len(set(upstream.widths)) > 1:
        deviations = (f"last in place of {interface}, since this upstream's layers differ in width",)
        interface = Interface("last")
    interface.check(upstream.widths)
    if interface.pool == "none" and upstream.frame_rate is None:
        raise NotApplicable(f"{interface} needs frames, and this upstream gives one vector a clip")
    view, needed = experiment.encoder.view, _needed(experiment, interface)
    if view.pool != needed.pool or not set(needed.names(upstream)) <= set(view.names(upstream)):
        raise UserError(f"the interface {interface} needs the view {needed}, not {view}: leave --view out")
    return interface, deviations


def _needed(experiment: Experiment, interface: Interface) -> View:
    """The view that has just what the interface shows."""
    return interface.view(experiment.encoder.view, len(experiment.encoder.upstream.widths))


def load(experiment: Experiment, interface: Interface) -> fit.Data:
    """What the heads learn from, out of the store."""
    labelled = experiment.labelled
    names = _needed(experiment, interface).names(experiment.encoder.upstream)

    def shown(pieces: Sequence[Heard]) -> dict[str, Features]:
        stored = experiment.shelf.get([piece.key for piece in pieces])
        return interface.present({name: rows for name, rows in stored.items() if name in names})

    learnt = shown(labelled.learnt)
    same = [p.key for p in labelled.learnt] == [p.key for p in labelled.scored]
    tested = learnt if same else shown(labelled.scored)
    times = frame_times(experiment, learnt) if isinstance(labelled.task.target, Events) else []
    scoring = Scoring(labelled.task.target, labelled.metric, labelled.clips, labelled.trials, times)
    return fit.Data(learnt, tested, interface.join, interface.pool, scoring)


def frame_times(experiment: Experiment, inputs: Mapping[str, Features]) -> list[npt.NDArray[np.float64]]:
    """The centres of each clip's frames, in seconds."""
    upstream, (frames,) = experiment.encoder.upstream, inputs.values()
    if not isinstance(frames, Frames):
        raise TypeError("times are those of frames")
    samples = [round(piece.seconds * upstream.sample_rate) for piece in experiment.labelled.learnt]
    return [upstream.frame_times(length, frames.length(i)) for i, length in enumerate(samples)]


def fit_all(experiment: Experiment, offers: Sequence[fit.Data], report: Report = silent) -> list[list[fit.Outcome]]:
    """Fit every split with every seed, from each of ``offers`` by itself: all splits of the first seed, then of the
    next.

    Raises:
        UserError: the metric is no number on the validation or test clips of a split.
    """
    method = experiment.method
    name = f"{experiment.encoder.spec.label} on {experiment.task.name}"

    def progress(done: int, total: int) -> None:
        report(Event("fit", f"{name}: {done}/{total} problems fitted", {}, done, total))

    splits = [(index, split, seed) for seed in experiment.seeds for index, split in enumerate(experiment.splits(seed))]
    parts = [[fit.Part(data, split, index, seed) for index, split, seed in splits] for data in offers]
    if not experiment.settings.preset.chooses_once:
        outcomes = fit.fit_parts([part for each in parts for part in each], method, progress)
        return [outcomes[i : i + len(splits)] for i in range(0, len(outcomes), len(splits))]
    return [_chosen_once(each, method, progress) for each in parts]


def _chosen_once(parts: Sequence[fit.Part], method: fit.Method, progress: fit.Progress) -> list[fit.Outcome]:
    """The first split of every seed chooses for its others."""
    outcomes: list[fit.Outcome] = []
    for seed in dict.fromkeys(part.seed for part in parts):
        first, *others = (part for part in parts if part.seed == seed)
        outcomes += fit.fit_parts([first], method, progress)
        chosen = outcomes[-1].fold.chosen
        narrowed = replace(method, head=method.head.narrowed(chosen))
        only = replace(first.data, inputs={chosen["layer"]: first.data.inputs[chosen["layer"]]})
        outcomes += fit.fit_parts([replace(other, data=only) for other in others], narrowed, progress)
    return outcomes
