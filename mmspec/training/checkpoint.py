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
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from mmspec.diffusion import Denoiser
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.files import flush, replace_text
from mmspec.training.complete import UNFINISHED, remove_checkpoint, require_whole
from mmspec.training.finite import not_finite
from mmspec.training.integrity import AVERAGED, mark
from mmspec.training.meters import MetersState
from mmspec.training.sharding import host_copy, laid_out, load_whole

WEIGHTS, OPTIMIZER, OBJECTIVE = "model.safetensors", "optimizer.safetensors", "objective.safetensors"
AVERAGES = f"{AVERAGED}/{WEIGHTS}"


class Step(TypedDict):
    """How far a training was."""

    step: int


class StateFile(Step, total=False):
    """What is read of state.json; checkpoints of before hold no meters."""

    meters: MetersState


@dataclass(frozen=True)
class Snapshot:
    """All of a checkpoint, in memory of its own: training may go on while it is written.

    Attributes:
        step: how many were taken.
        state: what state.json holds besides.
        files: tensors by file and name; none where another process has them.
        averaged: the averaged denoiser, of which the weights are in ``files``.
    """

    step: int
    state: dict[str, Any]
    files: dict[str, dict[str, Tensor]]
    averaged: Denoiser


def take_snapshot(
    step: int,
    denoiser: Denoiser,
    ema: Denoiser,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    objective: nn.Module | None = None,
    keep: bool = True,
) -> Snapshot:
    """Copy what a checkpoint holds; of the objective only what is trained, not a teacher.

    All processes call it where weights are in shards, and one of them ``keep``s the copy.
    """
    files: dict[str, Mapping[str, Tensor]] = {
        WEIGHTS: denoiser.network.state_dict(),
        OPTIMIZER: _flatten(optimizer),
        OBJECTIVE: trained_parameters(objective),
        AVERAGES: ema.network.state_dict(),
    }
    return Snapshot(step, state, {name: host_copy(tensors, keep) for name, tensors in files.items()}, ema)


def save_checkpoint(folder: Path, snapshot: Snapshot) -> Path:
    """Write ``folder/step_XXXXXXXX`` and point ``folder/latest`` at it.

    Raises:
        InputError: if a weight or what the optimizer keeps is not finite; nothing is written then.
        OSError: if the disk refuses; what was half written is removed and older checkpoints are untouched.
    """
    target = folder / f"step_{snapshot.step:08d}"
    beside = folder / f"{UNFINISHED}{target.name}"
    for name, tensors in snapshot.files.items():
        if (broken := not_finite(tensors)) is not None:
            raise InputError(
                f"training stopped at step {snapshot.step}: {broken} of {name} holds NaN or infinity, and no "
                "checkpoint was made of it; the one before is intact: lower trainer.learning_rate and run again."
            )
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        _write(beside, snapshot)
        mark(beside)
        flush(beside)
        if target.exists():
            remove_checkpoint(target)
        os.replace(beside, target)
        replace_text(folder / "latest", target.name + "\n")
    except (OSError, SafetensorError) as error:
        shutil.rmtree(beside, ignore_errors=True)
        raise OSError(f"{target} could not be written ({error})") from error
    return target


def _write(folder: Path, snapshot: Snapshot) -> None:
    files = snapshot.files
    for name in (WEIGHTS, OPTIMIZER, *([OBJECTIVE] if files[OBJECTIVE] else [])):
        save_file(files[name], folder / name)
    snapshot.averaged.save_pretrained(folder / AVERAGED, files[AVERAGES])
    (folder / "state.json").write_text(json.dumps({"step": snapshot.step, **snapshot.state}, indent=2) + "\n")


def require_room(folder: Path, size: int, count: int) -> None:
    """See that checkpoints fit, before hours are spent: room for them is taken, and given back.

    Args:
        folder: in which they will lie.
        size: of one, in bytes.
        count: how many more will be there at a time.

    Raises:
        InputError: if the disk, or the user's share of it, refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f"{UNFINISHED}room"
    try:
        with probe.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size * count)
    except OSError as error:
        raise InputError(
            f"{folder} has no room for the checkpoints of this training, {count} more of {size / 1e6:.1f} MB at a time "
            f"({error.strerror}): make room, lower trainer.keep_last, or give a run_dir on another disk."
        ) from None
    finally:
        probe.unlink(missing_ok=True)


def checkpoint_bytes(denoiser: Denoiser, optimizer: torch.optim.Optimizer) -> int:
    """About how large a checkpoint will be: weights, their averages, and two moments of all that is trained."""
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    weights = list(denoiser.network.state_dict().values())
    return sum(tensor.nbytes for tensor in [*weights, *weights, *trained, *trained])


def load_checkpoint(
    checkpoint: Path,
    denoiser: Denoiser,
    ema: Denoiser,
    optimizer: torch.optim.Optimizer,
    objective: nn.Module | None = None,
) -> StateFile:
    """Put a checkpoint's weights and optimizer state in place; returns what state.json holds.

    Raises:
        InputError: if the checkpoint is incomplete or damaged, or of another network or objective.
    """
    require_whole(checkpoint)
    mend = "restore it, or resume from another checkpoint"
    state = cast(StateFile, read_json(checkpoint / "state.json", StateFile, mend))
    if state["step"] < 0:
        raise InputError(f"{checkpoint / 'state.json'}: step must be 0 or more, not {state['step']}: restore it.")
    try:
        load_whole(denoiser.network, load_file(checkpoint / WEIGHTS))
        load_whole(ema.network, load_file(checkpoint / AVERAGES))
        _unflatten(load_file(checkpoint / OPTIMIZER), optimizer)
        if trained := trained_parameters(objective):
            saved = load_file(checkpoint / OBJECTIVE)
            for name, parameter in trained.items():
                parameter.data.copy_(saved[name])
    except (FileNotFoundError, RuntimeError, ValueError, KeyError, IndexError) as error:
        raise InputError(
            f"{checkpoint} does not fit this network ({str(error).splitlines()[0]}): resume with the config that "
            "wrote it, or start another run with init_from."
        ) from None
    return state


def trained_parameters(module: nn.Module | None) -> dict[str, nn.Parameter]:
    """The parameters of a module that require gradients, by name."""
    named = () if module is None else module.named_parameters()
    return {name: parameter for name, parameter in named if parameter.requires_grad}


def _flatten(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    state = optimizer.state_dict()["state"]
    return {f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()}


def _unflatten(tensors: dict[str, Tensor], optimizer: torch.optim.Optimizer) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = laid_out(tensor, parameters[int(index)])
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
