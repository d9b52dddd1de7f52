"""Tables of results: the best is bold, what ties with it underlined, and badges are neither."""

from pathlib import Path

import pytest

from harness import results, sheets
from harness.compare import compare, pairwise
from harness.export import Cell, Sheet
from harness.leaderboard.overview import overviews

from kept_answers import kept, left

pytestmark = pytest.mark.usefixtures("few_draws")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, upstream in enumerate(("a", "b", "c")):
        left(tmp_path, upstream, "digits", kept("class", "accuracy", seed))
        left(tmp_path, upstream, "speakers", kept("trials", "eer", seed))
    left(tmp_path, "d", "digits", kept("class", "accuracy", 7), badges=("untrained",))
    left(tmp_path, "a", "digits", kept("class", "accuracy", 8), protocol="superb")
    return tmp_path


def exported(folder: Path) -> list[Sheet]:
    everything = results.read_all(folder)
    found: list[Sheet] = overviews(everything, pairwise(everything, folder))
    return found


def column(sheet: Sheet, name: str) -> dict[str, Cell]:
    (i,) = (i for i, column in enumerate(sheet.columns) if column.name == name)
    return {row[0].text: row[i] for row in sheet.rows}


def test_there_is_a_table_for_each_protocol(folder: Path) -> None:
    assert [sheet.title for sheet in exported(folder)] == ["Protocol default", "Protocol superb"]


@pytest.mark.parametrize(("task", "better"), [("digits", max), ("speakers", min)])
def test_the_best_of_a_column_is_bold_and_what_ties_with_it_underlined(task: str, better: object, folder: Path) -> None:
    cells = {name: cell for name, cell in column(exported(folder)[0], task).items() if name != "d"}
    scores = {each.upstream: each.score for each in results.read_all(folder) if each.task == task}
    best = (max if better is max else min)((name for name in cells), key=lambda name: scores[name])
    assert [name for name, cell in cells.items() if cell.bold] == [best]
    # Answers of heads that are equally good, so nothing can be told apart.
    assert {name for name, cell in cells.items() if cell.underlined} == cells.keys() - {best}


def test_a_result_with_a_badge_is_shown_with_it_and_neither_bold_nor_underlined(folder: Path) -> None:
    sheet = exported(folder)[0]
    cell = column(sheet, "digits")["d"]
    assert (cell.bold, cell.underlined, cell.footnotes) == (False, False, (0,))
    assert sheet.footnotes == ("untrained",)


def test_a_cell_without_a_result_is_empty(folder: Path) -> None:
    assert column(exported(folder)[0], "speakers")["d"].text == "–"


def test_without_tests_nothing_is_said_to_tie(folder: Path) -> None:
    sheet, _ = overviews(results.read_all(folder), {})
    assert not any(cell.underlined for row in sheet.rows for cell in row)


def test_a_metric_that_is_better_the_lower_it_is_has_an_arrow(folder: Path) -> None:
    units = {column.name: column.unit for column in exported(folder)[0].columns}
    assert units == {"Upstream": "", "digits": "accuracy, %", "speakers": "eer, % ↓"}


def test_a_comparison_tells_its_counts_and_what_p_is(folder: Path) -> None:
    sheet = sheets.of_comparison(compare(results.read_all(folder), "a", "b", folder))
    assert sheet.notes[0].endswith("Of 2 comparisons, a is better on 0, b on 0, and 2 cannot be told apart")
    assert sheet.footnotes == ("p by all 4,096 swaps of 12 groups", "p by bootstrap over 12 groups")
    for row in sheet.rows:
        assert sorted((cell.bold, cell.underlined) for cell in row[2:4]) == [(False, True), (True, False)]


def test_a_comparison_has_records_for_programs(folder: Path) -> None:
    sheet = sheets.of_comparison(compare(results.read_all(folder), "a", "b", folder))
    for record in sheet.records:
        assert record["difference"] == pytest.approx(record["score_a"] - record["score_b"])
        assert record["low"] <= record["difference"] <= record["high"]
        assert record["p"] <= record["p_holm"] <= 1
        assert record["better"] is None


def test_a_list_has_a_line_for_each_result(folder: Path) -> None:
    everything = results.read_all(folder)
    sheet = sheets.of_results(everything)
    assert [row[0].text for row in sheet.rows] == [each.key[:8] for each in everything]
    assert {record["key"] for record in sheet.records} == {each.key for each in everything}


def test_facts_tell_the_score_and_everything_it_was_made_with(folder: Path) -> None:
    (one,) = (each for each in results.read_all(folder) if each.protocol == "superb")
    told = sheets.facts(one)
    assert told["score"].startswith(f"{100 * one.score:.1f} [")
    assert {"key", "interval", "data", "encoder", "cost", "environment", "created"} <= told.keys()
