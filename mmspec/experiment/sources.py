"""Where denoisers and their data come from: runs, checkpoints, folders, the hub."""

from pathlib import Path

import torch

from mmspec.diffusion import Denoiser
from mmspec.diffusion.denoiser import WEIGHTS
from mmspec.files import sha256
from mmspec.training.run import find_denoiser


def open_denoiser(source: str, device: str | torch.device = "cpu") -> tuple[Denoiser, str | None]:
    """The denoiser that a user means, and the SHA-256 of its weights where they are on this machine.

    Raises:
        InputError: if there is none at ``source``.
    """
    place = find_denoiser(source)
    return Denoiser.from_pretrained(place, device), weights_sha256(place)


def weights_sha256(place: str | Path) -> str | None:
    """The SHA-256 of the weights of a denoiser's folder; None of one that is not on this machine."""
    weights = Path(place) / WEIGHTS
    return sha256(weights) if weights.is_file() else None
