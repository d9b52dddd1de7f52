"""Measuring: what a point holds, and that nothing an upstream does goes beyond its own row."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness import cli, memory, plans, results
from harness import measure as measurement
from harness.measure import measure, of_preset
from harness.measuring import Measuring
from harness.plans import Curve, Plan
from harness.points import FOLDER, Point, read, read_all, write
from harness.presets import PRESETS, published
from harness.watch import Child, Ended
from harness.ways import Length

Refused = Callable[[str], AbstractContextManager[None]]

#: Behaves for clips of a second, and otherwise as its name says.
UNRULY = '''
"""An upstream that does what nobody should."""
import os, signal, subprocess, sys, time
from fractions import Fraction
import torch
from harness.cards import Card, one_of
from harness.errors import UserError
from harness.models import Layers, Upstream

class Unruly(Upstream):
    axes = (one_of("how", *"well raises exits dies hangs eats breeds tensor crops refuses talks absent".split()),)
    card = Card(paper="none", licence="none")
    reads = ()
    revision = "1"
    sample_rate, widths, final_width, frame_rate, shortest = 8000, (2,), 2, Fraction(100), 80
    longest = 16000

    def __init__(self, weights, device, how="well"):
        super().__init__(weights, device)
        self.how = how
        if how == "absent":
            raise ImportError("this machine lacks it")

    def forward(self, wave):
        if wave.shape[1] > 8000:
            getattr(self, self.how)()
        if self.how == "crops":
            wave = wave[:, :8000]
        frames = torch.nn.functional.pad(wave, (0, max(0, 80 - wave.shape[1]))).unfold(1, 80, 80)
        layer = torch.cat([frames.mean(-1, keepdim=True), frames.amax(-1, keepdim=True)], dim=-1)
        return Layers((layer,), layer)

    def well(self): pass
    crops = well
    def talks(self): print('{"done": {}}', flush=True)
    def raises(self): raise ZeroDivisionError("of no use")
    def exits(self): os._exit(0)
    def dies(self): os.kill(os.getpid(), signal.SIGSEGV)
    def hangs(self): time.sleep(600)
    def refuses(self): raise UserError("this clip is not to its taste")
    def tensor(self): self.kept = torch.zeros(10**12).log_()
    def eats(self):
        hoard = []
        while True:
            hoard.append(bytearray(b"x" * 10**7))
    def breeds(self):
        code = "hoard = [bytearray(b'x' * 10**7) for _ in range(40)]; import time; time.sleep(600)"
        self.child = subprocess.Popen([sys.executable, "-c", code])
        open(os.environ["UNRULY_PID"], "w").write(str(self.child.pid))
        time.sleep(600)

UPSTREAM = Unruly
'''


@pytest.fixture
def unruly(install: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Installed; gives the file that holds the process that ``unruly:breeds`` has started."""
    install("rude", {"upstreams.unruly": UNRULY})
    monkeypatch.setenv("UNRULY_PID", str(tmp_path / "pid"))
    return tmp_path / "pid"


@pytest.fixture
def setting(tmp_path: Path) -> Measuring:
    return Measuring(device="cpu", repeats=2, max_seconds=5.0, max_memory=2e8, threads=1, results=tmp_path / "results")


def seconds(*values: float) -> list[Length]:
    return [Length("seconds", value) for value in values]


@pytest.mark.usefixtures("unruly")
def test_a_point_has_every_figure_and_a_clip_beyond_the_limit_is_measured_in_windows_too(setting: Measuring) -> None:
    points = measure(["unruly"], seconds(1.5, 3), replace(setting, repeats=5, batch=2))
    assert [(p.way, p.attention, p.length.value, p.status) for p in points] == [
        ("uncut", "own", 1.5, "measured"),
        ("uncut", "own", 3.0, "measured"),
        ("windowed", "own", 3.0, "measured"),
    ]
    assert read_all(setting.results) == sorted(points, key=lambda p: p.file_name)
    for point in points:
        figures = point.figures
        assert len(point.runs) == 5
        assert min(point.runs) <= figures["latency_median"] <= figures["latency_p95"] <= max(point.runs)
        assert figures["clips_per_second"] == pytest.approx(2 / figures["latency_median"])
        assert figures["real_time_factor"] == pytest.approx(1 / figures["audio_per_second"])
        assert figures["tokens"] == 100 * point.length.value
        assert figures["store_bytes_per_second frames[all]:float16"] == 2 * 100 * 4
        assert figures["store_bytes_per_second mean"] == pytest.approx(4 * 4 / point.length.value)
        assert {"peak_bytes", "baseline_bytes", "forecast_bytes", "load_seconds", "parameters"} <= set(figures)
        assert {"mean", "amax"} <= set(point.uncounted)
        assert point.hardware["threads"] == 1
    assert points[1].together == points[2].together != points[0].together


