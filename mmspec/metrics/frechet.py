"""Distances between two sets of feature vectors: Fréchet (of Gaussians) and kernel (KID's estimator)."""

import torch
from torch import Tensor

# The kernel is summed over so many vectors of two sets at a time, which bounds its memory: 32 MiB of float64.
TILE = 2048


class Moments:
    """Mean and covariance of feature vectors that arrive in batches, in float64.

    Batches are merged by their centred sums (Chan, Golub and LeVeque 1983), so neither the number of vectors nor a
    large common offset costs memory or digits.
    """

    def __init__(self) -> None:
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self._scatter = torch.zeros(0, 0, dtype=torch.float64)

    def update(self, features: Tensor) -> None:
        """Add a batch of vectors, ``[B, D]``."""
        if features.ndim != 2:
            raise ValueError(f"features must be [B, D], got {list(features.shape)}.")
        check_finite(features)
        features = features.detach().to("cpu", torch.float64)
        count, mean = len(features), features.mean(0)
        centred = features - mean
        scatter = centred.T @ centred
        if self.count == 0:
            self.count, self.mean, self._scatter = count, mean, scatter
            return
        total, shift = self.count + count, mean - self.mean
        self._scatter = self._scatter + scatter + torch.outer(shift, shift) * (self.count * count / total)
        self.mean = self.mean + shift * (count / total)
        self.count = total

    @property
    def covariance(self) -> Tensor:
        """The unbiased covariance, ``[D, D]``; two vectors at least, else ValueError."""
        if self.count < 2:
            raise ValueError(f"a covariance needs at least 2 feature vectors, got {self.count}.")
        return self._scatter / (self.count - 1)


def check_finite(*features: Tensor) -> None:
    """ValueError for vectors ``[N, D]`` that hold NaN or infinities, as which every distance would come out."""
    for vectors in features:
        if odd := int((~vectors.isfinite().all(1)).sum()):
            raise ValueError(f"{odd} of {len(vectors)} feature vectors are not finite: leave them out.")


def moments(features: Tensor) -> Moments:
    """The moments of one tensor of features, ``[N, D]``."""
    result = Moments()
    for chunk in torch.split(features, 8192):  # float64 copies of all would be large
        result.update(chunk)
    return result


def frechet_distance(real: Moments, generated: Moments) -> float:
    """Fréchet distance between the Gaussians of two feature sets; symmetric, 0 for equal moments.

    ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`` (Dowson and Landau 1982; Heusel et al. 2017). The trace of the
    root is the sum of the singular values of ``S1^(1/2) S2^(1/2)``, with both roots from symmetric eigenvalues in
    float64, which stays exact where covariances are rank deficient.
    """
    if real.mean.shape != generated.mean.shape:
        raise ValueError(f"features of {len(real.mean)} and {len(generated.mean)} dimensions cannot be compared.")
    real_covariance, generated_covariance = real.covariance, generated.covariance
    overlap = torch.linalg.svdvals(_root(real_covariance).T @ _root(generated_covariance)).sum()
    spread = torch.trace(real_covariance) + torch.trace(generated_covariance) - 2 * overlap
    return float((real.mean - generated.mean).square().sum() + spread)


def _root(covariance: Tensor) -> Tensor:
    """A with A A^T = covariance; eigenvalues that are rounding noise around 0 count as 0."""
    values, vectors = torch.linalg.eigh(covariance)
    noise = values.abs().amax() * len(values) * torch.finfo(values.dtype).eps
    root: Tensor = vectors * torch.where(values > noise, values, 0.0).sqrt()
    return root


def kernel_distance(real: Tensor, generated: Tensor) -> float:
    """Squared maximum mean discrepancy of two feature sets, ``[N, D]`` and ``[M, D]``, unbiased at every N, M >= 2.

    The polynomial kernel ``(x.y / D + 1)^3`` and the U-statistic are those of KID (Binkowski et al. 2018, section 4),
    so the value is 0 in expectation for two draws of one distribution, and can be slightly negative.
    """
    if real.shape[1] != generated.shape[1]:
        raise ValueError(f"features of {real.shape[1]} and {generated.shape[1]} dimensions cannot be compared.")
    if min(len(real), len(generated)) < 2:
        raise ValueError(f"each set needs at least 2 feature vectors, got {len(real)} and {len(generated)}.")
    check_finite(real, generated)
    across = _kernel_sum(real, generated) / (len(real) * len(generated))
    return _mean_within(real) + _mean_within(generated) - 2 * across


def kernel_distance_in_blocks(real: Tensor, generated: Tensor, block: int = 1000, seed: int = 0) -> float:
    """`kernel_distance` of ``[N, D]`` and ``[M, D]``, averaged over disjoint random blocks of about ``block`` vectors:
    unbiased, linear in time.
    """
    blocks = max(1, min(len(real), len(generated)) // block)
    generator = torch.Generator().manual_seed(seed)
    shuffled = (x[torch.randperm(len(x), generator=generator)] for x in (real, generated))
    pairs = zip(*(x.tensor_split(blocks) for x in shuffled), strict=True)
    return sum(kernel_distance(a, b) for a, b in pairs) / blocks


def _kernel_sum(a: Tensor, b: Tensor) -> float:
    """Of all pairs of a vector of one set and a vector of the other, in tiles, so that no set is too large."""
    return sum(
        _kernel(x.double() @ y.double().T, a.shape[1]) for x in torch.split(a, TILE) for y in torch.split(b, TILE)
    )


def _kernel(products: Tensor, dimensions: int) -> float:
    """The sum of the kernel of vectors with these inner products."""
    return float(((products / dimensions + 1) ** 3).sum())


def _mean_within(a: Tensor) -> float:
    """Over pairs of two vectors of a set; a tile and its mirror image are the same."""
    tiles = torch.split(a, TILE)
    total = 0.0
    for i, x in enumerate(tiles):
        total += _kernel_sum(x, x) + 2 * sum(_kernel_sum(x, y) for y in tiles[i + 1 :])
    itself = sum(_kernel(x.double().square().sum(1), a.shape[1]) for x in tiles)
    return (total - itself) / (len(a) * (len(a) - 1))
