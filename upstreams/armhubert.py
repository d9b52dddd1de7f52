"""ARMHuBERT: HuBERT distilled into blocks of which every second reuses attention (Jang et al. 2023)."""

import re
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cards import Card, Hub, Training, Variant, Weights, one_of
from harness.checkpoint import Foreign
from harness.errors import UserError
from harness.models import Layers, Upstream, check_keys, load_strictly

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from ._armhubert import ArmHubert, Config

SAMPLE_RATE = 16_000
#: Samples from one frame to the next, and those that one frame hears before the blocks.
HOP, FIELD = 320, 400
#: Attention grows with the square of the length, and the authors train on utterances below half a minute: clips that
#: were cut there run a little over and stay whole.
LONGEST = 32
#: What attention holds at once, in numbers (256 MB): clips beyond it are encoded in turns.
MOST_LOGITS = 2**26
#: Kernels of HuBERT's convolutions, between which the students have some of one sample. No file tells strides in its
#: shapes: these have HuBERT's.
KERNELS = (10, 3, 3, 3, 3, 2, 2)
#: Attention heads of every published model, for files that do not say: no shape does.
HEADS = 12
#: Settings that no shape tells either; every published model has these.
FIXED = {"layer_norm_first": False, "activation_fn": "gelu", "crop_seq_to_multiple": 1}
#: Where in a file of lightning its settings are.
SETTINGS = ("hyper_parameters", "cfg", "distiller")
#: Sizes above these are no student's, so that no file fills the memory.
MOST_NUMBERS, MOST_BLOCKS = 4096, 48
PREFIX = "student_model."
BLOCK = r"student_model\.encoder\.layers\.(\d+)\."
HEAD = r"student_model\.proj_head\.\d+\.lin_proj\."


def _student(
    width: int, inner: int, millions: float, name: str, *, teacher: str = "HuBERT", reuses: bool = True
) -> Variant:
    """A published model, named as its file is."""
    data = "LibriSpeech's 100 h of clean speech" if name.endswith("100h") else "LibriSpeech's 960 h"
    return Variant(
        parameters=millions,
        widths=(width,) * 13,
        frame_rate=Fraction(SAMPLE_RATE, HOP),
        source=Hub("sungnyun/ARMHuBERT", f"{name}.ckpt"),
        training=Training("self-supervised", ("LibriSpeech",), f"distilled from {teacher} base on {data}"),
        config={"width": width, "inner": inner, "reuses": reuses},
    )


