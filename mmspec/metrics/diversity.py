"""Whether generated signals cover the real ones: precision and recall, and the number of different bins (NDB)."""

from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.metrics.features import Extractor, LogMelStatistics
from mmspec.metrics.frechet import check_finite
from mmspec.metrics.measure import Measure, Metric, Verdict
from mmspec.metrics.signals import SignalSet


def precision_recall(real: Tensor, generated: Tensor, neighbours: int = 3, rows: int = 1024) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, Eq. 1 and 2).

    A set's manifold is the union of balls around its vectors, each as large as the distance to its k-th nearest
    neighbour in the set. Precision is the share of generated vectors in the real manifold, recall the share of real
    vectors in the generated one. Distances are found in float64, from the mean of ``real`` as the origin, so that
    vectors far from 0 lose no digits; what is on the edge of a ball, up to rounding, is in it.

    Args:
        real: ``[N, D]``.
        generated: ``[M, D]``, on the same device.
        neighbours: k.
        rows: vectors that are compared with a whole set at a time: memory, not results.

    Returns:
        Precision and recall, both in [0, 1], higher is better.

    Raises:
        ValueError: if the dimensions differ, a set has no k-th neighbours, or vectors are not finite.
    """
    if real.shape[1] != generated.shape[1]:
        raise ValueError(f"features of {real.shape[1]} and {generated.shape[1]} dimensions cannot be compared.")
    if min(len(real), len(generated)) <= neighbours:
        raise ValueError(f"sets of {len(real)} and {len(generated)} vectors are too few for {neighbours} neighbours.")
    check_finite(real, generated)
    origin = real.double().mean(0)
    real, generated = real.double() - origin, generated.double() - origin
    return (
        _share_within(generated, real, neighbours, rows),
        _share_within(real, generated, neighbours, rows),
    )


def _share_within(vectors: Tensor, manifold: Tensor, neighbours: int, rows: int) -> float:
    """The share of ``vectors`` that lie in a ball around a vector of ``manifold``."""
    lengths = torch.linalg.vector_norm(manifold, dim=1).square()
    longest = max(lengths.max().item(), torch.linalg.vector_norm(vectors, dim=1).max().item() ** 2)
    rounding = 16 * torch.finfo(torch.float64).eps * longest
    # Each vector is its own nearest neighbour, at distance 0.
    radii = [
        _squared_distances(chunk, manifold, lengths).kthvalue(neighbours + 1).values
        for chunk in torch.split(manifold, rows)
    ]
    radius = torch.cat(radii) + rounding
    within = [(_squared_distances(chunk, manifold, lengths) <= radius).any(1) for chunk in torch.split(vectors, rows)]
    return torch.cat(within).double().mean().item()


def _squared_distances(chunk: Tensor, manifold: Tensor, lengths: Tensor) -> Tensor:
    """``[n, D]`` and ``[N, D]``, of squared lengths ``[N]`` -> ``[n, N]``."""
    own = torch.linalg.vector_norm(chunk, dim=1, keepdim=True).square()
    return torch.addmm(lengths, chunk, manifold.T, alpha=-2).add_(own)


def different_bins(real: Tensor, generated: Tensor, bins: int, significance: float = 0.05, seed: int = 0) -> int:
    """Number of statistically different bins, NDB (Richardson and Weiss 2018, section 3).

    The bins are the cells of k-means on the real vectors. A bin is different if a two-proportion z-test (pooled,
    two-sided) rejects that both sets fall into it equally often; of two draws of one distribution a share
    ``significance`` of the bins is.

    Args:
        real: ``[N, D]``.
        generated: ``[M, D]``.
        bins: k, at most N; with fewer than some 10 vectors a bin the test finds nothing.
        significance: of the test.
        seed: of k-means.

    Raises:
        ValueError: if there are more bins than real vectors, or vectors are not finite.
    """
    from sklearn.cluster import KMeans

    if bins > len(real):
        raise ValueError(f"{bins} bins cannot be made of {len(real)} real vectors.")
    check_finite(real, generated)
    clusters = KMeans(bins, n_init=1, max_iter=100, random_state=seed).fit(real.numpy())
    counts = np.stack([np.bincount(clusters.predict(x.numpy()), minlength=bins) for x in (real, generated)])
    scores = proportion_scores(counts, np.array([len(real), len(generated)]))
    return int((np.abs(scores) > NormalDist().inv_cdf(1 - significance / 2)).sum())


def proportion_scores(counts: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """z-scores of the difference of two proportions, pooled; 0 for a bin that holds nothing or everything.

    Args:
        counts: ``[2, bins]``, how many of each set fall into a bin.
        sizes: ``[2]``, of the sets.
    """
    shares = counts / sizes[:, None]
    pooled = counts.sum(0) / sizes.sum()
    error = np.sqrt(pooled * (1 - pooled) * (1 / sizes).sum())
    scores: np.ndarray = np.divide(shares[0] - shares[1], error, out=np.zeros_like(error), where=error > 0)
    return scores


class LogMelSpectrogram(Extractor):
    """Log-mel bands of clips over time, as a vector ``[B, frames * bands]``; see `LogMelStatistics`."""

    name = "log_mel_spectrogram"

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.log_mel = LogMelStatistics(sample_rate)
        self.definition = f"log-mel spectrograms ({LogMelStatistics.bands} bands, 32 ms windows every 8 ms)"

    def forward(self, x: Tensor) -> Tensor:
        return self.log_mel.spectrogram(x).flatten(1)


class DifferentBins(Measure):
    """NDB / k of clips (Richardson and Weiss 2018), see `different_bins`.

    Args:
        bins: k.
        sample_rate: of the clips, in Hz.

    Raises:
        InputError: if there are fewer than 2 bins, or, on use, more than real clips.
    """

    def __init__(self, bins: int, sample_rate: int) -> None:
        if bins < 2:
            raise InputError(f"ndb_bins must be 2 or more, not {bins}.")
        self.bins = bins
        self.extractor = LogMelSpectrogram(sample_rate)

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """``ndb``, the share of bins that are statistically different."""
        try:
            different = different_bins(real.features(self.extractor), generated.features(self.extractor), self.bins)
        except ValueError as error:
            raise InputError(f"ndb_bins={self.bins}: {error}") from error
        text = (
            f"Statistically different bins (Richardson and Weiss 2018): {different} of {self.bins} k-means bins of "
            f"{self.extractor.definition} of real clips, by two-proportion z-tests at the 5% level; {len(generated):,} "
            f"generated, {len(real):,} real; 0.05 is chance."
        )
        warnings = []
        if min(len(real), len(generated)) < 10 * self.bins:
            warnings.append(
                f"{len(generated):,} generated and {len(real):,} real clips are too few for {self.bins} bins, whose "
                f"differences the test can then hardly find: set ndb_bins lower, or generate more samples."
            )
        return Verdict([Metric("ndb", different / self.bins, text, better="lower")], warnings)
