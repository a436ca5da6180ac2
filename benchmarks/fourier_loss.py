"""The Fourier losses against their definition on the full spectrum by autograd, the STFT loss against auraloss, and
amplitudes against the package focal-frequency-loss (installed or not), which is another loss.
"""

from collections.abc import Callable
from importlib.util import find_spec

import auraloss
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import interleave
from mmspec.losses import FourierAmplitudeLoss, FourierAmplitudePhaseLoss, MultiResolutionSTFTLoss

IMAGES = ((8, 3, 64, 64), (8, 3, 32, 32))
AUDIO = ((2, 1, 15872), (4, 1, 15872))


def full_amplitude(input: Tensor, target: Tensor) -> Tensor:
    axes = tuple(range(2, input.ndim))
    return F.l1_loss(torch.fft.fftn(input, dim=axes).abs(), torch.fft.fftn(target, dim=axes).abs())


def full_amplitude_phase(input: Tensor, target: Tensor) -> Tensor:
    axes = tuple(range(2, input.ndim))
    predicted, clean = torch.fft.fftn(input, dim=axes), torch.fft.fftn(target, dim=axes)
    return ((predicted.abs() - clean.abs()).abs() * (1 + (clean * predicted.conj()).angle().abs())).mean()


def row(
    title: str,
    shape: tuple[int, ...],
    plain: Callable[..., Tensor],
    ours: Callable[..., Tensor],
    rounds: int,
    figures: Figures,
) -> list[str]:
    input, target = torch.randn(shape, requires_grad=True), torch.randn(shape)
    cases = {
        "plain": lambda: torch.autograd.grad(plain(input, target), input),
        "ours": lambda: torch.autograd.grad(ours(input, target), input),
    }
    times = interleave(cases, rounds=rounds)
    figures[f"{title} {list(shape)}"] = times.ratios("plain", "ours")
    milliseconds = (f"{1e3 * times.median(name):.2f} ms" for name in cases)
    return [title, str(list(shape)), *milliseconds, f"{times.ratio('plain', 'ours'):.2f}x"]


def main(rounds: int = 15) -> Findings:
    figures: Figures = {}
    cases = [
        ("amplitude, full FFT", IMAGES + AUDIO, full_amplitude, FourierAmplitudeLoss()),
        ("amplitude and phase, full FFT", IMAGES + AUDIO, full_amplitude_phase, FourierAmplitudePhaseLoss()),
        ("stft, auraloss", AUDIO, auraloss.freq.MultiResolutionSTFTLoss(), MultiResolutionSTFTLoss()),
    ]
    if find_spec("focal_frequency_loss"):
        from focal_frequency_loss import FocalFrequencyLoss

        cases.append(("amplitude, focal-frequency-loss", IMAGES, FocalFrequencyLoss(), FourierAmplitudeLoss()))
    rows = [row(title, shape, plain, ours, rounds, figures) for title, shapes, plain, ours in cases for shape in shapes]
    return Findings([Table(["forward + backward", "shape", "plain", "mmspec", "faster"], rows)], figures)
