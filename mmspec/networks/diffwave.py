"""DiffWave (Kong et al. 2021, "DiffWave: A Versatile Diffusion Model for Audio Synthesis") in the layout of LMNT's
released weights: the same arithmetic, and the same state dict key for key.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmspec.networks.network import Network
from mmspec.networks.ranges import check_ranges

LEAST = dict.fromkeys(
    ("residual_channels", "residual_layers", "dilation_cycle_length", "n_mels", "max_steps"), 1
)  # value of the arguments
HOP_SAMPLES = 256  # what SpectrogramUpsampler makes of a frame


def conv1x1(in_channels: int, out_channels: int) -> nn.Conv1d:
    """A pointwise convolution with He initialization."""
    return _he_initialized(nn.Conv1d(in_channels, out_channels, 1))


def step_table(steps: int) -> Tensor:
    """Sines, then cosines, of the steps at 64 frequencies from 1 to 10^4 rad a step: ``[steps, 128]`` float32.

    The angles reach 4.9e5, where neighbouring float32 numbers are 0.03 apart: trained weights know the table with
    exactly the rounding errors of float32 powers and products in this order, so it is computed so, on the CPU.
    """
    with torch.device("cpu"):
        frequencies = 10.0 ** (torch.arange(64) * 4.0 / 63.0)
        angles = torch.arange(steps)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)


class DiffusionEmbedding(nn.Module):
    """Step ``[B]`` -> ``[B, 512]``; between two rows of the table fractional steps are interpolated linearly."""

    embedding: Tensor

    def __init__(self, max_steps: int) -> None:
        super().__init__()
        self.register_buffer("embedding", step_table(max_steps), persistent=False)
        self.projection1 = nn.Linear(128, 512)
        self.projection2 = nn.Linear(512, 512)

    def forward(self, step: Tensor) -> Tensor:
        low, high = self.embedding[step.floor().long()], self.embedding[step.ceil().long()]
        row = low + (high - low) * (step - step.floor())[:, None].to(low.dtype)
        return F.silu(self.projection2(F.silu(self.projection1(row))))


class SpectrogramUpsampler(nn.Module):
    """``[B, n_mels, frames]`` -> ``[B, n_mels, 256 frames]``: two transposed convolutions in time, 16x each."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.ConvTranspose2d(1, 1, (3, 32), stride=(1, 16), padding=(1, 8))
        self.conv2 = nn.ConvTranspose2d(1, 1, (3, 32), stride=(1, 16), padding=(1, 8))

    def forward(self, spectrogram: Tensor) -> Tensor:
        h = F.leaky_relu(self.conv1(spectrogram[:, None]), 0.4)
        return F.leaky_relu(self.conv2(h), 0.4).squeeze(1)


class ResidualLayer(nn.Module):
    """A gated dilated convolution: x, embedding and upsampled spectrogram -> (the next x, a skip connection).

    Shape: ``[B, channels, T]``, ``[B, 512]``, ``[B, n_mels, T]`` -> twice ``[B, channels, T]``.
    """

    def __init__(self, channels: int, dilation: int, n_mels: int | None) -> None:
        super().__init__()
        self.dilated_conv = _he_initialized(nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation))
        self.diffusion_projection = nn.Linear(512, channels)
        if n_mels is not None:
            self.conditioner_projection = conv1x1(n_mels, 2 * channels)
        self.output_projection = conv1x1(channels, 2 * channels)

    def forward(self, x: Tensor, embedding: Tensor, spectrogram: Tensor | None) -> tuple[Tensor, Tensor]:
        y = self.dilated_conv(x + self.diffusion_projection(embedding)[:, :, None])
        if spectrogram is not None:
            y = y + self.conditioner_projection(spectrogram)
        gate, filtered = y.chunk(2, dim=1)
        residual, skip = self.output_projection(gate.sigmoid() * filtered.tanh()).chunk(2, dim=1)
        return (x + residual) / math.sqrt(2), skip


