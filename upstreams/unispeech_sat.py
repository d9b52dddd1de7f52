"""UniSpeech-SAT: HuBERT that is aware of speakers, trained on mixed utterances (Chen et al. 2022)."""

from harness.cards import Card, Hub, Training, one_of

from ._wave import BASE, GROUP, LARGE, LAYER, WaveEncoder, published

MIX_94K = Training("self-supervised", ("Libri-Light", "GigaSpeech", "VoxPopuli"))


class UniSpeechSat(WaveEncoder):
    """UniSpeech-SAT (Chen et al. 2022): a folder of transformers.

    Option: ``variant``, the published model; a checkpoint tells its size by itself.
    """

    model, types = "UniSpeechSatModel", ("unispeech-sat",)
    variants = {
        "base": published(BASE | GROUP, 94.4, Hub("microsoft/unispeech-sat-base")),
        "plus": published(BASE | GROUP, 94.4, Hub("microsoft/unispeech-sat-base-plus"), training=MIX_94K),
        "large": published(LARGE | LAYER, 315.4, Hub("microsoft/unispeech-sat-large"), training=MIX_94K),
    }
    axes = (one_of("variant", *variants, detected=True),)
    card = Card(
        paper="arXiv 2110.05752",
        licence="CC-BY-SA-3.0",
        training=Training("self-supervised", ("LibriSpeech",)),
        homepage="https://github.com/microsoft/UniSpeech",
    )
    normalised_for = ("layer",)


UPSTREAM = UniSpeechSat
