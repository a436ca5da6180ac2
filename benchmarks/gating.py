"""What wavelet gating costs and what it saves: the UNets of "Diffusion Probabilistic Model Made Slim", table 2."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks.timing import interleave, markdown
from mmspec.networks import UNet, WaveletDown, WaveletUp
from mmspec.networks.gating import gated_inverse, gated_sum

FFHQ = {"channel_mult": (1, 2, 3, 4), "attention_levels": (1, 2, 3), "head_channels": 32}
NETWORKS = {
    "ldm_ffhq": {"model_channels": 224},
    "lite_ldm_ffhq": {"model_channels": 64},
    "sd_ffhq": {"model_channels": 64, "resample": "wavelet"},
}


def gating_alone(network: UNet, x: Tensor, c_noise: Tensor) -> Callable[[], None]:
    """A call of every transform and gate of one forward pass, on the features that this pass gives them."""
    calls = []
    for layer in network.modules():
        if isinstance(layer, WaveletDown | WaveletUp):
            layer.register_forward_pre_hook(lambda layer, args: calls.append((layer, args[0])))
    network(x, c_noise)

    def gate() -> None:
        for layer, features in calls:
            operator = gated_sum if isinstance(layer, WaveletDown) else gated_inverse
            operator(features, layer.gates(features), layer.wavelet)

    return gate


def row(batch: int, rounds: int) -> list[str]:
    x, c_noise = torch.randn(batch, 3, 64, 64), torch.zeros(batch)
    networks = {name: UNet(**FFHQ, **options).eval() for name, options in NETWORKS.items()}
    cases = {name: partial(network, x, c_noise) for name, network in networks.items()}
    cases["gating"] = gating_alone(UNet(**FFHQ, **NETWORKS["sd_ffhq"]).eval(), x, c_noise)
    times = interleave(cases, rounds=rounds)
    return [
        str(batch),
        *(f"{1e3 * times.median(name):.1f} ms" for name in NETWORKS),
        f"{times.ratio('ldm_ffhq', 'sd_ffhq'):.1f}x",
        f"{times.ratio('lite_ldm_ffhq', 'sd_ffhq'):.2f}x",
        f"{times.ratio('gating', 'sd_ffhq'):.1%}",
    ]


@torch.inference_mode()
def main(rounds: int = 15) -> None:
    rows = [row(batch, rounds) for batch in (1, 4)]
    print(markdown(["batch", *NETWORKS, "faster than LDM", "faster than Lite-LDM", "share of gating"], rows))


if __name__ == "__main__":
    main()
