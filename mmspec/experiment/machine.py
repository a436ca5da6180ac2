"""What machine this is, and what mmspec finds on it."""

import importlib.util
import os
import platform
from importlib.metadata import version
from typing import Any

from mmspec.errors import InputError

PACKAGES = ("mmspec", "torch", "torchaudio", "numpy", "pywavelets", "auraloss", "librosa", "accelerate", "hydra-core")
EXTRAS = {  # a module that is there where the extra is
    "trackers": "tensorboard",
    "eval-image": "onnxruntime",
    "eval-speech": "pesq",
    "export": "onnxscript",
    "text": "transformers",
    "diffusers": "diffusers",
    "gallery": "starlette",
    "wandb": "wandb",
    "mlflow": "mlflow",
    "bench": "pytorch_wavelets",
    "browser": "playwright",
    "docs": "mkdocs",
}


def machine_facts() -> dict[str, Any]:
    """Versions, devices, and which extras are installed."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else ["cpu"],
        "cuda": torch.version.cuda if cuda else None,
        "extras": {name: importlib.util.find_spec(module) is not None for name, module in EXTRAS.items()},
    }


def check_seed(seed: int) -> None:
    """Raise InputError unless a seed is one that random numbers can start from."""
    if not 0 <= seed < 2**63:
        raise InputError(f"seed must be from 0 to 2**63 - 1, not {seed}.")
