"""WaveletLoss against Eq. 16 evaluated with PyWavelets and NumPy, and against its own general path."""

import numpy as np
import pytest
import pywt
import torch

from mmspec.losses import WaveletLoss, haar, wavelet_l1
from mmspec.spectral.boundary import MODES
from mmspec.spectral.wavelet import decompose

pytestmark = pytest.mark.filterwarnings("ignore:Level value")  # PyWavelets, where more levels are asked than it advises

SHAPES = [(3, 2, 32), (3, 2, 64), (2, 3, 37), (2, 1, 9), (2, 3, 16, 16), (3, 2, 24, 40), (2, 3, 13, 22), (2, 1, 7, 9)]


def pair(shape, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    input, target = (torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))
    return input.requires_grad_(), target


def equation(input, target, wavelet, mode, level_weights, band_weights):
    """gamma |W - W_hat| of every coefficient of each sample, by PyWavelets: a list of vectors."""
    axes = tuple(range(1, input.ndim - 1))
    samples = []
    for x, y in zip(input.detach().numpy(), target.numpy(), strict=True):
        both = [pywt.wavedecn(z, wavelet, mode, level=len(level_weights), axes=axes) for z in (x, y)]
        (low_x, *details_x), (low_y, *details_y) = both
        parts = [level_weights[-1] * band_weights[0] * np.abs(low_x - low_y)]
        keys = ["d"] if len(axes) == 1 else ["da", "ad", "dd"]  # LH is high along the first axis
        for gamma, of_x, of_y in zip(level_weights[::-1], details_x, details_y, strict=True):
            parts += [
                gamma * weight * np.abs(of_x[key] - of_y[key])
                for weight, key in zip(band_weights[1:], keys, strict=True)
            ]
        samples.append(np.concatenate([part.ravel() for part in parts]))
    return samples


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(("wavelet", "mode"), [("haar", "periodization"), ("bior1.3", "symmetric"), ("db4", "zero")])
def test_is_equation_16(shape, wavelet, mode):
    level_weights = (0.5, 2.0)
    band_weights = (0.25, 1.5) if len(shape) == 3 else (0.25, 1.5, 0.75, 3.0)
    input, target = pair(shape)
    terms = equation(input, target, wavelet, mode, level_weights, band_weights)
    expected = {
        "none": [term.mean() for term in terms],
        "mean": np.mean([term.mean() for term in terms]),
        "sum": np.sum([term.sum() for term in terms]),
    }
    for reduction, value in expected.items():
        loss = WaveletLoss(wavelet, 2, mode, level_weights, band_weights, reduction)
        np.testing.assert_allclose(loss(input, target).detach(), value, rtol=1e-12)


def test_weights_of_each_level_and_band():
    input, target = pair((2, 1, 16, 16))
    rows = [[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]]
    parts = [
        WaveletLoss(levels=2, band_weights=[np.eye(4)[i] if s == level else [0.0] * 4 for s in range(2)])(input, target)
        * rows[level][i]
        for level in range(2)
        for i in range(4)
        if (level, i) != (0, 0)  # the first level's approximation is split further
    ]
    torch.testing.assert_close(WaveletLoss(levels=2, band_weights=rows)(input, target), sum(parts))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("levels", [1, 2, 3, 4, 5, 6])
