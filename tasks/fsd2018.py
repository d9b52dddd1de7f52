"""FSDKaggle2018: 11,073 sounds from Freesound in 41 classes, official train and test; labels of train are noisy."""

from pathlib import Path
from types import MappingProxyType

from harness.datasets import Task
from harness.sources import Archive
from harness.types import Class, Clip

from ._files import inside, root_of
from ._metadata import read_table
from ._splits import PARTS, with_valid

VARIANTS = ("",)

ADDRESS = "https://zenodo.org/records/2552860/files/"
META = "FSDKaggle2018.meta"
TABLES = MappingProxyType({"train": "train_post_competition.csv", "test": "test_post_competition_scoring_clips.csv"})
LABELS = (
    *("Acoustic_guitar", "Applause", "Bark", "Bass_drum", "Burping_or_eructation", "Bus", "Cello", "Chime"),
    *("Clarinet", "Computer_keyboard", "Cough", "Cowbell", "Double_bass", "Drawer_open_or_close", "Electric_piano"),
    *("Fart", "Finger_snapping", "Fireworks", "Flute", "Glockenspiel", "Gong", "Gunshot_or_gunfire", "Harmonica"),
    *("Hi-hat", "Keys_jangling", "Knock", "Laughter", "Meow", "Microwave_oven", "Oboe", "Saxophone", "Scissors"),
    *("Shatter", "Snare_drum", "Squeak", "Tambourine", "Tearing", "Telephone", "Trumpet", "Violin_or_fiddle"),
    "Writing",
)


def task(variant: str) -> Task:
    """The one variant."""
    return Task(
        name="fsd2018",
        version="1",
        target=Class(LABELS),
        splits=PARTS,
        list_clips=_list_clips,
        clips=11_073,
        folder="fsd2018",
        source=tuple(Archive(f"{ADDRESS}FSDKaggle2018.{part}.zip") for part in ("audio_train", "audio_test", "meta")),
        paper="Fonseca et al. 2018, arXiv 1807.09902",
        licence="CC BY 4.0 as a whole, each clip its own",
        description="Freesound clips of 0.3 to 30 s; groups are the sounds on Freesound; 5,763 labels of train were "
        "not checked by hand, and those of test all were.",
        domain="events",
        hours=20.0,
        unconfirmed=frozenset({"hours", "clips"}),
        tables=tuple(TABLES.values()),
        folding="official test; valid is one of ten grouped, stratified parts of the official train (seed 0)",
        benchmarks=MappingProxyType({"X-ARES": 1600}),
        published=MappingProxyType({"xares": {"epochs": 3, "rate": 1e-3, "batch": 64}}),
    )


def _list_clips(folder: Path) -> list[Clip]:
    meta = root_of(folder, META, TABLES["train"], "FSDKaggle2018")
    root = meta.parent if meta.name == META else folder
    clips = []
    for part, table in TABLES.items():
        audio = root / f"FSDKaggle2018.audio_{part}"
        for row in read_table(meta / table, ("fname", "label", "freesound_id")):
            path = inside(audio, row["fname"])
            clips.append(Clip(path.stem, path, row["label"], part, row["freesound_id"]))
    return sorted(with_valid(clips), key=lambda clip: clip.id)
