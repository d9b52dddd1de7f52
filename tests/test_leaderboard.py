"""The leaderboard: what is ranked, what is shown, and that no text from a file becomes code."""

import csv
import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from harness.errors import UserError
from harness.leaderboard.page import build
from harness.leaderboard.table import grouped, ranking, ranks, to_csv, to_markdown
from harness.results import COLUMNS
from harness.types import Candidate, FoldScore, Interval, Result

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def result(upstream: str = "mfcc", score: float = 0.715, **changes: Any) -> Result:
    given = Result(
        key=f"key of {upstream} {score}",
        upstream=upstream,
        task="esc50",
        protocol="linear",
        interface="last",
        head="linear",
        metric="accuracy",
        score=score,
        interval=Interval(score - 0.043, score + 0.041, 0.95, "bootstrap", 40),
        folds=(FoldScore(("1",), score, 400, {"layer": "3"}), FoldScore(("2",), score, 400, {"layer": "4"})),
        fold_std=0.02,
        seed_std=None,
        badges=(),
        candidates=(),
        layer_weights=(),
        data={"clips": 800},
        encoder={"parameters": 90_000_000},
        cost={"clips_per_second": 120.5},
        environment={"device": "cpu"},
        created="2026-01-05T10:00:00Z",
    )
    return replace(given, **changes)


def tried(layer: str, score: float, *, split: int = 0, seed: int = 0) -> Candidate:
    return Candidate(split, seed, {"layer": layer, "lr": 0.1}, score)


def page(folder: Path, *results: Result) -> str:
    """The page without the text of plotly.js."""
    index: Path = build(list(results), folder)[0]
    text = index.read_text(encoding="utf-8")
    return text.replace(get_plotlyjs(), "")


def figures(text: str) -> list[dict[str, Any]]:
    return [json.loads(data) for data in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)]


def rows(*results: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(results))))


def table(*results: Result) -> list[dict[str, str]]:
    (group,) = grouped(results).values()
    return list(ranking(group).to_dict("records"))


def test_results_are_ranked_by_falling_score() -> None:
    ranked = table(result("low", 0.2), result("high", 0.9), result("middle", 0.5))
    assert [(row["Rank"], row["Upstream"]) for row in ranked] == [
        ("1", "high"),
        ("2", "middle"),
        ("3", "low"),
    ]


def test_a_badged_result_is_never_ranked_with_clean_ones() -> None:
    ranked = table(result("leak", 0.99, badges=("leaky",)), result("clean", 0.5))
    assert [(row["Rank"], row["Upstream"]) for row in ranked] == [("1", "clean"), ("–", "leak")]


def test_a_badged_result_shows_its_badges() -> None:
    assert table(result(badges=("untrained", "partial")))[0]["Badges"] == "untrained, partial"


def test_equal_scores_share_a_rank() -> None:
    assert ranks([result("a", 0.5), result("b", 0.5), result("c", 0.4)]) == [1, 1, 3]


def test_each_task_and_protocol_is_ranked_for_itself() -> None:
    others = [result(), result(protocol="superb"), result(task="gtzan")]
    assert list(grouped(others)) == [("esc50", "linear"), ("esc50", "superb"), ("gtzan", "linear")]


def test_repeated_runs_each_keep_a_row() -> None:
    assert len(table(result(key="a"), result(key="b"))) == 2


def test_a_score_is_shown_in_percent_with_its_interval() -> None:
    assert table(result())[0]["Score, %"] == "71.5 [67.2, 75.6]"


def test_a_missing_interval_is_said() -> None:
    missing = result(interval=Interval(None, None, 0.95, "one group", 1))
    assert table(missing)[0]["Score, %"] == "71.5 no interval"


def test_the_choice_of_every_fold_is_shown() -> None:
    assert table(result())[0]["Chosen per fold"] == "layer 3, 4"


def test_a_choice_on_which_all_folds_agree_is_shown_once() -> None:
    folds = tuple(FoldScore((name,), 0.5, 400, {"lr": 0.1}) for name in "123")
    assert table(result(folds=folds))[0]["Chosen per fold"] == "lr 0.1"