@pytest.mark.parametrize("size", [(64,), (64, 64), (192, 64), (320,)])
def test_haar_in_blocks_is_haar_in_bands(monkeypatch, size, levels, dtype):
    input, target = pair((2, 3, *size), dtype)
    bands = 2 ** len(size)
    weights = {
        "level_weights": [0.5 + 0.5 * s for s in range(levels)],
        "band_weights": [[0.3 * s + i for i in range(bands)] for s in range(levels)],
    }
    loss = WaveletLoss("haar", levels, reduction="none", **weights)
    results = []
    for blocks in (True, False):
        if not blocks:
            monkeypatch.setattr(haar, "fits_blocks", lambda *_: False)
        values = loss(input, target)
        (gradient,) = torch.autograd.grad(values @ torch.tensor([1.0, -2.0], dtype=dtype), input)
        results.append((values, gradient))
    torch.testing.assert_close(*results, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("wavelet", "levels"), [("bior1.3", 1), ("bior1.3", 4), ("db4", 3), ("rbio3.1", 2), ("sym5", 3)]
)
def test_sound_in_windows_is_sound_in_bands(monkeypatch, wavelet, levels, dtype):
    input, target = pair((2, 3, 320), dtype)
    weights = {"level_weights": [0.5 + s for s in range(levels)], "band_weights": [0.25, 1.5]}
    loss = WaveletLoss(wavelet, levels, reduction="none", **weights)
    assert wavelet_l1._fits_windows(input.flatten(0, 1), wavelet, "periodization", levels)
    results = []
    for in_windows in (True, False):
        if not in_windows:
            monkeypatch.setattr(wavelet_l1, "_fits_windows", lambda *_: False)
        values = loss(input, target)
        results.append((values, *torch.autograd.grad(values @ torch.tensor([1.0, -2.0], dtype=dtype), input)))
    torch.testing.assert_close(*results, rtol=1e-5 if dtype == torch.float32 else 1e-12, atol=1e-7)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("wavelet", "shape"), [("bior1.3", (2, 1, 37)), ("db4", (1, 2, 300)), ("sym3", (1, 1, 14, 151))]
)
def test_gradients_are_those_of_autograd_through_the_bands(mode, wavelet, shape):
    input, target = pair(shape)
    bands = 2 ** (len(shape) - 2)
    weights = [0.5 + 0.25 * band for band in range(bands)]
    loss = WaveletLoss(wavelet, 2, mode, band_weights=weights, reduction="sum")
    low, details = decompose(input - target, wavelet, mode, 2)
    expected = weights[0] * low.abs().sum()
    for level in details:
        expected = expected + sum(weight * band.abs().sum() for weight, band in zip(weights[1:], level, strict=True))
    value = loss(input, target)
    torch.testing.assert_close(value, expected, rtol=1e-12, atol=0)
    ours, theirs = (torch.autograd.grad(each, input)[0] for each in (value, expected))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("wavelet", ["haar", "bior1.3"])
@pytest.mark.parametrize("shape", [(2, 1, 320), (2, 1, 37), (2, 1, 16, 16), (1, 1, 13, 6)])
def test_the_gradient_of_equal_signals_is_zero(wavelet, shape):
    input, _ = pair(shape)
    value = WaveletLoss(wavelet, 2)(input, input.detach().clone())
    assert value == 0 and torch.equal(torch.autograd.grad(value, input)[0], torch.zeros(shape, dtype=input.dtype))


@pytest.mark.parametrize("layout", ["transposed", "channels_last", "expanded", "narrowed"])
def test_any_memory_layout(layout):
    input, target = pair((2, 3, 32, 32), torch.float32)
    view = {
        "transposed": lambda x: x.mT,
        "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
        "expanded": lambda x: x[:, :1, :1].expand(2, 3, 32, 32),
        "narrowed": lambda x: x[:, :, 1:25, 3:19],
    }[layout]
    loss = WaveletLoss()
    value = loss(view(input), view(target))
    torch.testing.assert_close(value, loss(view(input).clone().contiguous(), view(target).clone().contiguous()))
    (gradient,) = torch.autograd.grad(value, input)
    assert gradient.shape == input.shape and gradient.isfinite().all()


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("shape", [(2, 1, 8), (2, 1, 7), (1, 2, 8, 8), (1, 1, 5, 8)])
def test_gradcheck(wavelet, shape):
    input, target = pair(shape)
    for reduction in ("mean", "none"):
        loss = WaveletLoss(wavelet, 2, reduction=reduction)
        assert torch.autograd.gradcheck(loss, (input, target.requires_grad_()))
        assert torch.autograd.gradgradcheck(loss, (input, target))


def test_l2_would_be_the_pixel_distance_and_l1_is_not():
    """Parseval: in an orthonormal wavelet domain the mean square is the signal's, at any size and level."""
    input, target = pair((2, 3, 32, 64))
    difference = (input - target).detach().numpy()
    low, *details = pywt.wavedec2(difference, "db3", "periodization", 3)
    coefficients = np.concatenate([low.ravel(), *(band.ravel() for level in details for band in level)])
    assert len(coefficients) == difference.size
    np.testing.assert_allclose(np.mean(coefficients**2), np.mean(difference**2), rtol=1e-6)  # db3 is given to 1e-8
    value = WaveletLoss("db3")(input, target).detach()
    np.testing.assert_allclose(value, np.mean(np.abs(coefficients)), rtol=1e-10)
    # Two errors of one energy: a shifted edge is a few large coefficients, a comb many small ones.
    edge = torch.zeros(1, 1, 64)
    edge[..., 33:] = 1.0
    shifted = torch.roll(edge, 1, -1)
    noise = torch.zeros(1, 1, 64)
    noise[..., ::2] = (edge - shifted).square().sum().div(32).sqrt()
    assert noise.square().sum() == pytest.approx((edge - shifted).square().sum().item())
    assert WaveletLoss()(noise, torch.zeros_like(noise)) > 1.5 * WaveletLoss()(edge, shifted)


