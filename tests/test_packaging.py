"""What a user installs."""

import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EVERY_FILE = {
    f"harness/{'' if folder == 'harness' else folder + '/'}{path.name}"
    for folder in ("harness", "tasks", "upstreams", "leaderboard")
    for path in (ROOT / folder).glob("*.py")
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    # The build backend is installed with the tests' requirements, so that building needs no network.
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, built: Path) -> Iterator[Path]:
    """A clean environment with the wheel in it. Its requirements are lent by the environment of these tests."""
    folder = tmp_path_factory.mktemp("clean")
    venv.create(folder, with_pip=True)
    (wheel,) = built.glob("*.whl")
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    # A path file would also run the editable install's hook, so the requirements are linked one by one.
    for path in Path(str(distribution("numpy").locate_file(""))).iterdir():
        if "harness" not in path.name and path.suffix != ".pth" and not (site / path.name).exists():
            (site / path.name).symlink_to(path)
    yield folder


def test_the_wheel_holds_every_module_and_the_type_marker_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert names == EVERY_FILE | {"harness/py.typed"}


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "tasks/esc50.py", "upstreams/ssamba.py"} <= names


@pytest.mark.parametrize("arguments", [["list"], ["--help"], ["info", "ssamba"]])
def test_the_installed_command_works_in_any_folder(clean: Path, tmp_path: Path, arguments: list[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(clean / "bin" / "harness"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "ssamba" in done.stdout or arguments == ["--help"]


def test_the_installed_package_is_not_this_checkout(clean: Path, tmp_path: Path) -> None:
    code = "import harness.tasks.esc50 as module; print(module.__file__)"
    command = [str(clean / "bin" / "python"), "-c", code]
    printed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert printed.startswith(str(clean))
