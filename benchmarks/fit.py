"""How far fitting heads is from the machine's matrix products, and from the plain way.

For each piece of work three numbers, taken in turn in one process, so that a busy machine slows all of them:

* floor: the products of matrices that it needs, at the rate of a large product measured beside it; of regressions
  those of every gradient that the solver asks for, whatever its precision;
* harness: the head's own search, as a run calls it, validation included;
* plain: one fit at a time, over a DataLoader, as benchmark kits do (of trained heads), or by scikit-learn (of solved
  ones; on one thread, which suits it best). Of every layer of a model it is one layer: its ratio says how many of
  those all layers cost.

Long work is cut to a share, and so is the plain way, and multiplied; each line says what the whole would take. Ratios
are medians over the rounds.

    python benchmarks/fit.py --rounds 5
    python benchmarks/fit.py --work superb --threads 1 --device cuda
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from harness import regressions
from harness.catalogue import HEADS
from harness.closed import Logistic, vectors
from harness.features import Pooled
from harness.heads import Problem, Sample
from harness.networks import build
from harness.scoring import Scoring
from harness.trained import Trained
from harness.types import Class, Clip

CLIPS, WIDTH, FOLDS = 2_000, 768, 5


@dataclass(frozen=True)
class Work:
    """A piece of work: ``harness`` does ``cut`` of it, ``plain`` 1/``share`` of what harness does.

    ``flops`` are what harness needs at least, and the ``goal`` is said in words.
    """

    name: str
    harness: Callable[[], object]
    plain: Callable[[], object]
    share: float
    flops: float
    cut: float
    goal: str


def features(layers: int, options: argparse.Namespace) -> tuple[Pooled, Scoring]:
    """Clips whose classes can be told apart, not easily, by features whose variances fall off, as those of models do.

    Each layer has directions of its own.
    """
    rng = np.random.default_rng(0)
    y = np.arange(CLIPS) % options.classes
    labels = [f"c{i:03d}" for i in range(options.classes)]
    x = np.empty((CLIPS, layers, WIDTH), np.float32)
    for layer in range(layers):
        directions = np.linalg.qr(rng.normal(0, 1, (WIDTH, WIDTH)))[0] * np.arange(1, WIDTH + 1)[:, None] ** -0.8
        mixed = (rng.normal(0, 1, (CLIPS, WIDTH)) + 0.5 * rng.normal(0, 1, (options.classes, WIDTH))[y]) @ directions
        x[:, layer] = (mixed - mixed.mean(0)) / mixed.std(0)
    clips = [Clip(str(i), Path(), labels[c], str(i % FOLDS), str(i)) for i, c in enumerate(y.tolist())]
    return Pooled(x), Scoring(Class(tuple(labels)), "accuracy", clips)


def problems(
    known: tuple[Pooled, Scoring], join: str, options: argparse.Namespace, folds: int = FOLDS
) -> list[Problem]:
    """3/5 of the clips train, 1/5 choose."""
    (whole, scoring), rng = known, np.random.default_rng(1)
    parts, made = np.array_split(rng.permutation(CLIPS), FOLDS), []
    for i in range(folds):
        valid, train = np.sort(parts[i]), np.sort(np.concatenate([parts[(i + k) % FOLDS] for k in (1, 2, 3)]))
        sample, judge = Sample(whole.rows(train), scoring.y[train]), scoring.judge(valid)
        made.append(Problem(scoring.target, sample, whole.rows(valid), judge, join=join, device=options.device))
    return made


def each_layer(layers: int, options: argparse.Namespace, folds: int = FOLDS) -> list[Problem]:
    """Every layer by itself."""
    whole, scoring = features(layers, options)
    single = [Pooled(whole.whole[:, layer : layer + 1].copy()) for layer in range(layers)]
    return [problem for x in single for problem in problems((x, scoring), "one", options, folds)]


def known(name: str) -> Trained:
    """A head of the catalogue that is trained by steps."""
    head = HEADS[name].head
    assert isinstance(head, Trained)
    return head


def one_at_a_time(head: Trained, problem: Problem, setting: dict[str, Any], steps: int) -> None:
    """The loop of a benchmark kit: a DataLoader, a network, an optimiser, and a look at validation where one is due."""
    training, classes = head.training, int(problem.train.y.max()) + 1
    own = {name: value for name, value in setting.items() if name != "rate"}
    probe = build(head.network, (problem.train.x.layers, WIDTH), classes, (problem.join, "mean"), own)
    probe.to(problem.device)
    adam = torch.optim.Adam(probe.parameters(), lr=setting["rate"])
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
    given, head, epochs = problems(features(1, options), "one", options), known("hear-mlp"), 6
    short = replace(head, training=replace(head.training, epochs=epochs))
    clips, settings = len(given[0].train.x), head.settings()
    steps = short.training.plan(clips).steps
    # Forward and by each weight, and by each input but the first layer's.
    inner = {1: 0, 2: 3 * 1024 * 1024}
    sizes = [2 * WIDTH * 1024 + inner[each["hidden_layers"]] + 3 * 1024 * options.classes for each in settings]
    flops = FOLDS * epochs * 2 * clips * sum(sizes)
    # One fit of each depth stands for all of that depth, of which there are as many.
    one, two = ([each for each in settings if each["hidden_layers"] == n] for n in (1, 2))
    scale = FOLDS * len(settings) / 2

    def plain() -> None:
        for setting in (one[0], two[0]):
            one_at_a_time(short, given[0], setting, steps)

    name = f"HEAR grid ({len(one)} + {len(two)}), 5 folds, {epochs} of 500 epochs"
    return Work(name, lambda: list(short.search(given)), plain, scale, flops, epochs / 500, "10x, floor 2.5x")


def superb(options: argparse.Namespace) -> Work:
    """SUPERB's five rates on one split, 13 layers."""
    (given,), head = problems(features(13, options), "weighted-sum", options, folds=1), known("superb-linear")
    steps, rates = options.steps, head.training.rates
    cut = replace(head.training, steps=steps, epochs=None, checks=max(1, 40 * steps // 200_000))
    short = replace(head, training=cut)
    flops = steps * len(rates) * 2 * 32 * (2 * 13 * WIDTH + 3 * WIDTH * 256 + 3 * 256 * options.classes)
    return Work(
        f"SUPERB, 5 rates, {steps:,} of 200,000 steps",
        lambda: list(short.search([given])),
        lambda: one_at_a_time(short, given, {"rate": 1e-3}, steps // 5),
        5 * len(rates),
        flops,
        steps / 200_000,
        "15 min",
    )


def gradients(way: Callable[[], object]) -> float:
    """The products that regressions ask for."""
    flops, look = 0.0, regressions.Task.look

    def counted(task: regressions.Task, point: Tensor) -> regressions.Look:
        nonlocal flops
        flops += 4 * point.numel() * task.x.shape[2]
        return look(task, point)

    regressions.Task.look = counted  # type: ignore[assignment, method-assign]
    way()
    regressions.Task.look = look  # type: ignore[method-assign]
    return flops


def by_scikit_learn(problem: Problem) -> None:
    """Every C of one layer and fold, on one thread: on more it takes several times as long."""
    from sklearn.linear_model import LogisticRegression

    x, valid = (vectors(each).astype(np.float64) for each in (problem.train.x, problem.valid))
    with threadpool_limits(1):
        for c in Logistic().grid:
            model = LogisticRegression(C=c, tol=regressions.TOLERANCE, max_iter=10_000).fit(x, problem.train.y)
            problem.judge(model.decision_function(valid).astype(np.float32))


def default(options: argparse.Namespace) -> Work:
    """All penalties on five folds, and on so many layers of thirteen."""
    given = each_layer(options.layers, options)

    def search() -> object:
        return [each.score for each in Logistic().search(given)]

    return Work(
        f"default, {options.layers} of 13 layers, 5 folds, 6 C",
        search,
        lambda: by_scikit_learn(given[0]),
        len(given),
        gradients(search),
        options.layers / 13,
        "30 s, 10x",
    )


def layers(options: argparse.Namespace) -> Work:
    """A trained head on each of 25 layers, on one split, against one layer."""
    given, head = each_layer(25, options, folds=1), known("xares-linear")
    short = replace(head, training=replace(head.training, epochs=None, least_steps=0, steps=500, checks=5))
    flops = 500 * 2 * 2 * 32 * 25 * WIDTH * options.classes

    def some(count: int) -> Callable[[], object]:
        return lambda: [each.score for each in short.search(given[:count])]

    return Work("25 layers, xares-linear, 500 steps", some(25), some(1), 1, flops, 0.25, "1/3x")


def logistic_layers(options: argparse.Namespace) -> Work:
    """Logistic regression of every C on each of 5 layers, on one split, against one layer."""
    given = each_layer(5, options, folds=1)

    def some(count: int) -> Callable[[], object]:
        return lambda: [each.score for each in Logistic().search(given[:count])]

    return Work("5 of 25 layers, logistic", some(5), some(1), 1, gradients(some(5)), 0.2, "1/3x of all 25")


WORKS = {"hear": hear, "superb": superb, "default": default, "layers": layers, "logistic-layers": logistic_layers}


#: Gives seconds.
Clock = Callable[[], float]


def product_rate(device: str, clock: Clock) -> float:
    """Floating-point operations a second of a large product of matrices, in float32."""
    a, b = (torch.randn(1024, 1024, device=device) for _ in range(2))
    times, repeats = [], 4 if device == "cpu" else 100
    for _ in range(20):
        begin = clock()
        for _ in range(repeats):
            c = a @ b
        float(c[0, 0])
        times.append((clock() - begin) / repeats)
    return 2 * 1024**3 / statistics.median(times)


def seconds(way: Callable[[], object], clock: Clock) -> float:
    begin = clock()
    way()
    return clock() - begin


def measured(work: Work, options: argparse.Namespace) -> str:
    """A line of the table."""
    rows, clock = [], time.process_time if options.cpu_time else time.perf_counter
    for i in range(options.rounds + 1):
        rate = product_rate(options.device, clock)
        row = (rate, work.flops / rate, seconds(work.harness, clock), work.share * seconds(work.plain, clock))
        if i:  # the first warms up
            rows.append(row)
    rate, floor, ours, plain = (statistics.median(row[i] for row in rows) for i in range(4))
    over, gain = (statistics.median(row[a] / row[b] for row in rows) for a, b in ((2, 1), (3, 2)))
    return (
        f"{work.name:<46} {rate / 1e9:>8.0f} {floor:>8.2f} {ours:>10.2f} {plain:>9.1f} {over:>16.2f} {gain:>16.2f} "
        f"{ours / work.cut:>8.0f} s  {work.goal}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--work", choices=WORKS, action="append", help="only this (repeats)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--steps", type=int, default=2_000, help="SUPERB's steps (default: 2000)")
    parser.add_argument("--layers", type=int, default=2, help="layers of default's thirteen (default: 2)")
    parser.add_argument("--classes", type=int, default=50, help="classes (default: 50)")
    parser.add_argument("--threads", type=int, help="threads of all (default: torch's choice)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--cpu-time", action="store_true", help="count CPU seconds, where others use the machine too")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {options.rounds} rounds, {options.device}")
    print(
        f"{'work':<46} {'GFLOP/s':>8} {'floor s':>8} {'harness s':>10} {'plain s':>9} "
        f"{'harness / floor':>16} {'plain / harness':>16} {'whole':>10}  goal"
    )
    for name in options.work or WORKS:
        print(measured(WORKS[name](options), options), flush=True)


if __name__ == "__main__":
    main()
