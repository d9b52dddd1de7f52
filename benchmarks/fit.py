"""How far fitting heads is from the machine's matrix products, and from the plain way.

For each piece of work three numbers, taken in turn in one process, so that a busy machine slows all of them:

* floor: the products of matrices that the work cannot do without, at the rate of a large product measured beside it;
* harness: the head's own search, as a run calls it, validation included;
* plain: one fit at a time over a DataLoader, as benchmark kits do (of trained heads), or scikit-learn (of solved ones).

Long trainings are cut to a few steps, and long sweeps to a few fits, and extrapolated; each line says by how much.
Ratios are medians over the rounds.

    python benchmarks/fit.py --rounds 5
    python benchmarks/fit.py --work superb --classes 50 --device cuda
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from harness.catalogue import HEADS
from harness.features import Pooled
from harness.heads import Problem, Sample
from harness.networks import build
from harness.scoring import Scoring
from harness.trained import Trained
from harness.training import Training
from harness.types import Class, Clip

CLIPS, WIDTH, FOLDS = 2_000, 768, 5


@dataclass(frozen=True)
class Work:
    """A piece of work: ``harness`` does it, ``plain`` does 1/``share`` of it, ``flops`` are what it needs at least.

    What was cut is a share ``cut`` of the ``whole``.
    """

    name: str
    harness: Callable[[], object]
    plain: Callable[[], object]
    share: float
    flops: float
    cut: float


def problems(layers: int, join: str, options: argparse.Namespace, folds: int = FOLDS) -> list[Problem]:
    """Folds of clips whose classes can be told apart, though not easily: 3/5 train, 1/5 choose."""
    rng = np.random.default_rng(0)
    y = np.arange(CLIPS) % options.classes
    x = rng.normal(0, 1, (CLIPS, layers, WIDTH)) + 0.2 * rng.normal(0, 1, (options.classes, layers, WIDTH))[y]
    labels = [f"c{i:03d}" for i in range(options.classes)]
    clips = [Clip(str(i), Path(), labels[c], str(i % FOLDS), str(i)) for i, c in enumerate(y.tolist())]
    target = Class(tuple(labels))
    scoring = Scoring(target, "accuracy", clips)
    whole, parts = Pooled(x.astype(np.float32)), np.array_split(rng.permutation(CLIPS), FOLDS)
    made = []
    for i in range(folds):
        valid, train = np.sort(parts[i]), np.sort(np.concatenate([parts[(i + k) % FOLDS] for k in (1, 2, 3)]))
        sample = Sample(whole.rows(train), scoring.y[train])
        judge = scoring.judge(valid)
        made.append(Problem(target, sample, whole.rows(valid), judge, join=join, device=options.device))
    return made


def known(name: str) -> Trained:
    """A head of the catalogue that is trained by steps."""
    head = HEADS[name].head
    assert isinstance(head, Trained)
    return head


def one_at_a_time(head: Trained, problem: Problem, setting: dict[str, object], steps: int) -> None:
    """The loop of a benchmark kit: a DataLoader, a network, an optimiser, and a look at validation where one is due."""
    training = head.training
    own = {name: value for name, value in setting.items() if name != "rate"}
    shape, classes = (problem.train.x.layers, WIDTH), len(problem.target.labels)  # type: ignore[union-attr]
    probe = build(head.network, shape, classes, (problem.join, "mean"), own)
    probe.to(problem.device)
    adam = torch.optim.Adam(probe.parameters(), lr=float(setting["rate"]))  # type: ignore[arg-type]
    every = np.arange(len(problem.train.x))
    data = TensorDataset(problem.train.x.batch(every).x, torch.from_numpy(problem.train.y))
    valid = problem.valid.batch(np.arange(len(problem.valid))).x
    loader = DataLoader(data, training.batch, shuffle=True)
    done, looks = 0, training.plan(len(every)).checks
    while done < steps:
        for x, y in loader:
            probe.train()
            adam.zero_grad()
            nn.functional.cross_entropy(probe(x.to(problem.device)), y.to(problem.device)).backward()
            if training.clip is not None:
                nn.utils.clip_grad_norm_(probe.parameters(), training.clip)
            adam.step()
            done += 1
            if done in looks:
                probe.eval()
                with torch.no_grad():
                    problem.judge(probe(valid.to(problem.device)).cpu().numpy())
            if done == steps:
                break


def hear(options: argparse.Namespace) -> Work:
    """HEAR's grid of eight, five folds, for six epochs of up to five hundred: two looks."""
    given, head = problems(1, "one", options), known("hear-mlp")
    epochs = 6
    short = replace(head, training=replace(head.training, epochs=epochs))
    clips, steps = len(given[0].train.x), short.training.plan(len(given[0].train.x)).steps
    # Forward and by each weight, and by each input but the first layer's.
    inner = {1: 0, 2: 3 * 1024 * 1024}
    each = [
        2 * clips * (2 * WIDTH * 1024 + inner[s["hidden_layers"]] + 3 * 1024 * options.classes) for s in head.settings()
    ]
    some = [next(s for s in head.settings() if s["hidden_layers"] == n) for n in (1, 2)]
    counts = [sum(s["hidden_layers"] == n for s in head.settings()) for n in (1, 2)]

    def plain() -> None:
        for setting in some:
            one_at_a_time(short, given[0], setting, steps)

    # One fit of each depth stands for all of that depth; both depths are about as common.
    assert counts[0] and counts[1]
    return Work(
        f"HEAR grid, 5 folds, {epochs} epochs",
        lambda: list(short.search(given)),
        plain,
        FOLDS * len(each) / 2,
        FOLDS * epochs * sum(each),
        1.0,
    )


