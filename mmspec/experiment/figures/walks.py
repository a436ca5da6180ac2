"""What the figures of a sampler's walk share: how the denoiser walks."""

from dataclasses import dataclass
from typing import Any

from mmspec.analysis.trajectory import Trajectory, recorded
from mmspec.commands.assemble import make_sampler
from mmspec.commands.labels import choose_classes, rows
from mmspec.commands.texts import sampling_texts
from mmspec.components import Component
from mmspec.diffusion import Denoiser, sample, seeded
from mmspec.errors import InputError
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
        words = {"text": self.text, "text_encoder": self.text_encoder, "from": self.source}
        texts = sampling_texts(words, denoiser, self.num)
        told: dict[str, Any] = {} if texts is None else texts(range(self.num))
        with recorded(denoiser, predictions=predictions) as trajectory:
            if not predictions and not trajectory.gates:
                raise InputError(f"from={self.source} has no wavelet gates: give a denoiser with network=wavelet_unet.")
            sample(
                denoiser,
                (self.num, *(denoiser.signal_shape or ())),
                sampler=make_sampler({"sampler": self.sampler.write()}),
                steps=self.steps,
                generator=seeded([self.seed + index for index in range(self.num)]),
                labels=None if chosen is None else rows(denoiser, chosen),
                **told,
            )
        return trajectory
