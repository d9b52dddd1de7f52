"""The leaderboard: what is ranked, what is shown, and that no text from a file becomes code."""

import csv
import io
import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from plotly.offline import get_plotlyjs

from harness.errors import UserError
from harness.export import to_csv, to_markdown
from harness.leaderboard.groups import NO_PAIRS, Pairs, about, grouped, standings, warning
from harness.leaderboard.page import build
from harness.leaderboard.pair_table import pair_sheet
from harness.leaderboard.table import sheets
from harness.protocols import PROTOCOLS
from harness.results import COLUMNS
from harness.stats import Paired
from harness.types import FoldScore, Interval, Result

from records import result, tried

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>"


def page(folder: Path, *results: Result, pairs: Pairs = NO_PAIRS) -> str:
    """The page without plotly.js, which is a hundred times longer than the rest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("harness.leaderboard.page.get_plotlyjs", str)
        index: Path = build(results, folder, pairs)[0]
    return index.read_text(encoding="utf-8")


def figures(text: str) -> list[dict[str, Any]]:
    return [json.loads(data) for data in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', text)]


def rows(*results: Result) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(sheets(results)))))


def table(*results: Result, pairs: Pairs = NO_PAIRS) -> list[dict[str, str]]:
    """The rows of the one table, each cell's text with what follows it."""
    (sheet,) = sheets(results, pairs)
    names = [column.name for column in sheet.columns]
    return [
        dict(zip(names, (" ".join(filter(None, [cell.text, cell.rest])) for cell in row), strict=True))
        for row in sheet.rows
    ]


def order(*results: Result) -> list[tuple[str, str]]:
    """Ranks and upstreams from the top of the table."""
    return [(row["Rank"], row["Upstream"]) for row in table(*results)]


# Ranked.


@pytest.mark.parametrize("metric", ["accuracy", "r2", "one of a stranger"])
def test_results_are_ranked_by_falling_score(metric: str) -> None:
    low, high, middle = (result(name, score, metric=metric) for name, score in (("l", -0.2), ("h", 0.9), ("m", 0.5)))
    assert order(low, high, middle) == [("1", "h"), ("2", "m"), ("3", "l")]


@pytest.mark.parametrize("metric", ["eer", "min_dcf"])
def test_where_lower_is_better_results_are_ranked_by_rising_score(metric: str) -> None:
    low, high, middle = (result(name, score, metric=metric) for name, score in (("l", 0.2), ("h", 0.9), ("m", 0.5)))
    assert order(low, high, middle) == [("1", "l"), ("2", "m"), ("3", "h")]


LEAKY, SELECTED, BOTH = ("leaky",), ("test-selected",), ("leaky", "test-selected")


@pytest.mark.parametrize("badges", [LEAKY, SELECTED, BOTH])
def test_badges_that_a_whole_group_has_are_ranked(badges: tuple[str, ...]) -> None:
    ranked = order(result("low", 0.2, badges=badges), result("high", 0.9, badges=badges))
    assert ranked == [("1", "high"), ("2", "low")]


@pytest.mark.parametrize("badges", [LEAKY, SELECTED, BOTH])
def test_a_leaky_or_test_selected_result_is_never_ranked_with_clean_ones(badges: tuple[str, ...]) -> None:
    ranked = order(result("bad", 0.99, badges=badges), result("worse", 0.9, badges=badges), result("clean", 0.5))
    assert ranked == [("1", "clean"), ("1", "bad"), ("2", "worse")]


def test_a_leaky_result_is_never_ranked_with_a_test_selected_one() -> None:
    several = [result(str(i), i / 10, badges=badges) for i, badges in enumerate((LEAKY, SELECTED, BOTH, LEAKY))]
    assert order(*several) == [("1", "3"), ("2", "0"), ("1", "2"), ("1", "1")]


def test_a_result_with_the_key_of_another_has_its_own_standing() -> None:
    assert order(result("a", 0.5, key="k"), result("b", 0.9, key="k", badges=("untrained",)))[1] == ("–", "b")


