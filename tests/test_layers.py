"""The layer curve and the command that draws it."""

import csv
import json
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import harness
from harness import cli
from harness.curves import draw, to_csv, to_html, to_json, write
from harness.errors import UserError
from harness.events import Event
from harness.experiment import prepare_all
from harness.layers import Curve, Layer, curve
from harness.settings import Settings
from harness.store import FeatureStore
from harness.types import Interval

Refused = Callable[[str], AbstractContextManager[None]]
Folders = dict[str, str]
DRAWN = Curve(
    "hubert@<b>",
    "esc50",
    "default",
    "accuracy",
    (
        Layer("0", 0.5, 0.45, Interval(0.4, 0.5, 0.95, "bootstrap", 30), 0),
        Layer("1", 0.7, 0.65, Interval(None, None, 0.95, "none: one group", 1), 4),
        Layer("final", 0.6, 0.7, Interval(0.6, 0.8, 0.95, "bootstrap", 30), 1),
    ),
    0.66,
    5,
    ("partial",),
    ("in split 1, which tests on 1, the label <b> has no clip in its validation folds",),
)


DEEP = "ssamba:tiny-t32@untrained"
NOTES = ("badges: partial", *DRAWN.remarks)


def probed(folders: Folders, upstream: str = DEEP, limit: int = 100, **settings: str) -> tuple[Curve, list[Event]]:
    """The curve, and what was told on the way."""
    chosen = Settings(data=[folders["data"]], results=Path(folders["results"]), limit=limit, **settings)  # type: ignore[arg-type]
    (one,) = prepare_all([upstream], ["toy:right"], chosen, FeatureStore(Path(folders["store"])))
    events: list[Event] = []
    return curve(one, events.append), events


@pytest.mark.usefixtures("toys")
def test_choosing_from_the_curve_is_what_a_run_does(folders: Folders) -> None:
    drawn, _ = probed(folders, interface="best-layer")
    result = harness.run(DEEP, "toy:right", limit=100, **folders)
    assert drawn.score == pytest.approx(result.score)
    counts = {layer.name: layer.chosen for layer in drawn.layers}
    assert {fold.chosen["layer"] for fold in result.folds} == {name for name, times in counts.items() if times}
    assert sum(counts.values()) == drawn.fits == 5


@pytest.mark.usefixtures("toys")
def test_a_layer_of_the_curve_is_what_a_run_on_that_layer_gives(folders: Folders) -> None:
    drawn = {layer.name: layer for layer in probed(folders, interface="best-layer")[0].layers}
    for name in ("0", "5"):
        alone = harness.run(DEEP, "toy:right", limit=100, interface=f"layer:{name}", **folders)
        assert drawn[name].test == pytest.approx(alone.score)
        assert drawn[name].interval == alone.interval


@pytest.mark.usefixtures("toys")
def test_where_the_first_split_chooses_for_all_it_does_so_in_the_curve(folders: Folders) -> None:
    asked: dict[str, Any] = {"protocol": "hear:compat", "interface": "best-layer", "head": "nearest-mean"}
    (drawn, _), result = probed(folders, **asked), harness.run(DEEP, "toy:right", limit=100, **asked, **folders)
    assert drawn.score == pytest.approx(result.score)
    assert [layer.chosen for layer in drawn.layers if layer.chosen] == [5]


@pytest.mark.usefixtures("toys")
def test_a_curve_has_the_badges_and_the_remarks_of_a_run(folders: Folders) -> None:
    drawn, events = probed(folders, "mel", 18, interface="best-layer")
    result = harness.run("mel", "toy:right", limit=18, **folders)
    assert drawn.badges == result.badges == ("partial",)
    assert list(drawn.remarks) == result.data["remarks"] != []
    assert [e.text for e in events if e.kind == "remark"] == [f"toy:right: {remark}" for remark in drawn.remarks]


