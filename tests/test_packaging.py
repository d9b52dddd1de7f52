"""What a user installs."""

import os
import re
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


def test_the_wheel_holds_every_module_the_published_figures_the_type_marker_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    published = {f"harness/leaderboard/{path.name}" for path in (ROOT / "leaderboard").glob("*.csv")}
    assert names == EVERY_FILE | published | {"harness/py.typed"}


def test_the_sdist_holds_what_the_wheel_is_built_from(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    assert {"pyproject.toml", "README.md", "LICENSE", "tasks/esc50.py", "upstreams/ssamba.py"} <= names


@pytest.fixture(scope="module")
def outsider(clean: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment, with the README's upstream installed in it as a package of its own."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```(toml|python)\n(.*?)```", readme, flags=re.DOTALL)
    folder = tmp_path_factory.mktemp("outsider")
    (folder / "my_package").mkdir()
    (folder / "my_package" / "__init__.py").write_text("")
    (folder / "pyproject.toml").write_text(next(text for kind, text in blocks if kind == "toml"))
    (folder / "my_package" / "loudness.py").write_text(next(text for _, text in blocks if "UPSTREAM = " in text))
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", str(folder)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = (folder / "dist").glob("*.whl")
    pip = [str(clean / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(pip, check=True)
    return clean


@pytest.mark.parametrize(
    ("arguments", "printed"),
    [
        (["list", "upstreams"], "from the package my-package"),
        (["info", "loudness:one"], "Root mean square of each frame"),
        (["check", "upstream", "loudness"], "loudness is well: 8 checks passed, 3 did not apply."),
    ],
)
def test_an_upstream_of_another_package_is_like_any_other(
    outsider: Path, tmp_path: Path, arguments: list[str], printed: str
) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(outsider / "bin" / "harness"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert printed in done.stdout


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
