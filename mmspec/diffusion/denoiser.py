"""The one thing everything here trains: ``D(x; sigma) -> x0_hat``."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmspec.components import Component, build, describe
from mmspec.data.mel import CONDITIONERS
from mmspec.diffusion.latent import LatentSpace
from mmspec.diffusion.preconditioning import PRECONDITIONINGS, Preconditioning
from mmspec.errors import InputError
from mmspec.networks import FirstStage, Network
from mmspec.networks.weights import put_weights

FORMAT = "mmspec-denoiser-1"
WEIGHTS, FIRST_STAGE_WEIGHTS = "model.safetensors", "first_stage.safetensors"


def expand_sigma(sigma: Tensor, x: Tensor) -> Tensor:
    """sigma ``[B]`` -> ``[B, 1, ...]``, ready to multiply x ``[B, C, *spatial]``.

    Raises:
        ValueError: unless sigma has one value a sample.
    """
    if sigma.shape != x.shape[:1]:
        raise ValueError(f"sigma {list(sigma.shape)} must have one value for each sample of x {list(x.shape)}.")
    return sigma.reshape(-1, *[1] * (x.ndim - 1))


class Denoiser(LatentSpace):
    """A preconditioned network: from a signal with Gaussian noise of standard deviation sigma on it, the best guess
    of the clean signal (Karras et al. 2022, Eq. 7). With a first stage, all of this happens to latents of signals.

    Args:
        network: ``network(x, c_noise, **cond)``, e.g. `mmspec.networks.UNet`.
        preconditioning: c_skip, c_out, c_in, c_noise, e.g. `mmspec.diffusion.preconditioning.EDM`.
        signal_shape: ``(C, *spatial)`` of the signals it was trained on.
        sample_rate: of audio, in Hz.
        classes: names of the class labels, in their order.
        conditioner: what the network is told of a signal besides labels, e.g. `mmspec.data.mel.LogMel` of a vocoder.
        first_stage: frozen, between signals and the latents that the network works on, e.g.
            `mmspec.networks.AutoencoderKL`.
    """

    network: Any  # a module with a `config` of its constructor arguments

    def __init__(
        self,
        network: nn.Module,
        preconditioning: Preconditioning,
        signal_shape: Sequence[int] | None = None,
        sample_rate: int | None = None,
        classes: Sequence[str] | None = None,
        conditioner: Any = None,
        first_stage: FirstStage | None = None,
    ) -> None:
        super().__init__(signal_shape, first_stage)
        self.network = network
        self.preconditioning = preconditioning
        self.sample_rate = sample_rate
        self.classes = list(classes) if classes is not None else None
        self.conditioner = conditioner

    @property
    def sigma_min(self) -> float:
        """Lowest noise level a sampler visits."""
        return self.preconditioning.sigma_min

    @property
    def sigma_max(self) -> float:
        """Highest noise level: where a sampler starts."""
        return self.preconditioning.sigma_max

    @property
    def conditions(self) -> dict[str, int]:
        """What the network is told besides the noise level, keyword -> width; nothing is known of a bare module."""
        return self.network.conditions if isinstance(self.network, Network) else {}

    def round_sigma(self, sigma: Tensor) -> Tensor:
        """The nearest noise levels that the network knows."""
        return self.preconditioning.round_sigma(sigma)

    def forward(self, x: Tensor, sigma: Tensor | float, **cond: Tensor) -> Tensor:
        """The predicted clean signal.

        Args:
            x: noisy signal ``x0 + sigma n``, ``[B, C, *spatial]``, in [-1, 1] where clean; latents of it with a first
                stage.
            sigma: noise level, a float, ``[]`` or ``[B]``.
            cond: handed to the network, e.g. ``labels`` (``[B]`` int64 or one-hot ``[B, classes]``).

        Returns:
            ``[B, C, *spatial]``, in the dtype of the weights (float32, also under autocast).
        """
        dtype = next(self.network.parameters()).dtype
        x = x.to(dtype)
        sigma = torch.as_tensor(sigma, device=x.device).to(dtype).expand(x.shape[0])
        c_skip, c_out, c_in, c_noise = self.preconditioning.scalings(sigma)
        raw = self.network(expand_sigma(c_in, x) * x, c_noise, **cond)
        raw = raw[:, : x.shape[1]]  # iDDPM's networks put out a variance too
        return expand_sigma(c_skip, x) * x + expand_sigma(c_out, x) * raw.to(dtype)

    def condition(self, clips: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Clean signals, and what the network is told of each.

        Args:
            clips: signals ``[B, C, *spatial]``; where there is a conditioner, with its margin around them; or what
                `encode` takes in their place.

        Returns:
            What `forward` takes of the signals, and keyword arguments for it.
        """
        x0, cond = (clips, {}) if self.conditioner is None else self.conditioner.condition(clips)
        return self.encode(x0), cond

    def save_pretrained(self, folder: str | Path) -> None:
        """Write ``config.json`` and ``model.safetensors`` into a folder, and a first stage beside them."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        config = {
            "format": FORMAT,
            "network": describe(self.network),
            "preconditioning": describe(self.preconditioning),
            "conditioner": describe(self.conditioner) if self.conditioner else None,
            "first_stage": describe(self.first_stage) if self.first_stage else None,
            "signal": {"shape": self.signal_shape, "sample_rate": self.sample_rate, "classes": self.classes},
        }
        for module, file in ((self.network, WEIGHTS), (self.first_stage, FIRST_STAGE_WEIGHTS)):
            if module is not None:
                save_file({name: tensor.contiguous() for name, tensor in module.state_dict().items()}, folder / file)
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, source: str | Path, device: str | torch.device = "cpu") -> "Denoiser":
        """Read what `save_pretrained` wrote, in evaluation mode; nothing in it is executed.

        Args:
            source: folder, or an "owner/name" of the Hugging Face hub where no such folder exists.
            device: where the weights go.

        Raises:
            InputError: if there is no denoiser at ``source``, or its weights do not fit its config.
        """
        folder = _local_folder(source)
        try:
            config = json.loads((folder / "config.json").read_text())
        except json.JSONDecodeError as error:
            raise InputError(f"{folder / 'config.json'} is not JSON ({error}): fetch or export it again.") from None
        if config.get("format") != FORMAT:
            raise InputError(
                f"{folder / 'config.json'} has format {config.get('format')!r}, mmspec reads {FORMAT!r}: "
                "give a folder that `mmspec train` or save_pretrained wrote."
            )
        where = f"{folder / 'config.json'}: network"
        network = Component.read(config["network"], where).build(Network, where)
        preconditioning = build(
            config["preconditioning"], PRECONDITIONINGS, f"{folder / 'config.json'}: preconditioning"
        )
        _load_weights(network, folder / WEIGHTS)
        signal = config["signal"]
        conditioner = first_stage = None
        if config["conditioner"] is not None:
            conditioner = build(config["conditioner"], CONDITIONERS, f"{folder / 'config.json'}: conditioner")
        if config.get("first_stage") is not None:  # folders from before there were first stages have no such key
            where = f"{folder / 'config.json'}: first_stage"
            first_stage = Component.read(config["first_stage"], where).build(FirstStage, where)
            _load_weights(first_stage, folder / FIRST_STAGE_WEIGHTS)
        denoiser = cls(
            network,
            preconditioning,
            signal["shape"],
            signal["sample_rate"],
            signal["classes"],
            conditioner,
            first_stage,
        )
        return denoiser.to(device).eval()


def _local_folder(source: str | Path) -> Path:
    folder = Path(source)
    if (folder / "config.json").is_file():
        return folder
    if folder.exists() or len(folder.parts) != 2 or str(source).startswith((".", "/")):
        raise InputError(f"{source} holds no denoiser: expected a folder with config.json and model.safetensors.")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(str(source), allow_patterns=["config.json", WEIGHTS, FIRST_STAGE_WEIGHTS]))
    except Exception as error:
        raise InputError(
            f"{source} is neither a folder here nor could it be fetched from the Hugging Face hub "
            f"({type(error).__name__}): give the path of a folder with config.json and model.safetensors."
        ) from None


def _load_weights(network: nn.Module, file: Path) -> None:
    try:
        weights: dict[str, Any] = load_file(file)
    except Exception as error:
        raise InputError(f"{file} cannot be read as safetensors ({error}): copy or export it again.") from None
    put_weights(network, weights, str(file))
