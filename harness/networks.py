"""The small networks that heads train, each by the name that :class:`harness.trained.Trained` calls it."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from harness.joins import Readout
from harness.joins import build as build_join


class Probe(nn.Module):
    """An interface and a head: features (clip, [frame,] layer, width) to outputs (clip, output).

    Where frames are not pooled, (clip, frame, output).
    """

    def __init__(self, interface: Readout, head: nn.Module) -> None:
        super().__init__()
        self.interface, self.head = interface, head

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Outputs; ``mask`` (clip, frame) is False where a clip has ended."""
        out: Tensor = self.head(self.interface(x, mask))
        return out


class SpeakerLinear(nn.Module):
    """One linear layer to an embedding, trained on speakers with the additive-margin softmax (Wang et al. 2018).

    Cosines of embeddings and speakers' weights, less a margin for the right one, times a scale: margin and scale are
    SUPERB's. The output is the embedding.
    """

    scale, margin = 30.0, 0.4

    def __init__(self, width: int, speakers: int, embedding: int = 512) -> None:
        super().__init__()
        self.embed = nn.Linear(width, embedding)
        self.speakers = nn.Linear(embedding, speakers, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """The embedding (clip, 512)."""
        out: Tensor = self.embed(x)
        return out


class LastAxisNorm(nn.BatchNorm1d):
    """Batch normalisation of the last axis, whatever stands before it."""

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        return super().forward(x.flatten(0, -2)).view_as(x)


def superb_linear(width: int, outputs: int) -> nn.Module:
    """SUPERB's utterance head (Yang et al. 2021): a projection to 256 and a linear layer, nothing in between."""
    return nn.Sequential(nn.Linear(width, 256), nn.Linear(256, outputs))


def hear_mlp(width: int, outputs: int, hidden_layers: int = 1, init: str = "uniform") -> nn.Module:
    """HEAR's prediction head (Turian et al. 2022): hidden layers of 1024 with batch norm, dropout and ReLU.

    Weights are drawn by Glorot's rule with the gain of what comes before: 1 for the first, that of ReLU afterwards.
    """
    draw = {"uniform": nn.init.xavier_uniform_, "normal": nn.init.xavier_normal_}[init]
    layers: list[nn.Module] = []
    for i in range(hidden_layers + 1):
        linear = nn.Linear(width if i == 0 else 1024, 1024 if i < hidden_layers else outputs)
        draw(linear.weight, gain=nn.init.calculate_gain("linear" if i == 0 else "relu"))
        layers.append(linear)
        if i < hidden_layers:
            layers += [LastAxisNorm(1024), nn.Dropout(0.1), nn.ReLU()]
    return nn.Sequential(*layers)


def arch_nonlinear(width: int, outputs: int) -> nn.Module:
    """ARCH's non-linear head (La Quatra et al. 2024): one hidden layer as wide as the features."""
    return nn.Sequential(nn.Linear(width, width), nn.Dropout(0.1), nn.ReLU(), nn.Linear(width, outputs))


def xares_linear(width: int, outputs: int) -> nn.Module:
    """X-ARES' head (Zhang et al. 2025), which it calls MLP: layer normalisation and a linear layer."""
    return nn.Sequential(nn.LayerNorm(width), nn.Linear(width, outputs))


NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "superb-linear": superb_linear,
    "hear-mlp": hear_mlp,
    "arch-linear": nn.Linear,
    "arch-nonlinear": arch_nonlinear,
    "evar-linear": nn.Linear,
    "xares-linear": xares_linear,
    "speaker-linear": SpeakerLinear,
}


def build(name: str, shape: tuple[int, int], outputs: int, how: tuple[str, str], setting: Mapping[str, Any]) -> Probe:
    """A probe with fresh weights from torch's global generator.

    ``shape`` is (layer, width) of the features, ``how`` the join and the pooling, ``setting`` the network's own
    keywords.
    """
    interface = build_join(*how, *shape)
    return Probe(interface, NETWORKS[name](interface.out_width, outputs, **setting))


def no_grad_outputs(probe: Probe, x: Tensor, mask: Tensor | None) -> Tensor:
    """Outputs of a probe that is not learning, on the CPU."""
    probe.eval()
    with torch.no_grad():
        out: Tensor = probe(x, mask).float().cpu()
    return out
