"""Multi-resolution STFT regularizer: the terms of auraloss, for each sample, in 1D and 2D."""

import math
import warnings
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from mmspec.losses.auto import Auto
from mmspec.losses.base import SpectralLoss
from mmspec.losses.hearing import Hearing
from mmspec.losses.magnitudes import MagnitudeDistance, Weights
from mmspec.spectral.derivatives import transformed
from mmspec.spectral.stft import check_window, fits, framing, spectrogram


class Resolution(NamedTuple):
    """One short-time Fourier transform, in samples along each axis."""

    n_fft: int
    hop_length: int
    win_length: int


# Parallel WaveGAN (Yamamoto et al. 2020, Table 1), the defaults of auraloss.
AUDIO = (Resolution(1024, 120, 600), Resolution(2048, 240, 1200), Resolution(512, 50, 240))
# Patches of an image that overlap by half, from texture to parts of objects.
IMAGES = (Resolution(8, 4, 8), Resolution(16, 8, 16), Resolution(32, 16, 32))

# What auraloss raises magnitudes to: its eps of 1e-8 is one of power.
FLOOR = 1e-4

# Root mean square of a target below which its spectral convergence fades out: over that of the batch (-12 dB, which
# keeps the convergence below four times that of a neighbour with an equal error), and at least (-50 dB of full scale).
SOFT, QUIET = 0.25, 10**-2.5