BADLY = [
    ("raises", "crashed", "crashed: ZeroDivisionError: of no use"),
    ("exits", "crashed", "ended by itself with exit code 0"),
    ("dies", "crashed", "killed by SIGSEGV"),
    ("hangs", "time", "stopped after 5 s"),
    ("refuses", "refused", "this clip is not to its taste"),
]


def started(name: str, budget: int | None = None) -> Child:
    """A process that has loaded an upstream."""
    child = Child(None)
    how = {"device": "cpu", "dtype": "float32", "threads": 1, "lengths": [], "share": 0.5, "budget": budget}
    child.ask("load", 120, upstream=name, **how)
    if budget is not None:
        child.allow(budget)
    return child


def order(length: Length, way: str = "uncut", batch: int = 1) -> dict[str, Any]:
    return Curve("", way, "sdpa").order(length, batch)


@pytest.mark.usefixtures("unruly")
@pytest.mark.parametrize(("how", "status", "sentence"), BADLY)
def test_what_goes_wrong_in_a_process_ends_in_a_sentence(how: str, status: str, sentence: str) -> None:
    with started(f"unruly:{how}") as child, pytest.raises(Ended) as caught:
        child.ask("run", 5, **order(Length("seconds", 2.0)))
    assert (caught.value.status, caught.value.sentence) == (status, sentence)


@pytest.mark.usefixtures("unruly")
def test_what_eats_memory_is_stopped_at_its_budget() -> None:
    with started("unruly:eats", 200_000_000) as child, pytest.raises(Ended, match=r"0\.2 GB") as caught:
        child.ask("run", 60, **order(Length("seconds", 2.0)))
    assert caught.value.status == "memory"


@pytest.mark.usefixtures("unruly")
def test_what_asks_for_more_than_there_is_fails_alone() -> None:
    with started("unruly:tensor", 200_000_000) as child, pytest.raises(Ended, match="out of memory") as caught:
        child.ask("run", 60, **order(Length("seconds", 2.0)))
    assert caught.value.status == "memory"


def test_a_process_that_an_upstream_has_started_counts_and_ends_with_it(unruly: Path) -> None:
    with started("unruly:breeds", 200_000_000) as child, pytest.raises(Ended) as caught:
        child.ask("run", 60, **order(Length("seconds", 2.0)))
    assert caught.value.status == "memory"
    try:
        bred = os.pidfd_open(int(unruly.read_text()))
    except ProcessLookupError:
        return  # it is gone already
    ended, _, _ = select.select([bred], [], [], 30)  # its memory takes a moment to be given back
    os.close(bred)
    assert ended


@pytest.mark.usefixtures("unruly")
def test_what_an_upstream_prints_is_no_answer() -> None:
    with started("unruly:talks") as child:
        assert child.ask("run", 60, **order(Length("seconds", 2.0)))["tokens"] == 200


@pytest.mark.usefixtures("unruly")
def test_each_ends_in_its_row_and_longer_clips_are_not_tried_while_others_are(
    setting: Measuring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "FOLLOWING", 5.0)
    names = ["unruly:hangs", "unruly:crops", "unruly:tensor", "unruly:absent", "unruly"]
    points = measure(names, seconds(1.5, 2), setting)
    assert [(p.upstream, p.status, p.sentence) for p in points] == [
        ("unruly:hangs", "time", "stopped after 5 s"),
        ("unruly:crops", "cropped", "one forward hears only 67 % of such a clip"),
        ("unruly:tensor", "memory", "needs 4000.0 GB, and 0.2 GB are allowed"),
        ("unruly:absent", "crashed", "crashed: ImportError: this machine lacks it"),
        ("unruly", "measured", ""),
        ("unruly:hangs", "skipped", "not tried after 1.5 s: stopped after 5 s"),
        ("unruly:crops", "cropped", "one forward hears only 50 % of such a clip"),
        ("unruly:tensor", "memory", "needs 4000.0 GB, and 0.2 GB are allowed"),
        ("unruly:absent", "crashed", "crashed: ImportError: this machine lacks it"),
        ("unruly", "measured", ""),
    ]
    assert len(read_all(setting.results)) == len(points)
    assert len({point.fingerprint for point in points}) == 1
    assert not any(p.runs or "latency_median" in p.figures for p in points if p.status != "measured")