class DiffWave(Network):
    """DiffWave: predicts the noise in a waveform, given its log-mel spectrogram or, unconditionally, nothing.

    ``network(x, c_noise, spectrogram)``, x ``[B, 1, T]`` scaled to unit variance at high noise, c_noise the training
    step ``[B]`` from 0 to ``max_steps - 1``, whole or fractional, spectrogram ``[B, n_mels, ceil(T / 256)]`` as
    `mmspec.data.mel.LogMel` computes it -> ``[B, 1, T]``.

    Args:
        residual_channels: width.
        residual_layers: number of layers.
        dilation_cycle_length: layer i has the dilation ``2^(i mod dilation_cycle_length)``.
        n_mels: bands of the spectrogram.
        unconditional: without a spectrogram.
        max_steps: noise levels of the training table.
        dims, in_channels, num_classes: of the data; one channel of sound and no class labels are all there can be.

    Raises:
        ValueError: for data of another kind, or a width, length or cycle below 1.
    """

    def __init__(
        self,
        residual_channels: int = 64,
        residual_layers: int = 30,
        dilation_cycle_length: int = 10,
        n_mels: int = 80,
        unconditional: bool = False,
        max_steps: int = 50,
        dims: int = 1,
        in_channels: int = 1,
        num_classes: int = 0,
    ) -> None:
        super().__init__(spectrogram=0 if unconditional else n_mels)
        if (dims, in_channels, num_classes) != (1, 1, 0):
            raise ValueError(
                f"DiffWave is for one channel of sound without class labels, not for {in_channels} channels in "
                f"{dims} dimensions with {num_classes} classes: prepare mono clips and set data.labels=false."
            )
        check_ranges(self.config, LEAST)
        self.dims = self.in_channels = self.out_channels = 1
        self.num_classes = 0
        self.n_mels = n_mels
        self.unconditional = unconditional

        self.input_projection = conv1x1(1, residual_channels)
        self.diffusion_embedding = DiffusionEmbedding(max_steps)
        if not unconditional:
            self.spectrogram_upsampler = SpectrogramUpsampler()
        self.residual_layers = nn.ModuleList(
            ResidualLayer(residual_channels, 2 ** (i % dilation_cycle_length), None if unconditional else n_mels)
            for i in range(residual_layers)
        )
        self.skip_projection = conv1x1(residual_channels, residual_channels)
        self.output_projection = conv1x1(residual_channels, 1)
        nn.init.zeros_(self.output_projection.weight)

    def level_ends(self) -> list[nn.Module]:
        return [self.skip_projection]  # the one level ends where the skip connections of all layers come together

    def forward(self, x: Tensor, c_noise: Tensor, spectrogram: Tensor | None = None) -> Tensor:
        """The predicted noise, ``[B, 1, T]``.

        Raises:
            ValueError: if the spectrogram is missing, not wanted, or of another shape than x needs.
        """
        self._check(x, spectrogram)
        if spectrogram is not None:
            spectrogram = self.spectrogram_upsampler(spectrogram)[..., : x.shape[-1]]
        embedding = self.diffusion_embedding(c_noise)
        h = F.relu(self.input_projection(x))
        skips: Tensor | float = 0.0
        for layer in self.residual_layers:
            h, skip = layer(h, embedding, spectrogram)
            skips = skips + skip
        h = F.relu(self.skip_projection(skips / math.sqrt(len(self.residual_layers))))
        out: Tensor = self.output_projection(h)
        return out

    def _check(self, x: Tensor, spectrogram: Tensor | None) -> None:
        if x.ndim != 3 or x.shape[1] != 1:
            raise ValueError(f"DiffWave is for waveforms [B, 1, T], not for {list(x.shape)}.")
        if self.unconditional != (spectrogram is None):
            need = "takes no spectrogram" if self.unconditional else "needs spectrogram=, [B, n_mels, frames]"
            raise ValueError(f"this DiffWave is {'' if self.unconditional else 'not '}unconditional: it {need}.")
        expected = (x.shape[0], self.n_mels, math.ceil(x.shape[-1] / HOP_SAMPLES))
        if spectrogram is not None and spectrogram.shape != expected:
            raise ValueError(
                f"a waveform {list(x.shape)} needs a spectrogram {list(expected)} (a frame for each {HOP_SAMPLES} "
                f"samples begun), not {list(spectrogram.shape)}."
            )


def _he_initialized(convolution: nn.Conv1d) -> nn.Conv1d:
    nn.init.kaiming_normal_(convolution.weight)
    return convolution
