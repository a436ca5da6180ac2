"""What channels_last, fused attention and bf16 make of EDM's DDPM++ and NCSN++ at 64x64, beside the same plainly."""

import copy
import math
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import interleave
from mmspec.networks import EDMUNet
from mmspec.networks.edm_layers import UNetBlock

NETWORKS = {
    "DDPM++": {},
    "NCSN++": {
        "embedding_type": "fourier",
        "channel_mult_noise": 2,
        "encoder_type": "residual",
        "resample_filter": (1, 3, 3, 1),
    },
}


class PlainBlock(UNetBlock):
    """The arithmetic of EDM's attention as it is written down: weights of all pairs in float32, then their sums."""

    def attention(self, x: Tensor) -> Tensor:
        qkv = self.qkv(self.norm2(x)).reshape(len(x) * self.heads, x.shape[1] // self.heads, 3, -1)
        q, k, v = qkv.unbind(2)
        scaled = (k / math.sqrt(k.shape[1])).float()
        weights = torch.einsum("ncq,nck->nqk", q.float(), scaled).softmax(2).to(q.dtype)
        return self.proj(torch.einsum("nqk,nck->ncq", weights, v).reshape(x.shape))


def plain(network: EDMUNet) -> EDMUNet:
    """A copy with the default memory layout and plain attention."""
    twin = copy.deepcopy(network)
    for block in twin.modules():
        if isinstance(block, UNetBlock):
            block.__class__ = PlainBlock
    return twin


def sampling(network: nn.Module, x: Tensor, c_noise: Tensor, bf16: bool) -> None:
    """One call of the network without gradients."""
    with torch.inference_mode(), torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
        network.eval()(x, c_noise)


def training(network: nn.Module, x: Tensor, c_noise: Tensor, bf16: bool) -> None:
    """One call and its gradients."""
    network.train().zero_grad(set_to_none=True)
    with torch.autocast(x.device.type, torch.bfloat16, enabled=bf16):
        loss = network(x, c_noise).float().square().mean()
    loss.backward()


def row(name: str, work: Callable[..., None], batch: int, rounds: int, figures: Figures) -> list[str]:
    """Times and errors of one network doing one kind of work."""
    torch.manual_seed(0)
    reference = EDMUNet(64, augment_dim=9, dropout=0.05, **NETWORKS[name])  # type: ignore[arg-type]
    for parameter in reference.parameters():  # so that no branch is close to nothing
        parameter.data += 0.02 * torch.randn_like(parameter)
    network = copy.deepcopy(reference).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    x, c_noise = torch.randn(batch, 3, 64, 64), torch.linspace(-1.5, 1, batch)
    cases = {
        "plain": partial(work, plain(reference), x, c_noise, False),
        "here": partial(work, network, x, c_noise, False),
        "bf16": partial(work, network, x, c_noise, True),
    }
    times = interleave(cases, rounds=rounds, warmup=0)
    figures[f"{name} {work.__name__}"] = times.ratios("plain", "here")
    figures[f"{name} {work.__name__} bf16"] = times.ratios("plain", "bf16")
    with torch.inference_mode():
        wanted = plain(reference).eval()(x, c_noise)
        error = (network.eval()(x, c_noise) - wanted).abs().max() / wanted.abs().max()
        with torch.autocast(x.device.type, torch.bfloat16):
            error_bf16 = (network(x, c_noise).float() - wanted).abs().max() / wanted.abs().max()
    return [
        f"{name}, {work.__name__}, batch {batch}",
        *(f"{times.median(case):.2f} s" for case in cases),
        f"{times.ratio('plain', 'here'):.2f}x ({error:.0e})",
        f"{times.ratio('plain', 'bf16'):.2f}x ({error_bf16:.0e})",
    ]


def main(rounds: int = 3, batch: int = 1) -> Findings:
    figures: Figures = {}
    rows = [row(name, work, batch, rounds, figures) for name in NETWORKS for work in (sampling, training)]
    header = ["network", "plain", "mmspec", "mmspec bf16", "faster (error)", "faster with bf16 (error)"]
    return Findings([Table(header, rows)], figures)
