"""What the figures of a sampler's walk share: how the denoiser walks."""

from dataclasses import dataclass
from typing import Any

from mmspec.analysis.trajectory import Trajectory, recorded
from mmspec.components import Component
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.diffusion.conditions import Batch, tell
from mmspec.diffusion.samplers import Sampler
from mmspec.errors import InputError
from mmspec.experiment.conditions import choose_classes, sampling_context
from mmspec.experiment.figures.denoisers import DenoiserFigure


@dataclass(frozen=True, kw_only=True)
class WalkFigure(DenoiserFigure):
    """The options of a figure of a sampler's walk.

    Raises:
        InputError: if no sample walks.
    """

    sampler: Component
    steps: int
    num: int
    labels: str | int
    text: str | int | float | None

    def __post_init__(self) -> None:
        if self.num < 1:
            raise InputError(f"num must be 1 or more, not {self.num}.")

    def walk(self, denoiser: Denoiser, predictions: bool) -> Trajectory:
        """Sample, and listen; predictions are kept, or gates alone.

        Raises:
            InputError: if the denoiser has no such class, lacks a text, or has no gates where they alone are wanted.
        """
        chosen = choose_classes(denoiser, self.labels, self.num)
        text = None if self.text is None else str(self.text)
        context = sampling_context(
            denoiser, self.num, text=text, captions=None, encoder=self.text_encoder, source=self.from_
        )
        told: dict[str, Any] = {**tell([*denoiser.conditions, *context], Batch(None, chosen, range(self.num)))}
        with recorded(denoiser, predictions=predictions) as trajectory:
            if not predictions and not trajectory.gates:
                raise InputError(f"from={self.from_} has no wavelet gates: give a denoiser with network=wavelet_unet.")
            sample(
                denoiser,
                (self.num, *(denoiser.signal_shape or ())),
                sampler=self.sampler.build(Sampler, "sampler"),
                steps=self.steps,
                generator=seeded([self.seed + index for index in range(self.num)]),
                **told,
            )
        return trajectory
