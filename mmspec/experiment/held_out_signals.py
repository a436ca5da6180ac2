"""Held-out signals as a denoiser sees them, and as sets of them are compared."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mmspec.data import StoredDataset
from mmspec.data.crops import Crops, side_by_side
from mmspec.diffusion import Denoiser
from mmspec.diffusion.conditions import Batch, Condition, Labels, said, tell
from mmspec.errors import InputError
from mmspec.experiment.conditions import class_numbers, dataset_context
from mmspec.experiment.figures.held_out import spread
from mmspec.experiment.recordings import require_rate
from mmspec.experiment.training_signals import refuse_training_signals
from mmspec.metrics.report_card import FEWEST
from mmspec.metrics.signals import SignalSet


@dataclass(frozen=True)
class HeldOut:
    """Real signals that a denoiser was not trained on.

    Attributes:
        dataset: packed.
        denoiser: that they are for.
    """

    dataset: StoredDataset
    denoiser: Denoiser

    @property
    def crop(self) -> int | None:
        """Samples of the stretches in which a denoiser of sound sees recordings; None of pictures."""
        shape = self.denoiser.signal_shape or ()
        return shape[1] if len(shape) == 2 else None

    @property
    def signals(self) -> StoredDataset | Crops:
        """All signals of the shape that the denoiser is for, with the margin of its spectrograms."""
        if self.crop is None:
            return self.dataset
        conditioner = self.denoiser.conditioner
        hop, margin = (conditioner.hop_samples, conditioner.margin) if conditioner else (self.crop, 0)
        return Crops(self.dataset, self.crop, hop, margin)

    def batches(self, num: int, size: int, conditions: list[Condition]) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """``num`` of them as the network sees them, ``[B, *latent_shape]``, with what it is told.

        Args:
            num: evenly spread over all, or all where there are fewer.
            size: of a batch.
            conditions: what is told.
        """
        device, signals = next(self.denoiser.parameters()).device, self.signals
        numbers = class_numbers(self.denoiser.classes or (), self.dataset.meta.classes or ())
        for indices in np.array_split(spread(len(signals), num), -(-min(num, len(signals)) // size)):
            clips, labels = signals.batch(indices)
            known = None if labels is None or numbers is None else torch.tensor(numbers)[labels]
            batch = Batch(clips, known, indices).to(device)
            yield self.denoiser.clean(batch.signals), said(tell(conditions, batch))

    def conditions(self, encoder: str | None, source: str) -> list[Condition]:
        """What the denoiser is told of them: classes where it knows theirs, spectrograms, texts.

        Args:
            encoder: folder of a text encoder; None for that of the run ``source``.
            source: where the denoiser is from.

        Raises:
            InputError: if captions or their encoder are missing.
        """
        numbers = class_numbers(self.denoiser.classes or (), self.dataset.meta.classes or ())
        known = [each for each in self.denoiser.conditions if numbers is not None or not isinstance(each, Labels)]
        return [*known, *dataset_context(self.denoiser, self.dataset, encoder, source)]

    def set_of(self, num: int) -> SignalSet:
        """``num`` of them as they are, evenly spread; of sound whole recordings for a vocoder, else stretches."""
        rows = torch.from_numpy(spread(len(self.dataset), num))
        if self.denoiser.conditioner is not None:
            return SignalSet(self.dataset, rows, batch_size=1)
        source, indices = side_by_side(self.dataset, rows, self.crop)
        return SignalSet(source, indices[spread(len(indices), num)])


def held_out_signals(dataset: StoredDataset, denoiser: Denoiser, source: str) -> HeldOut:
    """Signals of a data set, once it is seen that they fit a denoiser and that it was not trained on them.

    Raises:
        InputError: if the signals are of another rate, shape or number of channels, too few, or were trained on.
    """
    held_out, wanted, found = HeldOut(dataset, denoiser), denoiser.signal_shape, dataset.meta.shape
    if wanted is None:
        raise InputError(f"{source} does not say the shape of its signals: its config.json lacks signal.shape.")
    require_rate(dataset, denoiser)
    sound = dataset.meta.sample_rate is not None
    if dataset.meta.modality == "latent" or (found[0] != wanted[0] if sound else found != wanted):
        raise InputError(
            f"data={dataset.folder} holds {dataset.meta.modality} signals {list(found)}, the denoiser is for "
            f"{list(wanted)}: prepare the data as for its training."
        )
    refuse_training_signals(dataset, source)
    if (count := min(len(dataset), len(held_out.signals))) < FEWEST:
        raise InputError(
            f"data={dataset.folder} holds {count} signals, too few for intervals: {FEWEST} are needed, hundreds are "
            "better."
        )
    return held_out
