"""What comes back of held-out pictures through a first stage, picture by picture."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from mmspec.metrics.spectrum import MeanSpectrum, Spectrum, log_spectral_distance
from mmspec.networks import FirstStage
from mmspec.spectral import mirrored, octave_edges, octave_energy

PEAK_SQUARE = 4.0  # of pictures in [-1, 1]
DIGITS = 4


@dataclass(frozen=True)
class RoundTrip:
    """Of N pictures.

    Attributes:
        psnr: ``[N]``, in dB.
        log_spectral_distance: ``[N]``, in dB, over the rings of each picture's spectrum.
        bias: ``[N, octaves]``, energy that comes back over the picture's, in dB, the lowest octave first.
    """

    psnr: Tensor
    log_spectral_distance: Tensor
    bias: Tensor

    def write(self) -> dict[str, list[Any]]:
        """As JSON has it."""
        return {name: rounded(values) for name, values in asdict(self).items()}


def rounded(values: Tensor) -> list[Any]:
    """As JSON has it, with four digits behind the point: ``[N]`` or ``[N, octaves]``."""
    return values.double().round(decimals=DIGITS).tolist()


def level(x: Tensor) -> Tensor:
    """Energy by octave in dB of pictures ``[B, C, H, W]``, all channels together: ``[B, octaves]``."""
    return 10 * octave_energy(mirrored(x), len(octave_edges(x.shape[2:])) - 1).double().sum(1).log10()


@torch.no_grad()
def round_trip(stage: FirstStage, pictures: Tensor, latents: Tensor) -> RoundTrip:
    """Measure what a decoder makes of the latents of pictures.

    Args:
        stage: whose decoder.
        pictures: ``[N, C, H, W]`` in [-1, 1].
        latents: of them, ``[N, D, h, w]``.
    """
    parts = [_of_one(stage, x[None], z[None]) for x, z in zip(pictures, latents, strict=True)]
    psnr, distance, bias = (torch.stack(values) for values in zip(*parts, strict=True))
    return RoundTrip(psnr, distance, bias)


def _of_one(stage: FirstStage, x: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    back = stage.decode(z).clamp(-1, 1)  # as it would be stored
    psnr = 10 * (PEAK_SQUARE / (back - x).double().square().mean()).log10()
    distance = log_spectral_distance(_spectrum(x), _spectrum(back))
    return psnr, torch.tensor(distance, dtype=torch.float64), (level(back) - level(x))[0]


def _spectrum(x: Tensor) -> Spectrum:
    measured = MeanSpectrum()
    measured.update(mirrored(x))
    return measured.result()