@pytest.mark.usefixtures("unruly")
def test_what_was_stopped_is_resumed_at_the_next_length(setting: Measuring, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["unruly:raises", "unruly"]
    first = measure(names, seconds(0.5, 1.5), setting)
    assert [point.status for point in first] == ["measured", "measured", "crashed", "measured"]
    with monkeypatch.context() as patch:
        patch.setattr(measurement, "_in_turns", lambda *_: pytest.fail("it was measured again"))
        assert measure(names, seconds(0.5, 1.5), replace(setting, resume=True)) == first
    again = measure(names, seconds(0.5, 1.5, 1.7), replace(setting, resume=True))
    assert again[:4] == first
    assert len(again) == 6


@pytest.mark.usefixtures("unruly")
def test_the_command_prints_a_row_for_each_point(
    setting: Measuring, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["--upstream", "unruly:raises", "--upstream", "mel"]
    options = ["--tokens", "120", "--repeats", "1", "--device", "cpu", "--results", str(setting.results)]
    monkeypatch.setattr("sys.argv", ["harness", "measure", *names, *options])
    cli.main()
    out = capsys.readouterr().out
    assert "crashed: ZeroDivisionError: of no use" in out
    assert "one frame a clip cannot be measured in tokens: give --seconds" in out


def test_points_lie_beside_results_and_neither_reader_minds_the_other(tmp_path: Path, a_point: Point) -> None:
    path = write(a_point, tmp_path)
    assert path.parent == tmp_path / FOLDER
    assert read_all(tmp_path) == [a_point]
    assert results.read_all(tmp_path) == []


def test_a_point_that_is_measured_again_replaces_the_old_one(tmp_path: Path, a_point: Point) -> None:
    write(a_point, tmp_path)
    write(replace(a_point, runs=(2.0,), together="later", created="later"), tmp_path)
    assert [point.created for point in read_all(tmp_path)] == ["later"]


@pytest.mark.parametrize("change", [{"schema": 1}, {"runs": "none"}, {"length": None}, {"figures": {"a": "b"}}])
def test_a_file_that_is_no_point_is_refused(
    change: dict[str, Any], tmp_path: Path, a_point: Point, refused: Refused
) -> None:
    path = write(a_point, tmp_path)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with refused("no measured point|measure it anew"):
        read(path)


@pytest.mark.parametrize(
    "change",
    [
        {"asked": {"repeats": 9}},
        {"environment": {"torch": "1"}},
        {"hardware": {"device": "a card"}},
        {"length": Length("seconds", 2.0)},
        {"batch": 2},
        {"together": "another"},
    ],
)
def test_only_what_the_same_command_would_measure_is_kept(
    change: dict[str, Any], a_point: Point, setting: Measuring
) -> None:
    plans = [
        Plan(Curve(name, "uncut", "own"), {name: getattr(a_point, name) for name in ("hardware", "environment")})
        for name in ("mel", "mfcc")
    ]
    held = [replace(a_point, **plan.identity(a_point.length, setting)) for plan in plans]
    assert measurement._kept(plans, a_point.length, setting, held) == held
    assert measurement._kept(plans, a_point.length, setting, held[:1]) == []
    assert measurement._kept(plans, a_point.length, setting, [held[0], replace(held[1], **change)]) == []


@pytest.fixture
def a_point() -> Point:
    values: dict[str, Any] = {
        **{"upstream": "mel", "way": "uncut", "attention": "own", "dtype": "float32", "batch": 1},
        **{"length": Length("seconds", 1.0), "status": "measured", "sentence": "", "figures": {"macs": 1}},
        **{"runs": (1.0,), "uncounted": {"log": 3}, "together": "a", "preset": "", "deviations": ("one",)},
        **{"hardware": {"device": "cpu"}, "environment": {"torch": "2"}, "created": "now", "asked": {"repeats": 1}},
    }
    return Point(**values)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batch": 0}, "--batch must be 1 or more"),
        ({"attention": ("eger",)}, "did you mean 'eager'"),
        ({"dtype": "float8"}, "there is no dtype 'float8'"),
        ({"max_seconds": 0.0}, "--max-seconds must be more than 0"),
        ({"device": "tpu"}, "there is no device 'tpu'"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_at_once(options: dict[str, Any], sentence: str, refused: Refused) -> None:
    with refused(sentence):
        Measuring(**options)


@pytest.mark.parametrize(
    ("upstreams", "lengths", "sentence"),
    [
        (["mel"], [], "there is nothing to measure"),
        ([], seconds(1), "there is nothing to measure"),
        (["mell"], seconds(1), "did you mean 'mel'"),
        (["mel"], seconds(0), "a clip of 0 s cannot be measured"),
        (["beats@nowhere.pt"], seconds(1), "there is no checkpoint 'nowhere.pt'"),
    ],
)
def test_what_the_user_can_mend_is_told_before_anything_runs(
    upstreams: list[str], lengths: list[Length], sentence: str, refused: Refused, setting: Measuring
) -> None:
    with refused(sentence):
        measure(upstreams, lengths, setting)
    assert not (setting.results / FOLDER).exists()


def test_points_that_cannot_be_read_are_told_before_anything_is_resumed(
    setting: Measuring, a_point: Point, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(a_point, setting.results).write_text('{"schema": 1}')
    monkeypatch.setattr(measurement, "scout", lambda *_: pytest.fail("it was loaded"))
    with refused("measure it anew"):
        measure(["mel"], seconds(1), replace(setting, resume=True))


def test_a_length_that_does_not_fit_is_not_tried() -> None:
    length = Length("tokens", 22_000.0)
    counts: dict[Length, Mapping[str, Any]] = {length: {"heard": 1.0, "peak_bytes": 44_700_000_000}}
    plan = Plan(Curve("ssast:tiny@untrained", "uncut", "eager"), budget=20_000_000_000, counts=counts)
    end = plan.hopeless(length)
    assert end is not None
    assert (end.status, end.sentence) == ("memory", "needs 44.7 GB, and 20.0 GB are allowed")


def test_a_clip_of_so_many_tokens_is_the_shortest_that_has_them() -> None:
    with started("ssast:tiny@untrained") as child:
        for asked, had in ((8, 8), (9, 16), (800, 800), (1000, 1000)):
            assert child.ask("follow", 60, dry=True, **order(Length("tokens", asked)))["tokens"] == had


def test_images_are_cut_in_exactly_the_tokens_of_the_preset() -> None:
    with started("ssamba:tiny@untrained") as child:
        for tokens in PRESETS["ssamba"].tokens[::6]:
            counted = child.ask("follow", 60, dry=True, **order(Length("tokens", tokens), "image", 4))
            assert counted["tokens"] == 8 * -(-tokens // 8)


def test_images_are_refused_to_an_upstream_of_waves_and_the_process_goes_on() -> None:
    with started("mel") as child:
        with pytest.raises(Ended, match="images are measured in tokens") as caught:
            child.ask("run", 60, **order(Length("tokens", 100), "image"))
        assert caught.value.status == "refused"
        assert child.ask("run", 60, **order(Length("seconds", 1.0)))["tokens"] == 1


def test_the_preset_has_the_published_protocol_and_tells_where_a_cpu_leaves_it() -> None:
    upstreams, lengths, chosen = of_preset("ssamba", {"device": "cpu"})
    assert len(upstreams) == 6
    assert {length.value for length in lengths} >= {5_000, 22_000, 74_500}
    assert (chosen.batch, chosen.ways, chosen.attention) == (1, ("image",), ("eager", "sdpa"))
    assert "batch 1 instead of 4" in chosen.deviations
    assert of_preset("ssamba", {"device": "cpu", "batch": 4})[2].deviations == PRESETS["ssamba"].deviations


def test_there_is_no_preset_of_another_name(refused: Refused) -> None:
    with refused("there is no preset 'samba': did you mean 'ssamba'"):
        of_preset("samba", {})


def test_published_figures_are_of_the_preset_s_upstreams_and_lengths() -> None:
    figures = published("ssamba")
    assert {each.upstream for each in figures} == set(PRESETS["ssamba"].upstreams)
    assert {each.tokens for each in figures} == set(PRESETS["ssamba"].tokens)
    time = {(e.upstream, e.tokens): e.value for e in figures if e.figure == "latency_median"}
    assert time["ssast:tiny@untrained", 20_000] == 4.37


def test_published_figures_are_those_of_the_reference_data(shared: Path) -> None:
    import csv

    with (shared / "specs" / "published.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["benchmark"] == "SSAMBA-efficiency"]
    units = {"inference seconds": ("latency_median", 1), "peak GPU MB": ("peak_bytes", 1e6)}
    expected = {
        (f"{row['model'].lower().replace('-', ':')}@untrained", row["task"], units[row["metric"]][0]): float(
            row["value"]
        )
        * units[row["metric"]][1]
        for row in rows
        if row["metric"] in units
    }
    assert {(e.upstream, f"{e.tokens} tokens", e.figure): e.value for e in published("ssamba")} == expected


def test_memory_is_that_of_a_process_and_grows_with_what_it_holds() -> None:
    if memory.resident(os.getpid()) is None:
        pytest.skip("this kernel has no /proc")
    # In a process of its own: the system may take pages from one that has many.
    code = """
import os
import subprocess
import sys
from harness import memory
memory.begin_peak()
before = memory.resident(os.getpid())
held = bytearray(b"x" * 50_000_000)
print(memory.resident(os.getpid()) - before)
del held
print(memory.peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    grown, peak = map(int, done.stdout.split())
    assert grown > 40_000_000
    assert peak > 40_000_000
