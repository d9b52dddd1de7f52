"""wav2vec 2.0: contrastive learning from the masked raw wave of speech (Baevski et al. 2020)."""

from harness.cards import Card, Hub, Training, one_of

from ._wave import BASE, GROUP, LARGE, LAYER, XLARGE, WaveEncoder, published

LIBRI_LIGHT = Training("self-supervised", ("Libri-Light",))
ROBUST = {
    "training": Training("self-supervised", ("Libri-Light", "Common Voice", "Switchboard", "Fisher")),
    "paper": "arXiv 2104.01027",
}
XLSR = {
    "training": Training("self-supervised", ("Multilingual LibriSpeech", "Common Voice", "BABEL")),
    "paper": "arXiv 2006.13979",
}
XLS_R = {
    "training": Training(
        "self-supervised", ("VoxPopuli", "Multilingual LibriSpeech", "Common Voice", "VoxLingua107", "BABEL")
    ),
    "paper": "arXiv 2111.09296",
}
MMS = {
    "training": Training(
        "self-supervised",
        ("MMS-lab", "Multilingual LibriSpeech", "Common Voice", "VoxLingua107", "BABEL", "VoxPopuli"),
    ),
    "licence": "CC-BY-NC-4.0",
    "paper": "arXiv 2305.13516",
}
ARCH = {
    "training": Training("self-supervised", ("AudioSet",)),
    "licence": "CC-BY-NC-SA-4.0",
    "paper": "arXiv 2405.00934",
}


class Wav2vec2(WaveEncoder):
    """wav2vec 2.0 (Baevski et al. 2020), a folder of transformers or a file of fairseq, and what followed it.

    Option: ``variant``, the published model; a checkpoint tells its size by itself.
    """

    model, types = "Wav2Vec2Model", ("wav2vec2",)
    variants = {
        "base": published(BASE | GROUP, 94.4, Hub("facebook/wav2vec2-base")),
        "large": published(LARGE | LAYER, 315.4, Hub("facebook/wav2vec2-large-lv60"), training=LIBRI_LIGHT),
        "robust": published(LARGE | LAYER, 315.4, Hub("facebook/wav2vec2-large-robust"), **ROBUST),
        "xlsr": published(LARGE | LAYER, 315.4, Hub("facebook/wav2vec2-large-xlsr-53"), **XLSR),
        "xls300m": published(LARGE | LAYER, 315.4, Hub("facebook/wav2vec2-xls-r-300m"), **XLS_R),
        "xls1b": published(XLARGE | LAYER, 962.5, Hub("facebook/wav2vec2-xls-r-1b"), **XLS_R),
        "mms300m": published(LARGE | LAYER, 315.4, Hub("facebook/mms-300m"), **MMS),
        "mms1b": published(XLARGE | LAYER, 962.5, Hub("facebook/mms-1b"), **MMS),
        "audioset": published(BASE | GROUP, 94.4, Hub("ALM/wav2vec2-base-audioset"), **ARCH),
        "audiosetlarge": published(LARGE | LAYER, 315.4, Hub("ALM/wav2vec2-large-audioset"), **ARCH),
    }
    axes = (one_of("variant", *variants, detected=True),)
    card = Card(
        paper="arXiv 2006.11477",
        licence="Apache-2.0",
        training=Training("self-supervised", ("LibriSpeech",)),
        homepage="https://huggingface.co/facebook/wav2vec2-base",
    )
    reads = ("folder", "file")


UPSTREAM = Wav2vec2
