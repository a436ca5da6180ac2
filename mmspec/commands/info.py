"""``mmspec info``: the machine, or what a network or denoiser is made of."""

import importlib.util
import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from omegaconf import DictConfig

from mmspec.commands.assemble import make_network
from mmspec.components import describe
from mmspec.config import plain
from mmspec.diffusion import Denoiser
from mmspec.training.checkpoint import find_denoiser

PACKAGES = ("mmspec", "torch", "torchaudio", "numpy", "pywavelets", "auraloss", "librosa", "accelerate", "hydra-core")
EXTRAS = {"trackers": "tensorboard", "speech-demo": "espeakng_loader"}


def run(cfg: DictConfig) -> None:
    """Print the facts that ``cfg`` asks for, as text or JSON."""
    config = plain(cfg)
    if config["from"] is not None:
        facts = _denoiser_facts(Denoiser.from_pretrained(find_denoiser(config["from"])))
    elif config.get("network"):
        with torch.device("meta"):
            network = make_network(config["network"], config["shape"], config["classes"])
        facts = _network_facts(network)
    else:
        facts = _machine_facts()
    print(json.dumps(facts, indent=2) if config["format"] == "json" else _text(facts))


def _machine_facts() -> dict[str, Any]:
    cuda = torch.cuda.is_available()
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())] if cuda else ["cpu"],
        "cuda": torch.version.cuda if cuda else None,
        "extras": {name: importlib.util.find_spec(module) is not None for name, module in EXTRAS.items()},
    }


def _network_facts(network: torch.nn.Module) -> dict[str, Any]:
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return {"network": type(network).__name__, "parameters": parameters, "config": network.config}


def _denoiser_facts(denoiser: Denoiser) -> dict[str, Any]:
    return {
        **_network_facts(denoiser.network),
        "preconditioning": describe(denoiser.preconditioning),
        "conditioner": describe(denoiser.conditioner) if denoiser.conditioner else None,
        "signal_shape": denoiser.signal_shape,
        "sample_rate": denoiser.sample_rate,
        "classes": denoiser.classes,
    }


def _text(facts: Mapping[str, Any], indent: str = "") -> str:
    width = max(len(key) for key in facts)
    lines = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}", _text(value, indent + "  ")]
        else:
            shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
            lines.append(f"{indent}{key:<{width}}  {shown}")
    return "\n".join(lines)
