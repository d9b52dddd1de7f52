"""An audio encoder of transformers that has no upstream of its own: its feature extractor, then its hidden states."""

import inspect
import math
import statistics
import warnings
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards import Card, Training, Weights
from harness.errors import UserError
from harness.models import Layers, Upstream

from ._transformers import BROKEN, first_line, read_config, read_json, read_network, save_folder
from ._wave import unit_variance

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from torch import Tensor

#: Keys of what is built on top of an encoder.
HEADS = r".*(head|classifier|projector|quantizer|project_|ctc|decoder|joint|final_proj|label_embeddings|layer_weights)"
#: Seconds of the longest window, as for the wave encoders that have an upstream of their own.
LONGEST = 32
#: So many frames between the two lengths by which a frame is measured.
FRAMES = 8


class AnyEncoder(Upstream):
    """Whatever transformers can build from a folder whose output has hidden states in time."""

    card = Card(paper="the folder's", licence="the folder's", training=Training("unknown"))
    reads = ("folder",)
    revision = "1"
    dtypes = {"bfloat16": 0.1}

    def __init__(self, weights: Weights, device: "torch.device") -> None:
        import torch
        from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

        super().__init__(weights, device)
        kind = read_json(weights, "config.json")["model_type"]
        self.settings = read_json(weights, "preprocessor_config.json")
        self.extractor = self._extractor(weights)
        self.sample_rate = self.extractor.sampling_rate
        model = MODEL_MAPPING_NAMES[kind]
        if not isinstance(model, str):
            raise UserError(f"{weights.label} holds a model of the type {kind!r}, which is no audio encoder")
        config = read_config(weights, model, types=(kind,))
        network: Any
        network, ignored = read_network(weights, model, config, heads=HEADS)
        self.model: Any = network.eval().requires_grad_(False).to(device)
        self.network = self.model.get_encoder() if config.is_encoder_decoder else self.model
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.found = {"class": type(self.network).__name__, "ignored keys": ignored}
        self.longest = LONGEST * self.sample_rate
        with torch.no_grad(), warnings.catch_warnings(action="ignore"):  # of clips that are too short
            self._measure()

    def _extractor(self, weights: Weights) -> Any:
        """The folder's front end, without the normalisation of the whole wave, which is not for windows."""
        from transformers import SequenceFeatureExtractor
        from transformers.models.auto.feature_extraction_auto import feature_extractor_class_from_name

        name = str(self.settings.get("feature_extractor_type"))
        cls = feature_extractor_class_from_name(name)
        if not (isinstance(cls, type) and issubclass(cls, SequenceFeatureExtractor)):
            raise UserError(f"{weights.label} names no feature extractor of sound that transformers knows: {name!r}")
        settings = dict(self.settings)
        if name == "Wav2Vec2FeatureExtractor" and settings.get("do_normalize", True):
            self.normalise = partial(unit_variance, epsilon=1e-7)
            settings["do_normalize"] = False
        try:
            extractor: Any = cls(**settings)
        except BROKEN as error:
            raise UserError(
                f"preprocessor_config.json of {weights.label} makes no {name}: {first_line(error)}"
            ) from error
        rate = getattr(extractor, "sampling_rate", None)
        if not isinstance(rate, int) or isinstance(rate, bool) or rate < 1000:
            raise UserError(f"preprocessor_config.json of {weights.label} says sampling_rate {rate!r}, which cannot be")
        return extractor

    def _measure(self) -> None:
        """Widths, and the place of frames in time: how many samples make a frame more.

        Raises:
            UserError: what the front end gives makes no frames in time.
        """
        second = self.sample_rate
        self.shortest = self._least(lambda samples: self._frames(samples) > 0, 1, second)
        layers = self._encode(self._noise(second).to(self.device))
        self.widths, self.final_width = tuple(layer.shape[-1] for layer in layers.hidden), layers.final.shape[-1]
        base = self._frames(second)
        first = self._least(lambda samples: self._frames(samples) > base, second, 9 * second)
        last = self._least(lambda samples: self._frames(samples) > base + FRAMES, second, 9 * second)
        hop = Fraction(last - first, FRAMES)
        self.frame_rate, self.frame_offset = self.sample_rate / hop, self._offset(hop)

    def _offset(self, hop: Fraction) -> Fraction:
        """Where frame 0 hears, by which frames of layer 0 a burst moves."""
        import torch

        samples = self.sample_rate + math.ceil(4 * FRAMES * hop)
        wave = self._noise(samples)
        before = self._encode(wave.to(self.device)).hidden[0][0]
        seen = []
        for part in range(FRAMES):
            centre = samples * (FRAMES + part) // (3 * FRAMES)
            burst = wave.clone()
            burst[:, centre - 8 : centre + 8] += 0.5 * torch.randn(16, generator=torch.Generator().manual_seed(part))
            moved = (self._encode(burst.to(self.device)).hidden[0][0] - before).norm(dim=-1).double().square()
            frame = float((moved * torch.arange(len(moved), device=moved.device)).sum() / moved.sum())
            seen.append(centre - frame * float(hop))
        return Fraction(round(statistics.median(seen)), self.sample_rate)

    def _least(self, holds: "Callable[[int], bool]", low: int, high: int) -> int:
        """The least number of samples, up to ``high``, from which on something holds."""
        if not holds(high):
            raise UserError(
                f"{self.weights.label} gives no frames in time that could be placed: hf takes audio encoders"
            )
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if holds(middle) else (middle + 1, high)
        return low

    @staticmethod
    def _noise(samples: int) -> "Tensor":
        import torch

        return torch.randn(1, samples, generator=torch.Generator().manual_seed(0)) * 0.1

    def _frames(self, samples: int) -> int:
        """How many frames a clip has; none where it is too short for the network."""
        try:
            final = self._encode(self._noise(samples).to(self.device)).final
        except (RuntimeError, ValueError, TypeError, IndexError, ZeroDivisionError):
            return 0
        return final.shape[1] if final.isfinite().all() else 0

    def forward(self, wave: "Tensor") -> Layers:
        """The hidden states as transformers gives them, and ``final``, its last hidden state."""
        from torch.nn import functional

        return self._encode(functional.pad(wave, (0, max(0, self.shortest - wave.shape[-1]))))

    def _encode(self, wave: "Tensor") -> Layers:
        import torch
        from torch.nn import functional

        with torch.autocast(self.device.type, enabled=False):
            inputs = self.extractor(list(wave.cpu().numpy()), sampling_rate=self.sample_rate, return_tensors="pt")
        wanted = inspect.signature(self.network.forward).parameters
        given: dict[str, Any] = {name: x.to(self.device) for name, x in inputs.items() if name in wanted}
        output = self.network(**given, output_hidden_states=True, return_dict=True)
        states, final = getattr(output, "hidden_states", None), getattr(output, "last_hidden_state", None)
        if not states or final is None or any(state.ndim != 3 for state in states):
            raise UserError(f"{self.weights.label} has no hidden states in time: hf cannot take its layers")
        if final.shape[1] < states[0].shape[1]:
            raise UserError(f"{self.weights.label} shortens time behind its blocks, by an adapter: hf cannot take it")
        if final.shape[1] > states[0].shape[1]:  # SEW squeezes time between its blocks and stretches it behind them
            final = functional.adaptive_avg_pool1d(final.transpose(1, 2), states[0].shape[1]).transpose(1, 2)
        return Layers(tuple(states), final)

    def save(self, path: Path) -> None:
        """Write a folder as the hub has it."""
        save_folder(self.model, path, self.settings)
