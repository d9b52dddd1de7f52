"""Speech models of torchaudio.pipelines, by their names there: wav2vec 2.0, XLS-R, HuBERT and WavLM."""

import re
from collections.abc import Mapping
from fractions import Fraction
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards import Axis, Card, Training, Variant, Weights
from harness.errors import UserError, choices
from harness.models import Layers, Upstream, load_strictly

from ._wave import LONGEST

if TYPE_CHECKING:
    import torch
    from torch import Tensor

#: Where torchaudio's files are whose names are no addresses.
FILES = "https://download.pytorch.org/torchaudio/models/"
WAV2VEC2, XLSR = "arXiv 2006.11477", "arXiv 2111.09296"
HUBERT, WAVLM = "arXiv 2106.07447", "arXiv 2110.13900"
XLSR53_SETS = ("Multilingual LibriSpeech", "Common Voice", "BABEL")
XLSR_SETS = (*XLSR53_SETS, "VoxLingua107", "VoxPopuli")
WAVLM_SETS = ("Libri-Light", "GigaSpeech", "VoxPopuli")
#: Of each bundle: millions of parameters, blocks, width, paper, and what it was pre-trained on.
BUNDLES: dict[str, tuple[float, int, int, str, tuple[str, ...]]] = {
    "WAV2VEC2_BASE": (94.37, 12, 768, WAV2VEC2, ("LibriSpeech",)),
    "WAV2VEC2_LARGE": (315.43, 24, 1024, WAV2VEC2, ("LibriSpeech",)),
    "WAV2VEC2_LARGE_LV60K": (315.44, 24, 1024, WAV2VEC2, ("Libri-Light",)),
    "WAV2VEC2_XLSR53": (315.44, 24, 1024, "arXiv 2006.13979", XLSR53_SETS),
    "WAV2VEC2_XLSR_300M": (315.44, 24, 1024, XLSR, XLSR_SETS),
    "WAV2VEC2_XLSR_1B": (962.5, 48, 1280, XLSR, XLSR_SETS),
    "WAV2VEC2_XLSR_2B": (2159.26, 48, 1920, XLSR, XLSR_SETS),
    "HUBERT_BASE": (94.37, 12, 768, HUBERT, ("LibriSpeech",)),
    "HUBERT_LARGE": (315.43, 24, 1024, HUBERT, ("Libri-Light",)),
    "HUBERT_XLARGE": (962.49, 48, 1280, HUBERT, ("Libri-Light",)),
    "WAVLM_BASE": (94.38, 12, 768, WAVLM, ("LibriSpeech",)),
    "WAVLM_BASE_PLUS": (94.38, 12, 768, WAVLM, WAVLM_SETS),
    "WAVLM_LARGE": (315.45, 24, 1024, WAVLM, WAVLM_SETS),
}


