"""The command line as its user meets it."""

import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from harness import options, show

Folders = dict[str, str]
Run = Callable[..., tuple[int, str, str]]
pytestmark = pytest.mark.usefixtures("toys")


def places(folders: Folders) -> list[str]:
    return [word for name, folder in folders.items() for word in (f"--{name}", folder)]


def files(folder: Path) -> list[str]:
    """What lies in a folder, but for the memory of file hashes."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "files.sqlite")


def toy_clip(folders: Folders) -> Path:
    """A clip of the toy task, whose data are made by this."""
    from harness.data import ready_folder
    from harness.registry import load_task

    return ready_folder(load_task("toy:right"), [folders["data"]]) / "07-2.wav"


def test_a_run_prints_a_table_with_intervals(command: Run, folders: Folders) -> None:
    code, out, _ = command("run", "--upstream", "mel", "--upstream", "mfcc", "--task", "toy:right", *places(folders))
    assert code == 0
    assert all(word in out for word in ("toy:right", "mel", "mfcc", "100.0", "[100.0, 100.0]"))


def test_json_gives_one_object_per_line(command: Run, folders: Folders) -> None:
    _, out, _ = command("run", "--upstream", "mel", "--task", "toy:right", "--json", *places(folders))
    events = [json.loads(line) for line in out.splitlines()]
    assert {event["event"] for event in events} == {"extract", "fit", "result"}
    assert events[-1]["score"] == 1.0


def test_a_dry_run_forecasts_and_stores_nothing(command: Run, folders: Folders) -> None:
    code, out, _ = command("run", "--upstream", "mel", "--task", "toy:right", "--dry-run", *places(folders))
    assert (code, "200 clips to encode (100.0 s of audio)" in out) == (0, True)
    assert files(Path(folders["store"])) == []


NARROW = ("--upstream", "spectrum:short", "--task", "toy:right", "--interface", "conv-mean", "--head", "superb-linear")


@pytest.mark.usefixtures("kinds")
@pytest.mark.parametrize("wide", [("spectrum:equal", "spectrum:short"), ("spectrum:short", "spectrum:equal")])
def test_a_dry_run_of_a_sweep_tells_what_is_not_applicable(
    wide: tuple[str, str], command: Run, folders: Folders
) -> None:
    upstreams = [word for name in wide for word in ("--upstream", name)]
    code, out, err = command("run", *upstreams, *NARROW[2:], "--dry-run", *places(folders))
    lines = dict(line.split(" on toy:right: ") for line in out.splitlines())
    assert (code, err, tuple(lines)) == (0, "", wide)
    assert lines["spectrum:equal"].startswith("200 clips to encode")
    assert lines["spectrum:short"].startswith("not applicable: ")
    assert "needs 3 layers or more, and this upstream has 2" in lines["spectrum:short"]


@pytest.mark.usefixtures("kinds")
def test_a_dry_run_in_json_tells_what_is_not_applicable(command: Run, folders: Folders) -> None:
    arguments = ("run", "--upstream", "spectrum:equal", *NARROW, "--dry-run", "--json")
    events = [json.loads(line) for line in command(*arguments, *places(folders))[1].splitlines()]
    assert [(event["event"], event["upstream"]) for event in events] == [
        ("forecast", "spectrum:equal"),
        ("inapplicable", "spectrum:short"),
    ]


@pytest.mark.usefixtures("kinds")
def test_a_dry_run_of_what_alone_is_not_applicable_is_refused(command: Run, folders: Folders) -> None:
    code, out, err = command("run", *NARROW, "--dry-run", *places(folders))
    assert (code, out) == (2, "")
    assert err.startswith("harness: conv-mean needs 3 layers or more")


def test_features_fills_the_store_and_then_does_nothing(command: Run, folders: Folders) -> None:
    options = [word for name in ("data", "store") for word in (f"--{name}", folders[name])]
    assert "200 clips encoded" in command("features", "mel", "toy:right", *options)[2]
    assert "nothing to do" in command("features", "mel", "toy:right", *options)[2]


def test_the_leaderboard_is_built_from_results(command: Run, folders: Folders, tmp_path: Path) -> None:
    command("run", "--upstream", "mel", "--task", "toy:right", *places(folders))
    code, out, _ = command("leaderboard", "build", "--results", folders["results"], "--out", str(tmp_path / "page"))
    assert code == 0
    assert [Path(line).name for line in out.split()] == ["index.html", "leaderboard.md", "leaderboard.csv"]
    assert "mel" in (tmp_path / "page" / "index.html").read_text()


@pytest.mark.parametrize(
    ("kind", "name"), [("upstreams", "ssamba"), ("interfaces", "layer:K"), ("heads", "superb-linear")]
)
def test_one_kind_can_be_listed(command: Run, kind: str, name: str) -> None:
    assert name in command("list", kind)[1]


@pytest.mark.parametrize("kind", ["interfaces", "heads", "protocols"])
def test_info_knows_whatever_is_listed(command: Run, kind: str) -> None:
    names = [line.split()[0] for line in command("list", kind)[1].splitlines()]
    assert len(names) > 5
    for name in names:
        code, out, _ = command("info", name)
        assert (code, out.split()[:2]) == (0, ["name", name])


@pytest.mark.parametrize(
    ("name", "fact"),
    [
        ("ssamba:tiny", "arXiv 2405.11831"),
        ("esc50:esc10", "CC BY 3.0"),
        ("layer:K/attention", "the output of block K"),
        ("layer:7/frames", "every frame is answered"),
        ("LAYERS/mean-std", "best-layer/mean-std, last/mean-std, layer:K/mean-std, concat/mean-std"),
        ("ridge", "alpha 0.01, 0.1, 1, 10, 100, 1000, 10000"),
    ],
)
def test_info_tells_what_is_known(command: Run, name: str, fact: str) -> None:
    assert fact in command("info", name)[1]


def test_verify_names_every_clip_that_is_missing_or_damaged(command: Run, folders: Folders) -> None:
    clip = toy_clip(folders)
    clip.unlink()
    clip.with_name("08-1.wav").write_bytes(b"RIFF")
    code, _, err = command("data", "verify", "toy:right", "--data", folders["data"])
    assert code == 2
    assert "07-2.wav is missing" in err
    assert "08-1.wav" in err
    assert err.splitlines()[-1] == "harness: toy:right has 2 problems, named above"


def test_verify_passes_sound_data(command: Run, folders: Folders) -> None:
    toy_clip(folders)
    code, _, err = command("data", "verify", "toy:right", "--data", folders["data"])
    assert (code, err.splitlines()[-1]) == (0, "toy:right is complete and readable")


class Bomb:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def cut_short(clip: Path) -> None:
    clip.write_bytes(clip.read_bytes()[:5000])


def with_nan(clip: Path) -> None:
    soundfile.write(clip, np.array([0.1, np.nan, 0.2] * 3000, dtype=np.float32), 16_000, subtype="FLOAT")


def without_samples(clip: Path) -> None:
    soundfile.write(clip, np.zeros(0), 16_000)


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (Path.unlink, "1 of 200 audio files of toy:right are missing"),
        (cut_short, "is cut short"),
        (with_nan, "not finite"),
        (without_samples, "is empty: it has no samples"),
    ],
    ids=["missing", "truncated", "NaN", "empty"],
)
def test_a_bad_clip_ends_a_run_in_one_sentence(
    spoil: Callable[[Path], None], sentence: str, command: Run, folders: Folders
) -> None:
    clip = toy_clip(folders)
    spoil(clip)
    code, out, err = command("run", "--upstream", "mel", "--task", "toy:right", *places(folders))
    last = err.splitlines()[-1]
    assert (code, out) == (2, "")
    assert last.startswith("harness: ")
    assert sentence in last
    assert clip.name in last
    assert not [name for name in files(Path(folders["store"])) if "part" in name]
    assert not list(Path(folders["results"]).glob("*"))


def refusals(tmp_path: Path) -> Mapping[str, tuple[list[str], str]]:
    """Command lines that cannot be obeyed, and what must be said of them."""
    torch.save({"module.v.cls_token": torch.ones(1, 1, 192)}, tmp_path / "other.pth")
    torch.save({"a": Bomb(tmp_path / "exploded")}, tmp_path / "bomb.pth")
    (tmp_path / "file").write_text("no folder")
    toy = ["--task", "toy:right"]
    return {
        "upstream": (["--upstream", "mell", *toy], "there is no upstream 'mell': did you mean 'mel'?"),
        "task": (["--upstream", "mel", "--task", "toys"], "there is no task 'toys': did you mean 'toy'?"),
        "variant": (["--upstream", "ssamba:huge", *toy], "ssamba has no variant 'huge'"),
        "task variant": (["--upstream", "mel", "--task", "toy:rite"], "did you mean 'toy:right'?"),
        "option": (["--upstream", "mel", *toy, "--epochs", "3"], "no such option: --epochs"),
        "no option": ([*toy], "missing option '--upstream'"),
        "data": (["--upstream", "mel", "--task", "esc50"], "the data of esc50 is not there"),
        "model": (["--upstream", f"ssamba@{tmp_path / 'other.pth'}", *toy], "is no pre-trained SSAMBA checkpoint"),
        "bomb": (["--upstream", f"ssamba@{tmp_path / 'bomb.pth'}", *toy], "it could run code"),
        "weights": (["--upstream", f"ssamba@{tmp_path / 'none.pth'}", *toy], "there is no checkpoint"),
        "store": (["--upstream", "mel", *toy, "--store", str(tmp_path / "file" / "x")], "cannot be written"),
        "size": (["--upstream", "mel", *toy, "--max-store", "much"], "'much' is no size"),
    }


CASES = [
    *("upstream", "task", "variant", "task variant", "option", "no option"),
    *("data", "model", "bomb", "weights", "store", "size"),
]


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_done_is_refused_in_one_sentence(
    case: str, command: Run, folders: Folders, tmp_path: Path
) -> None:
    arguments, sentence = refusals(tmp_path)[case]
    code, out, err = command("run", *places(folders), *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("harness: ")
    assert sentence in line
    assert not (tmp_path / "exploded").exists()
    assert not list(Path(folders["results"]).glob("*"))
    assert files(Path(folders["store"])) == []


@pytest.mark.parametrize("name", ["LAYERS", "LAYERS/median", "conv/mean-std", "layer:K/median", "nothing"])
def test_info_of_what_is_not_there_is_refused(command: Run, name: str) -> None:
    code, out, err = command("info", name)
    assert (code, out) == (2, "")
    assert re.match("harness: there is (no interface|nothing that goes by) ", err)
    assert name in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_cuda_without_a_device_is_refused(command: Run, folders: Folders) -> None:
    arguments = ("--upstream", "mel", "--task", "toy:right", "--device", "cuda")
    code, _, err = command("run", *arguments, *places(folders))
    assert (code, err) == (
        2,
        "harness: there is no CUDA device on this machine: use --device cpu or --device auto\n",
    )


@pytest.mark.parametrize(("text", "size"), [("500MB", 5e8), ("50GB", 5e10), ("1e9", 1e9), ("2 tb", 2e12), ("7", 7)])
def test_sizes_are_understood(text: str, size: float) -> None:
    assert options.parse_size(text) == size


@pytest.mark.parametrize(("seconds", "text"), [(3, "3.0 s"), (119, "119.0 s"), (600, "10.0 min"), (9000, "2.5 h")])
def test_times_are_shown_in_the_unit_that_suits_them(seconds: float, text: str) -> None:
    assert show.duration(seconds) == text


def test_an_interrupted_command_says_how_to_continue(
    command: Run, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.experiment.run", interrupted)
    code, _, err = command("run", "--upstream", "mel", "--task", "toy:right", *places(folders))
    again = "run the same command again (`harness measure` with --resume)"
    assert (code, err) == (130, f"interrupted; what was finished is kept, so {again}\n")


@pytest.mark.parametrize("arguments", [(), ("data",), ("leaderboard",)])
def test_no_command_shows_the_help(command: Run, arguments: tuple[str, ...]) -> None:
    code, out, err = command(*arguments)
    assert code == 2
    assert "Commands" in out + err


def test_a_store_that_fills_up_ends_a_run_in_one_sentence(
    command: Run, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    code, _, err = command("run", "--upstream", "mel", "--task", "toy:right", *places(folders))
    assert code == 2
    assert err.splitlines()[-1].endswith("(No space left on device): make room, or choose another with --store")


def test_a_clip_of_which_resampling_leaves_nothing_is_refused(command: Run, folders: Folders) -> None:
    soundfile.write(toy_clip(folders), np.array([0.5]), 48_000)
    code, _, err = command("run", "--upstream", "mel", "--task", "toy:right", *places(folders))
    assert (code, "nothing is left of it at 16000 Hz" in err) == (2, True)


def test_a_check_tells_what_was_tried_and_seen_and_passes(command: Run) -> None:
    code, out, _ = command("check", "upstream", "mel")
    assert code == 0
    assert out.startswith("mel: no parameters, 1 layers x 256, one frame a clip")
    assert "well      batch\n          tried  three clips" in out
    assert out.endswith("mel is well: 8 checks passed, 3 did not apply.\n")


def test_a_check_that_fails_exits_with_two_and_says_what_to_change(
    command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    from harness import testing

    monkeypatch.setattr(testing, "TOLERANCE", -1.0)
    code, out, err = command("check", "upstream", "mel", "--quick")
    assert code == 2
    assert "ILL       batch" in out
    assert "change let nothing be computed over the clips of a batch" in out
    assert err == "harness: mel fails 2 of 11 checks, told above\n"


def test_a_check_in_json_is_one_object_a_line(command: Run) -> None:
    code, out, _ = command("check", "upstream", "mel", "--quick", "--json")
    assert code == 0
    assert {json.loads(line)["state"] for line in out.splitlines()} == {"well", "left out"}


def test_the_list_of_upstreams_shows_their_published_models(command: Run) -> None:
    _, out, _ = command("list", "upstreams")
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert out.splitlines()[0].split("  ")[0] == "name"
    assert all(text in lines["ssamba:tiny"] for text in ("6.9 M", "13 x 192", "6.25", "BSD-3-Clause", "AudioSet"))
    assert "ssamba:base" in lines
