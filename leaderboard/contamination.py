"""Whether an upstream may have learned from what a task tests: what its record names, held against known relations.

A result is marked ``contaminated`` where its record names the data set that the task's test clips are of; which part
of it was learned from, records do not tell. Where the two are only drawn from one place, or the record does not name
what was learned from, a sentence says so and nothing is marked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from harness.types import Result

BADGE = "contaminated"


class Relation(NamedTuple):
    """What training sets have to do with the tasks of some families, and on what ground that is said.

    ``same`` tells whether the tasks' test clips are of the training set; else both come from one place, and how much
    they share is not known.
    """

    sets: tuple[str, ...]
    families: tuple[str, ...]
    same: bool
    ground: str


_FREESOUND = ("esc50", "us8k", "fsd50k", "fsd2018")
_YOUTUBE = ("voxceleb1", "voxlingua107")
RELATIONS = (
    Relation(("NSynth",), ("nsynth",), True, "the task is NSynth itself (Engel et al. 2017)"),
    Relation(("Speech Commands",), ("speech_commands",), True, "the task is Speech Commands itself (Warden 2018)"),
    Relation(("VoxCeleb", "VoxCeleb1"), ("voxceleb1",), True, "the task is VoxCeleb1 itself (Nagrani et al. 2017)"),
    Relation(("VoxLingua107",), ("voxlingua107",), True, "the task is VoxLingua107 itself (Valk and Alumäe 2021)"),
    Relation(("FSD50K",), ("fsd50k",), True, "the task is FSD50K itself (Fonseca et al. 2022)"),
    Relation(("FMA",), ("fma_small",), True, "the task is a part of FMA (Defferrard et al. 2017)"),
    Relation(("VCTK",), ("asvspoof2019",), True, "the task's genuine speech is VCTK's (Wang et al. 2020)"),
    Relation(
        ("Freesound", "LAION-Audio-630K", "Clotho", "FSD50K"),
        _FREESOUND,
        False,
        "both are drawn from Freesound (Piczak 2015; Salamon et al. 2014; Fonseca et al. 2018, 2022; Drossos et al. "
        "2020; Wu et al. 2023)",
    ),
    Relation(
        ("AudioSet", "AudioCaps", "VGGSound", "GigaSpeech"),
        _YOUTUBE,
        False,
        "both are drawn from YouTube (Gemmeke et al. 2017; Kim et al. 2019; Chen et al. 2020, 2021)",
    ),
    Relation(
        ("VoxCeleb", "VoxCeleb1", "VoxCeleb2"),
        ("voxlingua107",),
        False,
        "both are drawn from YouTube (Nagrani et al. 2017; Chung et al. 2018)",
    ),
    Relation(("VoxLingua107",), ("voxceleb1",), False, "both are drawn from YouTube (Valk and Alumäe 2021)"),
    Relation(
        ("VoxCeleb2",),
        ("voxceleb1",),
        False,
        "both are interviews on YouTube; their authors keep the speakers apart (Chung et al. 2018)",
    ),
    Relation(
        ("LibriSpeech",),
        ("libricount",),
        False,
        "the task is mixed from LibriSpeech's test-clean, whose speakers are not in its training parts (Stöter et al. "
        "2018; Panayotov et al. 2015), and the record does not name the part",
    ),
    Relation(
        ("Libri-Light", "Multilingual LibriSpeech"),
        ("libricount",),
        False,
        "both are read from LibriVox (Kahn et al. 2020; Pratap et al. 2020; Stöter et al. 2018)",
    ),
    Relation(
        ("MedleyDB", "MUSDB18"),
        ("medley_solos",),
        False,
        "the clips that the task trains and chooses on are cut from MedleyDB, of which MUSDB18 has a part; those it "
        "tests on are from solosDb (Lostanlen and Cella 2016; Rafii et al. 2017)",
    ),
    Relation(("Xeno-canto",), ("cbi",), False, "the task's recordings are from Xeno-canto (Hagiwara et al. 2023)"),
)
#: How records call collections that nobody can look into.
_OF_THE_WEB = "h of web audio"


def marked(result: Result) -> Result:
    """The result with the badge ``contaminated`` where its record names the data set that its task tests on."""
    if BADGE in result.badges or not any(relation.same for relation in _related(result)):
        return result
    return replace(result, badges=(*result.badges, BADGE))


def describe(result: Result) -> list[str]:
    """What an upstream's training has to do with the task, a sentence each; none where nothing speaks against it."""
    training = _training(result)
    related, said = _related(result), []
    own = {name for relation, names in related.items() if relation.same for name in names}
    for relation, names in related.items():
        if relation.same:
            said.append(f"learned from {' and '.join(names)}, and {relation.ground}")
        elif others := [name for name in names if name not in own]:
            said.append(f"learned from {' and '.join(others)}, which may hold clips of this task: {relation.ground}")
    sets, how = _sets(training), training.get("how")
    said += [f"learned from {name}, into which nobody can look" for name in sets if name.endswith(_OF_THE_WEB)]
    if how == "unknown" or (how in ("supervised", "self-supervised") and not sets):
        said.append(f"which data it has learned from is unknown{_note(training)}")
    return said


def training_notes(group: Sequence[Result]) -> list[str]:
    """What speaks against results of one task in sentences, each with the upstreams that it is said of."""
    said: dict[str, list[str]] = {}
    for result in group:
        for sentence in describe(result):
            said.setdefault(sentence, []).append(result.upstream)
    return [f"{', '.join(dict.fromkeys(names))}: {sentence}." for sentence, names in said.items()]


def _related(result: Result) -> dict[Relation, list[str]]:
    """The relations to the task, with those of the record's training sets that each is of."""
    family, sets = result.task.partition(":")[0], _sets(_training(result))
    named = {each: [name for name in sets if name in each.sets] for each in RELATIONS if family in each.families}
    return {relation: names for relation, names in named.items() if names}


def _training(result: Result) -> Mapping[str, Any]:
    """As the record has it; files come from strangers."""
    training = result.encoder.get("training")
    return training if isinstance(training, dict) else {}


def _sets(training: Mapping[str, Any]) -> list[str]:
    sets = training.get("sets")
    return [name for name in sets if isinstance(name, str)] if isinstance(sets, list) else []


def _note(training: Mapping[str, Any]) -> str:
    note = training.get("note")
    return f" ({note})" if isinstance(note, str) and note else ""
