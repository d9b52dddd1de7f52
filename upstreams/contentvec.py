"""ContentVec: HuBERT without the speakers, for converting voices and for units (Qian et al. 2022)."""

from harness.cards import Card, Elsewhere, Hub, Training, one_of

from ._wave import BASE, GROUP, WaveEncoder, published

HOMEPAGE = "https://github.com/auspicious3000/contentvec"


class ContentVec(WaveEncoder):
    """ContentVec (Qian et al. 2022) with 500 or 100 classes: a folder of transformers, or the authors' file for plain
    fairseq (its name says ``legacy``).

    Option: ``variant``, the number of classes.
    """

    model, types = "HubertModel", ("hubert",)
    variants = {
        "500": published(BASE | GROUP, 94.4, Hub("lengyue233/content-vec-best")),
        "100": published(BASE | GROUP, 94.4, Elsewhere("checkpoint_best_legacy_100.pt", HOMEPAGE)),
    }
    axes = (one_of("variant", *variants, detected=True),)
    card = Card(
        paper="arXiv 2204.09224",
        licence="MIT",
        training=Training(
            "self-supervised",
            ("LibriSpeech",),
            note="waves and targets went through a voice converter",
        ),
        homepage=HOMEPAGE,
    )
    reads = ("folder", "file")
    normalised_for = ("layer",)  # the authors train on waves as they are


UPSTREAM = ContentVec
