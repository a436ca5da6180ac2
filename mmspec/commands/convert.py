"""``mmspec convert``: other people's weights into a folder that every command here can read."""

from collections.abc import Callable
from pathlib import Path

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.pretrained import load_diffwave, load_edm, load_ldm

FORMATS: dict[str, Callable[..., Denoiser]] = {"edm": load_edm, "diffwave": load_diffwave, "ldm": load_ldm}


def run(cfg: DictConfig) -> None:
    """Write the denoiser in ``cfg.source`` as `Denoiser.save_pretrained` does into ``cfg.out``."""
    if cfg.format not in FORMATS:
        raise InputError(f"{cfg.format!r} is no format of mmspec convert: expected one of {', '.join(FORMATS)}.")
    out = Path(cfg.out)
    if out.is_file():
        raise InputError(f"{out} is a file: name the folder that the converted weights go to.")
    options = {key: value for key, value in plain(cfg)["ldm"].items() if value is not None}
    if options and cfg.format != "ldm":
        raise InputError(f"ldm.{next(iter(options))} is for the format ldm, not for {cfg.format}: leave it out.")
    denoiser = FORMATS[cfg.format](str(cfg.source), **options)
    denoiser.save_pretrained(out)
    parameters = sum(parameter.numel() for parameter in denoiser.network.parameters())
    print(f"{type(denoiser.network).__name__} of {parameters:,} parameters in {out}")