class ARMHuBERT(Upstream):
    """ARMHuBERT (Jang et al. 2023), distilled from HuBERT or WavLM, and MaskHuBERT, which reuses no attention.

    Option: ``variant``, the published model; a checkpoint tells its size by itself.

    Layers are the blocks' outputs, and ``final`` is the last projected to the teacher's width, which is the authors'
    output; their SUPERB expert gives such a projection of every block instead of the blocks' outputs. Blocks soften the
    attention that they reuse by a second softmax, as the authors' code does. In a batch that code mixes up clips there:
    here each is as it is alone.
    """

    variants = {
        "960h": _student(480, 864, 22.4, "ARMHuBERT-960h"),
        "s": _student(432, 816, 18.7, "ARMHuBERT-S-960h"),
        "s100h": _student(432, 816, 18.7, "ARMHuBERT-S-100h"),
        "armwavlm": _student(432, 816, 18.7, "ARMwavLM-S-960h", teacher="WavLM"),
        "armwavlm100h": _student(432, 816, 18.7, "ARMwavLM-S-100h", teacher="WavLM"),
        "maskhubert": _student(480, 640, 22.6, "MaskHuBERT-960h", reuses=False),
    }
    axes = (one_of("variant", *variants, detected=True),)
    card = Card(
        paper="arXiv 2305.11685",
        licence="Apache-2.0",
        training=Training("self-supervised", ("LibriSpeech",), "distilled from HuBERT base"),
        homepage="https://github.com/sungnyun/ARMHuBERT",
    )
    # With random weights at the published sizes, on noise, 3.6 % and 0.45 % are seen.
    dtypes = {"bfloat16": 0.05, "float16": 0.01}
    revision = "1"
    sample_rate = SAMPLE_RATE
    frame_rate = Fraction(SAMPLE_RATE, HOP)
    frame_offset = Fraction(FIELD, 2 * SAMPLE_RATE)
    shortest = FIELD
    longest = LONGEST * SAMPLE_RATE

    def __init__(self, weights: Weights, device: "torch.device", *, variant: str | None = None) -> None:
        from ._armhubert import SMALL, ArmHubert, published

        super().__init__(weights, device)
        known = published(**self.variants[variant or "960h"].config)
        if weights.trained:
            self.network, self.found = _load(weights)
        else:
            with weights.seeded():
                self.network = ArmHubert(SMALL if weights.small else known)
                self.network.initialise()
        self.network.eval().requires_grad_(False).to(device)
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        config = self.network.config
        self.widths = (config.width,) * (1 + len(config.reuses))
        self.final_width = config.target or config.width
        if weights.trained and variant is not None and (config.width, config.inner) != (known.width, known.inner):
            raise UserError(
                f"{weights.label} has blocks of width {config.width}, {config.inner} inside, but armhubert:{variant} "
                f"has {known.width}, {known.inner} inside: write armhubert@FILE"
            )

    def forward(self, wave: "Tensor") -> Layers:
        """The input of block 0, every block's output, and ``final``, the last one's projection.

        Clips below 400 samples are padded with zeros.
        """
        from torch.nn import functional

        wave = functional.pad(wave, (0, max(0, FIELD - wave.shape[-1])))
        frames = 1 + (wave.shape[-1] - FIELD) // HOP
        logits = self.network.config.heads * frames**2
        parts = [self.network(part) for part in wave.split(max(1, MOST_LOGITS // logits))]
        return Layers.join([Layers(tuple(streams), final) for streams, final in parts], dim=0)

    def save(self, path: Path) -> None:
        """Write what lightning does, but for the teacher, the mask and the other blocks' projections."""
        import torch

        settings: dict[str, Any] = {**FIXED, "encoder_attention_heads": self.network.config.heads}
        for name in reversed(SETTINGS):
            settings = {name: settings}
        state = {PREFIX + name: tensor for name, tensor in self.network.state_dict().items()}
        torch.save({"state_dict": state, **settings}, path)


def _load(weights: Weights) -> "tuple[ArmHubert, dict[str, Any]]":
    """A network from a published file, and what was found in it."""
    import torch
    from torch import nn

    from ._armhubert import ArmHubert

    contents = weights.state_dict(with_objects=True)
    state, settings = contents.get("state_dict"), _settings(contents)
    if not isinstance(state, dict) or not all(isinstance(key, str) for key in state):
        raise UserError(f"{weights.label} has no weights by name under the key 'state_dict', as lightning's files have")
    config = _config(state, settings, weights.label)
    with torch.device("meta"):
        network = ArmHubert(config)
    network.to_empty(device="cpu")
    unused = rf"teacher_model\.|student_model\.(mask_emb$|proj_head\.(?!{config.last}\.lin_proj\.))"
    left_out = load_strictly(nn.ModuleDict({"student_model": network}), state, what=weights.label, ignored=unused)
    parts = {".".join(key.split(".")[:2]) for key in left_out}  # such as all of the teacher
    return network, {
        "blocks that reuse attention": [i for i, reuses in enumerate(config.reuses) if reuses],
        "attention heads": config.heads,
        "attention heads from": "the file" if "encoder_attention_heads" in settings else "the published models",
        "ignored keys": sorted(parts | set(contents) - {"state_dict", SETTINGS[0]}),
    }


def _settings(contents: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a file says of the student, beyond its tensors; nothing if it has no settings."""
    plain: Any = Foreign(settings=contents.get(SETTINGS[0])).plain["settings"]
    for name in SETTINGS[1:]:
        plain = plain.get(name) if isinstance(plain, dict) else None
    return plain if isinstance(plain, dict) else {}


def _config(state: Mapping[str, Any], settings: Mapping[str, Any], what: str) -> "Config":
    """What a file's shapes tell of the network, and its settings of the heads.

    Raises:
        UserError: it is no student's.
    """
    from ._armhubert import Config

    def shape(name: str, axes: int) -> tuple[int, ...]:
        check_keys({PREFIX + name} - set(state), (), what=what)
        found = tuple(getattr(state[PREFIX + name], "shape", ()))
        if len(found) != axes or not all(1 <= numbers <= MOST_NUMBERS for numbers in found):
            raise UserError(
                f"{what} has {PREFIX + name!r} of shape {found}, where {axes} axes of at most {MOST_NUMBERS} are "
                "expected"
            )
        return found

    convolution, count = "feature_extractor.conv_layers.{}.0.weight", 0
    while PREFIX + convolution.format(count) in state:
        count += 1
    convolutions = [shape(convolution.format(i), 3) for i in range(max(1, count))]
    if tuple(kernel for *_, kernel in convolutions if kernel > 1) != KERNELS:
        raise UserError(
            f"{what} has convolutions of {', '.join(str(kernel) for *_, kernel in convolutions)} samples, where "
            f"{', '.join(map(str, KERNELS))} are expected, with any number of one sample between them"
        )
    (width,) = shape("encoder.layer_norm.weight", 1)
    inner, _ = shape("encoder.layers.0.fc1.weight", 2)
    _, per_group, kernel = shape("encoder.pos_conv.0.weight_v", 3)
    if width % per_group:
        raise UserError(f"{what} has positions in groups of {per_group}, which do not divide its {width} channels")
    blocks = {int(found[1]) for key in state if (found := re.match(BLOCK, key))}
    own = {int(found[1]) for key in state if (found := re.match(BLOCK + r"self_attn\.[qk]_proj\.", key))}
    if len(blocks) > MOST_BLOCKS:
        raise UserError(f"{what} has {len(blocks)} blocks, where at most {MOST_BLOCKS} are expected")
    if 0 not in own:
        raise UserError(f"{what} has no attention in block 0 that the others could reuse: it lacks its q_proj, k_proj")
    for name, value in FIXED.items():
        if settings.get(name, value) != value:
            raise UserError(f"{what} has settings whose {name} is not {value!r}, as every published model's is")
    heads = settings.get("encoder_attention_heads", HEADS)
    if type(heads) is not int or not 1 <= heads <= width or width % heads:
        raise UserError(f"{what} has blocks of width {width}, which its attention heads ({heads!r}) do not divide")
    projected = any(re.match(HEAD, key) for key in state)
    return Config(
        convolutions=tuple((channels, kernel) for channels, _, kernel in convolutions),
        width=width,
        inner=inner,
        reuses=tuple(i not in own for i in range(len(blocks))),
        heads=heads,
        positions=(kernel, width // per_group),
        target=shape(f"proj_head.{len(blocks) - 1}.lin_proj.weight", 2)[0] if projected else None,
    )


UPSTREAM = ARMHuBERT
