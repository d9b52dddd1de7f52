"""hf:ORG/NAME or hf:FOLDER: any audio encoder that transformers knows, by its own front end."""

import re
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards import Axis, Card, Hub, Source, Training, Weights
from harness.errors import UserError
from harness.models import Layers, Upstream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Types of model that have an upstream of their own here, which knows their traps.
OWN = {
    **{"hubert": "hubert", "wav2vec2": "wav2vec2", "wavlm": "wavlm", "unispeech-sat": "unispeech_sat"},
    **{"data2vec-audio": "data2vec_audio", "mert_model": "mert", "whisper": "whisper", "clap": "clap"},
    **{"audio-spectrogram-transformer": "ast", "encodec": "encodec", "dac": "dac", "wav2vec2-bert": "wav2vec2_bert"},
}
FACTS = (
    *("sample_rate", "normalise", "padding_changes_output", "widths", "final_width", "frame_rate", "frame_offset"),
    *("shortest", "longest", "filled", "parameters", "found", "training", "dtypes"),
)


class HuggingFace(Upstream):
    """A repository of the Hugging Face hub, or a folder with config.json, weights and preprocessor_config.json.

    What has an upstream of its own here is run by that, and the rest as transformers runs it: the folder's feature
    extractor, then the encoder's hidden states. No code that comes with a model is run. Option: ``model``.
    """

    axes = (Axis("model", text=True, detected=True),)
    card = Card("see the model's page", "see the model's page", Training("unknown"), "https://huggingface.co")
    reads = ("folder",)
    revision = "1"

    def __init__(self, weights: Weights, device: "torch.device", *, model: str) -> None:
        super().__init__(weights, device)
        kind, cls = _of(weights)
        if weights.trained:
            self.inner: Upstream = cls(weights, device)
        else:
            with tempfile.TemporaryDirectory() as folder:
                self.inner = cls(_untrained(weights, kind, Path(folder)), device)
        for name in FACTS:
            setattr(self, name, getattr(self.inner, name))
        self.found = {"type of model": kind, **self.found}

    @classmethod
    def published(cls, **options: Any) -> Source:
        """A folder if there is one of that name, else a repository.

        Raises:
            UserError: it is neither.
        """
        model = str(options["model"])
        if Path(model).is_dir():
            return Path(model)
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", model):
            raise UserError(f"there is no folder {model!r}, and a repository is written hf:ORG/NAME")
        return Hub(model)

    @classmethod
    def revision_of(cls, weights: Weights) -> str:
        """Its own, and that of the upstream that runs the folder's type of model."""
        return f"{cls.revision}, {_of(weights)[1].revision}"

    def forward(self, wave: "Tensor") -> Layers:
        """As the upstream of that type of model does."""
        return self.inner.forward(wave)

    def save(self, path: Path) -> None:
        """Write a folder as the hub has it."""
        self.inner.save(path)


def _of(weights: Weights) -> tuple[str, type[Upstream]]:
    """A folder's type of model, and the upstream that runs it."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    from ._encoder import AnyEncoder
    from ._transformers import read_json

    kind = str(read_json(weights, "config.json").get("model_type"))
    if kind in OWN:
        return kind, import_module(f".{OWN[kind]}", __package__).UPSTREAM
    if kind not in MODEL_MAPPING_NAMES or not weights.path or not (weights.path / "preprocessor_config.json").exists():
        raise UserError(
            f"{weights.label} holds a model of the type {kind!r}, which is no audio encoder of transformers, or it "
            "lacks preprocessor_config.json, which says what becomes of the wave"
        )
    return kind, AnyEncoder


def _untrained(weights: Weights, kind: str, folder: Path) -> Weights:
    """The same network with seeded random weights, as a folder."""
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    from ._transformers import build_network, read_config, read_json, save_folder

    model = "HubertModel" if kind == "mert_model" else str(MODEL_MAPPING_NAMES[kind])
    config = read_config(weights, model, types=(kind,))
    network = build_network(weights, model, config)
    save_folder(network, folder, read_json(weights, "preprocessor_config.json"), {"model_type": kind})
    return Weights("folder", weights.label, weights.identity, folder)


UPSTREAM = HuggingFace
