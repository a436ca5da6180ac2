"""The wavelet loss, three levels, against an L1 norm of the coefficients of other packages, as far as they are
installed, each in a mode at the ends that both have.
"""

from collections.abc import Callable
from importlib.util import find_spec
from itertools import chain

import torch
from torch import Tensor

from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import interleave
from mmspec.losses import WaveletLoss

SHAPES = ((8, 3, 64, 64), (8, 3, 32, 32), (2, 1, 15872), (4, 1, 15872))
WAVELETS = ("haar", "bior1.3", "db4")
LEVELS = 3
MODES = {"pytorch_wavelets": "periodization", "ptwt": "periodic"}
Transform = Callable[[Tensor], list[Tensor]]


def with_pytorch_wavelets(wavelet: str, dims: int) -> Transform:
    import pytorch_wavelets

    transforms = {1: pytorch_wavelets.DWT1DForward, 2: pytorch_wavelets.DWTForward}
    transform = transforms[dims](J=LEVELS, wave=wavelet, mode=MODES["pytorch_wavelets"])

    def bands(x: Tensor) -> list[Tensor]:
        low, details = transform(x)
        return [low, *details]

    return bands


def with_ptwt(wavelet: str, dims: int) -> Transform:
    import ptwt

    transform = {1: ptwt.wavedec, 2: ptwt.wavedec2}[dims]

    def bands(x: Tensor) -> list[Tensor]:
        low, *details = transform(x, wavelet, mode=MODES["ptwt"], level=LEVELS)
        return [low, *(details if dims == 1 else chain.from_iterable(details))]

    return bands


PEERS = {"pytorch_wavelets": with_pytorch_wavelets, "ptwt": with_ptwt}


def row(peer: str, wavelet: str, shape: tuple[int, ...], rounds: int, figures: Figures) -> list[str]:
    input, target = torch.randn(shape, requires_grad=True), torch.randn(shape)
    ours, transform = WaveletLoss(wavelet, LEVELS, mode=MODES[peer]), PEERS[peer](wavelet, len(shape) - 2)

    def theirs() -> Tensor:
        bands = transform(input - target)
        return sum(band.abs().sum() for band in bands) / sum(band.numel() for band in bands)  # type: ignore[return-value]

    if not torch.isclose(theirs(), ours(input, target), rtol=1e-4):
        raise RuntimeError(f"{peer}'s {wavelet} loss of {list(shape)} is another, so times mean nothing")
    cases = {
        "ours": lambda: torch.autograd.grad(ours(input, target), input),
        "peer": lambda: torch.autograd.grad(theirs(), input),
    }
    times = interleave(cases, rounds=rounds, at_least=2e-2)
    kind = "pictures" if len(shape) == 4 else "sound"
    figures[f"{peer}: {wavelet} {kind} {list(shape)}"] = times.ratios("peer", "ours")
    milliseconds = [f"{1e3 * times.median(name):.2f} ms" for name in cases]
    return [wavelet, str(list(shape)), *milliseconds, f"{times.ratio('peer', 'ours'):.1f}x"]


def main(rounds: int = 15) -> Findings:
    figures: Figures = {}
    tables = []
    for peer in filter(find_spec, PEERS):
        rows = [row(peer, wavelet, shape, rounds, figures) for wavelet in WAVELETS for shape in SHAPES]
        tables.append(Table([f"forward + backward, {MODES[peer]}", "shape", "mmspec", peer, "faster"], rows))
    return Findings(tables, figures)