def superb(options: argparse.Namespace) -> Work:
    """SUPERB's five rates on one split, 13 layers: 2,000 steps stand for 200,000."""
    (given,), head = problems(13, "weighted-sum", options, folds=1), known("superb-linear")
    steps, rates = options.steps, head.training.rates
    cut: Training = replace(head.training, steps=steps, epochs=None, checks=max(1, 40 * steps // 200_000))
    short = replace(head, training=cut)
    flops = steps * len(rates) * 2 * 32 * 3 * (13 * WIDTH + WIDTH * 256 + 256 * options.classes)

    def plain() -> None:
        one_at_a_time(short, given, {"rate": 1e-3}, steps // 10)

    name, cut_to = f"SUPERB, 5 rates, {steps:,} steps", steps / 200_000
    return Work(name, lambda: list(short.search([given])), plain, 50, flops, cut_to)


WORKS = {"hear": hear, "superb": superb}


def product_rate(device: str) -> float:
    """Floating-point operations a second of a large product of matrices."""
    a, b = (torch.randn(2048, 1024, device=device), torch.randn(1024, 1024, device=device))
    times = []
    for _ in range(10):
        begin = time.perf_counter()
        for _ in range(4 if device == "cpu" else 100):
            c = a @ b
        float(c[0, 0])
        times.append((time.perf_counter() - begin) / (4 if device == "cpu" else 100))
    return 2 * 2048 * 1024 * 1024 / statistics.median(times)


def seconds(way: Callable[[], object]) -> float:
    begin = time.perf_counter()
    way()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", choices=WORKS, action="append", help="only this (repeats)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--steps", type=int, default=2_000, help="SUPERB's steps (default: 2000)")
    parser.add_argument("--classes", type=int, default=50, help="classes (default: 50)")
    parser.add_argument("--threads", type=int, help="torch's threads (default: torch's choice)")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.rounds} rounds, {options.device}")
    print(
        f"{'work':<38} {'GFLOP/s':>8} {'floor s':>8} {'harness s':>10} {'plain s':>9} "
        f"{'harness / floor':>16} {'plain / harness':>16} {'whole':>10}"
    )
    for name in options.work or WORKS:
        work = WORKS[name](options)
        rows = []
        for i in range(options.rounds + 1):
            rate = product_rate(options.device)
            row = (rate, work.flops / rate, seconds(work.harness), work.share * seconds(work.plain))
            if i:  # the first warms up
                rows.append(row)
        rate, floor, ours, plain = (statistics.median(row[i] for row in rows) for i in range(4))
        over, gain = (statistics.median(row[a] / row[b] for row in rows) for a, b in ((2, 1), (3, 2)))
        whole = f"{ours / work.cut / 60:.1f} min" if work.cut < 1 else ""
        print(
            f"{work.name:<38} {rate / 1e9:>8.0f} {floor:>8.2f} {ours:>10.2f} {plain:>9.1f} "
            f"{over:>16.2f} {gain:>16.1f} {whole:>10}",
            flush=True,
        )


if __name__ == "__main__":
    main()
