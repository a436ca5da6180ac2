"""The one thing everything here trains: ``D(x; sigma) -> x0_hat``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mmspec.components import Component
from mmspec.data.mel import LogMel
from mmspec.diffusion.conditions import Condition, Labels, Spectrogram
from mmspec.diffusion.latent import LatentSpace
from mmspec.diffusion.processes import Process
from mmspec.documents import mended, read_json
from mmspec.errors import InputError
from mmspec.files import is_missing, replace_text
from mmspec.losses.weighting import noise_level, per_sample
from mmspec.networks import FirstStage, Network
from mmspec.networks.weights import no_larger_than, put_weights, read_safetensors
from mmspec.strangers import shown
from mmspec.typed import read

Made = TypeVar("Made", bound=nn.Module)
EXPORTED = "mmspec-exported"  # how the formats of exports begin
FORMAT, EARLIER = "mmspec-denoiser-2", "mmspec-denoiser-1"  # the earlier one called the process "preconditioning"
WEIGHTS, FIRST_STAGE_WEIGHTS = "model.safetensors", "first_stage.safetensors"
AGAIN = "fetch or export it again"


def expand_sigma(sigma: Tensor | float, x: Tensor) -> Tensor:
    """sigma, a number, ``[]`` or ``[B]`` -> ``[B, 1, ...]``, ready to multiply x ``[B, C, *spatial]``.

    Raises:
        ValueError: for a sigma of another shape.
    """
    return per_sample(sigma, x).reshape(-1, *[1] * (x.ndim - 1))


class Denoiser(nn.Module):
    """A network and its process: from a signal with Gaussian noise of standard deviation sigma on it, the best guess of
    the clean signal (Karras et al. 2022, Eq. 7). With a first stage, all of this happens to latents of signals.

    Args:
        network: ``network(x, c_noise, **cond)``, e.g. `mmspec.networks.UNet`.
        process: its scalings, e.g. `mmspec.diffusion.processes.EDM`.
        signal_shape: ``(C, *spatial)`` of the signals it was trained on.
        sample_rate: of audio, in Hz.
        classes: names of the class labels, in their order.
        conditioner: of a vocoder, what makes the spectrograms that the network is told.
        first_stage: frozen, between signals and the latents that the network works on, e.g.
            `mmspec.networks.AutoencoderKL`.
    """

    network: Any  # a `Network`, or in loops of one's own any module

    def __init__(
        self,
        network: nn.Module,
        process: Process,
        signal_shape: Sequence[int] | None = None,
        sample_rate: int | None = None,
        classes: Sequence[str] | None = None,
        conditioner: LogMel | None = None,
        first_stage: FirstStage | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.process = process
        self.latent = LatentSpace(signal_shape, first_stage)
        self.sample_rate = sample_rate
        self.classes = list(classes) if classes is not None else None
        self.conditioner = conditioner

    @property
    def sigma_min(self) -> float:
        """Lowest noise level a sampler visits."""
        return self.process.sigma_min

    @property
    def sigma_max(self) -> float:
        """Highest noise level: where a sampler starts."""
        return self.process.sigma_max

    @property
    def signal_shape(self) -> tuple[int, ...] | None:
        """``(C, *spatial)`` of the signals."""
        return self.latent.signal_shape

    @property
    def latent_shape(self) -> tuple[int, ...] | None:
        """``(C, *spatial)`` of what the network works on: the signals, unless there is a first stage."""
        return self.latent.shape

    @property
    def first_stage(self) -> FirstStage | None:
        """The frozen first stage."""
        return self.latent.first_stage

    @property
    def told(self) -> dict[str, int]:
        """What the network is told besides the noise level: keyword -> width."""
        return self.network.conditions if isinstance(self.network, Network) else {}

    @property
    def conditions(self) -> list[Condition]:
        """Those of them that are made of a batch alone: classes, and the spectrograms of a vocoder."""
        made: list[Condition] = [Labels(self.told["labels"])] if "labels" in self.told else []
        return made + ([Spectrogram(self.conditioner)] if self.conditioner is not None else [])

    def round_sigma(self, sigma: Tensor) -> Tensor:
        """The nearest noise levels that the network knows, same shape."""
        return self.process.round_sigma(sigma)

    def forward(self, x: Tensor, sigma: Tensor | float, **cond: Tensor) -> Tensor:
        """The predicted clean signal.

        Args:
            x: noisy signal ``x0 + sigma n``, ``[B, C, *spatial]``, in [-1, 1] where clean; latents of it with a first
                stage.
            sigma: noise level, a float, ``[]`` or ``[B]``.
            cond: handed to the network, e.g. ``labels`` (``[B]`` int64 or one-hot ``[B, classes]``).

        Returns:
            ``[B, C, *spatial]``, in the dtype of the weights (float32, also under autocast).

        Raises:
            ValueError: if the network's output has another shape than its input, or sigma is no noise level of each.
        """
        dtype = next(self.network.parameters(), x).dtype
        x = x.to(dtype)
        sigma = noise_level(sigma, x).to(dtype)
        c_skip, c_out, c_in, c_noise = self.process.scalings(sigma)
        raw: Tensor = self.network(expand_sigma(c_in, x) * x, c_noise, **cond)
        raw = raw[:, : x.shape[1]]  # iDDPM's networks put out a variance too
        if raw.shape != x.shape:
            name = type(self.network).__name__
            raise ValueError(f"{name} gave {list(raw.shape)} for {list(x.shape)}: its output must be like its input.")
        return expand_sigma(c_skip, x) * x + expand_sigma(c_out, x) * raw.to(dtype)

    def clean(self, clips: Tensor) -> Tensor:
        """Clean signals as the network sees them.

        Args:
            clips: signals ``[B, C, *spatial]``, with the margin of a vocoder's spectrograms around them; or what
                `LatentSpace.encode` takes in their place.

        Returns:
            ``[B, *latent_shape]``, or stretches of any length.
        """
        return self.latent.encode(clips if self.conditioner is None else self.conditioner.inner(clips))

    def decode(self, z: Tensor) -> Tensor:
        """Signals ``[B, *signal_shape]`` of what the network works on, ``[B, *latent_shape]``."""
        return self.latent.decode(z)

    def save_pretrained(self, folder: str | Path, weights: Mapping[str, Tensor] | None = None) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder, and a first stage beside them.

        Args:
            folder: which is made.
            weights: state dict of the network, where that is not as it is now.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "format": FORMAT,
            **{name: part and Component.of(part).write() for name, part in self._parts().items()},
            "signal": {"shape": self.signal_shape, "sample_rate": self.sample_rate, "classes": self.classes},
        }
        files = {WEIGHTS: self.network.state_dict() if weights is None else weights}
        if self.first_stage is not None:
            files[FIRST_STAGE_WEIGHTS] = self.first_stage.state_dict()
        for file, tensors in files.items():
            save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, folder / file)
        replace_text(folder / "config.json", json.dumps(config, indent=2) + "\n")

    def _parts(self) -> dict[str, Any]:
        return {
            "network": self.network,
            "process": self.process,
            "conditioner": self.conditioner,
            "first_stage": self.first_stage,
        }

    @classmethod
    def from_pretrained(cls, source: str | Path, device: str | torch.device = "cpu") -> "Denoiser":
        """Read what `save_pretrained` wrote, in evaluation mode; nothing in it is executed.

        Args:
            source: folder, or an "owner/name" of the Hugging Face hub where no such folder exists.
            device: where the weights go.

        Raises:
            InputError: if there is no denoiser at ``source``, its classes are of a plug-in that is not loaded, or its
                weights do not fit its config.
        """
        folder = _local_folder(source)
        saved, where = _read(folder / "config.json"), f"{folder / 'config.json'}:"
        network = _with_weights(saved.network, Network, folder / WEIGHTS, f"{where} network")
        process = saved.process.build(Process, f"{where} process")
        conditioner = first_stage = None
        if saved.conditioner is not None:
            conditioner = saved.conditioner.build(LogMel, f"{where} conditioner")
        if saved.first_stage is not None:
            file = folder / FIRST_STAGE_WEIGHTS
            first_stage = _with_weights(saved.first_stage, FirstStage, file, f"{where} first_stage")
        signal = saved.signal
        denoiser = cls(network, process, signal.shape, signal.sample_rate, signal.classes, conditioner, first_stage)
        return denoiser.to(device).eval()


@dataclass(frozen=True)
class _Signal:
    """What a saved denoiser says of its signals."""

    shape: list[int] | None
    sample_rate: int | None
    classes: list[str] | None


@dataclass(frozen=True)
class _SavedDenoiser:
    """A denoiser's config.json."""

    format: str
    network: Component
    process: Component
    signal: _Signal
    conditioner: Component | None = None
    first_stage: Component | None = None


