"""Dead leaves: the covariance that theory gives them, whatever draws them."""

import numpy as np
import pytest

from data_prep import dead_leaves
from mmspec.data import PackedDataset


def test_the_covariance_is_that_of_the_chance_that_one_leaf_covers_both_points():
    """Of one radius, over all first leaves that touch either point, drawn here one by one."""
    draw, radius, distance = np.random.default_rng(0), 3.0, 2.0
    points = np.array([[0.0, 0.0], [distance, 0.0]])
    centres = draw.uniform(-radius, radius + distance, (400_000, 2))
    hits = ((centres[:, None] - points) ** 2).sum(-1) < radius**2
    touching = hits.any(1)
    theory = dead_leaves.covariance(np.array(distance), (radius, radius * (1 + 1e-9)))
    assert hits.all(1).sum() / touching.sum() == pytest.approx(theory, abs=0.005)
    assert dead_leaves.covariance(np.array([0.0, 40.0]), (2.0, 16.0)) == pytest.approx([1, 0], abs=1e-9)


def test_pictures_have_this_covariance_and_uniform_greys():
    draw, radii = np.random.default_rng(1), (2.0, 8.0)
    pictures = np.stack([dead_leaves.picture(32, draw, radii) for _ in range(300)]) - 0.5
    variance = (pictures**2).mean()
    assert variance == pytest.approx(1 / 12, rel=0.03) and pictures.mean() == pytest.approx(0, abs=0.01)
    for lag in (1, 2, 5):
        wanted = dead_leaves.covariance(np.array(float(lag)), radii)
        for moved, still in ((pictures[:, lag:], pictures[:, :-lag]), (pictures[:, :, lag:], pictures[:, :, :-lag])):
            assert (moved * still).mean() / variance == pytest.approx(wanted, abs=0.02)


def test_it_is_packed_alike_each_time(tmp_path):
    for name in ("once", "again"):
        arguments = [str(tmp_path / name), "--size", "16", "--train", "6", "--test", "4"]
        assert dead_leaves.main(arguments) == 0
    found = [PackedDataset(tmp_path / name / side) for name in ("once", "again") for side in ("train", "test")]
    assert [len(each) for each in found] == [6, 4, 6, 4] and found[0].meta.shape == (1, 16, 16)
    assert found[0].meta.sha256 == found[2].meta.sha256 and found[1].meta.sha256 == found[3].meta.sha256
    assert found[0].meta.sha256 != found[1].meta.sha256
