"""LMNT's DiffWave checkpoints as denoisers, and denoisers as LMNT's checkpoints."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmspec.components import construct
from mmspec.data.mel import LogMel
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import DiffWave as DiffWaveProcess
from mmspec.diffusion.processes.ddpm import ddpm_betas
from mmspec.errors import InputError
from mmspec.files import replacing
from mmspec.networks import DiffWave
from mmspec.networks.diffwave import HOP_SAMPLES
from mmspec.networks.weights import no_larger_than, put_weights
from mmspec.pretrained.weights import is_state_dict, plain_names, read_torch_file


@dataclass(frozen=True)
class Params:
    """What LMNT stores beside the weights, under its names and with its defaults."""

    batch_size: int = 16
    learning_rate: float = 2e-4
    max_grad_norm: float | None = None
    sample_rate: int = 22050
    n_mels: int = 80
    n_fft: int = 1024
    hop_samples: int = HOP_SAMPLES
    crop_mel_frames: int = 62
    residual_layers: int = 30
    residual_channels: int = 64
    dilation_cycle_length: int = 10
    unconditional: bool = False
    noise_schedule: list[float] = field(default_factory=lambda: np.linspace(1e-4, 0.05, 50).tolist())
    inference_noise_schedule: list[float] = field(default_factory=lambda: [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5])
    audio_len: int = 22050 * 5


def load_diffwave(source: str | Path | Mapping[str, Any], **params: Any) -> Denoiser:
    """A denoiser with the weights of LMNT's DiffWave.

    Args:
        source: a checkpoint of LMNT's (nothing in it is executed), or a file with the state dict alone, or what
            either of them holds.
        params: entries of LMNT's params.py (``residual_channels``, ``dilation_cycle_length``, ``unconditional``,
            ``noise_schedule``, ...). A checkpoint knows them; a state dict tells all of the network but
            ``dilation_cycle_length`` (10); what neither says has LMNT's defaults.

    Returns:
        A vocoder, for ``denoiser(x, sigma, spectrogram=...)`` with spectrograms by its ``conditioner``, or an
        unconditional denoiser.

    Raises:
        InputError: if the file cannot be read or is hostile, an entry is unknown, or the weights do not fit.

    Example:
        >>> denoiser = load_diffwave("diffwave-ljspeech.pt")
        >>> spectrogram = denoiser.conditioner(recording, sample_rate)
        >>> shape = (1, 1, 256 * spectrogram.shape[-1])
        >>> sample(denoiser, shape, sampler=DDPM(clip=True), steps=6, spectrogram=spectrogram)
    """
    where = "the state dict" if isinstance(source, Mapping) else str(source)
    content = source if isinstance(source, Mapping) else read_torch_file(source)
    weights, stored = _weights_and_params(content, where)
    found = construct(Params, {**_read_off(weights), **stored, **params}, f"{where}:")
    if found.hop_samples != HOP_SAMPLES and not found.unconditional:
        raise InputError(f"{where} has hop_samples={found.hop_samples}: DiffWave makes {HOP_SAMPLES} of a frame.")
    options = {
        "residual_channels": found.residual_channels,
        "residual_layers": found.residual_layers,
        "dilation_cycle_length": found.dilation_cycle_length,
        "n_mels": found.n_mels,
        "unconditional": found.unconditional,
        "max_steps": len(found.noise_schedule),
    }
    with no_larger_than(weights, where):
        network = construct(DiffWave, options, where)
    put_weights(network, weights, where)
    levels = construct(DiffWaveProcess, _noise_levels(found), f"{where}:")
    samples = found.audio_len if found.unconditional else found.crop_mel_frames * found.hop_samples
    conditioner = None
    if not found.unconditional:
        conditioner = LogMel(found.sample_rate, found.n_fft, found.hop_samples, found.n_mels)
    return Denoiser(network, levels, (1, samples), found.sample_rate, conditioner=conditioner).eval()


def save_diffwave(denoiser: Denoiser, path: str | Path, step: int = 0) -> None:
    """Write a checkpoint from which LMNT's programs sample and train on.

    Its optimizer is a new Adam. The file is written beside its place, then renamed into it.

    Args:
        denoiser: with a DiffWave for its network and for its process.
        path: the file.
        step: training steps so far, where LMNT's training goes on counting.

    Raises:
        InputError: for a denoiser of another kind.
    """
    network, levels = denoiser.network, denoiser.process
    if not isinstance(network, DiffWave) or not isinstance(levels, DiffWaveProcess):
        raise InputError(
            f"only a DiffWave with DiffWave's noise levels is a checkpoint of LMNT's, not "
            f"{type(network).__name__} with {type(levels).__name__}."
        )
    params = asdict(_params(denoiser))
    content = {
        "step": step,
        "model": {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()},
        "optimizer": torch.optim.Adam(network.parameters(), lr=params["learning_rate"]).state_dict(),
        "params": params,
        "scaler": {},
    }
    with replacing(Path(path)) as beside:
        torch.save(content, beside)


def _weights_and_params(content: Any, where: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The state dict in a checkpoint or a bare one, and what of LMNT's params lies beside it."""
    stored = {}
    if isinstance(content, Mapping) and "model" in content:
        beside = content.get("params")
        if isinstance(beside, Mapping):
            stored = {entry.name: beside[entry.name] for entry in fields(Params) if entry.name in beside}
        content = content["model"]
    content = plain_names(content, where) if is_state_dict(content) else {}
    if "input_projection.weight" not in content:
        raise InputError(f"{where} holds no DiffWave: expected LMNT's checkpoint, or a state dict of its network.")
    if any("diffusion_" in name and tensor.ndim == 3 for name, tensor in content.items()):
        raise InputError(
            f"{where} is of DiffWave's very first release (22 September 2020), which computed something else: take "
            "weights of a later one."
        )
    return content, stored