def _with_weights(component: Component, base: type[Made], file: Path, where: str) -> Made:
    """What a configuration describes, as far as its weights go, with these in it."""
    weights = read_safetensors(file)
    with no_larger_than(weights, where):
        made = component.build(base, where)
    put_weights(made, weights, str(file))
    return made


def _read(file: Path) -> _SavedDenoiser:
    config = read_json(file, mend=AGAIN)
    found = config.get("format")
    if str(found).startswith(EXPORTED):
        raise InputError(f"{file.parent} was exported, for `mmspec sample` alone: give the run that it is of.")
    if found not in (FORMAT, EARLIER):
        raise InputError(
            f"{file} has format {shown(found)}, mmspec reads {FORMAT!r}: "
            "give a folder that `mmspec train` or save_pretrained wrote; `mmspec convert` reads what others saved."
        )
    if found == EARLIER and "preconditioning" in config:
        config["process"] = config.pop("preconditioning")
    with mended(AGAIN):
        return read(_SavedDenoiser, config, f"{file}:")


def _local_folder(source: str | Path) -> Path:
    folder = Path(source)
    if (folder / "config.json").is_file():
        return folder
    if folder.exists() or is_missing(source):
        problem = "is not there" if is_missing(source) else "holds no denoiser"
        raise InputError(
            f"{source} {problem}: expected a folder with config.json and model.safetensors, which `mmspec convert` "
            "makes of what others saved."
        )
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), allow_patterns=["config.json", WEIGHTS, FIRST_STAGE_WEIGHTS]))
    except Exception as error:
        raise InputError(
            f"{source} is neither a folder here nor could it be fetched from the Hugging Face hub "
            f"({type(error).__name__}): give the path of a folder with config.json and model.safetensors."
        ) from None
