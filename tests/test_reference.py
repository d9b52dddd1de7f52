"""Published numbers: what they are, and when ours may stand beside them."""

import csv
from pathlib import Path
from typing import Any

import pytest

from harness import protocols
from harness.export import Sheet, to_markdown
from harness.leaderboard.page import build
from harness.leaderboard.reference import Beside, Published, beside, blocks, published
from harness.leaderboard.reference_table import beside_sheets, block_sheet
from harness.metrics import METRICS
from harness.registry import UpstreamSpec
from harness.types import Interval, Result
from harness.weights import published_name

from records import result

#: HEAR scores MAESTRO's onsets to 50 ms, on folds that have pieces in common and are not ours.
STRICTER = "event_onset_f_50ms"


def ours(score: float = 0.65, **changes: Any) -> Result:
    """WavLM large on ESC-50 as HEAR does it, of which 66.6 % are published."""
    encoder = {"upstream": "wavlm", "options": {}, "weights_label": "microsoft/wavlm-large at 0123456789ab"}
    given = {
        "task": "esc50",
        "protocol": "hear:compat",
        "encoder": encoder | changes.pop("encoder", {}),
        "interval": Interval(score - 0.03, score + 0.03, 0.95, "bootstrap over 1524 groups", 1524),
        "metrics": {"accuracy": score},
    }
    return result("wavlm:large", score, **(given | changes))


# The numbers.


CHECKPOINTS = sorted({(row.upstream, row.checkpoints) for row in published() if row.upstream or row.checkpoints})


@pytest.mark.parametrize(("upstream", "checkpoints"), CHECKPOINTS)
def test_a_checkpoint_is_what_the_upstream_of_that_name_reads(upstream: str, checkpoints: tuple[str, ...]) -> None:
    spec = UpstreamSpec.parse(upstream)
    assert published_name(spec.cls.published(**spec.options)) in checkpoints


def test_every_protocol_is_one_that_is_here_with_what_replaces_its_own() -> None:
    names = {row.protocol for row in published()} - {""}
    assert {name.partition("+")[2] for name in names} == {"", "conv", "knn"}
    assert {name.partition("+")[0] for name in names} <= {name for name in protocols.PROTOCOLS if ":compat" in name}


def test_every_value_is_a_fraction_of_a_metric_that_is_known() -> None:
    assert all(0 <= row.value <= 1 for row in published())
    assert {row.metric for row in published()} <= METRICS.keys() | {STRICTER}


def test_where_hear_splits_in_its_own_way_its_numbers_are_of_the_variant_that_does_so() -> None:
    hear = {row.task for row in published() if row.benchmark.startswith("HEAR")}
    own = {"crema_d:hear", "dcase2016_task2:hear", "gtzan:hear", "vocal_imitation:hear"}
    assert own < hear and not {name.partition(":")[0] for name in own} & hear


def test_the_readme_says_how_many_there_are() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"published numbers, {len(published()):,} in all" in readme


def test_a_protocol_repeats_no_number_of_a_fine_tuned_encoder() -> None:
    assert not [row for row in published() if row.fine_tuned and row.protocol]


def test_what_the_papers_of_ssast_and_ssamba_report_is_marked_as_fine_tuned() -> None:
    suites = ("SSAST-suite", "finetune-suite")
    theirs = [row for row in published() if row.benchmark in suites and ("SSAST" in row.model or "SSAMBA" in row.model)]
    assert theirs and all(row.fine_tuned for row in theirs)


def test_every_number_is_one_of_the_collected_facts(shared: Path) -> None:
    """Values are compared as printed there: some are per cent, and EVAR's ± stands in the variant."""
    facts: dict[tuple[str, str, str], list[tuple[float, str]]] = {}
    with (shared / "specs" / "published.csv").open(newline="", encoding="utf-8") as file:
        for fact in csv.DictReader(file):
            key = fact["benchmark"], fact["model"], fact["task"]
            facts.setdefault(key, []).append((float(fact["value"]), fact["protocol"]))

    def found(row: Published) -> bool:
        printed = facts.get((row.benchmark, row.model, row.named), [])
        return any(
            row.value in (pytest.approx(value), pytest.approx(value / 100))
            and (protocol == "finetune") <= row.fine_tuned
            and (protocol == "knn") == (row.head == "knn")
            for value, protocol in printed
        )

    assert [row for row in published() if not found(row)] == []


