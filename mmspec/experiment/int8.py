"""An export in 8-bit integers: calibrated on real signals, and its samples beside those of float32."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from mmspec.data import StoredDataset
from mmspec.diffusion import Denoiser
from mmspec.diffusion.conditions import NULL, Batch, hide, tell
from mmspec.diffusion.sampling import noise_levels
from mmspec.errors import InputError
from mmspec.experiment.conditions import choose_classes, class_numbers, dataset_context
from mmspec.experiment.signals import training_signals
from mmspec.exported.model import DENOISER, ExportedDenoiser, Int8Facts
from mmspec.exported.quantization import quantize
from mmspec.metrics.spectrum import MeanSpectrum, log_spectral_distance

LEAST, MOST = 16, 64  # signals to calibrate by
DRAWN = 16  # samples that are compared
AT_ONCE = 4  # of them, for memory

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Calibration:
    """Real signals, and what is told of them.

    Attributes:
        x0: as the network sees them, ``[N, *latent_shape]``.
        told: as `mmspec.diffusion.conditions.tell` says, ``[N, ...]``.
    """

    x0: Tensor
    told: dict[str, Tensor]

    @classmethod
    def of(cls, denoiser: Denoiser, dataset: StoredDataset, text_encoder: str | None, source: str) -> "Calibration":
        """Of a data set: signals from all over it, of recordings stretches.

        Raises:
            InputError: if there are fewer than `LEAST`, or they do not fit the denoiser.
        """
        shape = denoiser.signal_shape or ()
        long = denoiser.sample_rate is not None and dataset.meta.shape != shape
        crop = shape[-1] if long or denoiser.conditioner is not None else None
        signals = training_signals(dataset, denoiser, crop)
        if len(signals) < LEAST:
            raise InputError(
                f"{dataset.folder} holds {len(signals)} signals, precision=int8 is calibrated on {LEAST} or more: give "
                "data=, a larger set."
            )
        rows = np.linspace(0, len(signals) - 1, min(MOST, len(signals))).astype(int)
        clips, labels = signals.batch(rows)
        batch = Batch(clips, _classes(denoiser, dataset, labels, len(rows)), rows)
        context = dataset_context(denoiser, dataset, text_encoder, source)
        told = tell([*denoiser.conditions, *context], batch)
        for name in denoiser.told.keys() - told.keys():
            told[name] = torch.zeros(len(rows), denoiser.told[name])
        with torch.no_grad():
            x0 = denoiser.clean(clips)
        if x0.shape[1:] != denoiser.latent_shape:
            raise InputError(
                f"data={dataset.folder} holds signals {list(dataset.meta.shape)}, the denoiser is for {list(shape)}: "
                "prepare the data for it."
            )
        return cls(x0, told)

    def inputs(self, denoiser: Denoiser, steps: int, guided: bool) -> list[Arrays]:
        """What a sampler asks on its walk: the signals in turn, at its noise levels in turn, ``[1, ...]`` each; with
        guidance, of every other one nothing is told.
        """
        levels = noise_levels(denoiser, steps, None)
        generator = torch.Generator().manual_seed(0)
        found = []
        for i in range(max(MOST, len(levels))):
            row, sigma = i % len(self.x0), levels[i % len(levels)]
            told = {name: value if name.startswith(NULL) else value[row : row + 1] for name, value in self.told.items()}
            hidden = guided and (i + i // len(levels)) % 2 == 0  # at each level, in every other turn
            told = hide(told, torch.tensor([float(not hidden)]))
            x = self.x0[row : row + 1] + sigma * torch.randn(1, *self.x0.shape[1:], generator=generator)
            found.append(
                {name: _array(value) for name, value in {"x": x, "sigma": torch.tensor([sigma]), **told}.items()}
            )
        return found

    def drawn(self, denoiser: ExportedDenoiser, seed: int) -> Tensor:
        """`DRAWN` samples from a seed on, told what these signals are told, ``[DRAWN, C, *spatial]``."""
        nothing = {name.removeprefix(NULL): _array(each) for name, each in self.told.items() if name.startswith(NULL)}
        told = {name: _array(value) for name, value in self.told.items() if not name.startswith(NULL)}
        samples = []
        for start in range(0, DRAWN, AT_ONCE):
            rows = np.arange(start, start + AT_ONCE)
            mine = {name: value[rows] for name, value in told.items()}
            samples.append(denoiser.sample((seed + rows).tolist(), mine, nothing))
        return torch.from_numpy(np.concatenate(samples))


def to_int8(
    folder: Path, denoiser: Denoiser, calibration: Calibration, steps: int, write: Callable[[], object]
) -> Int8Facts:
    """Put 8-bit integers in the place of an export's float32, and compare the samples of both.

    Args:
        folder: of the export in float32.
        steps: of its sampler.
        write: to be called when its graph is another.

    Raises:
        InputError: if the graph cannot be of 8 bits, or its samples are not finite.
    """
    exported = ExportedDenoiser(folder)
    alike, others = calibration.drawn(exported, 0), calibration.drawn(exported, DRAWN)
    inputs = calibration.inputs(denoiser, steps, exported.facts.guidance is not None)
    operators = quantize(folder / f"{DENOISER}.onnx", inputs)
    write()
    small = calibration.drawn(ExportedDenoiser(folder), 0)
    if not small.isfinite().all():
        raise InputError("samples of int8 hold NaN or infinity: export it in float32.")
    wanted, found, other = (_spectrum(each, denoiser.sample_rate) for each in (alike, small, others))
    return Int8Facts(
        operators=operators,
        calibrated_on=len(calibration.x0),
        samples=DRAWN,
        log_spectral_distance=log_spectral_distance(wanted.result(), found.result()),
        between_seeds=log_spectral_distance(wanted.result(), other.result()),
    )


def _spectrum(samples: Tensor, sample_rate: int | None) -> MeanSpectrum:
    spectrum = MeanSpectrum(sample_rate)
    spectrum.update(samples)
    return spectrum


def _classes(denoiser: Denoiser, dataset: StoredDataset, labels: Tensor | None, count: int) -> Tensor | None:
    """As the denoiser numbers them; all in turn where the data set has others."""
    numbers = class_numbers(denoiser.classes or (), dataset.meta.classes or ()) if labels is not None else None
    if labels is None or not numbers:
        return choose_classes(denoiser, "balanced", count)
    return torch.tensor(numbers)[labels]


def _array(value: Tensor) -> np.ndarray:
    return value.float().numpy()
