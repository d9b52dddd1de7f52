"""An audio encoder of transformers that has no upstream of its own: its feature extractor, then its hidden states."""

import inspect
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards import Card, Weights
from harness.errors import UserError
from harness.models import Layers, Upstream

from ._transformers import first_line, read_config, read_json, read_network, save_folder

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Keys of what is built on top of an encoder.
HEADS = r".*(head|classifier|projector|quantizer|project_|ctc|decoder|joint|final_proj|label_embeddings|layer_weights)"
#: Seconds: the clips that tell the frame rate, and the longest window.
SHORT, LONG, LONGEST = 4, 8, 30


class AnyEncoder(Upstream):
    """Whatever transformers can build from a folder whose output has hidden states in time."""

    card = Card(paper="the folder's", licence="the folder's")
    reads = ("folder",)
    revision = "1"
    dtypes = {"bfloat16": 0.1}

    def __init__(self, weights: Weights, device: "torch.device") -> None:
        import torch
        from transformers import SequenceFeatureExtractor
        from transformers.models.auto.feature_extraction_auto import feature_extractor_class_from_name
        from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

        super().__init__(weights, device)
        kind = read_json(weights, "config.json")["model_type"]
        self.settings = read_json(weights, "preprocessor_config.json")
        name = str(self.settings.get("feature_extractor_type"))
        extractor = feature_extractor_class_from_name(name)
        if not (isinstance(extractor, type) and issubclass(extractor, SequenceFeatureExtractor)):
            raise UserError(f"{weights.label} names no feature extractor of sound that transformers knows: {name!r}")
        self.extractor: Any = extractor(**self.settings)
        self.sample_rate = self.extractor.sampling_rate
        model = str(MODEL_MAPPING_NAMES[kind])
        config = read_config(weights, model, types=(kind,))
        network: Any
        network, ignored = read_network(weights, model, config, heads=HEADS)
        self.model: Any = network.eval().requires_grad_(False).to(device)
        self.network = self.model.get_encoder() if config.is_encoder_decoder else self.model
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.longest, self.shortest = LONGEST * self.sample_rate, self.sample_rate // 10
        self.found = {"class": type(self.network).__name__, "feature extractor": name, "ignored keys": ignored}

        frames = {}
        for seconds in (SHORT, LONG):
            noise = torch.randn(1, seconds * self.sample_rate, generator=torch.Generator().manual_seed(0)) * 0.1
            try:
                with torch.no_grad():
                    layers = self.forward(noise.to(device))
            except (TypeError, ValueError, RuntimeError) as error:
                raise UserError(
                    f"{weights.label} makes nothing of what {name} gives: {first_line(error)}; hf takes audio encoders"
                ) from error
            frames[seconds] = layers.final.shape[1]
        self.widths, self.final_width = tuple(layer.shape[-1] for layer in layers.hidden), layers.final.shape[-1]
        gained = frames[LONG] - frames[SHORT]
        if gained <= 0:
            raise UserError(f"{weights.label} gives as many frames of {SHORT} s as of {LONG} s: hf cannot place them")
        self.frame_rate = Fraction(gained, LONG - SHORT)
        self.frame_offset = 1 / (2 * self.frame_rate)

    def forward(self, wave: "Tensor") -> Layers:
        """The hidden states as transformers gives them, and ``final``, its last hidden state.

        Where that has more frames than the states (SEW squeezes time between its blocks), it is averaged to theirs.
        """
        import torch
        from torch.nn import functional

        wave = functional.pad(wave, (0, max(0, self.shortest - wave.shape[-1])))
        with torch.autocast(self.device.type, enabled=False):
            inputs = self.extractor(list(wave.cpu().numpy()), sampling_rate=self.sample_rate, return_tensors="pt")
        wanted = inspect.signature(self.network.forward).parameters
        given: dict[str, Any] = {name: x.to(self.device) for name, x in inputs.items() if name in wanted}
        output = self.network(**given, output_hidden_states=True, return_dict=True)
        states, final = getattr(output, "hidden_states", None), getattr(output, "last_hidden_state", None)
        if not states or final is None or any(state.ndim != 3 for state in states):
            raise UserError(f"{self.weights.label} has no hidden states in time: hf cannot take its layers")
        if final.shape[1] != states[0].shape[1]:
            final = functional.adaptive_avg_pool1d(final.transpose(1, 2), states[0].shape[1]).transpose(1, 2)
        return Layers(tuple(states), final)

    def save(self, path: Path) -> None:
        """Write a folder as the hub has it."""
        save_folder(self.model, path, self.settings)
