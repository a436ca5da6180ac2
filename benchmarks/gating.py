"""What wavelet gating costs and what it saves: the UNets of "Diffusion Probabilistic Model Made Slim", table 2."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import interleave
from mmspec.components import Component
from mmspec.config import compose, plain
from mmspec.networks import WaveletDown, WaveletUp, make_network
from mmspec.networks.gating import gated_inverse, gated_sum

NETWORKS = ("ldm_ffhq", "lite_ldm_ffhq", "sd_ffhq", "literal")
LITERAL = ["network=sd_ffhq", "network.reading=literal"]
SLIM = ("sd_ffhq", "literal")
CASES = (("float32", 1), ("float32", 4), ("bf16", 1))  # mode, autocast for bf16, and batch


def build(name: str) -> nn.Module:
    config = plain(compose("info", LITERAL if name == "literal" else [f"network={name}"]))
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

    def run() -> object:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=mode == "bf16"):
            return network(x, c_noise)

    return run


def row(mode: str, batch: int, rounds: int, figures: Figures) -> list[str]:
    x, c_noise = torch.randn(batch, 3, 64, 64), torch.zeros(batch)
    networks = {name: build(name) for name in NETWORKS}
    cases = {name: forward(network, mode, x, c_noise) for name, network in networks.items()}
    if mode == "float32":
        cases["gating"] = gating_alone(networks["sd_ffhq"], x, c_noise)
    times = interleave(cases, rounds=rounds, warmup=0)
    for name in SLIM:
        figures[f"{name}: ldm_ffhq, {mode}, batch {batch}"] = times.ratios("ldm_ffhq", name)
    return [
        mode,
        str(batch),
        *(f"{1e3 * times.median(name):.1f} ms" for name in NETWORKS),
        *(f"{times.ratio('ldm_ffhq', name):.1f}x, {times.ratio('lite_ldm_ffhq', name):.2f}x" for name in SLIM),
        f"{times.ratio('gating', 'sd_ffhq'):.1%}" if "gating" in cases else "",
    ]


@torch.inference_mode()
def main(rounds: int = 3) -> Findings:
    figures: Figures = {}
    rows = [row(mode, batch, rounds, figures) for mode, batch in CASES]
    faster = [f"{name} faster than LDM, Lite-LDM" for name in SLIM]
    return Findings([Table(["mode", "batch", *NETWORKS, *faster, "share of gating"], rows)], figures)
