"""The benchmark harness for frozen audio representations.

>>> import harness
>>> upstream = harness.upstream("ssamba:tiny@file.pth", device="cpu")
>>> layers = upstream.encode(wave)                       # (clip, sample) -> Layers
>>> task = harness.task("esc50:esc10", data="folder")
>>> result = harness.run("mel", "esc50:esc10", data="folder")
>>> table = harness.results.load("results")
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from harness import results as results
    from harness.datasets import LoadedTask
    from harness.models import Upstream
    from harness.types import Result

__all__ = ["results", "run", "task", "upstream"]


def upstream(name: str, *, device: str = "auto", dtype: str = "float32") -> "Upstream":
    """Load an upstream by its name, ``NAME[:TOKEN[-TOKEN]...][@WEIGHTS]``; ``device`` is ``auto``, ``cpu`` or ``cuda``.

    ``dtype`` is ``float32``, or ``bfloat16`` or ``float16`` where the upstream states how far that moves its layers.

    Raises:
        harness.errors.UserError: the name is unknown, the weights cannot be had, it does not run in that dtype, or
            there is no such device.
    """
    from harness.registry import UpstreamSpec
    from harness.store import file_hash

    spec = UpstreamSpec.parse(name)
    return spec.load(spec.weights(file_hash), device, dtype)


def task(name: str, *, data: "str | Path | None" = None) -> "LoadedTask":
    """A task and its clips. ``data`` is the folder that holds one folder per task.

    Raises:
        harness.errors.UserError: the name is unknown, or the data are missing or not what the task's record says.
    """
    from harness.data import ready_folder
    from harness.datasets import LoadedTask, load_clips
    from harness.registry import load_task

    found = load_task(name)
    return LoadedTask(found, tuple(load_clips(found, ready_folder(found, () if data is None else (str(data),)))))


def run(upstream: str, task: str, **settings: Any) -> "Result":
    """Run an upstream on a task and write the result; keywords as in :class:`harness.settings.Settings`.

    ``data``, ``store`` and ``results`` may be strings. A run that was done before is only read.

    Raises:
        harness.errors.UserError: something has to be changed first; the sentence says what.
    """
    from pathlib import Path

    from harness.experiment import open_store, prepare_all
    from harness.experiment import run as run_experiment
    from harness.settings import Settings

    if isinstance(data := settings.get("data"), str | Path):
        settings["data"] = (str(data),)
    for name in ("store", "results"):
        if isinstance(settings.get(name), str):
            settings[name] = Path(settings[name])
    chosen = Settings(**settings)
    (experiment,) = prepare_all([upstream], [task], chosen, open_store(chosen))
    return run_experiment(experiment)


def __getattr__(name: str) -> Any:
    if name == "results":
        import importlib

        return importlib.import_module("harness.results")
    raise AttributeError(f"module 'harness' has no attribute {name!r}")
