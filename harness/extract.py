"""Extraction: one pass over the audio fills a shelf of the feature store, several shards at a time."""

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from threading import Event, Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from harness import events
from harness.audio import Recipe, Wave, load_wave, resampler
from harness.cards import Weights
from harness.errors import UserError
from harness.events import Report, silent
from harness.models import Upstream
from harness.registry import UpstreamSpec
from harness.shards import content_key
from harness.store import FeatureStore, Piece, Shelf
from harness.types import Clip
from harness.views import View

if TYPE_CHECKING:
    from torch import Tensor

#: Seconds of audio in one batch. More buys nothing on a CPU and costs memory; a GPU wants to be kept busy.
BATCH_SECONDS = {"cpu": 80.0, "cuda": 640.0}


@dataclass(frozen=True)
class Heard(Piece):
    """A clip as it is encoded: what the store knows it by, and how it is had."""

    clip: Clip
    recipe: Recipe


@dataclass(frozen=True)
class Model:
    """An upstream with its weights, which is built when it is first needed."""

    spec: UpstreamSpec
    weights: Weights
    device: str

    @cached_property
    def upstream(self) -> Upstream:
        """The loaded upstream."""
        return self.spec.load(self.weights, self.device)

    def release(self) -> None:
        """Let go of the network."""
        self.__dict__.pop("upstream", None)


@dataclass(frozen=True)
class Encoder:
    """A model with a view: with a clip's own sound, all that decides what its features are."""

    model: Model
    view: View

    @property
    def spec(self) -> UpstreamSpec:
        """The model's name, understood."""
        return self.model.spec

    @property
    def weights(self) -> Weights:
        """The model's weights."""
        return self.model.weights

    @property
    def upstream(self) -> Upstream:
        """The loaded upstream."""
        return self.model.upstream

    @cached_property
    def key(self) -> dict[str, Any]:
        """Everything that moves the features, as plain values; known without building the network."""
        from harness import audio, fbank, models, views

        return {
            "upstream": self.spec.family,
            "options": self.spec.tokens_that_matter(self.weights),
            "weights": self.weights.identity,
            "revision": self.spec.cls.revision_of(self.weights),
            "revisions": [audio.REVISION, fbank.REVISION, models.REVISION, views.REVISION],
            "view": str(self.view),
            "resampler": resampler(),
        }

    def encode(self, waves: "Sequence[Wave]") -> "list[Mapping[str, Tensor]]":
        """Features of clips of one length, one mapping from layer to (width,) or (frame, width) per clip."""
        import torch

        layers = self.upstream.encode_in_windows(torch.from_numpy(np.stack(waves)))
        kept = self.view.reduce(layers, self.view.names(self.upstream))
        return [{name: layer[i] for name, layer in kept.items()} for i in range(len(waves))]

    def answer(self) -> "Mapping[str, Tensor]":
        """Features of a fixed signal, by which a shelf knows its encoder: a second of chirp in noise."""
        rate = self.upstream.sample_rate
        t = np.arange(max(rate, self.upstream.shortest)) / rate
        noise = np.random.default_rng(0).standard_normal(len(t))
        signal = 0.3 * np.sin(2 * np.pi * (200 + 1000 * t) * t) + 0.05 * noise
        return self.encode([signal.astype(np.float32)])[0]


@dataclass(frozen=True)
class Forecast:
    """What an extraction would take."""

    clips: int
    seconds: float
    hours: float
    bytes: float


def seconds_of(clips: Sequence[Clip], store: FeatureStore) -> list[float]:
    """How long each clip is.

    Raises:
        UserError: a file cannot be read as audio.
    """
    return [_stretch(clip, store)[1] for clip in clips]


def pieces_of(clips: Sequence[Clip], store: FeatureStore, recipes: Sequence[Recipe] | None = None) -> list[Heard]:
    """The clips as the store knows them, by the contents of their files, in the same order; whole unless cut.

    Raises:
        UserError: a file cannot be read as audio.
    """
    pieces = []
    for clip, recipe in zip(clips, recipes or [Recipe()] * len(clips), strict=True):
        key, seconds = _stretch(clip, store)
        key += "" if recipe == Recipe() else f"|{content_key(recipe.key())[:16]}"
        pieces.append(Heard(key, recipe.seconds(seconds), clip, recipe))
    return pieces


def _stretch(clip: Clip, store: FeatureStore) -> tuple[str, float]:
    """A clip's sound by the contents of its file, and its length in seconds."""
    sha256, header = store.audio(clip.path)
    stop = header.frames / header.rate if clip.stop is None else clip.stop
    whole = clip.start is None and clip.stop is None
    return sha256 if whole else f"{sha256}:{clip.start or 0.0!r}-{stop!r}", stop - (clip.start or 0.0)


