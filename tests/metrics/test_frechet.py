import numpy as np
import pytest
import scipy.linalg
import torch

from mmspec.metrics.frechet import Moments, frechet_distance, kernel_distance, moments


def features(count, dimensions, seed=0):
    rng = np.random.default_rng(seed)
    mixing = rng.standard_normal((dimensions, dimensions))
    return torch.from_numpy(rng.standard_normal((count, dimensions)) @ mixing + seed)


def by_matrix_root(a, b):
    """The definition, with SciPy's matrix square root."""
    a, b = a.numpy(), b.numpy()
    covariances = [np.cov(a, rowvar=False), np.cov(b, rowvar=False)]
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1])
    shift = a.mean(0) - b.mean(0)
    return shift @ shift + np.trace(covariances[0] + covariances[1] - 2 * np.real(root))


def by_singular_values(a, b):
    """tr (S1 S2)^(1/2) is the nuclear norm of the centred features' product: no covariance, exact at any rank."""
    a, b = a.double().numpy(), b.double().numpy()
    x, y = ((f - f.mean(0)) / np.sqrt(len(f) - 1) for f in (a, b))
    shift = a.mean(0) - b.mean(0)
    return shift @ shift + (x**2).sum() + (y**2).sum() - 2 * np.linalg.svd(x @ y.T, compute_uv=False).sum()


@pytest.mark.parametrize("dimensions", [1, 2, 17])
def test_equals_the_definition(dimensions):
    a, b = features(200, dimensions), features(150, dimensions, seed=1)
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(
        by_matrix_root(a, b) if dimensions > 1 else (a.mean() - b.mean()).item() ** 2 + (a.std() - b.std()).item() ** 2,
        rel=1e-9,
    )


def test_gaussians_with_known_axes():
    """Commuting covariances: |m1 - m2|^2 + sum (s1 - s2)^2."""
    corners = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)
    unit = corners * (3 / 4) ** 0.5  # covariance I with n - 1 in the denominator
    a, b = unit * torch.tensor([2.0, 0.5]), unit * torch.tensor([1.0, 3.0]) + torch.tensor([3.0, -1.0])
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(9 + 1 + 1 + 6.25, rel=1e-12)


@pytest.mark.parametrize(("n", "m"), [(5, 9), (12, 400), (2, 2)])
def test_exact_where_covariances_are_rank_deficient(n, m):
    a, b = features(n, 40), features(m, 40, seed=1)
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(by_singular_values(a, b), rel=1e-9)


def test_zero_for_one_set_and_symmetric():
    a, b = features(30, 48), features(50, 48, seed=1)
    scale = moments(a).covariance.trace().item()
    assert abs(frechet_distance(moments(a), moments(a))) < 1e-9 * scale
    assert frechet_distance(moments(a), moments(b)) == pytest.approx(frechet_distance(moments(b), moments(a)), rel=1e-9)


def test_constant_features():
    a = torch.ones(5, 3)
    assert frechet_distance(moments(a), moments(a)) == 0
    assert frechet_distance(moments(a), moments(a + 2)) == pytest.approx(12)


@pytest.mark.parametrize("case", ["d16", "d64", "rank_deficient_d48"])
def test_golden_values(references, case):
    arrays, expected = references.arrays("edm/fid"), references.facts("edm/fid")[case]["fid"]
    real, generated = (torch.from_numpy(arrays[f"{case}/feat{i}"]) for i in (1, 2))
    ours = frechet_distance(moments(real), moments(generated))
    for i, side in enumerate((moments(real), moments(generated)), start=1):
        assert side.mean.numpy() == pytest.approx(arrays[f"{case}/mu{i}"], rel=1e-9, abs=1e-12)
        assert side.covariance.numpy() == pytest.approx(arrays[f"{case}/sigma{i}"], rel=1e-9, abs=1e-12)
    # Where ranks are deficient, the root of S1 S2 turns rounding of 1e-16 into 1e-8; the exact value is ours.
    assert ours == pytest.approx(expected, rel=1e-7 if "deficient" in case else 1e-9)
    assert ours == pytest.approx(by_singular_values(real, generated), rel=1e-9)


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_moments_merge_batches(offset):
    x = features(23, 6) + offset
    merged = Moments()
    for batch in x.split(4):
        merged.update(batch)
    assert merged.count == 23
    assert merged.mean.numpy() == pytest.approx(x.mean(0).numpy(), rel=1e-12)
    assert merged.covariance.numpy() == pytest.approx(np.cov(x.numpy(), rowvar=False), rel=1e-8)


def test_kernel_distance_equals_its_sums():
    a, b = features(7, 4).numpy(), features(5, 4, seed=1).numpy()

    def kernel(x, y):
        return (x @ y / 4 + 1) ** 3

    within_a = np.mean([kernel(a[i], a[j]) for i in range(7) for j in range(7) if i != j])
    within_b = np.mean([kernel(b[i], b[j]) for i in range(5) for j in range(5) if i != j])
    across = np.mean([kernel(x, y) for x in a for y in b])
    assert kernel_distance(torch.from_numpy(a), torch.from_numpy(b)) == pytest.approx(within_a + within_b - 2 * across)


def test_kernel_distance_is_unbiased():
    rng = np.random.default_rng(0)
    draws = [kernel_distance(*(torch.from_numpy(rng.standard_normal((10, 20))) for _ in range(2))) for _ in range(400)]
    assert abs(np.mean(draws)) < 4 * np.std(draws) / np.sqrt(400)
    moved = kernel_distance(*(torch.from_numpy(rng.standard_normal((10, 20)) + shift) for shift in (0, 1)))
    assert moved > max(draws)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        frechet_distance(moments(torch.ones(1, 3)), moments(torch.ones(4, 3)))
    with pytest.raises(ValueError, match="3 and 4 dimensions"):
        frechet_distance(moments(torch.ones(5, 3)), moments(torch.ones(5, 4)))
    with pytest.raises(ValueError, match=r"\[B, D\]"):
        moments(torch.ones(5, 3, 2))
    with pytest.raises(ValueError, match="at least 2"):
        kernel_distance(torch.ones(1, 3), torch.ones(4, 3))
    with pytest.raises(ValueError, match="3 and 4 dimensions"):
        kernel_distance(torch.ones(5, 3), torch.ones(4, 4))