def test_the_order_of_badges_makes_no_difference() -> None:
    ranked = standings([result("a", 0.5, badges=BOTH), result("b", 0.4, badges=BOTH[::-1])])
    assert [standing.rank for standing in ranked] == [1, 2]


@pytest.mark.parametrize("badge", ["untrained", "partial", "contaminated", "one of a stranger"])
@pytest.mark.parametrize("others", [(), LEAKY, BOTH])
def test_any_other_badge_takes_the_rank(badge: str, others: tuple[str, ...]) -> None:
    ranked = order(result("badged", 0.99, badges=(*others, badge)), result("other", 0.5, badges=others))
    assert ranked == [("1", "other"), ("–", "badged")]


def test_the_table_has_clean_results_then_leaky_ones_then_those_without_a_rank() -> None:
    several = [result("unranked", 0.9, badges=("untrained",)), result("leaky", 0.7, badges=LEAKY), result("clean", 0.5)]
    assert [row["Upstream"] for row in table(*several)] == ["clean", "leaky", "unranked"]


def test_a_badged_result_shows_its_badges() -> None:
    assert table(result(badges=("untrained", "partial")))[0]["Badges"] == "untrained, partial"


def test_equal_scores_share_a_rank() -> None:
    ranked = standings([result("a", 0.5), result("b", 0.5), result("c", 0.4)])
    assert [standing.rank for standing in ranked] == [1, 1, 3]


def pairs_of(*tested: tuple[Result, Result, float | None]) -> dict[tuple[str, str], Paired]:
    """Tests of pairs as they would be kept, with their p."""
    interval = Interval(-0.01, 0.05, 0.95, "bootstrap over 40 groups, 10,000 resamples", 40)
    return {(a.key, b.key): Paired(a.score - b.score, interval, p, "10,000 random swaps") for a, b, p in tested}


A, B, C = result("a", 0.9), result("b", 0.8), result("c", 0.5)
#: a and b cannot be told apart, c is worse than both.
TOLD = pairs_of((A, B, 0.4), (C, A, 0.001), (B, C, 0.001))


def ranked(pairs: Pairs, *results: Result) -> list[tuple[int | None, bool | None]]:
    return [tuple(standing) for standing in standings(results, pairs)]


def test_where_every_pair_was_tested_only_more_than_chance_gives_a_better_rank() -> None:
    assert ranked(TOLD, A, B, C) == [(1, True), (1, True), (3, False)]


def test_the_p_of_pairs_is_adjusted_for_how_many_there_are() -> None:
    alone, three = pairs_of((A, B, 0.03)), pairs_of((A, B, 0.03), (A, C, 0.03), (B, C, 0.03))
    assert ranked(alone, A, B) == [(1, True), (2, False)]
    assert ranked(three, A, B, C) == [(1, True), (1, True), (1, True)]


def test_where_lower_is_better_the_lower_of_two_is_the_better() -> None:
    low, high = (result(name, score, metric="eer") for name, score in (("low", 0.1), ("high", 0.3)))
    assert ranked(pairs_of((high, low, 0.01)), low, high) == [(1, True), (2, False)]


@pytest.mark.parametrize("missing", [pairs_of((A, B, 0.4), (A, C, 0.001)), TOLD | pairs_of((A, B, None)), {}])
def test_where_a_pair_was_not_tested_ranks_are_by_score_alone(missing: Pairs) -> None:
    assert ranked(missing, A, B, C) == [(1, None), (2, None), (3, None)]


def test_only_results_with_the_same_badges_are_held_against_each_other() -> None:
    leaky = [result(name, score, badges=LEAKY) for name, score in (("l", 0.95), ("m", 0.9))]
    found = ranked(TOLD, A, B, C, *leaky, result("u", 0.99, badges=("untrained",)))
    assert found == [(1, True), (1, True), (3, False), (1, None), (2, None), (None, None)]


def test_the_table_marks_the_best_and_what_cannot_be_told_apart_from_it() -> None:
    (sheet,) = sheets([A, B, C], TOLD)
    scores = [row[[column.name for column in sheet.columns].index("Score")] for row in sheet.rows]
    assert [(cell.bold, cell.underlined) for cell in scores] == [(True, False), (False, True), (False, False)]


