"""``mmspec info``: the machine, or what a network or denoiser is made of."""

import importlib.util
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import torch
from omegaconf import DictConfig

from mmspec.commands.assemble import make_network
from mmspec.components import describe
from mmspec.config import plain
from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.metrics.cost import count, measure
from mmspec.training.checkpoint import find_denoiser

PACKAGES = ("mmspec", "torch", "torchaudio", "numpy", "pywavelets", "auraloss", "librosa", "accelerate", "hydra-core")
EXTRAS = {"trackers": "tensorboard", "speech-demo": "espeakng_loader", "text": "transformers"}


def run(cfg: DictConfig) -> None:
    """Print the facts that ``cfg`` asks for, as text or JSON."""
    config = plain(cfg)
    if config["from"] is not None:
        facts = _denoiser_facts(Denoiser.from_pretrained(find_denoiser(config["from"])), config)
    elif config["network"]:
        with torch.device("cpu" if config["measure"] else "meta"):
            network = make_network(config["network"], config["shape"], config["classes"])
        facts = _network_facts(network, config["shape"], config)
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


def _network_facts(network: torch.nn.Module, shape: Sequence[int] | None, config: Mapping[str, Any]) -> dict[str, Any]:
    facts = {"network": type(network).__name__, "config": network.config}
    if shape is None:
        return {**facts, "parameters": sum(parameter.numel() for parameter in network.parameters())}
    try:
        cost = asdict(count(network, shape, config["context_length"]))
    except ValueError as error:
        raise InputError(f"shape={list(shape)}: {error}") from None
    return {**facts, "shape": list(shape), **cost, **(_times(network, shape, config) if config["measure"] else {})}


def _times(network: torch.nn.Module, shape: Sequence[int], config: Mapping[str, Any]) -> dict[str, Any]:
    devices = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    options = {name: config[name] for name in ("runs", "batch", "context_length")}
    return {device: measure(network, shape, device, **options) for device in devices}


def _denoiser_facts(denoiser: Denoiser, config: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_network_facts(denoiser.network, denoiser.latent_shape, config),
        "preconditioning": describe(denoiser.preconditioning),
        "conditioner": describe(denoiser.conditioner) if denoiser.conditioner else None,
        "first_stage": describe(denoiser.first_stage) if denoiser.first_stage else None,
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
