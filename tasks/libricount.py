"""LibriCount: how many people speak at once, from none to ten, in 5,720 mixtures of 5 s; HEAR's five folds."""

import re
from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task, rotation
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import audio_in, name_parts, root_of
from ._splits import hear_folds

VARIANTS = ("",)

LABELS = tuple(str(count) for count in range(11))
NAME = re.compile(rf"(?P<count>{'|'.join(LABELS)})_[0-9a-f]{{6}}\.(?i:wav)")
FOLDS = tuple(f"fold{number:02}" for number in range(5))


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="libricount",
        version="1",
        target=Class(LABELS),
        splits=rotation(FOLDS),
        list_clips=_list_clips,
        clips=5720,
        folder="libricount",
        source=(
            Archive(
                "https://zenodo.org/records/1216072/files/LibriCount10-0dB.zip",
                checksum="md5:30c8f844dc59fa65d216d53db9dc37e2",
                cited="HEAR's preprocessing (hearsecrettasks/libricount.py)",
            ),
        ),
        paper="Stöter et al. 2018, doi 10.5281/zenodo.1216072",
        licence="CC BY 4.0",
        description="Mixtures of LibriSpeech's test-clean, each its own group; its speakers are in every fold, since "
        "most mixtures have several.",
        domain="events",
        hours=5720 * 5 / 3600,
        counts=dict.fromkeys(FOLDS, 1144),
        unconfirmed=frozenset({"licence"}),
        leaks="speaker",
        folding="HEAR's rule on the authors' file names",
        benchmarks=MappingProxyType({"HEAR": None, "X-ARES": 1144}),
        published=MappingProxyType({"hear": {"seconds": 5.0}, "xares": {"epochs": 10, "rate": 1e-3, "batch": 64}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    root = root_of(folder, "LibriCount10-0dB", "test", "LibriCount") / "test"
    paths = {path.stem: path for path in audio_in(root)}
    counts = {stem: name_parts(NAME, path, "4_ae911c.wav")["count"] for stem, path in paths.items()}
    folds = hear_folds({stem: {count} for stem, count in counts.items()}, len(FOLDS))
    return [Clip(stem, path, counts[stem], folds[stem], stem) for stem, path in sorted(paths.items())]
