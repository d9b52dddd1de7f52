"""Tables as texts: each form holds what the table does, and nothing in it can be taken for structure."""

import csv
import io
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.export import FORMS, SUFFIXES, Cell, Column, Sheet, mark, plain, to_csv, to_json, to_latex, to_markdown

HOSTILE = r"a|b & c % d $e$ #f _g_ {h} \input{/etc/passwd} ~i^ <script>alert(1)</script> [x](y) `z` *k* "
SHEET = Sheet(
    "Two of them, 95 %",
    (Column("Upstream"), Column("Task_1", "accuracy, %", number=True)),
    (
        (Cell("mel"), Cell("78.8", "[73.9, 83.4]", bold=True)),
        (Cell(HOSTILE), Cell("75.0", "[70.1, 79.6]", underlined=True, footnotes=(0, 1))),
        (Cell("[third]"), Cell("–")),
    ),
    ({"name": "mel", "score": 0.788}, {"name": "=cmd()", "score": None}, {"name": "two\nlines", "other": -1}),
    footnotes=("leaky", "test-selected"),
    notes=("The best is bold",),
    facts={"protocol": "default"},
)


def test_a_form_for_every_suffix() -> None:
    assert set(SUFFIXES.values()) == set(FORMS)


def test_markdown_has_one_line_for_each_row_and_as_many_cells() -> None:
    lines = [line for line in to_markdown([SHEET]).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(SHEET.rows)
    assert {line.count("|") for line in lines} == {3}
    assert "**78.8** [73.9, 83.4]" in lines[2]
    assert "<ins>75.0</ins> [70.1, 79.6]<sup>a,b</sup>" in lines[3]


def test_markdown_holds_no_html_link_or_code_of_a_name() -> None:
    text = to_markdown([SHEET])
    assert "<script" not in text
    assert "](y)" not in text
    assert "`" not in text


def test_csv_is_the_records_of_all_tables_as_plain_numbers() -> None:
    rows = list(csv.reader(io.StringIO(to_csv([SHEET, SHEET]))))
    assert rows[0] == ["name", "score", "other"]
    assert len(rows) == 7
    assert rows[1] == ["mel", "0.788", ""]


def test_csv_runs_no_formula_and_breaks_no_line() -> None:
    rows = list(csv.reader(io.StringIO(to_csv([SHEET]))))
    assert rows[2][0] == "'=cmd()"
    assert rows[3] == ["two lines", "", "-1"]


def test_json_holds_records_facts_and_notes() -> None:
    (table,) = json.loads(to_json([SHEET]))["tables"]
    assert table == {
        "title": SHEET.title,
        "protocol": "default",
        "rows": [dict(record) for record in SHEET.records],
        "notes": ["leaky", "test-selected", "The best is bold"],
    }


def arguments(text: str) -> int:
    """The depth of braces at the end, where what is escaped is no brace; never below nothing."""
    depth = 0
    for brace in re.findall(r"(?<!\\)[{}]", text):
        depth += 1 if brace == "{" else -1
        assert depth >= 0
    return depth


def test_latex_parses_as_one_table_with_booktabs_rules() -> None:
    text = to_latex([SHEET])
    assert arguments(text) == 0
    begun, ended = (re.findall(rf"\\{word}{{(\w+)}}", text) for word in ("begin", "end"))
    assert begun == ended[::-1] == ["table", "tabular"]
    assert [text.count(rf"\{rule}rule") for rule in ("top", "mid", "bottom")] == [1, 1, 1]
    rows = re.findall(r"^(.*) \\\\$", text, re.MULTILINE)
    assert len(rows) == 2 + len(SHEET.rows)
    assert all(len(re.findall(r"(?<!\\)&", row)) == 1 for row in rows)


def test_latex_marks_the_best_and_what_ties_with_it() -> None:
    text = to_latex([SHEET])
    assert r"\textbf{78.8} [73.9, 83.4]" in text
    assert r"\underline{75.0} [70.1, 79.6]\textsuperscript{a,b}" in text
    assert r"\textsuperscript{a} leaky. \textsuperscript{b} test-selected." in text


def test_latex_runs_no_command_of_a_name_and_opens_no_option() -> None:
    text = to_latex([SHEET])
    assert r"\input" not in text
    assert r"\textbackslash{}input\{/etc/passwd\}" in text
    (third,) = (line for line in text.splitlines() if "third" in line)
    assert third.startswith("{}[third]")


def test_a_table_without_units_has_one_heading() -> None:
    bare = Sheet("T", (Column("A"),), ((Cell("x"),),), ({},))
    assert len(re.findall(r"^(.*) \\\\$", to_latex([bare]), re.MULTILINE)) == 2


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    body = (
        r"\documentclass{article}\usepackage{booktabs}\begin{document}" + to_latex([SHEET, SHEET]) + r"\end{document}"
    )
    (tmp_path / "table.tex").write_text(body, encoding="utf-8")
    command = ["pdflatex", "-halt-on-error", "-interaction=nonstopmode", "-no-shell-escape", "table.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_is_the_same_every_time_and_ends_its_last_line(form: Callable[[list[Sheet]], str]) -> None:
    assert form([SHEET]) == form([SHEET])
    assert form([SHEET]).endswith("\n")


@pytest.mark.parametrize("text", ["a\x1b[31mb", "a\rb", "a\u202eb", "a\x00b", "a\u2028b"])
def test_what_a_terminal_would_obey_is_left_out(text: str) -> None:
    assert plain(text).isprintable()
    assert plain(text).startswith("a")


def test_footnotes_never_run_out_of_signs() -> None:
    assert [mark(i) for i in (0, 25, 26, 27, 52)] == ["a", "z", "aa", "bb", "aaa"]
