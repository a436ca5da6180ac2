import pytest
import torch
import torch.nn.functional as F

from mmspec.networks.folding import crop, fold, pad_to_multiple, unfold


@pytest.mark.parametrize("shape, size", [((2, 3, 12), 1), ((2, 3, 12), 4), ((2, 3, 6, 4), 1), ((2, 3, 6, 4), 2)])
def test_unfold_inverts_fold(shape, size):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    blocks = fold(x, size)
    assert blocks.shape == (2, size ** (x.ndim - 2), 3, *(n // size for n in shape[2:]))
    assert torch.equal(unfold(blocks, size), x)


def test_fold_is_pixel_unshuffle():
    x = torch.arange(2 * 3 * 6 * 9.0).view(2, 3, 6, 9)
    assert torch.equal(fold(x, 3).transpose(1, 2).flatten(1, 2), F.pixel_unshuffle(x, 3))


def test_fold_takes_every_nth_sample():
    x = torch.arange(12.0).view(1, 1, 12)
    assert fold(x, 4)[0, :, 0].tolist() == [[0, 4, 8], [1, 5, 9], [2, 6, 10], [3, 7, 11]]


@pytest.mark.parametrize("multiple", [1, 2, 8])
def test_padding_repeats_the_end(multiple):
    for n in range(1, 18):
        x = torch.randn(1, 2, n, 5, generator=torch.Generator().manual_seed(n))
        padded = pad_to_multiple(x, multiple)
        assert all(m % multiple == 0 and 0 <= m - k < multiple for m, k in zip(padded.shape[2:], (n, 5), strict=True))
        assert torch.equal(crop(padded, (n, 5)), x)
        assert torch.equal(padded[:, :, -1, -1], x[:, :, -1, -1])