@pytest.mark.parametrize("wavelet", ["haar", "db4"])
def test_an_axis_of_one_sample_is_no_axis(wavelet):
    weights = torch.tensor([1.0, 2.0, 3.0, 4.0])
    input, target = pair((2, 3, 40))
    for axis, bands in ((2, weights[[0, 2]]), (3, weights[:2])):  # high along W is HL, high along H is LH
        line = WaveletLoss(wavelet, band_weights=bands.tolist())(input, target)
        image = WaveletLoss(wavelet, band_weights=weights.tolist())(input.unsqueeze(axis), target.unsqueeze(axis))
        torch.testing.assert_close(image, line)


def test_signals_too_small_for_the_levels():
    """The transform ends where one sample is left; its scale stays that of the signal."""
    for size, levels in (((1,), 0), ((2,), 1), ((4, 64), 2), ((3,), 2)):
        input, target = pair((2, 1, *size))
        expected = WaveletLoss(levels=max(levels, 1))(input, target)
        torch.testing.assert_close(WaveletLoss(levels=6)(input, target), expected)
    input, target = pair((2, 3, 1, 1))
    torch.testing.assert_close(WaveletLoss()(input, target), (input - target).abs().mean())


def test_haar_is_orthonormal_where_the_size_divides():
    """As many coefficients as samples, and one unit impulse's coefficients have norm 1 at every level."""
    for levels in (1, 2, 3):
        input = torch.zeros(1, 1, 64)
        input[..., 21] = 1
        value = WaveletLoss(levels=levels, reduction="sum")(input, torch.zeros_like(input))
        details = sum(2 ** (-s / 2) for s in range(1, levels + 1))
        assert value == pytest.approx(details + 2 ** (-levels / 2))


@pytest.mark.parametrize(("wavelet", "shape"), [("haar", (2, 1, 16, 16)), ("bior1.3", (2, 1, 20))])
def test_compiles_without_a_graph_break(wavelet, shape):
    loss = WaveletLoss(wavelet, levels=2)
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    input, target = pair(shape, torch.float32)
    torch.testing.assert_close(compiled(input, target), loss(input, target))
    gradients = [torch.autograd.grad(f(input, target), input)[0] for f in (compiled, loss)]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"wavelet": "harr"}, "'harr' is not a discrete wavelet: did you mean haar"),
        ({"mode": "mirror"}, "mode must be one of zero, symmetric"),
        ({"levels": 0}, "levels must be 1 or more, not 0"),
        ({"level_weights": [1.0]}, "level_weights must be 3 numbers"),
        ({"level_weights": [1.0, -1.0, 1.0]}, "level_weights must be 3 numbers of 0 or more"),
        ({"band_weights": [1.0, 1.0, 1.0]}, "band_weights must be numbers of 0 or more"),
        ({"band_weights": [[1.0, 1.0]]}, "or 3 such rows, one a level"),
        ({"reduction": "avg"}, "reduction must be"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(ValueError, match=message):
        WaveletLoss(**options)


def test_signals_that_cannot_be():
    one = torch.zeros(1, 1, 8)
    with pytest.raises(ValueError, match=r"one shape, not \[1, 1, 8\] and \[1, 1, 4\]"):
        WaveletLoss()(one, one[..., :4])
    with pytest.raises(ValueError, match="has 2 sub-bands, but band_weights are 4"):
        WaveletLoss(band_weights=[1.0] * 4)(one, one)
    with pytest.raises(TypeError, match="floating-point"):
        WaveletLoss()(one.int(), one.int())
    with pytest.raises(TypeError, match="wavelt"):
        WaveletLoss(wavelt="haar")
