"""Other people's weights, as the folder of a denoiser, or of a first stage."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from torch import nn

from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.files import content_sha256, staged
from mmspec.networks import FirstStage
from mmspec.pretrained import load_diffusers, load_diffwave, load_edm, load_first_stage, load_ldm

FORMATS: dict[str, Callable[..., Denoiser | FirstStage]] = {
    "edm": load_edm,
    "diffwave": load_diffwave,
    "ldm": load_ldm,
    "diffusers": load_diffusers,
    "first_stage": load_first_stage,
}


@dataclass(frozen=True)
class LDMOptions:
    """What CompVis's checkpoints do not say; None is left to `load_ldm`."""

    config: str | None = None
    num_heads: int | None = None
    num_head_channels: int | None = None
    image_size: int | list[int] | None = None
    scale_factor: float | None = None
    averaged: bool | None = None


@dataclass(frozen=True)
class ConvertOptions:
    """The options of ``mmspec convert``: conf/convert.yaml explains each."""

    format: Literal["edm", "diffwave", "ldm", "diffusers", "first_stage"]
    source: str
    out: Path
    ldm: LDMOptions = field(default_factory=LDMOptions)


def convert(options: ConvertOptions) -> nn.Module:
    """Read the weights, and write them as `Denoiser.save_pretrained` or `FirstStage.save_pretrained` does, whole or not
    at all; returns the network, or the first stage.

    Raises:
        InputError: if they cannot be read, the options are not of their format, or the folder holds anything but what
            the same weights and options make.
    """
    if options.out.is_file():
        raise InputError(f"{options.out} is a file: name the folder that the converted weights go to.")
    given = {name: value for name, value in vars(options.ldm).items() if value is not None}
    if given and options.format != "ldm":
        raise InputError(f"ldm.{next(iter(given))} is for the format ldm, not for {options.format}: leave it out.")
    made = FORMATS[options.format](options.source, **given)
    with staged(options.out) as folder:
        made.save_pretrained(folder)
        if (
            options.out.exists()
            and any(options.out.iterdir())
            and content_sha256(options.out) != content_sha256(folder)
        ):
            raise InputError(
                f"{options.out} holds other weights, or something else, than these weights make: move it away, or "
                "give another out=FOLDER."
            )
    return made.network if isinstance(made, Denoiser) else made
