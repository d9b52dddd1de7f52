"""Commands that read results: compare, and results ls, show and export."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from kept_answers import kept, left

pytestmark = pytest.mark.usefixtures("few_draws")
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path) -> str:
    for seed, upstream in enumerate(("mel", "mfcc", "hubert")):
        left(tmp_path, upstream, "esc50", kept("class", "accuracy", seed))
        left(tmp_path, upstream, "fsd50k", kept("tags", "map", seed))
    return str(tmp_path)


def test_a_comparison_is_a_table_with_difference_interval_and_p(command: Run, folder: str) -> None:
    code, out, _ = command("compare", "mel", "mfcc", "--results", folder)
    assert code == 0
    assert all(word in out for word in ("mel and mfcc", "Difference, 95 % interval", "p, Holm", "esc50", "fsd50k"))
    assert "Of 2 comparisons" in out


@pytest.mark.parametrize("form", ["markdown", "csv", "json", "latex"])
@pytest.mark.parametrize("words", [("compare", "mel", "mfcc"), ("results", "ls"), ("results", "export")])
def test_a_table_is_printed_and_written_alike_in_every_form(
    words: tuple[str, ...], form: str, command: Run, folder: str, tmp_path: Path
) -> None:
    suffix = {"markdown": ".md", "csv": ".csv", "json": ".json", "latex": ".tex"}[form]
    out_file = tmp_path / f"table{suffix}.d" / f"table{suffix}"
    code, printed, _ = command(*words, "--results", folder, "--format", form)
    assert code == 0
    assert command(*words, "--results", folder, "--out", str(out_file)) == (0, f"{out_file}\n", "")
    assert out_file.read_text(encoding="utf-8") == printed


def test_a_file_that_ends_like_no_form_is_refused(command: Run, folder: str) -> None:
    code, out, err = command("results", "ls", "--results", folder, "--out", "table.xlsx")
    assert (code, out) == (2, "")
    assert err == (
        "harness: 'table.xlsx' ends with none of .md, .csv, .json, .tex: the ending says how it is written\n"
    )


def test_only_what_is_asked_for_is_listed(command: Run, folder: str) -> None:
    _, out, _ = command("results", "ls", "--results", folder, "--task", "esc50", "--format", "json")
    (table,) = json.loads(out)["tables"]
    assert {row["task"] for row in table["rows"]} == {"esc50"}
    assert {row["upstream"] for row in table["rows"]} == {"mel", "mfcc", "hubert"}


def test_a_comparison_can_be_of_some_tasks(command: Run, folder: str) -> None:
    _, out, _ = command("compare", "mel", "mfcc", "--results", folder, "--task", "fsd50k", "--format", "json")
    (table,) = json.loads(out)["tables"]
    (row,) = table["rows"]
    assert row["p"] == row["p_holm"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("compare", "mel", "mfc"), "there is no result of 'mfc' in"),
        (("results", "ls", "--task", "esc5"), "has the task 'esc5': did you mean 'esc50'"),
        (("results", "ls", "--protocol", "superb"), "has the protocol 'superb': there is default"),
        (("results", "show", "zzz"), "has a key that begins with 'zzz': `harness results ls` lists them"),
        (("results", "show", ""), "has a key that begins with ''"),
    ],
)
def test_what_is_not_there_is_told_in_a_sentence(
    words: tuple[str, ...], sentence: str, command: Run, folder: str
) -> None:
    code, out, err = command(*words, "--results", folder)
    assert (code, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1


def test_filters_that_leave_nothing_together_are_told(command: Run, folder: str) -> None:
    left(Path(folder), "beats", "gtzan", kept("class", "accuracy"))
    code, _, err = command("results", "ls", "--results", folder, "--upstream", "beats", "--task", "esc50")
    assert code == 2
    assert "has all that is asked for together: leave an option out" in err


def test_an_empty_folder_says_what_fills_it(command: Run, tmp_path: Path) -> None:
    code, _, err = command("results", "export", "--results", str(tmp_path))
    assert (code, "`harness run` makes them" in err) == (2, True)


def test_a_result_is_shown_by_the_beginning_of_its_key(command: Run, tmp_path: Path) -> None:
    one = left(tmp_path, "mel", "esc50", kept("class", "accuracy"))
    code, out, _ = command("results", "show", one.key[:6], "--results", str(tmp_path))
    assert code == 0
    assert re.search(rf"^key +{one.key}$", out, re.MULTILINE)
    assert re.search("^answers +kept; they give this score$", out, re.MULTILINE)


def test_a_result_without_its_answers_is_shown_and_says_so(command: Run, tmp_path: Path) -> None:
    one = left(tmp_path, "mel", "esc50", kept("class", "accuracy"))
    for path in tmp_path.glob("*.safetensors"):
        path.unlink()
    _, out, _ = command("results", "show", one.key, "--results", str(tmp_path))
    assert "the score cannot be made again from here" in out
    _, out, _ = command("results", "show", one.key, "--results", str(tmp_path), "--json")
    assert json.loads(out)["answers_agree"] is False


def test_a_beginning_that_two_keys_share_is_refused(command: Run, tmp_path: Path) -> None:
    for end in "ab":
        left(tmp_path, "mel", f"task {end}", kept("class", "accuracy"), key="0" * 63 + end)
    code, _, err = command("results", "show", "000", "--results", str(tmp_path))
    assert (code, "2 results in" in err, "write more of it" in err) == (2, True, True)
