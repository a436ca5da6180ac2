"""``mmspec convert``: other people's weights into a folder that every command here can read."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.pretrained import load_diffwave, load_edm

FORMATS: dict[str, Callable[[str], Denoiser]] = {"edm": load_edm, "diffwave": load_diffwave}


def run(cfg: DictConfig) -> None:
    """Write the denoiser in ``cfg.source`` as config.json and model.safetensors into ``cfg.out``."""
    if cfg.format not in FORMATS:
        raise InputError(f"{cfg.format!r} is no format of mmspec convert: expected one of {', '.join(FORMATS)}.")
    out = Path(cfg.out)
    if out.is_file():
        raise InputError(f"{out} is a file: name the folder that the converted weights go to.")
    denoiser = FORMATS[cfg.format](str(cfg.source))
    denoiser.save_pretrained(out)
    parameters = sum(parameter.numel() for parameter in denoiser.network.parameters())
    print(f"{type(denoiser.network).__name__} of {parameters:,} parameters in {out}")
