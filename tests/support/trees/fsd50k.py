"""FSD50K: two folders of audio, two tables, a vocabulary without a header, and details of every clip."""

from pathlib import Path

from trees._writing import as_json, sound, table

TAGS = ("Dog,Animal", "Rain,Water", "Dog,Animal,Rain,Water")
PARTS = {"train": 6, "val": 3, "": 3}


def write(folder: Path, variant: str) -> None:
    """Three sets of tags in train, val and eval; one uploader is in both train and val."""
    dev: list[tuple[str, ...]] = [("fname", "labels", "mids", "split")]
    test: list[tuple[str, ...]] = [("fname", "labels", "mids")]
    details: dict[str, dict[str, dict[str, str]]] = {"dev": {}, "eval": {}}
    for number, part in enumerate(part for part, count in PARTS.items() for _ in range(count)):
        name, tags = str(1000 + number), TAGS[number % len(TAGS)]
        where, row = ("dev", (name, tags, "/m/1", part)) if part else ("eval", (name, tags, "/m/1"))
        (dev if part else test).append(row)
        details[where][name] = {"title": "x", "uploader": f"{where}{number % 4}", "license": "x"}
        sound(folder / f"FSD50K.{where}_audio" / f"{name}.wav", tags, rate=44_100)
    table(folder / "FSD50K.ground_truth" / "dev.csv", dev)
    table(folder / "FSD50K.ground_truth" / "eval.csv", test)
    for where, facts in details.items():
        as_json(folder / "FSD50K.metadata" / f"{where}_clips_info_FSD50K.json", facts)
