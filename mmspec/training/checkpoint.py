"""Checkpoints that are whole or absent: written beside their place, then renamed into it.

``checkpoints/step_00001000/`` holds ``model.safetensors`` (weights in training), ``ema/`` (the averaged denoiser, ready
for `mmspec.from_pretrained`), ``optimizer.safetensors``, ``objective.safetensors`` where the objective has weights that
are trained too, ``state.json`` and, written last, the marker ``COMPLETE`` with their checksums. ``checkpoints/latest``
names the newest one.

Who opens a checkpoint asks `newest_whole` or `require_whole`, which compare its files with what was written.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmspec.diffusion import Denoiser
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.files import flush, free_name, replace_text
from mmspec.training.integrity import MARKER, damage, is_complete, mark


class StateFile(TypedDict):
    """What is read of state.json."""

    step: int


def save_checkpoint(
    folder: Path,
    step: int,
    denoiser: Denoiser,
    ema: Denoiser,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    objective: nn.Module | None = None,
) -> Path:
    """Write ``folder/step_XXXXXXXX`` and point ``folder/latest`` at it.

    Of the objective only what is trained is kept, not a teacher.

    Raises:
        OSError: if the disk refuses; what was half written is removed and older checkpoints are untouched.
    """
    target = folder / f"step_{step:08d}"
    beside = folder / f".writing-{target.name}"
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        save_file(_contiguous(denoiser.network.state_dict()), beside / "model.safetensors")
        save_file(_flatten(optimizer), beside / "optimizer.safetensors")
        if trained := trained_parameters(objective):
            save_file(_contiguous(trained), beside / "objective.safetensors")
        ema.save_pretrained(beside / "ema")
        (beside / "state.json").write_text(json.dumps({"step": step, **state}, indent=2) + "\n")
        mark(beside)
        flush(beside)
        if target.exists():
            shutil.rmtree(target)
        os.replace(beside, target)
        replace_text(folder / "latest", target.name + "\n")
    except (OSError, SafetensorError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise OSError(f"{target} could not be written ({error})") from error
    return target


def load_checkpoint(
    checkpoint: Path,
    denoiser: Denoiser,
    ema: Denoiser,
    optimizer: torch.optim.Optimizer,
    objective: nn.Module | None = None,
) -> dict[str, Any]:
    """Put a checkpoint's weights and optimizer state in place; returns what state.json holds.

    Raises:
        InputError: if the checkpoint is incomplete or damaged, or of another network or objective.
    """
    require_whole(checkpoint)
    state = read_json(checkpoint / "state.json", StateFile, "restore it, or resume from another checkpoint")
    if state["step"] < 0:
        raise InputError(f"{checkpoint / 'state.json'}: step must be 0 or more, not {state['step']}: restore it.")
    try:
        denoiser.network.load_state_dict(load_file(checkpoint / "model.safetensors"))
        ema.network.load_state_dict(load_file(checkpoint / "ema" / "model.safetensors"))
        _unflatten(load_file(checkpoint / "optimizer.safetensors"), optimizer)
        if trained := trained_parameters(objective):
            saved = load_file(checkpoint / "objective.safetensors")
            for name, parameter in trained.items():
                parameter.data.copy_(saved[name])
    except (FileNotFoundError, RuntimeError, ValueError, KeyError) as error:
        raise InputError(
            f"{checkpoint} does not fit this network ({str(error).splitlines()[0]}): resume with the config that "
            "wrote it, or start another run with init_from."
        ) from None
    return state


def trained_parameters(module: nn.Module | None) -> dict[str, nn.Parameter]:
    """The parameters of a module that require gradients, by name."""
    named = () if module is None else module.named_parameters()
    return {name: parameter for name, parameter in named if parameter.requires_grad}


def complete_checkpoints(folder: Path) -> list[Path]:
    """The checkpoints in a run's ``checkpoints`` folder that were written to their end, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step_*/{MARKER}"))


def newest_whole(folder: Path, part: str = "") -> tuple[Path | None, dict[Path, str]]:
    """The newest checkpoint in a run's ``checkpoints`` folder that is as it was written.

    Args:
        folder: in which they lie.
        part: what is needed of it, such as "ema"; all, where empty.

    Returns:
        The checkpoint, None where none was ever complete; and newer ones that are damaged, with what is wrong.

    Raises:
        InputError: if all are damaged.
    """
    damaged: dict[Path, str] = {}
    for checkpoint in reversed(complete_checkpoints(folder)):
        if (wrong := damage(checkpoint, part)) is None:
            return checkpoint, damaged
        damaged[checkpoint] = wrong
    if damaged:
        found = "; ".join(f"{checkpoint.name}: {wrong}" for checkpoint, wrong in damaged.items())
        raise InputError(f"{folder} holds no whole checkpoint ({found}): restore one from a copy, or train anew.")
    return None, {}


def require_whole(checkpoint: Path, part: str = "") -> None:
    """Raise InputError unless a checkpoint, or a part of it as for `newest_whole`, is as it was written."""
    if not is_complete(checkpoint):
        raise InputError(f"{checkpoint} is not a complete checkpoint: give a folder that holds the file {MARKER}.")
    if (wrong := damage(checkpoint, part)) is not None:
        raise InputError(f"{checkpoint} is damaged ({wrong}): restore it from a copy, or give another checkpoint.")


def set_aside(damaged: Iterable[Path]) -> None:
    """Move checkpoints to where no count of them goes wrong: ``damaged-step_XXXXXXXX`` beside the others."""
    for checkpoint in damaged:
        os.replace(checkpoint, free_name(checkpoint.with_name(f"damaged-{checkpoint.name}")))


def prune_checkpoints(folder: Path, keep_last: int, keep_every: int | None) -> None:
    """Remove all but the newest ``keep_last`` checkpoints and those at multiples of ``keep_every`` steps."""
    for path in complete_checkpoints(folder)[:-keep_last]:
        step = int(path.name.removeprefix("step_"))
        if not keep_every or step % keep_every:
            (path / MARKER).unlink()
            shutil.rmtree(path)


def _contiguous(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().contiguous() for name, tensor in tensors.items()}


def _flatten(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return _contiguous({f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()})


def _unflatten(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
