"""Wavelet transforms against PyWavelets: every discrete wavelet, every mode, odd and tiny sizes, one and two axes."""

import numpy as np
import pytest
import pywt
import torch

from mmspec.spectral import dwt, idwt, wavedec, waverec
from mmspec.spectral.boundary import MODES

pytestmark = pytest.mark.filterwarnings("ignore:Level value")  # PyWavelets, where more levels are asked than it advises

WAVELETS = pywt.wavelist(kind="discrete")
FEW = ["haar", "db2", "db5", "sym8", "bior1.3", "rbio3.9", "coif17", "dmey"]  # 2, 4, 10, 16, 6, 20, 102, 62 taps


def signal(*shape, dtype=torch.float64, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def pywt_bands(x, wavelet, mode):
    """Sub-bands in the order of `dwt`."""
    if x.ndim == 3:
        return pywt.dwt(x, wavelet, mode)
    low, (horizontal, vertical, diagonal) = pywt.dwt2(x, wavelet, mode)
    return low, horizontal, vertical, diagonal


def pywt_inverse(bands, wavelet, mode, size):
    if len(bands) == 2:
        return pywt.idwt(*bands, wavelet, mode)[..., : size[0]]
    return pywt.idwt2((bands[0], bands[1:]), wavelet, mode)[..., : size[0], : size[1]]


def check_against_pywt(shape, wavelet, mode):
    """Coefficients, reconstruction and gradient of one random signal."""
    x = signal(*shape).requires_grad_()
    size, case = shape[2:], f"{wavelet}, {mode}, {list(shape)}"
    bands = dwt(x, wavelet, mode)
    back = idwt(bands, wavelet, mode, size=size)
    error = (back - x).detach().abs().max().item()
    (gradient,) = torch.autograd.grad(back.square().sum() + sum(band.square().sum() for band in bands), x)
    assert gradient.isfinite().all(), case
    if mode == "reflect" and 1 in size:  # PyWavelets refuses to mirror a single sample
        assert error < (0.1 if wavelet == "dmey" else 1e-6), case
        return
    expected = pywt_bands(x.detach().numpy(), pywt.Wavelet(wavelet), mode)
    for band, of_pywt in zip(bands, expected, strict=True):
        assert band.shape == of_pywt.shape, case
        assert np.abs(band.detach().numpy() - of_pywt).max() <= 1e-12, case
    exact = np.abs(pywt_inverse(expected, pywt.Wavelet(wavelet), mode, size) - x.detach().numpy()).max()
    assert error <= exact + 1e-13, case  # up to the order of a few roundings


@pytest.mark.parametrize("wavelet", WAVELETS)
class TestEveryWavelet:
    """Sizes 1 to 33 in all modes. Axes are independent: in 2D odd ones along the first, all kinds along the second."""

    def test_one_axis(self, wavelet):
        for mode in MODES:
            for n in range(1, 34):
                check_against_pywt((1, 1, n), wavelet, mode)

    def test_two_axes(self, wavelet):
        for mode in MODES:
            for n in range(1, 34, 2):
                check_against_pywt((1, 1, n, 7 * n % 33 + 1), wavelet, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", FEW)
def test_batches_and_long_axes(wavelet, mode):
    """Long axes are cut into windows: around the longest that is not, and where the last window is nearly empty."""
    for shape in [(2, 3, 128), (2, 3, 129), (1, 2, 161), (1, 1, 1024), (2, 1, 1031), (2, 2, 131, 6), (1, 2, 9, 192)]:
        check_against_pywt(shape, wavelet, mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("wavelet", FEW)
@pytest.mark.parametrize("shape", [(2, 1, 50), (1, 2, 13), (1, 1, 150), (1, 2, 21, 16), (1, 1, 7, 33)], ids=str)
def test_several_levels(shape, wavelet, mode):
    x = signal(*shape)
    axes = tuple(range(2, len(shape)))
    for levels in (0, 1, 3, None):
        coefficients = wavedec(x, wavelet, mode, levels)
        expected = pywt.wavedecn(x.numpy(), wavelet, mode, levels, axes)
        assert len(coefficients) == len(expected)
        np.testing.assert_allclose(coefficients[0], expected[0], rtol=0, atol=1e-11)
        for details, of_pywt in zip(coefficients[1:], expected[1:], strict=True):
            bands = {"d": details} if len(axes) == 1 else dict(zip(("da", "ad", "dd"), details, strict=True))
            for name, band in bands.items():
                np.testing.assert_allclose(band, of_pywt[name], rtol=0, atol=1e-11)
        back = waverec(coefficients, wavelet, mode, size=shape[2:])
        exact = pywt.waverecn(expected, wavelet, mode, axes)[tuple(slice(n) for n in shape)]
        assert (back - x).abs().max() <= np.abs(exact - x.numpy()).max() + 1e-12


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_as_many_levels_as_pywt(wavelet):
    for n in (1, 2, 3, 7, 8, 31, 32, 100, 204, 205):
        levels = pywt.dwt_max_level(n, pywt.Wavelet(wavelet).dec_len)
        assert len(wavedec(signal(1, 1, n), wavelet)) == 1 + levels
        assert len(wavedec(signal(1, 1, 205, n), wavelet)) == 1 + levels  # the shorter axis decides


@pytest.mark.parametrize("wavelet", ["haar", "bior1.3", "db5"])
@pytest.mark.parametrize("mode", MODES)
def test_inverse_without_size_is_pywts(wavelet, mode):
    for shape in [(1, 2, 9), (1, 1, 10, 7)]:
        x = signal(*shape)
        bands = dwt(x, wavelet, mode)
        endless = (2 * max(shape),) * 2
        expected = pywt_inverse([band.numpy() for band in bands], wavelet, mode, endless)
        np.testing.assert_allclose(idwt(bands, wavelet, mode), expected, atol=1e-12)
        many = wavedec(x, wavelet, mode, levels=3)
        size = tuple(n + n % 2 for n in shape[2:])  # the even one of two sizes
        assert waverec(many, wavelet, mode).shape[2:] == size
        torch.testing.assert_close(waverec(many, wavelet, mode)[..., : shape[-1]].narrow(2, 0, shape[2]), x)


def test_haar_of_one_block_by_hand():
    block = torch.tensor([[1.0, 2.0], [3.0, 5.0]]).view(1, 1, 2, 2)
    bands = [band.item() for band in dwt(block)]
    assert bands == pytest.approx([11 / 2, (3 - 8) / 2, (4 - 7) / 2, (6 - 5) / 2])
    stripes = torch.tensor([1.0, -1.0]).repeat(4).view(1, 1, 8, 1).expand(1, 1, 8, 6)  # alternating along H
    energies = [band.square().sum().item() for band in dwt(stripes)]
    assert energies == pytest.approx([0, 48, 0, 0])  # all of it in LH


@pytest.mark.parametrize("wavelet", ["haar", "db4", "sym6", "coif2"])
def test_orthogonal_wavelets_keep_energy(wavelet):
    for mode, shape in (("periodization", (2, 3, 64)), ("zero", (2, 3, 37)), ("periodization", (1, 2, 160, 32))):
        x = signal(*shape)
        energy = sum(band.square().sum() for band in dwt(x, wavelet, mode))
        torch.testing.assert_close(energy, x.square().sum(), rtol=1e-7, atol=0)  # filters are given to 1e-8


@pytest.mark.parametrize("shape", [(1, 2, 9), (1, 1, 130), (1, 1, 5, 6)], ids=str)
@pytest.mark.parametrize("wavelet", ["haar", "db3"])
def test_gradients(shape, wavelet):
    for mode in MODES:
        x = signal(*shape).requires_grad_()

        def there_and_back(x, mode=mode):
            low, *high = dwt(x, wavelet, mode)
            return idwt((low, *(3 * band for band in high)), wavelet, mode, size=shape[2:])

        assert torch.autograd.gradcheck(there_and_back, x, fast_mode=True)
        assert torch.autograd.gradgradcheck(there_and_back, x, fast_mode=True)


@pytest.mark.parametrize("shape", [(2, 1, 33), (1, 2, 300), (1, 3, 20, 17)], ids=str)
def test_precision_of_every_type(shape):
    x = signal(*shape)
    expected = dwt(x, "bior2.4")
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        coarse = x.to(dtype)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            bands = dwt(coarse, "bior2.4")
            back = idwt([band.to(dtype) for band in bands], "bior2.4", size=shape[2:])
        assert back.dtype == torch.float32 and all(band.dtype == torch.float32 for band in bands)
        of_coarse = dwt(coarse.double(), "bior2.4")
        torch.testing.assert_close(bands, tuple(band.float() for band in of_coarse), rtol=1e-5, atol=1e-5)
    assert all(band.dtype == torch.float64 for band in expected)


def test_matrices_made_in_inference_mode_serve_training():
    with torch.inference_mode():
        waverec(wavedec(signal(1, 1, 300), "db7", "periodic", 2), "db7", "periodic", size=300)
    x = signal(1, 1, 300).requires_grad_()
    waverec(wavedec(x, "db7", "periodic", 2), "db7", "periodic", size=300).sum().backward()
    torch.testing.assert_close(x.grad, torch.ones_like(x))


class Smooth(torch.nn.Module):
    """Two levels there, and back without the finest details."""

    def forward(self, x):
        low, coarse, fine = wavedec(x, "db2", "symmetric", levels=2)
        fine = tuple(0 * band for band in fine) if x.ndim == 4 else 0 * fine
        return waverec([low, coarse, fine], "db2", "symmetric", size=x.shape[2:])


def test_compiles_without_a_graph_break():
    compiled = torch.compile(Smooth(), fullgraph=True, backend="aot_eager")
    for shape in [(1, 2, 24, 17), (1, 2, 25, 18)]:  # the second time with symbolic sizes
        x = signal(*shape, dtype=torch.float32).requires_grad_()
        gradients = [torch.autograd.grad(f(x).square().sum(), x)[0] for f in (compiled, Smooth())]
        torch.testing.assert_close(*gradients)


def test_exports_and_leaves_no_trace():
    x = signal(1, 1, 19, 14, dtype=torch.float32)
    exported = torch.export.export(Smooth(), (x,)).module()
    torch.testing.assert_close(exported(x), Smooth()(x))


LINE, IMAGE = torch.zeros(1, 1, 16), torch.zeros(1, 1, 16, 16)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: dwt(LINE, "bd4"), ValueError, r"'bd4' is not a discrete wavelet: did you mean db4"),
        (lambda: dwt(LINE, "morl"), ValueError, "'morl' is not a discrete wavelet"),
        (lambda: dwt(LINE, "haar", "symetric"), ValueError, "mode must be one of zero, .*, not 'symetric'"),
        (lambda: dwt(LINE[0]), ValueError, r"got the shape \[1, 16\]"),
        (lambda: dwt(IMAGE[..., None]), ValueError, r"got the shape \[1, 1, 16, 16, 1\]"),
        (lambda: dwt(IMAGE[:, :, :0]), ValueError, r"at least one sample .* \[1, 1, 0, 16\]"),
        (lambda: dwt(LINE.int()), TypeError, "floating-point signal, got torch.int32"),
        (lambda: idwt([]), ValueError, r"got the shapes \[\]"),
        (lambda: idwt(dwt(IMAGE)[:2]), ValueError, "2 bands .* or 4 bands"),
        (lambda: idwt((LINE, LINE[..., 1:])), ValueError, r"got the shapes \[\[1, 1, 16\], \[1, 1, 15\]\]"),
        (lambda: idwt(dwt(LINE), size=17), ValueError, r"bands of \[8\] .* not belong to size=17: .* give \[16\]"),
        (lambda: idwt(dwt(IMAGE), size=(16, 14)), ValueError, r"size=\(16, 14\): .* give \[16, 16\]"),
        (lambda: idwt(dwt(LINE), size=(16, 16)), ValueError, r"size=\(16, 16\)"),
        (lambda: idwt(dwt(LINE[..., :4]), "db4"), ValueError, "'db4' with mode='symmetric' has at least 4"),
        (lambda: wavedec(LINE, levels=-1), ValueError, "levels must be 0 or more, not -1"),
        (lambda: waverec([]), ValueError, "begin with a tensor"),
        (lambda: waverec([LINE, LINE, LINE]), ValueError, r"bands of \[16\] coefficients do not belong to size"),
    ],
)
def test_what_cannot_be(call, error, message):
    with pytest.raises(error, match=message):
        call()
