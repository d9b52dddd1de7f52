"""Where weights are: a path, the hub, a package; and by which hash and name they are known."""

import hashlib
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

from harness.cards import Elsewhere, Hub, PackageFile, Source
from harness.errors import UserError

#: Gives the content hash of a file; the store has one that remembers.
Digest = Callable[[Path], str]
#: What is read of a folder in the layout of the Hugging Face hub, and nothing else of it.
FOLDER_SETTINGS = ("config.json", "preprocessor_config.json")
SAFETENSORS = ("model.safetensors", "model-*-of-*.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model-*-of-*.bin", "pytorch_model.bin.index.json")
#: The order in which transformers looks for weights.
ORDER = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
SUFFIXES = (".pt", ".pth", ".th", ".ckpt", ".bin", ".safetensors")


def names_a_path(text: str) -> bool:
    """Whether what stands behind the ``@`` is a file or a folder; else it is a revision on the hub."""
    path = Path(text)
    return path.exists() or path.suffix in SUFFIXES or ("/" in text and not text.startswith("refs/"))


def base_name(text: str) -> str:
    """What results show of a path: never where it lies."""
    path = Path(text)
    return path.resolve().name if path.exists() else path.name if path.suffix in SUFFIXES else text


def label_of(path: Path) -> str:
    """What results show of weights: a base name, and of a snapshot of the hub the repository and its commit."""
    if path.parent.name != "snapshots":
        return path.resolve().name
    return f"{path.parents[1].name.removeprefix('models--').replace('--', '/')} at {path.name[:12]}"


def published_name(source: Source | None) -> str | None:
    """The name that a published checkpoint has on a disk."""
    match source:
        case Hub(repo, filename):
            return filename or repo.rpartition("/")[2]
        case Elsewhere(filename) if filename:
            return filename
        case PackageFile(_, path):
            return Path(path).name
    return None


def find(source: Source | None, revision: str | None, *, label: str, otherwise: str) -> Path:
    """The path of published weights, fetched if need be; ``otherwise`` says what to do where they cannot be had.

    Raises:
        UserError: they cannot be had; the sentence says where they are and what to do.
    """
    if revision is not None and not isinstance(source, Hub):
        raise UserError(f"there is no file or folder {revision!r}, and {label} is not from the hub: {otherwise}")
    match source:
        case Path():
            return source
        case Hub():
            return _from_hub(source, revision, label, otherwise)
        case PackageFile(package, path):
            folders = getattr(importlib.util.find_spec(package), "submodule_search_locations", None) or ()
            found = next((each for folder in folders if (each := Path(folder, path)).is_file()), None)
            if found is None:
                raise UserError(
                    f"the weights of {label} lie in the package {package}, which is not installed: run pip install "
                    f"--no-deps {package}"
                )
            return found
        case Elsewhere(filename, homepage) if filename:
            raise UserError(
                f"the authors of {label} publish {filename} at {homepage}, which no command can fetch: get it and "
                f"{otherwise}"
            )
    raise UserError(f"{label} has no public checkpoint: {otherwise}")


def _from_hub(source: Hub, revision: str | None, label: str, otherwise: str) -> Path:
    from huggingface_hub import hf_hub_download, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
    from huggingface_hub.utils.logging import set_verbosity_error
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    set_verbosity_error()  # else it tells of each of its attempts
    given = f"there is no file or folder {revision!r}, and as a revision " if revision else ""
    revision = revision or source.revision
    try:
        if source.filename is not None:
            return Path(hf_hub_download(source.repo, source.filename, revision=revision))
        for weights in (SAFETENSORS, PICKLES):  # many repositories hold both; one is enough
            patterns = [*FOLDER_SETTINGS, *weights]
            folder = Path(snapshot_download(source.repo, revision=revision, allow_patterns=patterns))
            if any(path for pattern in weights for path in folder.glob(pattern)):
                break
        return folder
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(
            f"{given}the weights of {label}, {f'{source.filename} of ' if source.filename else ''}the hub repository "
            f"{source.repo}, cannot be had ({type(error).__name__}): get them and {otherwise}"
        ) from error


def folder_digest(folder: Path, digest: Digest, *, settings: bool = False) -> str:
    """The content hash of what is read of a folder; with ``settings``, of what builds the network alone.

    Raises:
        UserError: it has no config.json or no weights, or an index of weights that names files elsewhere.
    """
    read = [folder / name for name in FOLDER_SETTINGS if (folder / name).is_file()]
    weights = next((folder / name for name in ORDER if (folder / name).is_file()), None)
    if not (folder / "config.json").is_file() or (weights is None and not settings):
        raise UserError(
            f"{str(folder)!r} is no model folder: it must hold config.json and model.safetensors or pytorch_model.bin"
        )
    if weights is not None and not settings:
        read += [weights, *(_shards(weights) if weights.suffix == ".json" else ())]
    return hashlib.sha256("".join(f"{path.name} {digest(path)}\n" for path in read).encode()).hexdigest()


def _shards(index: Path) -> list[Path]:
    """The files that an index of weights names, all of them beside it."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(f"{index.name} of {index.parent.name} is no index of weights") from error
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not (index.parent / name).is_file():
            raise UserError(f"{index.name} of {index.parent.name} names {name!r}, which is no file beside it")
    return [index.parent / name for name in names]
