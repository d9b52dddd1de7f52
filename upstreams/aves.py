"""AVES and BirdAVES: HuBERT on animals' voices (Hagiwara 2023)."""

from typing import TYPE_CHECKING, Any

from harness.cards import Card, Elsewhere, Training, Weights, one_of

from ._fairseq import TORCHAUDIO
from ._wave import BASE, GROUP, LARGE, WaveEncoder, published

if TYPE_CHECKING:
    from torch import Tensor

HOMEPAGE = "https://github.com/earthspecies/aves"
CORE = ("FSD50K", "AudioSet")
SOUNDS = {"training": Training("self-supervised", (*CORE, "VGGSound"))}
BIRDS = {"training": Training("self-supervised", (*CORE, "VGGSound", "Xeno-canto"))}
MORE_BIRDS = {"training": Training("self-supervised", (*CORE, "VGGSound", "Xeno-canto", "iNaturalist"))}


def file(name: str) -> Elsewhere:
    """What the authors call the file of a model."""
    return Elsewhere(f"{name}.torchaudio.pt", HOMEPAGE)


class Aves(WaveEncoder):
    """AVES (Hagiwara 2023), on waves as they are: the authors' files for torchaudio, which is not needed.

    Option: ``variant``: trained on animals (``bio``), other sounds (``nonbio``), ``all`` or the ``core`` of both; or
    BirdAVES, on birds of Xeno-canto (``birdbase``, ``birdlarge``) and iNaturalist (``birdmore``).
    """

    model, table = "HubertModel", TORCHAUDIO
    variants = {
        "bio": published(BASE | GROUP, 94.4, file("aves-base-bio"), **SOUNDS),
        "core": published(BASE | GROUP, 94.4, file("aves-base-core")),
        "nonbio": published(BASE | GROUP, 94.4, file("aves-base-nonbio"), **SOUNDS),
        "all": published(BASE | GROUP, 94.4, file("aves-base-all"), **SOUNDS),
        "birdbase": published(BASE | GROUP, 94.4, file("birdaves-biox-base"), **BIRDS),
        "birdlarge": published(LARGE | GROUP, 315.4, file("birdaves-biox-large"), **BIRDS),
        "birdmore": published(LARGE | GROUP, 315.4, file("birdaves-bioxn-large"), **MORE_BIRDS),
    }
    axes = (one_of("variant", *variants, detected=True),)
    card = Card(
        paper="arXiv 2210.14493",
        licence="MIT",
        training=Training("self-supervised", CORE),
        homepage=HOMEPAGE,
    )
    reads = ("file",)
    normalised_for = ()

    def contents(self, weights: Weights) -> tuple[dict[str, Any], dict[str, Any]]:
        """The tensors alone: the authors' settings lie in another file, and these say the same in all of them."""
        return super().contents(weights)[0], {"layer_norm_first": False, "normalize": False}

    def container(self, state: "dict[str, Tensor]", *, normalised: bool) -> dict[str, Any]:
        """The tensors alone."""
        return dict(state)


UPSTREAM = Aves