def test_blocks_have_what_a_protocol_repeats_first_and_fine_tuned_encoders_last() -> None:
    kinds = list(blocks("esc50"))
    assert kinds == sorted(kinds, key=lambda kind: (kind.encoder != "frozen", not kind.protocol, kind.benchmark))
    assert sum(map(len, blocks("esc50").values())) == sum(row.task == "esc50" for row in published())


def test_within_a_block_the_best_number_is_first_where_lower_is_better_too() -> None:
    for task, sign in (("esc50", -1), ("voxceleb1:verification", 1)):
        for rows in blocks(task).values():
            values = [sign * row.value for row in rows]
            assert values == sorted(values)


def test_a_block_tells_whether_the_encoder_was_fine_tuned_and_what_repeats_it() -> None:
    named = [str(kind) for kind in blocks("esc50")]
    assert "HEAR-2021: mlp on a frozen encoder, which hear:compat repeats" in named
    assert "MAEB(MTEB): few-shot on a frozen encoder, which no protocol here repeats" in named
    assert "SSAST-suite: the encoder was fine-tuned, so not comparable" in named


def block(benchmark: str) -> Sheet:
    ((kind, rows),) = ((kind, rows) for kind, rows in blocks("esc50").items() if kind.benchmark == benchmark)
    sheet: Sheet = block_sheet("esc50", kind, rows)
    return sheet


def test_a_number_is_shown_in_the_unit_of_its_metric_with_its_spread() -> None:
    assert {row[0].text: row[1].text for row in block("EVAR").rows}["BEATs_iter3"] == "86.9 ± 1.4"


def test_a_source_that_a_block_shares_is_told_once() -> None:
    assert [column.name for column in block("EVAR").columns] == ["Model", "accuracy"]
    assert "github nttcslab/eval-audio-repr@88ba772 README.md sec 7-2." in block("EVAR").notes[0]


def test_other_sources_stand_beside_their_numbers() -> None:
    assert block("MAEB(MTEB)").columns[2].name == "Source" and all(row[2].text for row in block("MAEB(MTEB)").rows)


# Ours beside them.


def only(*results: Result) -> Beside:
    (pair,) = beside(results)
    return pair


def test_ours_stands_beside_the_number_of_the_same_checkpoint_and_protocol() -> None:
    pair = only(ours(0.65))
    assert (pair.row.model, pair.row.benchmark, pair.row.value) == ("wavlm-large", "HEAR-subset(WavJEPA)", 0.666)
    assert pair.difference == pytest.approx(-0.016)


@pytest.mark.parametrize(("score", "inside"), [(0.65, True), (0.6, False), (0.7, False)])
def test_it_is_told_whether_the_published_number_lies_in_our_interval(score: float, inside: bool) -> None:
    assert only(ours(score)).inside is inside


def test_without_an_interval_nothing_is_told_of_it() -> None:
    assert only(ours(interval=Interval(None, None, 0.95, "none: one group", 1))).inside is None


def test_a_metric_that_is_not_the_primary_one_has_a_difference_and_no_interval() -> None:
    pair = only(ours(metric="balanced_accuracy"))
    assert pair.difference is not None and pair.inside is None


@pytest.mark.parametrize("label", ["wavlm-large", "WavLM-Large.pt", "microsoft/wavlm-large at 0123456789ab"])
def test_a_file_and_a_folder_of_the_same_weights_are_one_checkpoint(label: str) -> None:
    assert only(ours(encoder={"weights_label": label})).difference is not None


