"""First stages of latent diffusion: between signals ``[B, C, *spatial]`` and smaller latents.

Rombach et al. 2022, "High-Resolution Image Synthesis with Latent Diffusion Models", section 3.1.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Generator, Tensor, nn

from mmspec.components import Component, Configured
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.files import replace_text
from mmspec.networks.autoencoder import Decoder, Encoder
from mmspec.networks.layers import conv
from mmspec.networks.ranges import check_ranges, check_scale
from mmspec.networks.weights import no_larger_than, put_weights, read_safetensors

LEAST = {  # value of the arguments
    **dict.fromkeys(("in_channels", "channels", "channel_mult", "num_blocks", "z_channels", "embed_channels"), 1),
    "num_codes": 1,
}

FORMAT, WEIGHTS = "mmspec-first-stage-1", "model.safetensors"
LOGVAR_RANGE = (-30.0, 20.0)
QUANTIZED_AT_ONCE = 1 << 14  # vectors; bounds the memory for their distances to all codes


class FirstStage(Configured, nn.Module, ABC):
    """A frozen pair of encoder and decoder; a subclass is known by its name, its constructor's arguments are its
    ``config``.

    Signals are ``[B, C, *spatial]`` in [-1, 1], latents ``[B, embed_channels, *(spatial / factor)]``, as a denoiser
    sees them: times ``scale_factor``. What is kept of a signal to draw its latents from, its moments, is
    ``[B, moment_channels, *(spatial / factor)]``.

    Args:
        dims: 1 for waveforms, 2 for images.
        in_channels: of the signals.
        embed_channels: of the latents.
        moment_channels: of `moments`.
        factor: by how much latents are smaller along each axis.
        scale_factor: latents are multiplied by it.

    Attributes:
        config: constructor arguments of the subclass.
    """

    def __init__(
        self,
        dims: int,
        in_channels: int,
        embed_channels: int,
        moment_channels: int,
        factor: int,
        scale_factor: float,
    ) -> None:
        super().__init__()
        self.dims, self.in_channels, self.embed_channels = dims, in_channels, embed_channels
        self.moment_channels, self.factor, self.scale_factor = moment_channels, factor, scale_factor

    def moments(self, x: Tensor) -> Tensor:
        """What latents of signals are drawn from: ``[B, C, *n]`` -> ``[B, moment_channels, *(n / factor)]``.

        Raises:
            ValueError: for signals of another shape.
        """
        if x.ndim != self.dims + 2 or x.shape[1] != self.in_channels:
            spatial = {1: "T", 2: "H, W"}[self.dims]
            raise ValueError(f"this first stage takes [B, {self.in_channels}, {spatial}], got {list(x.shape)}")
        return self._moments(x)

    @abstractmethod
    def _moments(self, x: Tensor) -> Tensor:
        """`moments` of signals whose shape has been checked."""

    @abstractmethod
    def draw(self, moments: Tensor, generator: Generator | None = None) -> Tensor:
        """Latents of signals with such moments, ``[B, embed_channels, *n]``."""

    def encode(self, x: Tensor, generator: Generator | None = None) -> Tensor:
        """Latents of signals, ``[B, C, *n]`` -> ``[B, embed_channels, *(n / factor)]``; at random where the first stage
        knows a distribution of them.
        """
        return self.draw(self.moments(x), generator)

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Signals of latents: ``[B, embed_channels, *n]`` -> ``[B, C, *(n factor)]``, nominally in [-1, 1]."""

    def latent_shape(self, shape: Sequence[int]) -> tuple[int, ...]:
        """Shape ``(embed_channels, *n)`` of the latents of signals ``(C, *spatial)``."""
        return (self.embed_channels, *(size // self.factor for size in shape[1:]))

    def sha256(self) -> str:
        """Of weights and scale: two first stages with the same have the same latents."""
        digest = hashlib.sha256(f"{type(self).__name__} {self.scale_factor}".encode())
        for name, tensor in sorted(self.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in self.state_dict().items()}, folder / WEIGHTS)
        config = {"format": FORMAT, "first_stage": Component.of(self).write()}
        replace_text(folder / "config.json", json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "FirstStage":
        """Read what `save_pretrained` wrote, frozen and in evaluation mode; nothing in it is executed.

        Raises:
            InputError: if the folder holds no first stage, its class is unknown, or its weights do not fit its config.
        """
        file = Path(folder) / "config.json"
        if not file.is_file():
            raise InputError(f"{file} is no file: give a folder that `mmspec convert` wrote.")
        config = read_json(file, mend="copy or convert it again")
        if config.get("format") != FORMAT:
            raise InputError(f"{folder} holds no first stage of mmspec's: give a folder that `mmspec convert` wrote.")
        weights = read_safetensors(Path(folder) / WEIGHTS)
        with no_larger_than(weights, f"{file}: first_stage"):
            made = Component.read(config.get("first_stage"), f"{file}: first_stage")
            stage = made.build(cls, f"{file}: first_stage")
        put_weights(stage, weights, str(Path(folder) / WEIGHTS))
        return stage.eval().requires_grad_(False)

    def __deepcopy__(self, memo: dict[int, Any]) -> "FirstStage":
        return self  # frozen: a copy of a denoiser, such as its average, shares it


class _LatentDiffusion(FirstStage):
    """What `AutoencoderKL` and `VQModel` share: encoder and decoder of Rombach et al., a 1x1 convolution from and to
    the latents.
    """

    def __init__(self, moments_per_channel: int) -> None:
        config = self.config
        dims, z_channels, embed_channels = config["dims"], config["z_channels"], config["embed_channels"]
        if dims not in (1, 2):
            raise ValueError(f"dims must be 1 or 2, got {dims}")
        check_ranges(config, LEAST)
        check_scale("scale_factor", config["scale_factor"])
        widths = [config["channels"] * mult for mult in config["channel_mult"]]
        if len(widths) < 2 or any(width % 32 for width in widths):
            raise ValueError(f"a first stage needs two or more levels, of widths that 32 divides, got {widths}")
        if not all(0 <= level < len(widths) for level in config["attention_levels"]):
            raise ValueError(f"attention_levels must lie in 0 to {len(widths) - 1}, got {config['attention_levels']}")
        channels, moments = config["in_channels"], moments_per_channel * embed_channels
        super().__init__(dims, channels, embed_channels, moments, 2 ** (len(widths) - 1), config["scale_factor"])
        levels = (widths, config["num_blocks"], config["attention_levels"], config["middle_attention"])
        encoded = moments_per_channel * z_channels
        self.encoder = Encoder(dims, channels, encoded, *levels)
        self.decoder = Decoder(dims, z_channels, channels, *levels)
        self.quant_conv = conv(dims, encoded, moments, kernel_size=1)
        self.post_quant_conv = conv(dims, embed_channels, z_channels, kernel_size=1)

    def _moments(self, x: Tensor) -> Tensor:
        out: Tensor = self.quant_conv(self.encoder(x))
        return out

    def decode(self, z: Tensor) -> Tensor:
        out: Tensor = self.decoder(self.post_quant_conv(z / self.scale_factor))
        return out


class AutoencoderKL(_LatentDiffusion):
    """A first stage whose latents are normally distributed (Rombach et al. 2022, "KL-reg.").

    Args:
        dims: 1 for waveforms, 2 for images.
        in_channels: of the signals.
        channels: width of the first level.
        channel_mult: width of each level in units of ``channels``; between two levels the size is halved.
        num_blocks: residual blocks a level of the encoder; the decoder has one more.
        attention_levels: levels with self-attention, 0 the finest.
        middle_attention: self-attention between encoder and latents, and latents and decoder.
        z_channels: what the encoder puts out, twice, and the decoder takes.
        embed_channels: of the latents.
        scale_factor: latents are multiplied by it, so that their variance is about 1.

    Raises:
        ValueError: an argument, or the shape of a signal, that does not fit.
    """

    def __init__(
        self,
        dims: int = 2,
        in_channels: int = 3,
        channels: int = 128,
        channel_mult: Sequence[int] = (1, 2, 4, 4),
        num_blocks: int = 2,
        attention_levels: Sequence[int] = (),
        middle_attention: bool = True,
        z_channels: int = 4,
        embed_channels: int = 4,
        scale_factor: float = 1.0,
    ) -> None:
        super().__init__(moments_per_channel=2)

    def distribution(self, moments: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of latents before scaling, each ``[B, embed_channels, *n]``."""
        mean, logvar = moments.chunk(2, dim=1)
        return mean, logvar.clamp(*LOGVAR_RANGE)

    def draw(self, moments: Tensor, generator: Generator | None = None) -> Tensor:
        mean, logvar = self.distribution(moments)
        noise = torch.randn(mean.shape, generator=generator, device=mean.device, dtype=mean.dtype)
        return self.scale_factor * (mean + (0.5 * logvar).exp() * noise)


class VQModel(_LatentDiffusion):
    """A first stage with a codebook, which its decoder looks latents up in (Rombach et al. 2022, "VQ-reg.").

    Latents are what the encoder puts out, before they are looked up: a denoiser works on those.

    Args:
        num_codes: rows of the codebook.
        others: as of `AutoencoderKL`.

    Raises:
        ValueError: an argument, or the shape of a signal, that does not fit.
    """

    def __init__(
        self,
        dims: int = 2,
        in_channels: int = 3,
        channels: int = 128,
        channel_mult: Sequence[int] = (1, 2, 4),
        num_blocks: int = 2,
        attention_levels: Sequence[int] = (),
        middle_attention: bool = True,
        z_channels: int = 3,
        embed_channels: int = 3,
        num_codes: int = 8192,
        scale_factor: float = 1.0,
    ) -> None:
        super().__init__(moments_per_channel=1)
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(num_codes, embed_channels)})
        nn.init.uniform_(self.codebook, -1 / num_codes, 1 / num_codes)

    @property
    def codebook(self) -> Tensor:
        """``[num_codes, embed_channels]``."""
        return self.quantize["embedding"].get_parameter("weight")

    def draw(self, moments: Tensor, generator: Generator | None = None) -> Tensor:
        return self.scale_factor * moments

    def look_up(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The nearest codes of unscaled latents ``[B, embed_channels, *n]``, and their indices ``[B, *n]``.

        The gradient passes through to z as it is (van den Oord et al. 2017).
        """
        with torch.autocast(z.device.type, enabled=False):
            vectors, codes = z.movedim(1, -1).flatten(0, -2).detach(), self.codebook.to(z.dtype)
            lengths = codes.square().sum(1)
            # An exported graph is of any number of vectors, and cannot count pieces.
            parts = (vectors,) if torch.compiler.is_exporting() else torch.split(vectors, QUANTIZED_AT_ONCE)
            nearest = torch.cat([(lengths - 2 * part @ codes.T).argmin(1) for part in parts])
        indices = nearest.view(z.shape[0], *z.shape[2:])
        return z + (codes[indices].movedim(-1, 1) - z).detach(), indices

    def decode(self, z: Tensor, quantize: bool = True) -> Tensor:
        """Signals of latents: ``[B, embed_channels, *n]`` -> ``[B, C, *(n factor)]``; looked up first, unless told
        not.
        """
        if quantize:
            z = self.look_up(z / self.scale_factor)[0] * self.scale_factor
        return super().decode(z)
