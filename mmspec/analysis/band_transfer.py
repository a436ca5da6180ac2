"""Which octaves of what comes out of a function hear of which octaves of what goes in, as between latents and pictures.

Latents are no smaller pictures: noise in one octave of them comes out in several octaves of the signal, which is what
a spectral term on latents, or noise that a denoiser leaves in them, does to a picture.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from mmspec.spectral import mirrored, octave_edges, octave_energy, octave_part


def octave_noise(x: Tensor, octave: int, generator: Generator) -> Tensor:
    """Gaussian noise in one octave, in the shape of x ``[B, C, *spatial]``, of mean square 1 in each sample.

    Raises:
        ValueError: if there is no such octave (see `octave_part`).
    """
    white = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    noise = octave_part(white, octave)
    return noise / noise.flatten(1).square().mean(1).sqrt().view(-1, *[1] * (x.ndim - 1))


@torch.no_grad()
def band_transfer(
    function: Callable[[Tensor], Tensor], x: Tensor, levels: Sequence[float], generator: Generator
) -> Tensor:
    """Energy, by octave, of what noise in each octave of an input changes in the output.

    Args:
        function: ``[B, C, *spatial]`` -> ``[B, D, *other]``, such as `FirstStage.decode`.
        x: inputs, ``[B, C, *spatial]``.
        levels: standard deviations of the noise, in the unit of x; each noise is taken at all of them.
        generator: of the noise.

    Returns:
        ``[B, levels, octaves of x, octaves of the output]`` float64: the mean square over channels of what changed,
        over that of the noise. Octaves are those of `octave_edges`, the lowest first; a change of the mean value is in
        none.
    """
    clean, rows = function(x), []
    for octave in range(len(octave_edges(x.shape[2:])) - 1):
        noise = octave_noise(x, octave, generator)
        changes = [(function(x + level * noise) - clean) / level for level in levels]
        rows.append(torch.stack([_energy(change) for change in changes], 1))
    return torch.stack(rows, 2)


def _energy(x: Tensor) -> Tensor:
    """``[B, octaves]``; mirrored, as the zeros that convolutions see beyond a border differ from its other end."""
    return octave_energy(mirrored(x), len(octave_edges(x.shape[2:])) - 1).double().mean(1)
