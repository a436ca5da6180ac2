"""Diffusers' models of signals themselves: a ``DDPMPipeline``'s folder as a denoiser, and back."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmspec.components import construct
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import LDM, Process
from mmspec.diffusion.processes.ddpm import DDPM
from mmspec.errors import InputError
from mmspec.files import staged
from mmspec.networks import UNet
from mmspec.networks.diffusers_unet import MODELS, DiffusersUNet
from mmspec.networks.weights import no_larger_than, put_weights
from mmspec.pretrained.diffusers import current_names
from mmspec.pretrained.diffusers_config import read_config
from mmspec.pretrained.diffusers_export import as_unet2d
from mmspec.pretrained.diffusers_scheduler import PREDICTIONS, SCHEDULES, levels
from mmspec.pretrained.diffusers_weights import read_folder
from mmspec.strangers import shown

FIRST_STAGES = ("vae", "vqvae")
EXPORTS: dict[type, Callable[[Any, list[int] | None], Any]] = {  # of a network and its signals' size, diffusers' model
    DiffusersUNet: lambda network, size: network.model,
    UNet: as_unet2d,
}


def load_diffusers(source: str | Path, *, process: Process | None = None, sample_rate: int | None = None) -> Denoiser:
    """A denoiser with a ``UNet2DModel`` or ``UNet1DModel`` that diffusers saved, alone or in a pipeline's folder.

    Weights may be safetensors or ``.bin`` (nothing in it is executed), whole or in shards, in full or half precision.

    Args:
        source: a folder with ``unet`` and ``scheduler``, such as a ``DDPMPipeline``'s, or with the model alone.
        process: the noise levels and what the model predicts; None for what the folder's scheduler says.
        sample_rate: of sound, in Hz.

    Returns:
        ``denoiser(x, sigma)`` on signals ``[B, C, T]`` or ``[B, C, H, W]``, with ``labels=`` where the model knows
        classes. The sampler is yours.

    Raises:
        InputError: if the folder holds no such model, or one with a first stage; a file cannot be read, weights do not
            fit, or the noise levels are not told; and without the library diffusers.

    Example:
        >>> denoiser = load_diffusers("ddpm-cifar10-32")
        >>> pictures = sample(denoiser, (4, 3, 32, 32), sampler="ddim", steps=100)
    """
    folder = Path(source)
    if any((folder / part).is_dir() for part in FIRST_STAGES):
        raise InputError(f"{folder} has a first stage, of latent diffusion: mmspec convert ldm reads it.")
    file = next((file for file in _places(folder) if file.is_file()), folder / "config.json")
    config = read_config(file)
    name = config.get("_class_name")
    if name not in MODELS:
        raise InputError(f"{file} has _class_name={shown(name)}: expected one of {', '.join(MODELS)}.")
    options = {key: value for key, value in config.items() if not key.startswith("_")}
    weights = read_folder(file.parent)
    with no_larger_than(weights, str(file)):
        network: DiffusersUNet = construct(DiffusersUNet, {"model": name, "options": options}, f"{file}:")
    if network.dims == 2:  # in 1D, attention has the names of 2022 to this day
        weights = current_names(weights)
    put_weights(network, {f"model.{key}": tensor for key, tensor in weights.items()}, str(file.parent))
    classes = [str(i) for i in range(network.num_classes)] or None
    return Denoiser(network, process or _process(folder), _shape(network), sample_rate, classes).eval()


def save_diffusers(denoiser: Denoiser, folder: str | Path) -> None:
    """Write a folder that diffusers opens as a ``DDPMPipeline``, beside its place first.

    Args:
        denoiser: of pictures, on DDPM's table: with a `DiffusersUNet`, or a `UNet` that
            `mmspec.pretrained.diffusers_export.as_unet2d` finds a model for.
        folder: new, or empty.

    Raises:
        InputError: for a denoiser of another kind, a folder that holds something, and without the library diffusers.
    """
    network, process, folder = denoiser.network, denoiser.process, Path(folder)
    make = EXPORTS.get(type(network))
    if make is None or network.dims != 2 or not isinstance(process, DDPM):
        raise InputError(
            "diffusers opens pictures' UNets on DDPM's table of noise levels as a pipeline, not "
            f"{type(network).__name__} with {type(process).__name__}."
        )
    if denoiser.first_stage is not None:
        raise InputError("a DDPMPipeline has no first stage, this denoiser has: it is of latent diffusion.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} holds something: give the name of a new folder.")
    try:
        from diffusers import DDPMPipeline, DDPMScheduler
    except ImportError:
        raise InputError("saving for diffusers needs that library: pip install 'mmspec[diffusers]'.") from None

    size = None if denoiser.signal_shape is None else list(denoiser.signal_shape[1:])
    model = make(network, size)
    with staged(folder) as beside:
        DDPMPipeline(model, DDPMScheduler(**_scheduler(process))).save_pretrained(beside)


def _places(folder: Path) -> tuple[Path, ...]:
    return folder / "unet" / "config.json", folder / "config.json"


def _process(folder: Path) -> Process:
    beside = folder if (folder / "scheduler").is_dir() else folder.parent
    if not (beside / "scheduler").is_dir():
        raise InputError(
            f"{folder} has no scheduler, which says the noise levels and what the model predicts: copy the folder "
            "scheduler of its pipeline there, or give process= in Python."
        )
    options, file = levels(beside)
    return construct(LDM, options, f"{file}:")


def _shape(network: DiffusersUNet) -> tuple[int, ...] | None:
    """``(C, *spatial)`` of the signals, where the model says their size."""
    size = network.model.config["sample_size"]
    if size is None:
        return None
    sizes = [size] * network.dims if isinstance(size, int) else size
    return (network.in_channels, *sizes)


def _scheduler(process: DDPM) -> dict[str, Any]:
    """A process as the arguments of a DDPMScheduler, which does not clip, as samplers here do not."""
    said = process.config
    schedule = said["schedule"]
    named = isinstance(schedule, str)
    levels = {
        "beta_schedule": {ours: theirs for theirs, ours in SCHEDULES.items()}[schedule] if named else "linear",
        "trained_betas": None if named else list(schedule),
        "num_train_timesteps": len(process.sigmas),
        "beta_start": said["beta_min"],
        "beta_end": said["beta_max"],
    }
    spacing = (
        {"timestep_spacing": process.spacing, "steps_offset": process.steps_offset} if isinstance(process, LDM) else {}
    )
    prediction = {ours: theirs for theirs, ours in PREDICTIONS.items()}[process.prediction]
    return {**levels, **spacing, "prediction_type": prediction, "clip_sample": False}