def _read_off(weights: dict[str, Tensor]) -> dict[str, Any]:
    """What the shapes of the weights tell."""
    layers = [int(match[1]) for name in weights if (match := re.match(r"residual_layers\.(\d+)\.", name))]
    conditioner = weights.get("residual_layers.0.conditioner_projection.weight")
    return {
        "residual_channels": weights["input_projection.weight"].shape[0],
        "residual_layers": max(layers, default=0) + 1,
        "unconditional": "spectrogram_upsampler.conv1.weight" not in weights,
        **({} if conditioner is None else {"n_mels": conditioner.shape[1]}),
    }


def _noise_levels(params: Params) -> dict[str, Any]:
    """Arguments of the process; evenly spaced betas by their ends."""
    betas = np.asarray(params.noise_schedule, dtype=np.float64)
    even = len(betas) > 1 and np.allclose(betas, np.linspace(betas[0], betas[-1], len(betas)), rtol=1e-9, atol=0)
    return {
        "schedule": "linear" if even else betas.tolist(),
        "timesteps": len(betas),
        "beta_min": float(betas[0]),
        "beta_max": float(betas[-1]),
        "inference_noise_schedule": list(params.inference_noise_schedule),
    }


def _params(denoiser: Denoiser) -> Params:
    """LMNT's params of a denoiser."""
    of_data = ("max_steps", "dims", "in_channels", "num_classes")  # of which LMNT's have no word
    options = {key: value for key, value in denoiser.network.config.items() if key not in of_data}
    levels = dict(denoiser.process.config)
    options["inference_noise_schedule"] = levels.pop("inference_noise_schedule")
    options["noise_schedule"] = ddpm_betas(**levels).tolist()
    if denoiser.sample_rate is not None:
        options["sample_rate"] = denoiser.sample_rate
    if denoiser.conditioner is not None:
        options |= denoiser.conditioner.config
    if denoiser.signal_shape is not None:
        samples = denoiser.signal_shape[-1]
        options |= {"audio_len": samples} if options["unconditional"] else {"crop_mel_frames": samples // HOP_SAMPLES}
    return Params(**options)
