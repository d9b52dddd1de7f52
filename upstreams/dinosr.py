"""DinoSR: self-distillation and online clustering of speech (Liu et al. 2023)."""

from harness.cards import Card, Elsewhere, Training

from ._wave import BASE, WaveEncoder, published

HOMEPAGE = "https://github.com/Alexander-H-Liu/dinosr"


class DinoSR(WaveEncoder):
    """DinoSR (Liu et al. 2023), whose network is data2vec's: the authors' file, of which the student is read."""

    model = "Data2VecAudioModel"
    variants = {"": published(BASE, 93.2, Elsewhere("dinosr.ckpt", HOMEPAGE))}
    card = Card(
        paper="arXiv 2305.10005",
        licence="MIT",
        training=Training("self-supervised", ("LibriSpeech",)),
        homepage=HOMEPAGE,
    )
    reads = ("file",)


UPSTREAM = DinoSR