def test_a_seed_is_no_choice() -> None:
    folds = tuple(FoldScore(("1",), 0.5, 400, {"seed": seed}) for seed in (0, 1))
    assert table(result(folds=folds))[0]["Chosen per fold"] == "–"


def test_the_csv_has_the_rank_and_every_column_of_a_result() -> None:
    assert list(rows(result())[0]) == ["rank", *COLUMNS]


def test_the_csv_has_plain_numbers() -> None:
    row = rows(result(), result(encoder={}))[0]
    assert (row["rank"], row["score"], row["parameters"]) == ("1", "0.715", "90000000")


def test_the_csv_of_no_results_is_its_header() -> None:
    assert to_csv([]).splitlines() == [",".join(["rank", *COLUMNS])]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_in_the_csv_is_never_a_formula(name: str) -> None:
    assert rows(result(upstream=name))[0]["upstream"].startswith("'")


@pytest.mark.parametrize("name", ["a\n=1", "a\r=1", 'a"\r\n=1', "a,=1"])
def test_text_in_the_csv_begins_no_row_and_no_cell(name: str) -> None:
    assert [row["task"] for row in rows(result(upstream=name))] == ["esc50"]


@pytest.mark.parametrize("name", ["a|b", "a\nb", "`a", "<b>", "[a](http://b)", "a\\", "&lt;"])
def test_a_name_cannot_break_the_markdown_table(name: str) -> None:
    row = to_markdown([result(upstream=name)]).splitlines()[-1]
    assert row.count("|") == 13 and not re.search(r"[<>`\\]|\]\(|&lt;", row)


def test_a_name_cannot_break_a_markdown_heading() -> None:
    heading, rest = to_markdown([result(task="a\n\n<b>")]).split("\n", 1)
    assert heading == "## a &#60;b&#62;, protocol linear" and rest.startswith("\n| Rank")


def test_build_writes_three_files(tmp_path: Path) -> None:
    paths = build([result()], tmp_path / "new")
    assert paths == [tmp_path / "new" / name for name in ("index.html", "leaderboard.md", "leaderboard.csv")]
    assert sorted((tmp_path / "new").iterdir()) == sorted(paths)


def test_no_results_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there are no results to show"):
        build([], tmp_path)


def test_a_folder_that_cannot_be_written_is_an_error_of_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        build([result()], tmp_path / "file")


def test_the_same_results_give_the_same_page_in_any_order(tmp_path: Path) -> None:
    first, second = result("a"), result("b")
    assert page(tmp_path, first, second) == page(tmp_path, second, first)


def test_the_page_holds_plotly_once(tmp_path: Path) -> None:
    index = build([result(), result(task="gtzan")], tmp_path)[0]
    assert index.read_text(encoding="utf-8").count(get_plotlyjs()) == 1


def test_the_page_asks_no_server_for_anything(tmp_path: Path) -> None:
    text = page(tmp_path, result(candidates=(tried("0", 0.1), tried("1", 0.2)), layer_weights=((0.5, 0.5),)))
    assert not re.search(r"<script[^>]+src|<link|<img|<iframe|@import|url\(|https?://", text)


def test_the_page_forbids_requests(tmp_path: Path) -> None:
    assert "default-src 'none'" in page(tmp_path, result())


def test_the_table_needs_no_script(tmp_path: Path) -> None:
    assert "71.5 [67.2, 75.6]</td>" in page(tmp_path, result())


def test_a_badged_row_is_marked_in_the_page(tmp_path: Path) -> None:
    marked = page(tmp_path, result(badges=("untrained",)))
    assert re.search(r'<tr class="unranked">.*<span class="badge">untrained</span>', marked)


@pytest.mark.parametrize("field", ["key", "upstream", "task", "protocol", "interface", "head", "created"])
def test_text_of_a_result_is_never_code_in_the_page(tmp_path: Path, field: str) -> None:
    changes: dict[str, Any] = {field: ATTACK}
    text = page(tmp_path, result(), result(**changes))
    assert "<script>alert" not in text and "<img" not in text and "&lt;img" in text