@pytest.mark.parametrize(
    ("pairs", "said"),
    [(TOLD, [True, False]), (pairs_of((A, B, 0.4)), [False, True]), (NO_PAIRS, [False, False])],
    ids=["all", "some", "none"],
)
def test_the_table_says_what_its_ranks_rest_on(pairs: Pairs, said: list[bool]) -> None:
    (sheet,) = sheets([A, B, C], pairs)
    assert [any(words in note for note in sheet.notes) for words in ("significantly", "by score alone")] == said


def test_every_pair_is_shown_from_the_better_to_the_worse_with_its_adjusted_p() -> None:
    ((names, group),) = grouped([A, B, C]).items()
    sheet = pair_sheet(names, group, TOLD)
    assert sheet is not None
    cells = [[cell.text for cell in row[:6]] for row in sheet.rows]
    assert cells == [
        ["a", "b", "+10.0", "[-1.0, +5.0]", "0.4000", "0.4000"],
        ["a", "c", "+40.0", "[-5.0, +1.0]", "0.0010", "0.0030"],
        ["b", "c", "+30.0", "[-1.0, +5.0]", "0.0010", "0.0030"],
    ]


def test_of_many_pairs_those_with_the_best_are_shown() -> None:
    many = [result(f"{i:02}", 0.9 - i / 100) for i in range(13)]
    ((names, group),) = grouped(many).items()
    sheet = pair_sheet(names, group, pairs_of(*((a, b, 0.5) for a, b in combinations(many, 2))))
    assert sheet is not None
    assert [row[0].text for row in sheet.rows] == ["00"] * 12 and len(sheet.records) == 78
    assert sheet.notes == ("Of 78 pairs, those with the best are shown.",)


def test_no_pairs_are_shown_where_none_was_tested() -> None:
    ((names, group),) = grouped([A, B, C]).items()
    assert pair_sheet(names, group, NO_PAIRS) is None


def test_each_task_protocol_and_metric_is_ranked_for_itself() -> None:
    others = [result(), result(protocol="superb"), result(task="gtzan"), result(metric="map")]
    assert list(grouped(others)) == [
        ("esc50", "linear", "accuracy"),
        ("esc50", "linear", "map"),
        ("esc50", "superb", "accuracy"),
        ("gtzan", "linear", "accuracy"),
    ]


def test_repeated_runs_each_keep_a_row() -> None:
    assert len(table(result(key="a"), result(key="b"))) == 2


# Shown.


SHOWN = {
    "accuracy": ("71.5 [67.2, 75.6]", "2.0", "1.0"),
    "eer": ("71.5 [67.2, 75.6]", "2.0", "1.0"),
    "r2": ("0.715 [0.672, 0.756]", "0.020", "0.010"),
    "one of a stranger": ("0.715 [0.672, 0.756]", "0.020", "0.010"),
}


@pytest.mark.parametrize(("metric", "cells"), SHOWN.items())
def test_score_interval_and_spread_are_in_percent_where_the_metric_is_a_share(
    metric: str, cells: tuple[str, ...]
) -> None:
    (row,) = table(result(metric=metric, seed_std=0.01))
    assert (row["Score"], row["Fold spread"], row["Seed spread"]) == cells


def test_a_missing_interval_is_said() -> None:
    missing = result(interval=Interval(None, None, 0.95, "one group", 1))
    assert table(missing)[0]["Score"] == "71.5 no interval"


def test_a_column_is_shown_where_some_result_fills_it() -> None:
    assert [row["Seed spread"] for row in table(result("a", 0.5, seed_std=0.01), result("b", 0.4))] == ["1.0", "–"]


@pytest.mark.parametrize("column", ["Badges", "Deviations", "Seed spread"])
def test_a_column_that_no_result_fills_is_left_out(column: str) -> None:
    assert column not in table(result())[0]


def test_there_is_a_column_of_ranks_even_if_no_result_has_one() -> None:
    assert table(result(badges=("partial",)))[0]["Rank"] == "–"


@pytest.mark.parametrize("parameters", ["many", None, [1], 10**400, 1e300], ids=str)
def test_a_number_that_makes_no_sense_is_not_shown(parameters: Any) -> None:
    assert "Parameters, M" not in table(result(encoder={"parameters": parameters}))[0]


