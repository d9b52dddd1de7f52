"""Models of the transformers library, from folders in the hub's layout: read strictly, and without its talk."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from logging import CRITICAL
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards import Weights
from harness.errors import UserError
from harness.models import check_keys

if TYPE_CHECKING:
    from torch import nn

#: Learned in pre-training and without any part in the features: it may be absent.
UNUSED = r"masked_spec_embed$"
#: Settings that pick code, a kernel from the hub, another file of weights, or another computation or form of output
#: than the class's own: a folder has no say in them.
NO_SAY = (
    r"(_.*|auto_map|(attn|experts)_implementation|quantization_config|per_layer_config|tie_last_hidden_states"
    r"|return_dict|output_(attentions|hidden_states)|transformers_weights)$"
)
#: What transformers raises on files that are damaged or no weights, and on networks that cannot be built.
BROKEN = (
    *(RuntimeError, ImportError, OSError, ValueError, TypeError, EOFError, LookupError, AttributeError),
    ZeroDivisionError,
)


def read_json(weights: Weights, name: str) -> dict[str, Any]:
    """A JSON file of a model's folder; empty where there is none.

    Raises:
        UserError: it is not a JSON object.
    """
    assert weights.path is not None
    path = weights.path / name
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{name} of {weights.label} cannot be read: it is no JSON") from error
    if not isinstance(content, dict):
        raise UserError(f"{name} of {weights.label} holds no settings: it is no JSON object")
    return content


def read_config(weights: Weights, model: str, *, types: tuple[str, ...]) -> Any:
    """The configuration of a folder as the class ``model`` of transformers wants it.

    Raises:
        UserError: the folder holds a model of another type than ``types``, or settings that cannot be.
    """
    import transformers
    from huggingface_hub.errors import StrictDataclassError

    found = read_json(weights, "config.json")
    if found.get("model_type") not in types:
        raise UserError(
            f"{weights.label} holds a model of the type {found.get('model_type')!r}, where {' or '.join(types)} is "
            "expected: hf:FOLDER takes any audio encoder that transformers knows"
        )
    with _silence():
        try:
            settings = {key: value for key, value in found.items() if not re.match(NO_SAY, key)}
            return getattr(transformers, model).config_class(**settings)
        except (StrictDataclassError, *BROKEN) as error:
            raise UserError(f"config.json of {weights.label} makes no {model}: {first_line(error)}") from error


def make_config(model: str, settings: Mapping[str, Any]) -> Any:
    """The configuration that the class ``model`` of transformers wants, of settings known to be its own."""
    import transformers

    return getattr(transformers, model).config_class(**settings)


def read_network(weights: Weights, model: str, config: Any, *, heads: str = "$^") -> "tuple[nn.Module, list[str]]":
    """The network of a folder, in float32 on the CPU, and the keys that match ``heads`` and were left out.

    Raises:
        UserError: the weights are damaged, or keys are missing, left over or of another shape.
    """
    import pickle

    import torch
    import transformers
    from safetensors import SafetensorError

    with _silence():
        try:
            network, found = getattr(transformers, model).from_pretrained(
                str(weights.path),
                config=config,
                local_files_only=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # they are told below, in one sentence
                output_loading_info=True,
            )
        except (SafetensorError, pickle.UnpicklingError, *BROKEN) as error:
            raise UserError(f"the weights of {weights.label} cannot be read: {first_line(error)}") from error
    left_out = sorted(key for key in found["unexpected_keys"] if re.match(heads, key))
    missing = {key for key in found["missing_keys"] if not re.search(UNUSED, key)}
    check_keys(missing, set(found["unexpected_keys"]) - set(left_out), what=weights.label)
    for key, given, expected in sorted(found["mismatched_keys"]):
        raise UserError(f"{weights.label} has {key!r} of shape {tuple(given)}, where {tuple(expected)} is expected")
    return network, left_out


def build_network(weights: Weights, model: str, config: Any) -> "nn.Module":
    """The same network with seeded random weights."""
    import transformers

    with _silence(), weights.seeded():
        network: nn.Module = getattr(transformers, model)(config)
    return network


def save_folder(
    network: Any, path: Path, preprocessor: Mapping[str, Any], settings: Mapping[str, Any] | None = None
) -> None:
    """Write a network as the hub has it: configuration, weights and what becomes of the wave first.

    ``settings`` are entries of the configuration that transformers' own lacks.
    """
    with _silence():
        network.save_pretrained(path)
    if settings:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        (path / "config.json").write_text(json.dumps({**config, **settings}, indent=2), encoding="utf-8")
    (path / "preprocessor_config.json").write_text(json.dumps(dict(preprocessor), indent=2), encoding="utf-8")


@contextmanager
def _silence() -> Iterator[None]:
    """No bars, no report of keys: what matters of them is said here."""
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity(CRITICAL)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def first_line(error: BaseException) -> str:
    """What an exception of another library says first, as the end of a sentence."""
    return " ".join(str(error).split()).split(". ")[0].rstrip(".") or type(error).__name__
