"""The Fourier losses against their definition on the full spectrum by autograd, and the STFT loss against auraloss."""

from collections.abc import Callable

import auraloss
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.timing import interleave, markdown
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
    title: str, shape: tuple[int, ...], plain: Callable[..., Tensor], ours: Callable[..., Tensor], rounds: int
) -> list[str]:
    input, target = torch.randn(shape, requires_grad=True), torch.randn(shape)
    cases = {
        "plain": lambda: torch.autograd.grad(plain(input, target), input),
        "ours": lambda: torch.autograd.grad(ours(input, target), input),
    }
    times = interleave(cases, rounds=rounds)
    milliseconds = (f"{1e3 * times.median(name):.2f} ms" for name in cases)
    return [title, str(list(shape)), *milliseconds, f"{times.ratio('plain', 'ours'):.2f}x"]


def main(rounds: int = 15) -> None:
    rows = [
        row(title, shape, plain, ours, rounds)
        for title, shapes, plain, ours in (
            ("amplitude, full FFT", IMAGES + AUDIO, full_amplitude, FourierAmplitudeLoss()),
            ("amplitude and phase, full FFT", IMAGES + AUDIO, full_amplitude_phase, FourierAmplitudePhaseLoss()),
            ("STFT, auraloss", AUDIO, auraloss.freq.MultiResolutionSTFTLoss(), MultiResolutionSTFTLoss()),
        )
        for shape in shapes
    ]
    print(markdown(["forward + backward", "shape", "plain", "mmspec", "faster"], rows))


if __name__ == "__main__":
    main()
