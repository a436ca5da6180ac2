"""Wavelet gating: change of size by sub-bands, each weighed by a gate that the features themselves set.

Yang et al. 2023, "Diffusion Probabilistic Model Made Slim", Eq. 8. The paper does not say how channel counts are
restored: a 1x1 convolution after each operation (``reading="paper"``) agrees with the parameters and MACs of its
tables. Taken by the letter (``reading="literal"``) there is none, and the next block takes a quarter of the channels
(1D: half): that has 3.4% fewer parameters and 8.6% fewer MACs than the paper reports.
"""

import torch
from torch import Tensor, nn

from mmspec.networks.folding import crop, fold, pad_to_multiple, unfold
from mmspec.networks.layers import conv, zeroed
from mmspec.spectral.wavelet import check_wavelet, dwt, idwt

HAAR = ("haar", "db1")
READINGS = ("paper", "literal")
MODE = "periodization"  # the one boundary mode in which n samples give n / 2 coefficients for every wavelet


def gated_sum(x: Tensor, gates: Tensor, wavelet: str = "haar") -> Tensor:
    """``sum_i g_i X_i`` over the sub-bands X_i of x.

    Shape: x ``[B, C, *spatial]``, gates ``[B, 2**dims]`` in the order of `mmspec.spectral.dwt` ->
    ``[B, C, *ceil(n / 2)]``.
    """
    if wavelet in HAAR:
        blocks = fold(pad_to_multiple(x, 2), 2)
        kernel = _inverse_haar(gates)[:, None].to(x.dtype)  # one 2 or 2x2 kernel a sample: no band is made
        return (kernel @ blocks.flatten(2)).view(x.shape[0], *blocks.shape[2:])
    bands = torch.stack(dwt(x, wavelet, MODE), dim=1).to(x.dtype)
    return (bands * _over_space(gates, x)).sum(1)


def gated_inverse(x: Tensor, gates: Tensor, wavelet: str = "haar", size: tuple[int, ...] | None = None) -> Tensor:
    """The inverse transform of gated sub-bands, which are the equal parts of x along its channels.

    Shape: x ``[B, C, *spatial]``, gates ``[B, 2**dims]`` -> ``[B, C / 2**dims, *size]``; ``size`` is ``2 n`` where it
    is not given.
    """
    bands = torch.unflatten(x, 1, (gates.shape[1], -1))
    size = size or tuple(2 * n for n in x.shape[2:])
    if [(n + 1) // 2 for n in size] != list(x.shape[2:]):
        raise ValueError(f"sub-bands of size {list(x.shape[2:])} do not come from a signal of size {list(size)}")
    if wavelet in HAAR:
        kernel = _inverse_haar(torch.diag_embed(gates)).mT.to(x.dtype)  # from bands to the places of a block
        return crop(unfold((kernel @ bands.flatten(2)).view(bands.shape), 2), size)
    gated = (bands * _over_space(gates, x)).unbind(1)
    return idwt(gated, wavelet, MODE, size=size).to(x.dtype)


def _inverse_haar(bands: Tensor) -> Tensor:
    """The block of samples with these Haar coefficients, along the last axis: ``[..., 2**dims]`` -> the same shape.

    The number of a sub-band has one bit an axis, 1 for high: the lowest bit is the first axis (LH is high along it).
    """
    count, first = bands.shape[-1], bands.ndim - 1
    block = torch.unflatten(bands, -1, (2,) * (count.bit_length() - 1))
    for axis in range(first, block.ndim):
        low, high = block.unbind(axis)
        block = torch.stack([low + high, low - high], dim=axis)
    out: Tensor = block.transpose(first, -1).flatten(first) * count**-0.5
    return out


def _over_space(gates: Tensor, x: Tensor) -> Tensor:
    """``[B, bands]`` -> ``[B, bands, 1, *1]``, in the type of x."""
    return gates.reshape(*gates.shape, *[1] * (x.ndim - 1)).to(x.dtype)


class _WaveletGate(nn.Module):
    """What both directions share: ``g = sigmoid(FFN(avgpool(X)))``, one soft gate a sub-band.

    With ``embed_channels`` the noise level has a say too: its embedding, through a linear layer that begins at zero, is
    added inside of the FFN. The paper's gates see the noise level through the features alone.
    """

    def __init__(
        self, channels: int, dims: int = 2, wavelet: str = "haar", reading: str = "paper", embed_channels: int = 0
    ) -> None:
        super().__init__()
        check_wavelet(wavelet, MODE)
        if reading not in READINGS:
            raise ValueError(f'reading must be "paper" or "literal", got "{reading}"')
        self.wavelet = wavelet
        self.gate = nn.Sequential(nn.Linear(channels, channels), nn.SiLU(), nn.Linear(channels, 2**dims))
        self.embed = zeroed(nn.Linear(embed_channels, channels)) if embed_channels else None

    def gates(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        """The gates in (0, 1) that x sets: ``[B, channels, *spatial]``, ``[B, embed_channels]`` -> ``[B, 2**dims]``."""
        first, *rest = self.gate
        hidden = first(x.flatten(2).mean(2))
        if self.embed is not None:
            if embedding is None:
                raise ValueError("these gates see the noise level: give its embedding")
            hidden = hidden + self.embed(embedding)
        for layer in rest:
            hidden = layer(hidden)
        return torch.sigmoid(hidden)


class WaveletDown(_WaveletGate):
    """WG-Down: the gated sum of the sub-bands, then a 1x1 convolution, which ``reading="literal"`` leaves out.

    Shape: x ``[B, channels, *spatial]``, embedding ``[B, embed_channels]`` (after its SiLU) ->
    ``[B, channels, *ceil(n / 2)]``.
    """

    def __init__(
        self, channels: int, dims: int = 2, wavelet: str = "haar", reading: str = "paper", embed_channels: int = 0
    ) -> None:
        super().__init__(channels, dims, wavelet, reading, embed_channels)
        self.conv = nn.Identity() if reading == "literal" else conv(dims, channels, channels, kernel_size=1)

    def forward(self, x: Tensor, embedding: Tensor | None = None) -> Tensor:
        out: Tensor = self.conv(gated_sum(x, self.gates(x, embedding), self.wavelet))
        return out


class WaveletUp(_WaveletGate):
    """WG-Up: the channels as gated sub-bands, their inverse transform, then a 1x1 convolution back to all channels.

    Shape: x ``[B, channels, *spatial]``, embedding ``[B, embed_channels]`` (after its SiLU) ->
    ``[B, channels, *size]``; ``size`` is ``2 n`` where it is not given. ``reading="literal"`` has no convolution and
    puts out ``[B, channels / 2**dims, *size]``.
    """

    def __init__(
        self, channels: int, dims: int = 2, wavelet: str = "haar", reading: str = "paper", embed_channels: int = 0
    ) -> None:
        super().__init__(channels, dims, wavelet, reading, embed_channels)
        if channels % 2**dims:
            raise ValueError(f"WaveletUp needs channels divisible by {2**dims}, got {channels}")
        restored = conv(dims, channels // 2**dims, channels, kernel_size=1)
        self.conv = nn.Identity() if reading == "literal" else restored

    def forward(self, x: Tensor, embedding: Tensor | None = None, size: tuple[int, ...] | None = None) -> Tensor:
        out: Tensor = self.conv(gated_inverse(x, self.gates(x, embedding), self.wavelet, size))
        return out