def test_every_deviation_is_shown() -> None:
    assert table(result(deviations=("one", "another")))[0]["Deviations"] == "one; another"


def test_the_metric_is_told_with_its_unit_and_direction() -> None:
    assert about([result(metric="eer")]) == "Score: eer in %, lower is better."


def test_a_protocol_that_is_known_is_told_first() -> None:
    told = about([result(protocol="superb+knn")])
    assert told == f"{PROTOCOLS['superb'].summary}; but with knn. Score: accuracy in %, higher is better."


LEAKS = {"leaks": "speaker"}
WARNINGS = {
    "leaky (clips of one speaker lie in several folds)": [(LEAKY, LEAKS), (LEAKY, LEAKS)],
    "leaky (clips of one group lie in several folds)": [(LEAKY, {})],
    "leaky (clips of one group lie in several folds).": [(LEAKY, {"leaks": ["of", 1, "stranger"]})],
    "leaky (clips of one room or one speaker lie in several folds)": [(LEAKY, LEAKS), (LEAKY, {"leaks": "room"})],
    "test-selected (settings were chosen on clips that are also scored)": [(SELECTED, {}), (("untrained",), {})],
    "several folds) and test-selected (settings": [(BOTH, LEAKS), (BOTH, LEAKS)],
    "several folds) or test-selected (settings": [(LEAKY, LEAKS), (SELECTED, LEAKS)],
}


@pytest.mark.parametrize(("said", "given"), WARNINGS.items())
def test_where_no_ranked_result_is_clean_one_sentence_says_why(said: str, given: list[tuple[Any, Any]]) -> None:
    sentence = warning([result(badges=badges, data=data) for badges, data in given])
    assert said in sentence and sentence.startswith("Scores flatter here") and sentence.count(".") == 1


@pytest.mark.parametrize("badges", [(), ("untrained",), ("leaky", "untrained")])
def test_no_warning_is_given_of_a_clean_result_or_of_what_has_no_rank(badges: tuple[str, ...]) -> None:
    assert warning([result(badges=badges, data=LEAKS)]) == ""


def test_a_leaky_result_among_clean_ones_gives_no_warning_of_all() -> None:
    assert warning([result(), result(badges=LEAKY, data=LEAKS)]) == ""


def test_the_choice_of_every_fold_is_shown() -> None:
    assert table(result())[0]["Chosen per fold"] == "layer 3, 4"


def test_a_choice_on_which_all_folds_agree_is_shown_once() -> None:
    folds = tuple(FoldScore((name,), 0.5, 400, {"lr": 0.1}) for name in "123")
    assert table(result(folds=folds))[0]["Chosen per fold"] == "lr 0.1"


def test_numbers_of_many_folds_are_shown_as_a_range() -> None:
    folds = tuple(FoldScore((str(n),), 0.5, 40, {"steps": n, "rate": 0.1}) for n in (300, 100, 200, 50, 75, 100))
    assert table(result(folds=folds))[0]["Chosen per fold"] == "steps 50 to 300; rate 0.1"


def test_layers_of_many_folds_are_shown_one_by_one() -> None:
    folds = tuple(FoldScore((layer,), 0.5, 40, {"layer": layer}) for layer in "312312")
    assert table(result(folds=folds))[0]["Chosen per fold"] == "layer 3, 1, 2, 3, 1, 2"


def test_a_seed_is_no_choice() -> None:
    folds = tuple(FoldScore(("1",), 0.5, 400, {"seed": seed, "layer": "3"}) for seed in (0, 1))
    assert table(result(folds=folds))[0]["Chosen per fold"] == "layer 3"


def test_the_csv_has_the_standing_and_every_column_of_a_result() -> None:
    assert list(rows(result())[0]) == ["rank", "tied_with_best", *COLUMNS]


def test_the_csv_has_plain_numbers() -> None:
    row = rows(result(), result(encoder={}))[0]
    assert (row["rank"], row["score"], row["parameters"]) == ("1", "0.715", "90000000")