@pytest.mark.usefixtures("toys")
def test_an_interface_without_single_layers_has_no_curve(folders: Folders, refused: Refused) -> None:
    with refused("shows no single layers: leave --interface out"):
        probed(folders, interface="last")


def test_the_text_marks_what_validation_chooses_and_not_the_best_test_score() -> None:
    lines = {line.split()[0]: line for line in draw(DRAWN).splitlines() if line}
    assert "chosen by validation in 4 of 5 fits" in lines["1"]
    assert "chosen by validation in 1 of 5 fits" in lines["final"]
    assert "chosen" not in lines["0"]
    assert lines["1"].count("█") > lines["final"].count("█") > lines["0"].count("█") > 0
    assert "65.0 no interval" in lines["1"]


def test_the_text_ends_with_the_badges_and_the_remarks() -> None:
    assert draw(DRAWN).splitlines()[-2:] == list(NOTES)
    assert "badges" not in draw(replace(DRAWN, badges=(), remarks=()))


def test_a_layer_that_validation_cannot_score_has_no_bar() -> None:
    lame = replace(DRAWN, layers=(replace(DRAWN.layers[0], valid=math.nan), *DRAWN.layers[1:]))
    lines = {line.split()[0]: line for line in draw(lame).splitlines() if line}
    assert (lines["0"].count("█"), lines["1"].count("█"), lines["final"].count("█")) == (0, 32, 1)
    assert "nan" in lines["0"]


def test_layers_that_are_all_alike_have_bars_all_alike() -> None:
    alike = Curve(
        "a", "b", "default", "r2", tuple(Layer(n, 0.5, 0.5, DRAWN.layers[0].interval, 0) for n in "01"), 0.5, 1
    )
    bars = [line.count("█") for line in draw(alike).splitlines() if "█" in line]
    assert len(bars) == 2
    assert bars[0] == bars[1]


def test_the_table_has_a_row_for_each_layer() -> None:
    rows = list(csv.DictReader(to_csv(DRAWN).splitlines()))
    assert [row["layer"] for row in rows] == ["0", "1", "final"]
    assert float(rows[2]["test"]) == 0.7
    assert rows[1]["low"] == ""


def test_the_json_holds_everything() -> None:
    told = json.loads(to_json(DRAWN))
    assert told["layers"][1]["chosen"] == 4
    assert (told["badges"], told["remarks"]) == (["partial"], list(DRAWN.remarks))


def test_names_on_the_page_are_text() -> None:
    page = to_html(DRAWN)
    assert "hubert@&lt;b&gt;" in page or "hubert@\\u0026lt;b" in page
    assert "hubert@<b>" not in page
    assert "<p>badges: partial</p><p>in split 1, which tests on 1, the label &lt;b&gt; has no clip" in page


@pytest.mark.parametrize("name", ["curve.png", "curve"])
def test_a_form_that_is_not_written_is_refused_before_anything_runs(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["harness", "layers", "nothing", "nothing", "--out", str(tmp_path / name)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2


def test_a_curve_is_written_by_its_suffix(tmp_path: Path) -> None:
    write(DRAWN, tmp_path / "curve.csv")
    assert (tmp_path / "curve.csv").read_text() == to_csv(DRAWN)
    with pytest.raises(UserError, match=r"end it in \.html, \.csv, \.json"):
        write(DRAWN, tmp_path / "curve.txt")
    with pytest.raises(UserError, match="there is no folder"):
        write(DRAWN, tmp_path / "none" / "curve.csv")


@pytest.mark.usefixtures("toys")
def test_the_command_draws_every_layer(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["harness", "layers", "mel", "toy:right", "--data", folders["data"], "--store", folders["store"]]
    monkeypatch.setattr("sys.argv", [*command, "--protocol", "default"])
    cli.main()
    assert "choosing by validation gives 100.0" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", [*command, "--json"])
    cli.main()
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["event"] == "curve"
    assert last["layers"][0]["test"] == 1.0
