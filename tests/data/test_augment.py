import numpy as np
import pytest
import torch
from scipy import ndimage

from mmspec.data.augment import EDMAugment

NAMES = ("mirror_x", "mirror_y", "scaling", "rotation", "direction", "stretching", "x", "y")


def parameters(count=1, **values):
    return torch.tensor([[values.get(name, 0.0) for name in NAMES]]).repeat(count, 1)


def smooth(height=48, width=48, batch=2):
    """Pictures without high frequencies, which every interpolation renders alike."""
    rng = np.random.default_rng(0)
    noise = ndimage.gaussian_filter(rng.normal(size=(batch, 3, height, width)), (0, 0, 4, 4), mode="reflect")
    return torch.from_numpy(noise / np.abs(noise).max()).float()


@pytest.mark.parametrize("name", ["train_p0.12", "train_p1", "train_p0.5"])
def test_the_seed_of_the_original_gives_its_pictures_and_labels(references, name):
    golden, options = references.arrays("edm/augment"), references.facts("edm/augment")[name]
    augment = EDMAugment(options["kwargs"]["p"])
    pictures, labels = augment(torch.from_numpy(golden["images"]), torch.Generator().manual_seed(options["seed"]))
    np.testing.assert_allclose(labels, golden[f"{name}/labels"], atol=1e-6)
    np.testing.assert_allclose(pictures, golden[f"{name}/out"], atol=1e-5)


def test_a_picture_that_is_not_moved_comes_back_unchanged():
    images = torch.rand(3, 2, 13, 20, generator=torch.Generator().manual_seed(0)) * 2 - 1
    torch.testing.assert_close(EDMAugment().apply(images, parameters(3)), images, atol=1e-5, rtol=0)


def test_mirroring_is_exact():
    images = torch.rand(2, 3, 8, 12)
    augment = EDMAugment()
    torch.testing.assert_close(augment.apply(images, parameters(2, mirror_x=1.0)), images.flip(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(augment.apply(images, parameters(2, mirror_y=1.0)), images.flip(2), atol=1e-5, rtol=0)


def test_a_quarter_turn_is_a_rotation_of_the_array():
    images = smooth()
    turned = EDMAugment().apply(images, parameters(2, rotation=np.pi / 2))
    torch.testing.assert_close(turned, torch.rot90(images, 1, (2, 3)), atol=0.03, rtol=0)


def test_a_whole_shift_moves_pixels_and_reflects_at_the_border():
    images = smooth(16, 32)
    shifted = EDMAugment().apply(images, parameters(2, x=1.0, y=-1.0))  # an eighth: 4 pixels right, 2 up
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (0, 2), (4, 0)), mode="reflect")
    np.testing.assert_allclose(shifted, padded[:, :, 2:, :32], atol=1e-5)


@pytest.mark.parametrize(
    ("values", "backward"),
    [
        ({"scaling": 2.0}, np.eye(2) * 2**-0.4),
        ({"stretching": 1.5}, np.diag([2**0.3, 2**-0.3])),  # rows and columns: y, then x
        ({"stretching": 1.5, "direction": np.pi / 2}, np.diag([2**-0.3, 2**0.3])),
        ({"rotation": 0.7}, [[np.cos(0.7), np.sin(0.7)], [-np.sin(0.7), np.cos(0.7)]]),
    ],
    ids=["scaling", "stretching", "stretching across", "rotation"],
)
def test_linear_maps_agree_with_scipy_about_the_centre(values, backward):
    images = smooth()
    ours = EDMAugment().apply(images, parameters(2, **values)).numpy()
    centre = np.array(images.shape[2:]) / 2 - 0.5
    offset = centre - np.array(backward) @ centre
    theirs = [
        [ndimage.affine_transform(channel, np.array(backward), offset, order=3, mode="mirror") for channel in picture]
        for picture in images.numpy()
    ]
    np.testing.assert_allclose(ours, theirs, atol=0.02)


def test_beyond_a_border_of_one_picture_there_is_nothing():
    images = torch.ones(1, 1, 16, 16)
    shifted = EDMAugment().apply(images, parameters(1, x=8.0 * 2))[0, 0]
    assert shifted[:, :12].abs().max() < 1e-6
    assert torch.allclose(EDMAugment().apply(images, parameters(1, x=8.0 * 0.6)), images, atol=1e-5)


def test_a_batch_is_its_pictures_one_by_one():
    images = torch.rand(4, 3, 12, 9)
    augment = EDMAugment(1.0)
    drawn = augment.draw(4, torch.Generator().manual_seed(3))
    together = augment.apply(images, drawn)
    for i in range(4):
        torch.testing.assert_close(together[i : i + 1], augment.apply(images[i : i + 1], drawn[i : i + 1]))


def test_transformations_happen_as_often_as_asked():
    count = 20_000
    drawn = EDMAugment(0.3).draw(count, torch.Generator().manual_seed(0))
    shares = (drawn != 0).float().mean(0)
    expected = torch.tensor([0.5, 0.15, 0.3, 0.3, 0.5, 0.3, 0.3, 0.3])
    torch.testing.assert_close(shares, expected, atol=0.015, rtol=0)
    assert drawn[:, 2][drawn[:, 2] != 0].std() == pytest.approx(1, abs=0.03)
    assert drawn[:, 6][drawn[:, 6] != 0].std() == pytest.approx(1, abs=0.03)
    assert drawn[:, 3].abs().max() <= np.pi


def test_labels_tell_the_transformation():
    drawn = parameters(1, mirror_x=1.0, scaling=0.5, rotation=0.3, direction=2.0, stretching=-1.1, x=0.7, y=-0.2)
    expected = [1, 0, 0.5, np.cos(0.3) - 1, np.sin(0.3), -1.1 * np.cos(2), -1.1 * np.sin(2), 0.7, -0.2]
    np.testing.assert_allclose(EDMAugment().labels(drawn)[0], expected, atol=1e-6)


@pytest.mark.parametrize("probability", [0, -0.1, 1.5])
def test_an_impossible_probability_is_refused(probability):
    with pytest.raises(ValueError, match="above 0 and at most 1"):
        EDMAugment(probability)