def test_the_csv_has_fractions_whatever_the_metric() -> None:
    scores = [result(metric=metric) for metric in ("accuracy", "eer", "r2")]
    assert {row["score"] for row in rows(*scores)} == {"0.715"}


def test_the_csv_has_every_metric_and_every_deviation() -> None:
    (row,) = rows(result(deviations=("one", "another")))
    assert (row["metrics"], row["deviations"]) == ("accuracy=0.715; d_prime=1.25", "one; another")


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_text_in_the_csv_is_never_a_formula(name: str) -> None:
    assert rows(result(upstream=name))[0]["upstream"].startswith("'")


@pytest.mark.parametrize("name", ["a\n=1", "a\r=1", 'a"\r\n=1', "a,=1"])
def test_text_in_the_csv_begins_no_row_and_no_cell(name: str) -> None:
    assert [row["task"] for row in rows(result(upstream=name))] == ["esc50"]


@pytest.mark.parametrize("name", ["a|b", "a\nb", "`a", "<b>", "[a](http://b)", "a\\", "&lt;"])
def test_a_name_cannot_break_the_markdown_table(name: str) -> None:
    hostile = result(name, interface=name, head=name, badges=(name,), deviations=(name,))
    row = to_markdown(sheets([hostile])).splitlines()[4]
    assert row.count("|") == 14 and not re.search(r"[<>`\\]|\]\(|&lt;", row)


def test_a_name_cannot_break_a_markdown_title() -> None:
    title = to_markdown(sheets([result(task="a\n\n<b>")])).splitlines()[0]
    assert title == "**a &#60;b&#62;, protocol linear**"


def test_a_metric_cannot_break_the_text_below_a_markdown_table() -> None:
    text = to_markdown(sheets([result(metric="a\n\n<b>|")])).splitlines()[-1]
    assert text == "Score: a &#60;b&#62;&#124;, unknown here and ordered as if higher were better."


def test_the_markdown_has_the_warning_below_the_table() -> None:
    text = to_markdown(sheets([result(badges=LEAKY, data=LEAKS)]))
    assert text.index("| Rank") < text.index("Scores flatter here")


# The page.


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


@pytest.mark.parametrize(("badge", "kind"), [("untrained", "unranked"), ("leaky", "ranked")])
def test_a_badged_row_is_marked_in_the_page(tmp_path: Path, badge: str, kind: str) -> None:
    marked = page(tmp_path, result(badges=(badge,)))
    assert re.search(rf'<tr class="{kind}">.*<span class="badge">{badge}</span>', marked)


def test_a_deviation_stands_below_the_interface(tmp_path: Path) -> None:
    assert "last<small>in place of another</small></td>" in page(tmp_path, result(deviations=("in place of another",)))


def test_the_warning_stands_in_the_heading_of_its_section(tmp_path: Path) -> None:
    text = page(tmp_path, result(badges=LEAKY, data=LEAKS), result(task="gtzan"))
    assert text.count("Scores flatter here") == 1
    assert text.index("<h2>esc50") < text.index("Scores flatter here") < text.index("<table>")


def test_every_metric_is_in_the_provenance(tmp_path: Path) -> None:
    text = page(tmp_path, result())
    assert "<dt>accuracy</dt><dd>71.5 %</dd><dt>d_prime</dt><dd>1.250</dd>" in text


def test_what_leaks_how_folds_were_made_and_what_was_remarked_is_in_the_provenance(tmp_path: Path) -> None:
    text = page(tmp_path, result(data={"leaks": "speaker", "folding": "by hash", "remarks": ["one clip twice"]}))
    pairs = (
        "<dt>leaks</dt><dd>speaker</dd>",
        "<dt>folding</dt><dd>by hash</dd>",
        "<dt>remarks</dt><dd>[&quot;one clip",
    )
    assert all(pair in text for pair in pairs)


def links(text: str) -> dict[str, list[str]]:
    """The texts of the navigation's links by task."""
    (inside,) = re.findall(r"<nav><dl>(.*?)</dl></nav>", text)
    tasks = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", inside)
    return {task: re.findall(r">(.*?)</a>", anchors) for task, anchors in tasks}


