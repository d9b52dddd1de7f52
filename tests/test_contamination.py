"""What an upstream has learned from, held against what a task tests."""

from typing import Any

import pytest

from harness.leaderboard.contamination import RELATIONS, describe, marked
from harness.leaderboard.groups import is_ranked
from harness.leaderboard.table import sheets
from harness.registry import card_of, plugins
from harness.types import Result

from records import result


def learned(task: str, *sets: str, how: str = "supervised", note: str = "", **changes: Any) -> Result:
    return result(task=task, encoder={"training": {"how": how, "sets": list(sets), "note": note}}, **changes)


SAME = {
    "NSynth": "nsynth:pitch-5h",
    "Speech Commands": "speech_commands",
    "VoxCeleb": "voxceleb1:sid",
    "FSD50K": "fsd50k",
    "FMA": "fma_small",
    "VoxLingua107": "voxlingua107:top10",
    "VCTK": "asvspoof2019",
}


@pytest.mark.parametrize(("name", "task"), SAME.items())
def test_who_has_learned_from_the_data_set_of_a_task_is_contaminated(name: str, task: str) -> None:
    assert marked(learned(task, "ImageNet", name)).badges == ("contaminated",)


def test_a_contaminated_result_has_no_rank() -> None:
    assert not is_ranked(marked(learned("nsynth:instrument", "NSynth")))


def test_a_badge_is_added_to_those_that_are_there_and_never_twice() -> None:
    once = marked(learned("fsd50k", "FSD50K", badges=("partial",)))
    assert once.badges == ("partial", "contaminated") and marked(once) == once


ONE_PLACE = {
    "Freesound": "esc50:esc10",
    "Clotho": "us8k",
    "FSD50K": "esc50",
    "LAION-Audio-630K": "fsd50k",
    "AudioSet": "voxceleb1:verification",
    "VGGSound": "voxlingua107:top10",
    "VoxCeleb2": "voxceleb1:sid",
    "LibriSpeech": "libricount",
    "Libri-Light": "libricount",
    "MedleyDB": "medley_solos",
    "Xeno-canto": "cbi",
}


@pytest.mark.parametrize(("name", "task"), ONE_PLACE.items())
def test_data_of_one_place_are_told_of_and_not_marked(name: str, task: str) -> None:
    (sentence,) = describe(learned(task, name))
    assert marked(learned(task, name)).badges == ()
    assert sentence.startswith(f"learned from {name}, which may hold clips of this task: ")


@pytest.mark.parametrize(("name", "task"), [("AudioSet", "esc50"), ("LibriSpeech", "voxceleb1:sid"), ("FMA", "gtzan")])
def test_of_data_that_have_nothing_in_common_nothing_is_told(name: str, task: str) -> None:
    assert marked(learned(task, name)).badges == () and describe(learned(task, name)) == []


def test_the_data_set_of_the_task_itself_is_told_of_once() -> None:
    (sentence,) = describe(learned("fsd50k", "FSD50K"))
    assert sentence == "learned from FSD50K, and the task is FSD50K itself (Fonseca et al. 2022)"


def test_data_of_one_place_are_told_of_together() -> None:
    (sentence,) = describe(learned("esc50", "LAION-Audio-630K", "AudioSet", "Freesound"))
    assert sentence.startswith("learned from LAION-Audio-630K and Freesound, which may hold clips of this task: ")


@pytest.mark.parametrize("how", ["unknown", "self-supervised", "supervised"])
def test_unknown_data_are_told_of_and_never_marked(how: str) -> None:
    stranger = learned("nsynth:instrument", how=how, note="a file of mine")
    assert marked(stranger).badges == ()
    assert describe(stranger) == ["which data it has learned from is unknown (a file of mine)"]


def test_a_collection_of_the_web_may_hold_anything() -> None:
    assert describe(learned("esc50", "680,000 h of web audio")) == [
        "learned from 680,000 h of web audio, into which nobody can look"
    ]


def test_who_has_learned_from_nothing_is_told_nothing_of() -> None:
    assert describe(learned("nsynth:instrument", how="none")) == []


@pytest.mark.parametrize("training", [None, "NSynth", ["NSynth"], {"sets": "NSynth"}, {"sets": [1, None]}], ids=str)
def test_a_record_that_makes_no_sense_is_not_read(training: Any) -> None:
    strange = result(task="nsynth:instrument", encoder={"training": training})
    assert marked(strange) == strange and describe(strange) == []


def test_what_is_told_of_several_upstreams_is_told_once_below_their_table() -> None:
    group = [learned("esc50", "FSD50K", upstream=name) for name in ("a", "b", "a")]
    (sheet,) = sheets([*group, learned("esc50", "AudioSet", upstream="c")])
    assert sum(note.startswith("a, b: learned from FSD50K, which may hold") for note in sheet.notes) == 1


def test_every_training_set_of_a_relation_goes_by_the_name_that_upstreams_use() -> None:
    """But for those that no upstream here names yet."""
    cards = [
        card_of(cls, variant)
        for plugin in plugins("upstreams").values()
        for cls in [plugin.load().UPSTREAM]
        for variant in (*cls.variants.values(), None)
    ]
    named = {name for card in cards for name in card.training.sets}
    assert {name for relation in RELATIONS for name in relation.sets} - named == {"VoxCeleb1", "VoxCeleb2"}
