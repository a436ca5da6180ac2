"""What happens inside of a denoiser while a sampler walks from noise to signals."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from mmspec.networks import WaveletDown, WaveletUp


@dataclass
class Trajectory:
    """What a denoiser was asked and answered, call by call.

    Attributes:
        sigmas: noise level of each call.
        predictions: x0_hat of each call, ``[B, C, *spatial]``, on the CPU.
        gates: name of a resampling layer -> the gates of each call, ``[B, bands]``, on the CPU.
    """

    sigmas: list[float] = field(default_factory=list)
    predictions: list[Tensor] = field(default_factory=list)
    gates: dict[str, list[Tensor]] = field(default_factory=dict)

    def mean_gates(self) -> dict[str, Tensor]:
        """Means over the batch, ``[calls, bands]`` by layer."""
        return {name: torch.stack([gates.mean(0) for gates in calls]) for name, calls in self.gates.items()}


@contextmanager
def recorded(denoiser: nn.Module, predictions: bool = True) -> Iterator[Trajectory]:
    """Listen to all calls of a denoiser, and to the gates of its network, as long as the context lasts.

    Args:
        denoiser: a `mmspec.diffusion.Denoiser`.
        predictions: keep x0_hat of all calls.
    """
    trajectory = Trajectory()

    def note(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        trajectory.sigmas.append(float(torch.as_tensor(inputs[1]).flatten()[0]))
        if predictions:
            trajectory.predictions.append(output.detach().float().cpu())

    with ExitStack() as stack:
        stack.callback(denoiser.register_forward_hook(note).remove)
        for name, module in denoiser.named_modules():
            if isinstance(module, WaveletDown | WaveletUp):
                trajectory.gates[name] = []
                stack.enter_context(_gates_told_to(trajectory.gates[name], module))
        yield trajectory


@contextmanager
def _gates_told_to(calls: list[Tensor], module: WaveletDown | WaveletUp) -> Iterator[None]:
    gates = module.gates

    def tell(*args: Any, **kwargs: Any) -> Tensor:
        values = gates(*args, **kwargs)
        calls.append(values.detach().float().cpu())
        return values

    module.gates = tell  # type: ignore[method-assign]
    try:
        yield
    finally:
        del module.gates


def chosen_calls(sigmas: Sequence[float], count: int) -> list[int]:
    """Indices of so many calls, evenly spread over them, the first and the last included; fewer where there are not
    as many.
    """
    places = torch.linspace(0, len(sigmas) - 1, min(count, len(sigmas)))
    return list(dict.fromkeys(int(place) for place in places.round()))
