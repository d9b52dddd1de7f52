"""WavLM: masked prediction and denoising, attention with gated relative positions (Chen et al. 2022)."""

from harness.cards import Card, Hub, Training, one_of

from ._wave import BASE, GROUP, LARGE, LAYER, WaveEncoder, published

MIX_94K = Training("self-supervised", ("Libri-Light", "GigaSpeech", "VoxPopuli"))


class WavLM(WaveEncoder):
    """WavLM (Chen et al. 2022): a folder of transformers or the authors' file.

    Option: ``variant``, the published model; a checkpoint tells its size by itself.
    """

    model, types = "WavLMModel", ("wavlm",)
    variants = {
        "base": published(BASE | GROUP, 94.4, Hub("microsoft/wavlm-base")),
        "plus": published(BASE | GROUP, 94.4, Hub("microsoft/wavlm-base-plus"), training=MIX_94K),
        "large": published(LARGE | LAYER | {"conv_bias": False}, 315.5, Hub("microsoft/wavlm-large"), training=MIX_94K),
    }
    axes = (one_of("variant", *variants, detected=True),)
    card = Card(
        paper="arXiv 2110.13900",
        licence="CC-BY-SA-3.0",
        training=Training("self-supervised", ("LibriSpeech",)),
        homepage="https://github.com/microsoft/unilm/tree/master/wavlm",
    )
    reads = ("folder", "file")
    normalised_for = ("layer",)  # the authors normalise for the large model alone


UPSTREAM = WavLM