STRANGERS: dict[str, dict[str, Any]] = {
    "other weights": {"encoder": {"weights_label": "microsoft/wavlm-huge at 0123456789ab"}},
    "a name that begins alike": {"encoder": {"weights_label": "wavlm-large-finetuned"}},
    "untrained": {"encoder": {"weights_label": "untrained"}, "badges": ("untrained",)},
    "another family": {"encoder": {"upstream": "hf"}},
    "read with another option": {"encoder": {"options": {"pad": "superb"}}},
    "another task": {"task": "us8k:mine"},
    "another protocol": {"protocol": "default"},
    "the protocol with another head": {"protocol": "hear:compat+knn"},
    "another metric": {"metric": "map", "metrics": {"map": 0.65}},
    "part of the clips": {"badges": ("partial",)},
    "no word on the weights": {"encoder": {"weights_label": None}},
    "nonsense": {"encoder": {"options": ["superb"]}},
}


@pytest.mark.parametrize("changes", STRANGERS.values(), ids=STRANGERS)
def test_nothing_stands_beside_what_differs(changes: dict[str, Any]) -> None:
    assert beside([ours(**changes)]) == []


def test_a_number_of_a_fine_tuned_encoder_stands_beside_nothing() -> None:
    encoder = {"upstream": "ssast", "weights_label": "SSAST-Base-Patch-400.pth"}
    assert any(row.checkpoints == ("SSAST-Base-Patch-400.pth",) and row.task == "esc50" for row in published())
    assert [beside([ours(protocol=name, encoder=encoder)]) for name in ("", "superb:compat", "default")] == [[]] * 3


def test_the_token_of_the_published_name_is_no_other_option() -> None:
    encoder = {"upstream": "beats", "options": {"variant": "iter3+"}, "weights_label": "BEATs_iter3_plus_AS2M.pt"}
    assert only(ours(protocol="evar:compat", encoder=encoder)).row.model == "BEATs_iter3+"


def test_where_only_the_mended_protocol_was_run_it_is_said_that_they_differ() -> None:
    pair = only(ours(protocol="hear"))
    assert (pair.difference, pair.inside) == (None, None)
    assert pair.remark == "the protocols differ: hear mends hear:compat"


def test_where_the_published_protocol_was_run_too_the_mended_one_is_left_out() -> None:
    assert only(ours(), ours(protocol="hear")).result.protocol == "hear:compat"


def test_where_ours_had_to_leave_its_protocol_it_is_said() -> None:
    assert "last in place of weighted-sum" in only(ours(deviations=("last in place of weighted-sum",))).remark


def test_a_difference_is_shown_with_its_sign_in_the_unit_of_the_metric() -> None:
    (sheet,) = beside_sheets(beside([ours(0.65)]))
    cells = dict(zip((column.name for column in sheet.columns), (cell.text for cell in sheet.rows[0]), strict=True))
    assert (cells["Here"], cells["Published"], cells["Difference"]) == ("65.0 [62.0, 68.0]", "66.6", "-1.6")
    assert cells["In our interval"] == "yes"


# On the page.


def test_published_numbers_are_a_section_of_their_own_without_ranks(tmp_path: Path) -> None:
    text = build([ours()], tmp_path)[0].read_text(encoding="utf-8")
    section = text[
        text.index("<h2>esc50 <small>published numbers") : text.index("</section>", text.index("published n"))
    ]
    assert "<th" in section and "Rank" not in section
    assert "SSAST and SSAMBA, it is not comparable" in section and "-1.6</td>" in section


def test_a_task_of_which_nothing_is_published_has_no_such_section(tmp_path: Path) -> None:
    text = build([ours(task="mine")], tmp_path)[0].read_text(encoding="utf-8")
    assert "published numbers" not in text


def test_the_markdown_has_ours_beside_the_published_number(tmp_path: Path) -> None:
    text = build([ours()], tmp_path)[1].read_text(encoding="utf-8")
    assert to_markdown(beside_sheets(beside([ours()]))) in text
