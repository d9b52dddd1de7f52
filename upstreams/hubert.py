"""HuBERT: masked prediction of hidden units from the raw wave of speech (Hsu et al. 2021)."""

from harness.cards import Card, Hub, Training, one_of

from ._wave import BASE, GROUP, LARGE, LAYER, XLARGE, WaveEncoder, published

LIBRI_LIGHT = Training("self-supervised", ("Libri-Light",))
AUDIOSET = Training("self-supervised", ("AudioSet",))
ARCH = {"training": AUDIOSET, "licence": "CC-BY-NC-SA-4.0", "paper": "arXiv 2405.00934"}


class Hubert(WaveEncoder):
    """HuBERT (Hsu et al. 2021): a folder of transformers or a file of fairseq, and ARCH's models for all sounds.

    Option: ``variant``, the published model; a checkpoint tells its size by itself.
    """

    model, types = "HubertModel", ("hubert",)
    variants = {
        "base": published(BASE | GROUP, 94.4, Hub("facebook/hubert-base-ls960")),
        "large": published(LARGE | LAYER, 315.4, Hub("facebook/hubert-large-ll60k"), training=LIBRI_LIGHT),
        "xlarge": published(XLARGE | LAYER, 962.5, Hub("facebook/hubert-xlarge-ll60k"), training=LIBRI_LIGHT),
        "audioset": published(BASE | GROUP, 94.4, Hub("ALM/hubert-base-audioset"), **ARCH),
        "audiosetlarge": published(LARGE | LAYER, 315.4, Hub("ALM/hubert-large-audioset"), **ARCH),
    }
    axes = (one_of("variant", *variants, detected=True),)
    card = Card(
        paper="arXiv 2106.07447",
        licence="Apache-2.0",
        training=Training("self-supervised", ("LibriSpeech",)),
        homepage="https://huggingface.co/facebook/hubert-base-ls960",
    )
    reads = ("folder", "file")


UPSTREAM = Hubert
