"""mmspec: train, slim and judge diffusion models for images and audio with the tools of signal processing."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mmspec.diffusion import Denoiser

__version__ = "0.1.0"


def from_pretrained(source: str | Path, device: str = "cpu") -> "Denoiser":
    """A denoiser, ready to sample or fine-tune.

    Args:
        source: a run (its newest averaged weights), a checkpoint, a folder that `Denoiser.save_pretrained` wrote, or
            an "owner/name" of the Hugging Face hub.
        device: where the weights go.

    Raises:
        mmspec.errors.InputError: if there is no denoiser at ``source``.
    """
    from mmspec.diffusion import Denoiser
    from mmspec.training.run import find_denoiser

    return Denoiser.from_pretrained(find_denoiser(source), device)
