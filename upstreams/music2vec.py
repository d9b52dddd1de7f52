"""MAP-Music2Vec: data2vec on the raw wave of music (Li et al. 2022)."""

from harness.cards import Card, Hub, Training

from ._wave import BASE, WaveEncoder, published


class Music2Vec(WaveEncoder):
    """MAP-Music2Vec (Li et al. 2022), which hears music at 16 kHz: a folder of transformers."""

    model, types = "Data2VecAudioModel", ("data2vec-audio",)
    variants = {"": published(BASE, 93.2, Hub("m-a-p/music2vec-v1"))}
    card = Card(
        paper="arXiv 2212.02508",
        licence="CC-BY-NC-4.0",
        training=Training("self-supervised", note="1,000 hours of the authors' own music"),
        homepage="https://huggingface.co/m-a-p/music2vec-v1",
    )


UPSTREAM = Music2Vec
