"""What wavelet gating costs and what it saves: the UNets of "Diffusion Probabilistic Model Made Slim", table 2.

Compiled rows take minutes of compiling each: `python -m benchmarks.gating "float32 compiled" "bf16 compiled"`.
"""

import sys
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from benchmarks.timing import interleave, markdown
from mmspec.components import Component
from mmspec.config import compose, plain
from mmspec.networks import WaveletDown, WaveletUp, make_network
from mmspec.networks.gating import gated_inverse, gated_sum

NETWORKS = {
    "ldm_ffhq": ["network=ldm_ffhq"],
    "lite_ldm_ffhq": ["network=lite_ldm_ffhq"],
    "sd_ffhq": ["network=sd_ffhq"],
    "literal": ["network=sd_ffhq", "network.reading=literal"],
}
SLIM = ("sd_ffhq", "literal")
MODES = ("float32", "bf16")  # autocast for bf16; with " compiled" after it, through torch.compile


def build(name: str) -> nn.Module:
    config = plain(compose("info", NETWORKS[name]))
    network: nn.Module = make_network(Component.read(config["network"], "network"), config["shape"], config["classes"])
    return network.eval()


def gating_alone(network: nn.Module, x: Tensor, c_noise: Tensor) -> Callable[[], None]:
    """A call of every transform and gate of one forward pass, on the features that this pass gives them."""
    calls = []
    hooks = [
        layer.register_forward_pre_hook(lambda layer, args: calls.append((layer, args[0])))
        for layer in network.modules()
        if isinstance(layer, WaveletDown | WaveletUp)
    ]
    network(x, c_noise)
    for hook in hooks:
        hook.remove()

    def gate() -> None:
        for layer, features in calls:
            operator = gated_sum if isinstance(layer, WaveletDown) else gated_inverse
            operator(features, layer.gates(features), layer.wavelet)

    return gate


def forward(network: nn.Module, mode: str, x: Tensor, c_noise: Tensor) -> Callable[[], object]:
    """One forward pass in a mode."""
    call = torch.compile(network) if "compiled" in mode else network

    def run() -> object:
        with torch.autocast("cpu", torch.bfloat16, enabled="bf16" in mode):
            return call(x, c_noise)

    return run


def row(mode: str, batch: int, rounds: int) -> list[str]:
    x, c_noise = torch.randn(batch, 3, 64, 64), torch.zeros(batch)
    networks = {name: build(name) for name in NETWORKS}
    cases = {name: forward(network, mode, x, c_noise) for name, network in networks.items()}
    if mode == "float32":
        cases["gating"] = gating_alone(networks["sd_ffhq"], x, c_noise)
    times = interleave(cases, rounds=rounds)
    return [
        mode,
        str(batch),
        *(f"{1e3 * times.median(name):.1f} ms" for name in NETWORKS),
        *(f"{times.ratio('ldm_ffhq', name):.1f}x, {times.ratio('lite_ldm_ffhq', name):.2f}x" for name in SLIM),
        f"{times.ratio('gating', 'sd_ffhq'):.1%}" if "gating" in cases else "",
    ]


@torch.inference_mode()
def main(modes: Sequence[str] = MODES, rounds: int = 15) -> None:
    rows = [row(mode, batch, rounds) for mode in modes for batch in (1, 4)]
    faster = [f"{name} faster than LDM, Lite-LDM" for name in SLIM]
    print(markdown(["mode", "batch", *NETWORKS, *faster, "share of gating"], rows))


if __name__ == "__main__":
    main(sys.argv[1:] or MODES)
