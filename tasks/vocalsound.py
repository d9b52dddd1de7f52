"""VocalSound: 21,000 laughs, sighs, coughs, throat clearings, sneezes and sniffs, official lists of speakers."""

import re
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from types import MappingProxyType

from harness.datasets import Task
from harness.errors import UserError
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import name_parts, root_of
from ._metadata import read_json
from ._splits import PARTS

VARIANTS = ("",)

#: In the order of the authors' numbers.
LABELS = ("laughter", "sigh", "cough", "throatclearing", "sneeze", "sniff")
NAME = re.compile(rf"(?P<speaker>[fm]\d{{4}})_\d+_(?P<label>{'|'.join(LABELS)})\.wav")
TOPS = ("vs_release_44k", "vs_release_16k", "data")
#: The folders of the releases at 44.1 and 16 kHz; where both are there the first is taken.
AUDIO = ("audio_44k", "data_44k", "audio_16k")
#: The lists of the release at 16 kHz and of that at 44.1 kHz.
LISTS = MappingProxyType(
    {
        "train": ("tr.json", "tr_rev.json"),
        "valid": ("val.json", "val_rev.json"),
        "test": ("te.json", "te_rev.json"),
    }
)


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="vocalsound",
        version="1",
        target=Class(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=20_977,
        folder="vocalsound",
        source=(Archive("https://www.dropbox.com/s/c5ace70qh1vbyzb/vs_release_16k.zip?dl=1"),),
        paper="Gong et al. 2022, doi 10.1109/ICASSP43922.2022.9746828",
        licence="CC BY-SA 4.0",
        description="Sounds that people make without words, sent in by 3,365 speakers, who are the groups; of 21,024 "
        "recordings those that the official lists name.",
        domain="events",
        counts=MappingProxyType({"train": 15_531, "valid": 1855, "test": 3591}),
        unconfirmed=frozenset({"clips", "counts"}),
        tables=tuple(name for names in LISTS.values() for name in names),
        folding="official lists, by speaker",
        benchmarks=MappingProxyType({"EVAR": None, "X-ARES": 2000}),
        published=MappingProxyType({"evar": {"seconds": 4.18}, "xares": {"epochs": 10, "rate": 1e-3, "batch": 32}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, TOPS, "datafiles", "VocalSound")
    audio = next((root / name for name in AUDIO if (root / name).is_dir()), None)
    if audio is None:
        raise UserError(
            f"VocalSound in {root} has no audio: it must be in {', '.join(AUDIO[:-1])} or {AUDIO[-1]}; was its archive "
            "unpacked to its end?"
        )
    clips = []
    for part, lists in LISTS.items():
        for name in _listed(root / "datafiles", lists):
            said = name_parts(NAME, audio / name, "f0003_0_cough.wav (speaker, session, sound)")
            clips.append(Clip(Path(name).stem, audio / name, said["label"], part, said["speaker"]))
    return sorted(clips, key=lambda clip: clip.id)


def _listed(folder: Path, lists: tuple[str, str]) -> Iterator[str]:
    """The names of the files in a list, which gives them as paths on the authors' machine."""
    path = next((folder / name for name in lists if (folder / name).is_file()), folder / lists[0])
    content = read_json(path)
    try:
        for row in content["data"]:
            yield PureWindowsPath(row["wav"]).name  # of either kind of slash
    except (KeyError, TypeError) as error:
        raise UserError(f"{path} is no list of VocalSound: it must hold data, and each of those a wav") from error
