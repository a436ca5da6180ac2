"""What a denoiser predicts on the walks of a few samples, kept beside them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmspec.analysis.trajectory import Trajectory, recorded
from mmspec.data import DatasetMeta, write_packed
from mmspec.data.meta import DTYPES
from mmspec.data.values import encode
from mmspec.data.walk import write_walk_file
from mmspec.diffusion import Denoiser
from mmspec.diffusion.samplers.sampler import OnStep


@dataclass
class Steps:
    """Gathers what each step of one sample's walk predicts, and what the denoiser was asked for it first.

    Attributes:
        denoiser: that walks, and decodes latents.
        calls: of the denoiser.
        sigmas: of each step.
        frames: predictions as they are stored.
        gates: layer -> the gates of each step, ``[bands]``.
    """

    denoiser: Denoiser
    calls: Trajectory
    sigmas: list[float] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)
    gates: dict[str, list[Tensor]] = field(default_factory=dict)
    seen: int = 0

    def __call__(self, step: int, x: Tensor, denoised: Tensor) -> None:
        """A sampler's callback, for a batch of one."""
        device = next(self.denoiser.parameters()).device
        signal = self.denoiser.decode(denoised.to(device, torch.float32))
        self.frames.append(encode(signal.cpu())[0])
        self.sigmas.append(self.calls.sigmas[self.seen])
        for name, calls in self.calls.gates.items():
            self.gates.setdefault(name, []).append(calls[self.seen][-1])  # under guidance, what was told comes last
        self.seen = len(self.calls.sigmas)


def write_walks(
    folder: Path,
    denoiser: Denoiser,
    walks: Sequence[Callable[[OnStep], object]],
    meta: DatasetMeta,
    labels: np.ndarray | None,
    lengths: np.ndarray | None,
) -> None:
    """Walk again, and keep x0_hat of each step as `mmspec.data.walk.Walk` reads it.

    Args:
        folder: is made.
        denoiser: that walks.
        walks: each draws one sample, and tells its steps.
        meta: of the samples.
        labels: of each of them, or None.
        lengths: of each of them, where they are recordings of several lengths, or None.
    """
    walked = []
    for walk in walks:
        with recorded(denoiser, predictions=False) as calls:
            steps = Steps(denoiser, calls)
            walk(steps)
        walked.append(steps)
    count = len(walked[0].sigmas)
    frames = [frame for steps in walked for frame in steps.frames]
    stored = np.zeros((len(frames), *meta.stored_shape), DTYPES[meta.modality])
    for row, frame in zip(stored, frames, strict=True):
        row[: len(frame)] = frame[: len(row)]
    each = [None if values is None else np.repeat(values[: len(walked)], count) for values in (labels, lengths)]
    write_packed(folder, stored, *each, meta=replace(meta, source=f"the walks of {len(walked)} samples"))
    gates = {
        name.removeprefix("network."): torch.stack([torch.stack(steps.gates[name]) for steps in walked])
        .mean(0)
        .tolist()
        for name in walked[0].gates
    }
    write_walk_file(folder, walked[0].sigmas, gates)