class Torchaudio(Upstream):
    """A self-supervised speech model of torchaudio, such as ``torchaudio:HUBERT_BASE``.

    It needs torchaudio, which the extra ``torchaudio`` installs and nothing else does. Without ``@`` the weights are
    those that torchaudio downloads, from its own cache; ``@FILE`` is a state dict with torchaudio's keys. The wave is
    normalised where the bundle says so, each clip by itself.
    """

    axes = (Axis("bundle", text=True),)
    card = Card(
        paper="arXiv 2110.15018",
        licence="MIT",
        training=Training("self-supervised"),
        homepage="https://docs.pytorch.org/audio/stable/pipelines.html",
    )
    variants = {
        name: Variant(
            parameters=millions,
            widths=(width,) * (1 + depth),
            frame_rate=Fraction(50),
            training=Training("self-supervised", sets),
            paper=paper,
        )
        for name, (millions, depth, width, paper, sets) in BUNDLES.items()
    }
    revision = "1"

    def __init__(self, weights: Weights, device: "torch.device", *, bundle: str) -> None:
        super().__init__(weights, device)
        found = _bundle(bundle)
        params = _small(found._params) if weights.small else found._params
        if weights.trained:
            self.network = _build(found._model_type, params)
            load_strictly(self.network, _renamed(weights.state_dict()), what=weights.label)
        else:
            with weights.seeded():
                self.network = _build(found._model_type, params)
        self.network.eval().requires_grad_(False).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        self.found = {"normalised wave": found._normalize_waveform}
        if found._normalize_waveform:
            self.normalise = standardise
        self.norm_last = params["encoder_layer_norm_first"]

        self.sample_rate = int(found.sample_rate)
        self.widths = (params["encoder_embed_dim"],) * (1 + params["encoder_num_layers"])
        self.final_width = params["encoder_embed_dim"]
        self.shortest, hop = 1, 1
        for _, taps, stride in params["extractor_conv_layer_config"]:
            self.shortest += (taps - 1) * hop
            hop *= stride
        self.frame_rate = Fraction(self.sample_rate, hop)
        self.frame_offset = Fraction(self.shortest, 2 * self.sample_rate)
        self.longest = LONGEST * self.sample_rate  # the networks are the wave encoders', and so is what they cost

    @classmethod
    def published(cls, **options: Any) -> Path:
        """The file that torchaudio itself would load, downloaded into the cache of torch.hub if need be."""
        import torch

        bundle = options["bundle"]
        name = _bundle(bundle)._path
        url = name if name.startswith("https") else FILES + name
        path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
        if not path.exists():
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(url, str(path), progress=False)
            except (OSError, HTTPException) as error:  # of the network, of HTTP, or of the disk
                raise UserError(
                    f"the weights of torchaudio:{bundle}, {url}, cannot be had ({type(error).__name__}): get them and "
                    f"write torchaudio:{bundle}@FILE, or use torchaudio:{bundle}@untrained as a control"
                ) from error
        return path

    def forward(self, wave: "Tensor") -> Layers:
        """The input of the first block, every block's output, and ``final``: the last output, normed where the
        blocks norm their input.

        A clip below 400 samples is filled with zeros at its end, to one frame.
        """
        from torch.nn import functional

        wave = functional.pad(wave, (0, max(0, self.shortest - wave.shape[-1])))
        transformer = self.network.encoder.transformer
        x = self.network.encoder.feature_projection(self.network.feature_extractor(wave, None)[0])
        x = x + transformer.pos_conv_embed(x)
        hidden, bias = [x if self.norm_last else transformer.layer_norm(x)], None
        for block in transformer.layers:
            x, bias = block(hidden[-1], position_bias=bias)  # which WavLM's first block makes for all
            hidden.append(x)
        return Layers(tuple(hidden), transformer.layer_norm(x) if self.norm_last else x)

    def save(self, path: Path) -> None:
        """Write a state dict with torchaudio's keys."""
        import torch

        torch.save(self.network.state_dict(), path)


def standardise(wave: "Tensor") -> "Tensor":
    """Mean 0 and variance 1 of each clip's wave (clip, sample), by torchaudio's own operation: to the last bit."""
    from torch.nn import functional

    return functional.layer_norm(wave, wave.shape[-1:])


def _bundle(name: str) -> Any:
    """What torchaudio says of one of its self-supervised models.

    Raises:
        UserError: torchaudio cannot be imported, or has no such model.
    """
    try:
        from torchaudio import pipelines
    except (ImportError, OSError, RuntimeError) as error:  # it is absent, lacks a library, or is of another CUDA
        reason = re.split(r"\.?\s*\n|\.\s", str(error))[0].rstrip(".")
        raise UserError(
            f"torchaudio:{name} needs torchaudio, which cannot be imported ({reason}): run pip install "
            "'frozen-audio-harness[torchaudio]'"
        ) from error
    known = {
        each: bundle
        for each in pipelines.__all__
        if isinstance(bundle := getattr(pipelines, each), pipelines.Wav2Vec2Bundle)
        and bundle._params["aux_num_out"] is None  # else it was fine-tuned to recognise speech
    }
    if name not in known:
        raise UserError(f"torchaudio has no self-supervised model {name!r}: {choices(name, known)}")
    return known[name]


def _build(kind: str, params: Mapping[str, Any]) -> Any:
    from torchaudio import models

    return {"Wav2Vec2": models.wav2vec2_model, "WavLM": models.wavlm_model}[kind](**params)


def _small(params: Mapping[str, Any]) -> dict[str, Any]:
    """A thin and shallow network of the same form."""
    return {
        **params,
        "extractor_conv_layer_config": [
            (16, taps, stride) for _, taps, stride in params["extractor_conv_layer_config"]
        ],
        "encoder_embed_dim": 32,
        "encoder_pos_conv_kernel": 16,
        "encoder_pos_conv_groups": 4,
        "encoder_num_layers": 2,
        "encoder_num_heads": 4,
        "encoder_ff_interm_features": 64,
    }


def _renamed(state: Mapping[str, Any]) -> dict[str, Any]:
    """The published files name a weight's norm and direction as torch did of old."""
    names = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    return {re.sub(r"weight_[gv]$", lambda old: names[old[0]], key): value for key, value in state.items()}


UPSTREAM = Torchaudio
