"""MERT: HuBERT on music, taught by codes of EnCodec and by constant-Q spectra (Li et al. 2023)."""

from harness.cards import Card, Hub, Training, one_of

from ._wave import BASE, GROUP, LARGE, WaveEncoder, published

V1 = {"sample_rate": 24_000}


def music(hours: str) -> Training:
    """The authors' own recordings."""
    return Training("self-supervised", note=f"{hours} hours of the authors' own music")


class Mert(WaveEncoder):
    """MERT (Li et al. 2023), 75 frames a second at 24 kHz (``v0`` and ``public``: 50 at 16 kHz): a folder of the hub,
    of which no code runs.

    Option: ``variant``, the published model; a checkpoint tells its size and its rate by itself.
    """

    model, types = "HubertModel", ("mert_model",)
    variants = {
        "95m": published(BASE | GROUP | V1, 94.4, Hub("m-a-p/MERT-v1-95M")),
        "330m": published(
            LARGE | GROUP | {"do_stable_layer_norm": True} | V1,
            315.4,
            Hub("m-a-p/MERT-v1-330M"),
            training=music("160,000"),
        ),
        "v0": published(BASE | GROUP, 94.4, Hub("m-a-p/MERT-v0"), training=music("1,000")),
        "public": published(
            BASE | GROUP, 94.4, Hub("m-a-p/MERT-v0-public"), training=Training("self-supervised", ("Music4All", "FMA"))
        ),
    }
    axes = (one_of("variant", *variants, detected=True),)
    card = Card(
        paper="arXiv 2306.00107",
        licence="CC-BY-NC-4.0",
        training=music("20,000"),
        homepage="https://huggingface.co/m-a-p",
    )


UPSTREAM = Mert