class MultiResolutionSTFTLoss(SpectralLoss):
    """Distance of STFT magnitudes, averaged over several window sizes (Yamamoto et al. 2020, Eq. 3 to 6).

    For each resolution, with X and X_hat the STFT magnitudes of target and input over all channels of a sample::

        w_sc  * || X - X_hat ||_F / || X ||_F     spectral convergence
      + w_log * mean | log X - log X_hat |
      + w_lin * mean | X - X_hat |

    The terms are auraloss's, but of each sample: auraloss takes one norm over the batch. For a batch of one and equal
    options the values are equal. The spectral convergence is relative to the target, so the arguments are not
    interchangeable. In 2D the magnitudes are those of overlapping square patches (see `mmspec.spectral.stft`).

    Magnitudes are raised to 1e-4, below which there is no gradient. Relative to a target that is all but silent (a
    constant, hum, one click, dither) any error is huge, and one such clip outweighs a batch. So the spectral
    convergence of a target with root mean square r is multiplied by ``min(1, r / f)^2``, where f is a quarter of
    ``loudness`` and at least -50 dB of full scale: of two equal errors none counts more than four times that at a clip
    of ordinary loudness, in value and in gradient, and silence counts nothing. From f on the values are auraloss's.
    Resolutions that do not fit a short signal are left out with one warning.

    Sound may be compared in mel bands, A-weighted, and as mid and side, with auraloss's values again.

    Args:
        fft_sizes: samples of a piece (2D: of a patch side) at each resolution. None for (1024, 2048, 512) with hops
            (120, 240, 50) and windows (600, 1200, 240) in 1D, and (8, 16, 32) with hops (4, 8, 16) in 2D.
        hop_sizes: samples from a piece to the next at each resolution; None for a quarter of fft_sizes.
        win_lengths: samples of the window at each resolution; None for fft_sizes.
        window: "hann", "hamming" or "blackman".
        w_sc: weight of the spectral convergence.
        w_log_mag: weight of the log magnitudes; natural logarithm.
        w_lin_mag: weight of the magnitudes.
        loudness: root mean square of ordinary targets; None for the mean over those of the batch at hand. Where a batch
            comes in parts, a number makes the value of a sample independent of how it is parted. With ``mid_side`` or
            ``perceptual_weighting`` it is that of what is compared.
        sample_rate: of sound, in Hz; needed by n_mels and perceptual_weighting.
        n_mels: mel bands that magnitudes are gathered in; None for all frequencies.
        perceptual_weighting: whether signals are A-weighted first.
        mid_side: whether the sum and the difference of two channels are compared, and the mean of both taken.
        reduction: "mean", or "none" for one value a sample ``[B]``, means over magnitudes; "sum" sums their
            differences, and adds the spectral convergence of every sample as it is.

    Shape:
        input and target ``[B, C, T]`` or ``[B, C, H, W]``; result ``[]``, or ``[B]`` with ``reduction="none"``.

    Raises:
        ValueError: for an unknown window or reduction, lists of unequal length, hop_sizes or win_lengths without
            fft_sizes, weights or a loudness that are no numbers of 0 or more, and what
            `mmspec.losses.hearing.Hearing` refuses; when called, if no resolution fits the signal.
    """

    def __init__(
        self,
        fft_sizes: Sequence[int] | None = None,
        hop_sizes: Sequence[int] | None = None,
        win_lengths: Sequence[int] | None = None,
        window: str = "hann",
        w_sc: float = 1.0,
        w_log_mag: float = 1.0,
        w_lin_mag: float = 0.0,
        reduction: str = "mean",
        loudness: Annotated[float | None, Auto(lambda sigma_data: sigma_data)] = None,
        sample_rate: float | None = None,
        n_mels: int | None = None,
        perceptual_weighting: bool = False,
        mid_side: bool = False,
    ) -> None:
        from auraloss.freq import SpectralConvergenceLoss, STFTMagnitudeLoss

        super().__init__(reduction)
        if loudness is not None and not 0 <= loudness < math.inf:
            raise ValueError(f"loudness is a root mean square of 0 or more, not {loudness}.")
        if not all(0 <= weight < math.inf for weight in (w_sc, w_log_mag, w_lin_mag)):
            raise ValueError(
                f"w_sc, w_log_mag and w_lin_mag must be 0 or more, not {w_sc}, {w_log_mag} and {w_lin_mag}."
            )
        self.loudness = loudness
        check_window(window)
        self.resolutions = _resolutions(fft_sizes, hop_sizes, win_lengths)
        self.window = window
        n_ffts = [resolution.n_fft for resolution in self.resolutions or AUDIO]
        self.hearing = Hearing(n_ffts, sample_rate, n_mels, perceptual_weighting, mid_side)
        within = "sum" if reduction == "sum" else "mean"
        self.weights = Weights(w_sc, w_log_mag, w_lin_mag)
        self.terms = nn.ModuleList(
            [SpectralConvergenceLoss(), *(STFTMagnitudeLoss(log=log, reduction=within) for log in (True, False))]
        )
        self._warned = False

    def distance(self, input: Tensor, target: Tensor) -> Tensor:
        resolutions = self._fitting(input.shape[2:])
        input, target = self.hearing.signals(input), self.hearing.signals(target)
        total = input.new_zeros(len(input))
        presence = self._presence(target)
        measure = self._by_terms if transformed() or self.hearing.n_mels else self._at_once
        for resolution in resolutions:
            total = total + measure(input, target, presence, resolution)
        return self.hearing.each(total) / len(resolutions)

    def _by_terms(self, input: Tensor, target: Tensor, presence: Tensor, resolution: Resolution) -> Tensor:
        """The distance at a resolution, ``[B]``, by auraloss's own terms: differentiable in every way."""
        n_fft, hop_length, win_length = resolution
        predicted, clean = (
            self.hearing.bands(spectrogram(x, n_fft, hop_length, self.window, win_length, FLOOR), n_fft)
            for x in (input, target)
        )
        total = torch.zeros_like(presence)
        counts: list[Tensor | float] = [presence, 1, 1]
        for term, weight, count in zip(self.terms, self.weights, counts, strict=True):
            if weight:
                total = total + weight * count * torch.vmap(term)(predicted, clean)
        return total

    def _at_once(self, input: Tensor, target: Tensor, presence: Tensor, resolution: Resolution) -> Tensor:
        """The same by one function with a gradient of its own, several times faster."""
        n_fft, hop_length, win_length = resolution
        (predicted, window), (clean, _) = (
            framing(x, n_fft, hop_length, self.window, win_length) for x in (input, target)
        )
        mean = self.reduction != "sum"
        values: Tensor = MagnitudeDistance.apply(  # type: ignore[no-untyped-call]
            predicted, clean, presence, window, n_fft, hop_length, self.weights, mean, FLOOR
        )
        return values

    def _presence(self, target: Tensor) -> Tensor:
        """How much the spectral convergence of each target counts, ``[B]`` in [0, 1]."""
        power = target.square().flatten(1).mean(1)
        ordinary = power.detach().sqrt().mean() if self.loudness is None else power.new_tensor(self.loudness)
        return (power / (SOFT * ordinary).clamp(min=QUIET).square()).clamp(max=1)

    def _fitting(self, size: torch.Size) -> list[Resolution]:
        resolutions = self.resolutions or (AUDIO if len(size) == 1 else IMAGES)
        fitting = [r for r in resolutions if fits(r.n_fft, size)]
        if not fitting:
            raise ValueError(
                f"no resolution fits a signal of size {list(size)}: the smallest n_fft is "
                f"{min(r.n_fft for r in resolutions)}, and half of it must be less than the size; give fft_sizes=."
            )
        if len(fitting) < len(resolutions) and not self._warned:
            self._warned = True
            left_out = ", ".join(str(r.n_fft) for r in resolutions if r not in fitting)
            warnings.warn(
                f"signals of size {list(size)} are too short for n_fft {left_out}, left out of the STFT loss.",
                stacklevel=2,
            )
        return fitting


def _resolutions(
    fft_sizes: Sequence[int] | None, hop_sizes: Sequence[int] | None, win_lengths: Sequence[int] | None
) -> tuple[Resolution, ...]:
    """The resolutions asked for; empty for the defaults, which depend on the signal's dimension."""
    if fft_sizes is None:
        if hop_sizes is not None or win_lengths is not None:
            raise ValueError("hop_sizes and win_lengths need fft_sizes, one number each for every resolution.")
        return ()
    hops = [max(1, n // 4) for n in fft_sizes] if hop_sizes is None else hop_sizes
    windows = fft_sizes if win_lengths is None else win_lengths
    if not len(fft_sizes) == len(hops) == len(windows) > 0:
        raise ValueError(
            f"fft_sizes, hop_sizes and win_lengths need one number each for every resolution, not {len(fft_sizes)}, "
            f"{len(hops)} and {len(windows)} numbers."
        )
    return tuple(map(Resolution, fft_sizes, hops, windows))