def test_links_are_grouped_by_task(tmp_path: Path) -> None:
    text = page(tmp_path, result(task="mine"), result(task="yours"), result(task="mine", protocol="superb"))
    assert links(text) == {"mine": ["linear", "superb"], "yours": ["linear"]}


def test_a_link_names_the_metric_where_one_protocol_has_several(tmp_path: Path) -> None:
    several = result(task="mine"), result(task="mine", metric="map"), result(task="mine", protocol="superb")
    text = page(tmp_path, *several)
    assert links(text) == {"mine": ["linear, accuracy", "linear, map", "superb"]}


def test_every_link_leads_to_its_section(tmp_path: Path) -> None:
    text = page(tmp_path, result(), result(task="gtzan"), result(protocol="superb"))
    sections = re.findall(r'<section id="(\d+)">\n<h2>.*? <small>(?:protocol )?(.*?)(?: numbers)?</small>', text)
    assert re.findall(r'<a href="#(\d+)">(.*?)</a>', text) == sections


@pytest.mark.parametrize("field", ["key", "upstream", "task", "protocol", "interface", "head", "metric", "created"])
def test_text_of_a_result_is_never_code_in_the_page(tmp_path: Path, field: str) -> None:
    changes: dict[str, Any] = {field: ATTACK}
    text = page(tmp_path, result(), result(**changes))
    assert "<script>alert" not in text and "<img" not in text and "&lt;img" in text


@pytest.mark.parametrize(
    "changes",
    [
        {"deviations": (ATTACK,)},
        {"metrics": {ATTACK: 0.5}},
        {"badges": LEAKY, "data": {"leaks": ATTACK}},
        {"encoder": {"training": {"how": "unknown", "note": ATTACK}}},
    ],
    ids=["deviations", "metrics", "leaks", "training"],
)
def test_what_is_said_of_a_result_is_never_code_in_the_page(tmp_path: Path, changes: dict[str, Any]) -> None:
    text = page(tmp_path, result(**changes))
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


def test_a_name_across_tasks_and_in_a_test_of_a_pair_is_never_code_in_the_page(tmp_path: Path) -> None:
    several = [result(name, score, task=task) for task in ("one", "two") for name, score in ((ATTACK, 0.5), ("b", 0.4))]
    text = page(tmp_path, *several, pairs=pairs_of((several[0], several[1], 0.5)))
    assert "Across tasks" in text and "Tests of pairs" in text
    assert "<script>alert" not in text and "<img" not in text


def test_no_text_closes_the_script_of_a_plot(tmp_path: Path) -> None:
    layers = (tried("0", 0.1), tried("1", 0.2))
    text = page(tmp_path, result(upstream=ATTACK, candidates=layers, layer_weights=((0.5, 0.5),)))
    assert len(figures(text)) == 3


def test_names_in_a_plot_carry_no_tags(tmp_path: Path) -> None:
    scores = figures(page(tmp_path, result(upstream="<b>&")))[0]
    assert scores["layout"]["annotations"][0]["text"] == "&lt;b&gt;&amp;"


# The plots.


def test_clean_results_are_solid_leaky_ones_of_another_colour_and_those_without_a_rank_hollow(tmp_path: Path) -> None:
    several = result("a", 0.5), result("b", 0.75, badges=LEAKY), result("c", 0.25, badges=("leaky", "partial"))
    clean, leaky, unranked = figures(page(tmp_path, *several))[0]["data"]
    assert [trace["x"] for trace in (clean, leaky, unranked)] == [[50], [75], [25]]
    assert [trace["marker"]["symbol"] for trace in (clean, leaky, unranked)] == ["circle", "circle", "circle-open"]
    assert clean["marker"]["color"] != leaky["marker"]["color"] == unranked["marker"]["color"]


LEGENDS: dict[str, list[tuple[str, ...]]] = {
    "with its interval.": [()],
    "with its interval; grey: leaky or test-selected.": [(), SELECTED],
    "with its interval; hollow: not ranked.": [(), ("leaky", "untrained")],
    "with its interval; grey: leaky or test-selected; hollow: not ranked.": [LEAKY, ("partial",)],
}