@pytest.mark.parametrize("field", ["data", "encoder", "cost", "environment"])
@pytest.mark.parametrize(
    "values", [{"name": ATTACK}, {ATTACK: 1}, {"nested": {"name": [ATTACK]}}], ids=["value", "key", "nested"]
)
def test_provenance_is_never_code_in_the_page(tmp_path: Path, field: str, values: dict[str, Any]) -> None:
    changes: dict[str, Any] = {field: values}
    text = page(tmp_path, result(**changes))
    assert "<script>alert" not in text and "<img" not in text and "&lt;img" in text


def test_badges_and_choices_are_never_code_in_the_page(tmp_path: Path) -> None:
    folds = (FoldScore(("1",), 0.5, 400, {ATTACK: ATTACK}),)
    text = page(tmp_path, result(badges=(ATTACK,), folds=folds))
    assert "<script>alert" not in text and "<img" not in text


def test_no_text_closes_the_script_of_a_plot(tmp_path: Path) -> None:
    layers = (tried("0", 0.1), tried("1", 0.2))
    text = page(tmp_path, result(upstream=ATTACK, candidates=layers, layer_weights=((0.5, 0.5),)))
    assert len(figures(text)) == 3


def test_names_in_a_plot_carry_no_tags(tmp_path: Path) -> None:
    scores = figures(page(tmp_path, result(upstream="<b>&")))[0]
    assert scores["layout"]["annotations"][0]["text"] == "&lt;b&gt;&amp;"


def test_clean_results_are_solid_dots_and_badged_ones_hollow(tmp_path: Path) -> None:
    clean, badged = figures(page(tmp_path, result("a", 0.5), result("b", 0.75, badges=("leaky",))))[0]["data"]
    assert (clean["x"], clean["marker"]["symbol"]) == ([50], "circle")
    assert (badged["x"], badged["marker"]["symbol"]) == ([75], "circle-open")


def test_a_missing_interval_is_a_dot_without_bar(tmp_path: Path) -> None:
    missing = result(interval=Interval(None, None, 0.95, "one group", 1))
    bar = figures(page(tmp_path, missing))[0]["data"][0]["error_x"]
    assert (bar["array"], bar["arrayminus"]) == ([0], [0])


def test_the_chance_level_is_a_line(tmp_path: Path) -> None:
    scores = figures(page(tmp_path, result(data={"chance": 0.02})))[0]
    assert [shape["x0"] for shape in scores["layout"]["shapes"]] == [2]


def test_a_layer_is_drawn_with_its_best_setting_averaged_over_splits(tmp_path: Path) -> None:
    candidates = (
        tried("0", 0.25),
        tried("0", 0.5),
        tried("0", 0.75, split=1),
        *(tried("1", 0.5, split=split) for split in (0, 1)),
    )
    line = figures(page(tmp_path, result(candidates=candidates)))[1]["data"][0]
    assert (line["x"], line["y"]) == (["0", "1"], [62.5, 50])


def test_layers_are_drawn_in_their_order_with_final_apart(tmp_path: Path) -> None:
    candidates = tuple(tried(layer, 0.5) for layer in ("final", "10", "2"))
    line = figures(page(tmp_path, result(candidates=candidates)))[1]["data"][0]
    assert (line["x"], line["y"]) == (["2", "10", " ", "final"], [50, 50, None, 50])


def test_each_upstream_is_one_line_over_layers(tmp_path: Path) -> None:
    candidates = (tried("0", 0.5), tried("1", 0.5))
    lines = figures(page(tmp_path, result("a", candidates=candidates), result("b", candidates=candidates)))[1]
    assert [line["name"] for line in lines["data"]] == ["a", "b"]


def test_one_layer_alone_is_not_drawn(tmp_path: Path) -> None:
    assert len(figures(page(tmp_path, result(candidates=(tried("final", 0.5),))))) == 1


def test_a_sum_of_layers_is_not_drawn_as_a_layer(tmp_path: Path) -> None:
    assert len(figures(page(tmp_path, result(candidates=(tried("0..12", 0.5), tried("final", 0.5)))))) == 1


def test_learned_layer_weights_are_drawn_one_row_per_fit(tmp_path: Path) -> None:
    weights = ((0.25, 0.75), (0.5, 0.5))
    assert figures(page(tmp_path, result(layer_weights=weights)))[1]["data"][0]["z"] == [
        [0.25, 0.75],
        [0.5, 0.5],
    ]
