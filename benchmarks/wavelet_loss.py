"""The wavelet loss, three levels, against an L1 norm of pytorch_wavelets' coefficients (installed or not)."""

from collections.abc import Callable

import torch
from torch import Tensor

from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import interleave
from mmspec.losses import WaveletLoss

SHAPES = ((8, 3, 64, 64), (8, 3, 32, 32), (2, 1, 15872), (4, 1, 15872))
LEVELS = 3


def peer_loss(wavelet: str, dims: int) -> Callable[[Tensor, Tensor], Tensor] | None:
    """The same loss with pytorch_wavelets; None where it is not installed."""
    try:
        import pytorch_wavelets
    except ImportError:
        return None
    transforms = {1: pytorch_wavelets.DWT1DForward, 2: pytorch_wavelets.DWTForward}
    transform = transforms[dims](J=LEVELS, wave=wavelet, mode="periodization")

    def loss(input: Tensor, target: Tensor) -> Tensor:
        low, details = transform(input - target)
        bands = [low, *details]
        return sum(band.abs().sum() for band in bands) / sum(band.numel() for band in bands)

    return loss


def row(wavelet: str, shape: tuple[int, ...], rounds: int, figures: Figures) -> list[str]:
    input, target = torch.randn(shape, requires_grad=True), torch.randn(shape)
    ours, peer = WaveletLoss(wavelet, LEVELS), peer_loss(wavelet, len(shape) - 2)
    cases = {"ours": lambda: torch.autograd.grad(ours(input, target), input)}
    if peer is not None:
        if not torch.isclose(peer(input, target), ours(input, target)):
            raise RuntimeError(f"the {wavelet} losses of {list(shape)} do not agree, so their times mean nothing")
        cases["peer"] = lambda: torch.autograd.grad(peer(input, target), input)
    times = interleave(cases, rounds=rounds, at_least=2e-2)
    measured = [f"{1e3 * times.median('ours'):.2f} ms", "not installed", ""]
    if peer is not None:
        measured[1:] = [f"{1e3 * times.median('peer'):.2f} ms", f"{times.ratio('peer', 'ours'):.1f}x"]
        kind = "pictures" if len(shape) == 4 else "sound"
        figures[f"{wavelet} {kind} {list(shape)}"] = times.ratios("peer", "ours")
    return [wavelet, str(list(shape)), *measured]


def main(rounds: int = 15) -> Findings:
    figures: Figures = {}
    rows = [row(wavelet, shape, rounds, figures) for wavelet in ("haar", "bior1.3", "db4") for shape in SHAPES]
    return Findings([Table(["forward + backward", "shape", "mmspec", "pytorch_wavelets", "faster"], rows)], figures)