@pytest.mark.parametrize(("said", "given"), LEGENDS.items())
def test_the_caption_says_what_the_dots_mean(tmp_path: Path, said: str, given: list[tuple[str, ...]]) -> None:
    text = page(tmp_path, *(result(str(n), badges=badges) for n, badges in enumerate(given)))
    assert f"<figcaption>Score (accuracy in %) {said}</figcaption>" in text


UNITS = {
    "eer": (25.0, [5.0], "%{x:.1f}"),
    "r2": (0.25, [0.05], "%{x:.3f}"),
    "one of a stranger": (0.25, [0.05], "%{x:.3f}"),
}


@pytest.mark.parametrize(("metric", "shown"), UNITS.items())
def test_a_score_is_drawn_in_percent_where_the_metric_is_a_share(tmp_path: Path, metric: str, shown: Any) -> None:
    drawn = result(score=0.25, metric=metric, interval=Interval(0.2, 0.3, 0.95, "bootstrap", 40))
    dots = figures(page(tmp_path, drawn))[0]["data"][0]
    low = [round(length, 9) for length in dots["error_x"]["arrayminus"]]
    assert (dots["x"][0], low, dots["hovertemplate"].split("<")[0]) == shown


def test_a_missing_interval_is_a_dot_without_bar(tmp_path: Path) -> None:
    missing = result(interval=Interval(None, None, 0.95, "one group", 1))
    bar = figures(page(tmp_path, missing))[0]["data"][0]["error_x"]
    assert (bar["array"], bar["arrayminus"]) == ([0], [0])


def test_the_chance_level_is_a_line(tmp_path: Path) -> None:
    scores = figures(page(tmp_path, result(data={"chance": 0.02})))[0]
    assert [shape["x0"] for shape in scores["layout"]["shapes"]] == [2]


@pytest.mark.parametrize(
    "data", [{}, {"chance": "half"}, {"chance": None}, {"chance": 10**400}, {"chance": -1}], ids=str
)
def test_no_line_is_drawn_where_there_is_no_chance_level(tmp_path: Path, data: dict[str, Any]) -> None:
    assert "shapes" not in figures(page(tmp_path, result(data=data)))[0]["layout"]


def test_a_layer_is_drawn_with_its_best_setting_averaged_over_splits(tmp_path: Path) -> None:
    candidates = (
        tried("0", 0.25),
        tried("0", 0.5),
        tried("0", 0.75, split=1),
        *(tried("1", 0.5, split=split) for split in (0, 1)),
    )
    line = figures(page(tmp_path, result(candidates=candidates)))[1]["data"][0]
    assert (line["x"], line["y"]) == (["0", "1"], [62.5, 50])


LAYERS = {"eer": [25, 75], "r2": [0.5, 0.75], "min_dcf": [0.25, 0.75], "one of a stranger": [0.5, 0.75]}


@pytest.mark.parametrize(("metric", "drawn"), LAYERS.items())
def test_a_layer_is_drawn_in_the_unit_and_by_the_direction_of_its_metric(
    tmp_path: Path, metric: str, drawn: list[float]
) -> None:
    candidates = (tried("0", 0.25), tried("0", 0.5), tried("1", 0.75))
    line = figures(page(tmp_path, result(metric=metric, candidates=candidates)))[1]["data"][0]
    assert line["y"] == drawn


@pytest.mark.parametrize(
    ("scores", "drawn"), [((0.5, 0.51), (45.5, 55.5)), ((0.2, 0.6), (18, 62)), ((0.5, 0.5), (45, 55))], ids=str
)
def test_a_curve_over_layers_spans_ten_points_at_least(
    tmp_path: Path, scores: tuple[float, ...], drawn: tuple[float, float]
) -> None:
    candidates = tuple(tried(str(layer), score) for layer, score in enumerate(scores))
    axis = figures(page(tmp_path, result(candidates=candidates)))[1]["layout"]["yaxis"]
    assert axis["range"] == pytest.approx(drawn)


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


def test_the_weight_of_one_layer_alone_is_not_drawn(tmp_path: Path) -> None:
    assert len(figures(page(tmp_path, result(layer_weights=((1.0,), (1.0,)))))) == 1
