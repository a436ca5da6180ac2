import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors

from mmspec.metrics.diversity import precision_recall


def vectors(count, dimensions=8, seed=0, shift=0.0, scale=1.0):
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(count, dimensions, generator=generator) + shift


def by_sklearn(real, generated, k):
    def within(points, manifold):
        radius = NearestNeighbors(n_neighbors=k + 1).fit(manifold).kneighbors(manifold)[0][:, -1]
        distances = np.linalg.norm(points[:, None] - manifold[None], axis=-1)
        return (distances <= radius).any(1).mean()

    real, generated = real.double().numpy(), generated.double().numpy()
    return within(generated, real), within(real, generated)


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("n", "m"), [(40, 90), (90, 40), (6, 6)])
def test_equals_scikit_learn(n, m, k):
    real, generated = vectors(n), vectors(m, seed=1, shift=0.7)
    assert precision_recall(real, generated, k) == pytest.approx(by_sklearn(real, generated, k))


@pytest.mark.parametrize("rows", [1, 7, 64, 1000])
def test_blocks_do_not_change_the_result(rows):
    real, generated = vectors(65), vectors(50, seed=1, shift=0.5)
    assert precision_recall(real, generated, rows=rows) == precision_recall(real, generated)


def test_one_set_and_strangers():
    real = vectors(50)
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, real + 100) == (0, 0)


def test_collapse_costs_recall_and_invention_costs_precision():
    modes = torch.cat([vectors(100, seed=s, shift=s * 50.0, scale=0.1) for s in range(4)])
    one = vectors(400, seed=9, scale=0.1)  # the first of four modes
    precision, recall = precision_recall(modes, one)
    assert precision > 0.8 and recall == pytest.approx(0.25, abs=0.06)
    assert precision_recall(one, modes) == (recall, precision)


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="8 and 4 dimensions"):
        precision_recall(vectors(10), vectors(10, 4))
    with pytest.raises(ValueError, match="too few for 3 neighbours"):
        precision_recall(vectors(10), vectors(3))
