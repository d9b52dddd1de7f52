"""Checkpoints as they go wrong: cut short, another model's, with a key too many or too few."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from harness.cards import Weights
from harness.models import Upstream


def saved(upstream: Upstream, path: Path) -> Weights:
    """Weights that an upstream has written in its published form."""
    kind: Literal["file", "folder"] = "folder" if upstream.reads[0] == "folder" else "file"
    if kind == "folder":
        path.mkdir()
    else:
        path = path.with_suffix(".pt")
    upstream.save(path)
    return Weights(kind, path.name, "saved", path, small=upstream.weights.small)


def cut_short(weights: Weights, path: Path) -> tuple[Weights, str]:
    """Its last four tenths are missing."""
    return _rewritten(weights, path, lambda content: content[: len(content) * 6 // 10]), ""


def another_model(weights: Weights, path: Path) -> tuple[Weights, str]:
    """A language model's."""
    import torch

    def replace_all(state: dict[str, Any]) -> None:
        state.clear()
        state["bert.embeddings.word_embeddings.weight"] = torch.ones(10, 4)

    broken = _changed(weights, path, replace_all)
    if weights.kind == "folder":
        (path / "config.json").write_text('{"model_type": "bert", "hidden_size": 4}', encoding="utf-8")
    return broken, ""


def without_a_key(weights: Weights, path: Path) -> tuple[Weights, str]:
    """Its largest tensor is missing."""
    dropped = []

    def drop(state: dict[str, Any]) -> None:
        dropped.append(max(state, key=lambda name: state[name].numel() if hasattr(state[name], "numel") else 0))
        del state[dropped[0]]

    return _changed(weights, path, drop), dropped[0]


def with_a_key_too_many(weights: Weights, path: Path) -> tuple[Weights, str]:
    """It holds a tensor of which no model knows."""
    import torch

    return _changed(weights, path, lambda state: state.update({"surprise.weight": torch.ones(3)})), "surprise.weight"


#: Each writes a damaged copy of a checkpoint, and gives it with the key that a refusal must name, if there is one.
DAMAGES: tuple[Callable[[Weights, Path], tuple[Weights, str]], ...] = (
    cut_short,
    another_model,
    without_a_key,
    with_a_key_too_many,
)


def names(sentence: str, key: str) -> bool:
    """Whether a sentence names a key, as it is in the file or as the network has it: loading may rename its head."""
    parts = key.split(".")
    last = parts[-1]
    telling = len(last) > 8 and last in sentence
    return key in sentence or (len(parts) > 1 and ".".join(parts[-2:]) in sentence) or telling


def _changed(weights: Weights, path: Path, change: Callable[[dict[str, Any]], None]) -> Weights:
    """A copy of a checkpoint after a change of the dict that holds most of its tensors."""
    import torch
    from safetensors.torch import load_file, save_file

    from harness.checkpoint import read_checkpoint

    def rewrite(content: bytes) -> bytes:
        with tempfile.NamedTemporaryFile(suffix=file.suffix) as copy:
            name = Path(copy.name)
            name.write_bytes(content)
            if file.suffix == ".safetensors":
                state: dict[str, Any] = load_file(name)
                change(state)
                save_file(state, name, metadata={"format": "pt"})
            else:
                whole = read_checkpoint(name, with_objects=True)
                change(_most_tensors(whole))
                torch.save(whole, name)
            return name.read_bytes()

    file = _weights_file(weights)
    return _rewritten(weights, path, rewrite)


def _rewritten(weights: Weights, path: Path, rewrite: Callable[[bytes], bytes]) -> Weights:
    """A copy of a checkpoint whose file of weights has been rewritten."""
    assert weights.path is not None
    if weights.kind == "folder":
        shutil.copytree(weights.path, path)
    else:
        path = path.with_suffix(weights.path.suffix)
        shutil.copy(weights.path, path)
    broken = replace(weights, label=path.name, path=path)
    file = _weights_file(broken)
    file.write_bytes(rewrite(file.read_bytes()))
    return broken


def _weights_file(weights: Weights) -> Path:
    assert weights.path is not None
    return weights.path / "model.safetensors" if weights.kind == "folder" else weights.path


def _most_tensors(container: dict[str, Any]) -> dict[str, Any]:
    """Of nested dicts, the one with the most tensors."""
    inner = [_most_tensors(value) for value in container.values() if isinstance(value, dict)]
    return max([container, *inner], key=lambda state: sum(hasattr(value, "numel") for value in state.values()))
