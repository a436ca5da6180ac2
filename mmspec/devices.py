"""The device that work is done on, by the names that configurations give it."""

import os

import torch

from mmspec.errors import InputError


def find_device(wanted: str) -> torch.device:
    """The device of a name.

    Args:
        wanted: "auto" for a GPU of CUDA where there is one, else the CPU; "cpu"; "cuda"; or "mps" for an Apple GPU.

    Raises:
        InputError: for a GPU that torch does not find, or an Apple one in a launch of several processes.
    """
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("device=mps is an Apple GPU, which torch does not find here: give auto or cpu.")
        if int(os.environ.get("WORLD_SIZE", "1")) > 1:
            raise InputError("device=mps is one GPU, which several processes cannot share out: start one process.")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise InputError("device=cuda is a GPU of CUDA, which torch does not find here: give auto or cpu.")
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def refuse_missing_on(
    device: torch.device, mixed_precision: str = "no", compiled: bool = False, accumulation: int = 1
) -> None:
    """Raise InputError for what is not offered on an Apple GPU."""
    asked = {
        f"mixed_precision={mixed_precision}": mixed_precision != "no",
        "compile=true": compiled,
        f"accumulation={accumulation}": accumulation > 1,  # whose two passes need the same dropout
    }
    for words in [words for words, given in asked.items() if given and device.type == "mps"]:
        raise InputError(f"{words} is not offered with device=mps: leave it out.")


def walk_device(device: torch.device) -> torch.device:
    """Where a sampler's walk is computed in float64, which Apple GPUs lack: there, or on the CPU."""
    return torch.device("cpu") if device.type == "mps" else device
