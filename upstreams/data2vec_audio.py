"""data2vec for speech: a student predicts its teacher's layers from the masked raw wave (Baevski et al. 2022)."""

from harness.cards import Card, Hub, Training, one_of

from ._wave import BASE, LARGE, WaveEncoder, published

LIBRI_LIGHT = Training("self-supervised", ("Libri-Light",))


class Data2VecAudio(WaveEncoder):
    """data2vec (Baevski et al. 2022) for speech: a folder of transformers or a file of fairseq.

    Option: ``variant``, the published model; a checkpoint tells its size by itself.
    """

    model, types = "Data2VecAudioModel", ("data2vec-audio",)
    variants = {
        "base": published(BASE, 93.2, Hub("facebook/data2vec-audio-base")),
        "large": published(LARGE, 313.3, Hub("facebook/data2vec-audio-large"), training=LIBRI_LIGHT),
    }
    axes = (one_of("variant", *variants, detected=True),)
    card = Card(
        paper="arXiv 2202.03555",
        licence="Apache-2.0",
        training=Training("self-supervised", ("LibriSpeech",)),
        homepage="https://huggingface.co/facebook/data2vec-audio-base",
    )
    reads = ("folder", "file")


UPSTREAM = Data2VecAudio