def forecast(encoder: Encoder, shelf: Shelf, pieces: Sequence[Heard], *, workers: int = 2) -> Forecast:
    """Measure the encoder on a few of the missing clips, and say what the rest would take. Stores nothing."""
    there = shelf.index()
    missing = {piece.key: piece for piece in pieces if piece.key not in there}
    todo = sorted(missing.values(), key=lambda piece: piece.seconds)
    if not todo:
        return Forecast(0, 0.0, 0.0, 0.0)
    total = sum(piece.seconds for piece in todo)
    size = sum(encoder.view.bytes(encoder.upstream, piece.seconds) for piece in todo)
    sample = todo[len(todo) // 2 :][:8]
    encoder.answer()  # warms up
    begin = time.perf_counter()
    with _crew(encoder, workers) as crew:
        list(crew.pool.map(lambda _: _encode(encoder, sample, crew), range(workers)))
    speed = workers * sum(piece.seconds for piece in sample) / (time.perf_counter() - begin)
    return Forecast(len(todo), total, total / speed / 3600, size)


def extract(
    encoder: Encoder,
    shelf: Shelf,
    pieces: Sequence[Heard],
    *,
    workers: int = 2,
    report: Report = silent,
) -> dict[str, Any]:
    """Encode the clips that the shelf lacks; returns what it cost.

    Raises:
        UserError: a clip cannot be read, or the encoder makes something that is not finite of it.
    """
    shards = shelf.plan(pieces)
    total = sum(map(len, shards))
    if not total:
        return {"clips_encoded": 0}
    by_key = {piece.key: piece for piece in pieces}
    begin, done = time.perf_counter(), 0
    with _crew(encoder, workers) as crew:
        members = ([by_key[key] for key in keys] for keys in shards)
        jobs = [crew.pool.submit(_encode_shard, encoder, shelf, each, crew) for each in members]
        for job in as_completed(jobs):
            done += job.result()
            rate = done / (time.perf_counter() - begin)
            report(_progress(encoder, done, total, rate))
    spent = time.perf_counter() - begin
    return {
        "clips_encoded": total,
        "seconds": round(spent, 3),
        "clips_per_second": round(total / spent, 3),
        "times_real_time": round(sum(by_key[key].seconds for keys in shards for key in keys) / spent, 2),
    }


class _Crew(NamedTuple):
    """Threads, whose turn it is to compute, and the sign that the rest of the work is off."""

    pool: ThreadPoolExecutor
    turn: AbstractContextManager[Any]
    stop: Event


@contextmanager
def _crew(encoder: Encoder, workers: int) -> Iterator[_Crew]:
    """Threads that take one shard each.

    On a CPU every thread computes by itself: threads that share one operation wait for each other thousands of times
    in a clip, which is slow and, on a machine that others use too, ruinous. A GPU serves one thread while the others
    decode.
    """
    import torch

    pool = ThreadPoolExecutor(workers)
    threads = torch.get_num_threads()
    on_cpu = encoder.upstream.device.type == "cpu"
    if on_cpu and workers > 1:
        torch.set_num_threads(1)
    crew = _Crew(pool, nullcontext() if on_cpu else Lock(), Event())
    try:
        yield crew
    finally:
        crew.stop.set()
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)


def _encode_shard(encoder: Encoder, shelf: Shelf, members: Sequence[Heard], crew: _Crew) -> int:
    """Encode and store one shard; gives its number of clips."""
    features = _encode(encoder, members, crew)
    for piece in members:
        if not all(tensor.isfinite().all() for tensor in features[piece.key].values()):
            raise UserError(
                f"{encoder.spec.label} makes features that are not finite of {piece.clip.path} in the view "
                f"{encoder.view}"
            )
    keys, names = [piece.key for piece in members], encoder.view.names(encoder.upstream)
    shelf.put(keys, {name: [features[key][name] for key in keys] for name in names})
    return len(keys)


def _encode(encoder: Encoder, members: Sequence[Heard], crew: _Crew) -> "dict[str, Mapping[str, Tensor]]":
    """Decode and encode some clips: their features by key."""
    waves = {piece.key: _decode(encoder, piece) for piece in members}
    features: dict[str, Mapping[str, Tensor]] = {}
    with crew.turn:
        for keys in _batches(waves, encoder):
            if crew.stop.is_set():
                raise CancelledError
            features.update(zip(keys, encoder.encode([waves[key] for key in keys]), strict=True))
    return features


def _progress(encoder: Encoder, done: int, total: int, rate: float) -> events.Event:
    left = (total - done) / rate
    text = f"{encoder.spec.label}: {done}/{total} clips encoded, {rate:.1f} clips/s, {left:.0f} s left"
    values = {"upstream": encoder.spec.label, "clips_per_second": round(rate, 2), "seconds_left": round(left)}
    return events.Event("extract", text, values, done, total)


def _decode(encoder: Encoder, piece: Heard) -> Wave:
    clip = piece.clip
    return load_wave(clip.path, encoder.upstream.sample_rate, piece.recipe, start=clip.start, stop=clip.stop)


def _batches(waves: "Mapping[str, Wave]", encoder: Encoder) -> Iterator[list[str]]:
    """Clips of exactly one length, so that nothing is ever padded to fit, up to :data:`BATCH_SECONDS` together."""
    by_length: dict[int, list[str]] = defaultdict(list)
    for key, wave in waves.items():
        by_length[len(wave)].append(key)
    samples = BATCH_SECONDS[encoder.upstream.device.type] * encoder.upstream.sample_rate
    for length, keys in sorted(by_length.items()):
        size = max(1, int(samples / max(length, encoder.upstream.filled)))
        for start in range(0, len(keys), size):
            yield keys[start : start + size]
