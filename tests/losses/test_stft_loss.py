"""The multi-resolution STFT loss against auraloss in 1D and a numpy evaluation in 2D."""

import warnings

import auraloss
import numpy as np
import pytest
import torch
from torch import Tensor

from mmspec.losses import MultiResolutionSTFTLoss

SMALL = {"fft_sizes": (64, 32), "hop_sizes": (12, 8), "win_lengths": (60, 20)}


def pair(*shape: int, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(torch.randn(*shape, dtype=dtype, generator=generator).requires_grad_() for _ in range(2))


def reference(**options) -> auraloss.freq.MultiResolutionSTFTLoss:
    """auraloss in float64: it computes its windows in float32."""
    loss = auraloss.freq.MultiResolutionSTFTLoss(**options)
    for resolution in loss.stft_losses:
        window = getattr(torch, options.get("window", "hann_window"))
        resolution.window = window(resolution.win_length, dtype=torch.float64)
    return loss


def by_numpy(
    input: Tensor, target: Tensor, sizes: tuple[int, ...], hops: tuple[int, ...], weights: tuple[float, ...]
) -> float:
    """The 2D loss of one sample ``[C, H, W]``, from patches cut with numpy; weights of the three terms."""
    total = 0.0
    for n, hop in zip(sizes, hops, strict=True):
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)

        def magnitudes(x: Tensor, n: int = n, hop: int = hop, window: np.ndarray = window) -> np.ndarray:
            padded = np.pad(x.numpy(), ((0, 0), (n // 2,) * 2, (n // 2,) * 2), mode="reflect")
            patches = np.lib.stride_tricks.sliding_window_view(padded, (n, n), (1, 2))[:, ::hop, ::hop]
            return np.maximum(np.abs(np.fft.rfft2(patches * np.outer(window, window))), 1e-4)

        a, b = magnitudes(input), magnitudes(target)
        terms = [
            np.sqrt(np.sum((b - a) ** 2) / np.sum(b**2)),
            np.mean(np.abs(np.log(b) - np.log(a))),
            np.mean(np.abs(b - a)),
        ]
        total += float(np.dot(weights, terms)) / len(sizes)
    return total


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"fft_sizes": (256, 65), "hop_sizes": (50, 16), "win_lengths": (200, 65)},
        {**SMALL, "w_sc": 0.5, "w_log_mag": 2.0, "w_lin_mag": 0.1},
        {**SMALL, "w_sc": 0.0, "w_lin_mag": 1.0, "w_log_mag": 0.0},
        {**SMALL, "window": "hamming"},
    ],
)
def test_a_batch_of_one_is_auraloss(channels: int, reduction: str, options: dict) -> None:
    theirs = dict(options)
    if "window" in options:
        theirs["window"] = options["window"] + "_window"
    input, target = pair(1, channels, 4000)
    value = MultiResolutionSTFTLoss(**options, reduction=reduction)(input, target)
    expected = reference(**theirs, reduction=reduction)(input, target)
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, (input, target))
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, (input, target)), rtol=1e-6, atol=1e-9)


def test_a_sample_is_not_measured_by_its_neighbours() -> None:
    """auraloss takes the spectral convergence of the whole batch, so that a loud sample hides a quiet one."""
    input, target = (x.detach() for x in pair(2, 1, 4000))
    input[1], target[1] = 5 * input[1], 5 * target[1]
    values = MultiResolutionSTFTLoss(reduction="none")(input, target)
    alone = [reference()(input[i : i + 1], target[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(values, torch.stack(alone))
    torch.testing.assert_close(MultiResolutionSTFTLoss()(input, target), torch.stack(alone).mean())


HEARD = [
    {"n_mels": 20},
    {"perceptual_weighting": True},
    {"mid_side": True},
    {"n_mels": 12, "perceptual_weighting": True, "mid_side": True},
]


def heard_by_auraloss(options: dict, reduction: str):
    """auraloss's loss with the same options, in float64."""
    sizes = {name: options[name] for name in ("fft_sizes", "hop_sizes", "win_lengths")}
    theirs = {**sizes, "reduction": reduction, "perceptual_weighting": options.get("perceptual_weighting", False)}
    if "n_mels" in options:
        theirs |= {"scale": "mel", "n_bins": options["n_mels"]}
    kind = auraloss.freq.SumAndDifferenceSTFTLoss if "mid_side" in options else auraloss.freq.MultiResolutionSTFTLoss
    loss = kind(**theirs, sample_rate=8000)
    for resolution in (loss.mrstft if "mid_side" in options else loss).stft_losses:
        resolution.window = torch.hann_window(resolution.win_length, dtype=torch.float64)
        if "n_mels" in options:
            resolution.fb = resolution.fb.double()
        if resolution.perceptual_weighting:
            resolution.prefilter.fir.weight.data = resolution.prefilter.fir.weight.data.double()
    return loss


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("options", HEARD, ids=str)
def test_what_the_ear_hears_is_auralosss(options: dict, reduction: str) -> None:
    options = {"fft_sizes": (512, 256), "hop_sizes": (50, 30), "win_lengths": (240, 256), **options}
    input, target = pair(1, 2, 2000)
    value = MultiResolutionSTFTLoss(**options, sample_rate=8000, reduction=reduction)(input, target)
    expected = heard_by_auraloss(options, reduction)(input, target)
    torch.testing.assert_close(value, expected)
    gradients = torch.autograd.grad(value, (input, target))
    torch.testing.assert_close(gradients, torch.autograd.grad(expected, (input, target)), rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("options", HEARD, ids=str)
def test_what_is_heard_of_a_sample_does_not_depend_on_the_others(options: dict) -> None:
    input, target = (x.detach().float() for x in pair(3, 2, 2000))
    loss = MultiResolutionSTFTLoss((512,), **options, sample_rate=8000, reduction="none", loudness=1.0)
    values = loss(input, target)
    alone = [loss(input[i : i + 1], target[i : i + 1]) for i in range(3)]
    assert values.shape == (3,) and not loss.state_dict()
    torch.testing.assert_close(values, torch.cat(alone))
    assert not loss(target, target).any()
    torch._dynamo.reset()
    compiled = torch.compile(loss, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(compiled(input, target), values)


def test_what_cannot_be_heard_is_refused() -> None:
    with pytest.raises(ValueError, match="need sample_rate"):
        MultiResolutionSTFTLoss(n_mels=20)
    with pytest.raises(ValueError, match=r"mel bands hold no frequency of n_fft=64 at 8000 Hz: give fewer n_mels"):
        MultiResolutionSTFTLoss(fft_sizes=(64,), n_mels=40, sample_rate=8000)
    with pytest.raises(ValueError, match="n_mels must be 1 or more"):
        MultiResolutionSTFTLoss(n_mels=0, sample_rate=8000)
    with pytest.raises(ValueError, match=r"mid_side needs stereo \[B, 2, T\], not \[1, 1, 4000\]"):
        MultiResolutionSTFTLoss(mid_side=True)(*pair(1, 1, 4000))
    with pytest.raises(ValueError, match="are for sound"):
        MultiResolutionSTFTLoss(mid_side=True)(*pair(1, 2, 64, 64))


@pytest.mark.parametrize("size", [(64, 64), (33, 40)])
def test_images_by_numpy(size: tuple[int, int]) -> None:
    input, target = (x.detach() for x in pair(2, 3, *size))
    values = MultiResolutionSTFTLoss(w_lin_mag=0.1, reduction="none")(input, target)
    weights = (1.0, 1.0, 0.1)
    expected = [by_numpy(a, b, (8, 16, 32), (4, 8, 16), weights) for a, b in zip(input, target, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-10)


def test_images_at_resolutions_of_their_own() -> None:
    input, target = (x.detach() for x in pair(1, 1, 12, 20))
    value = MultiResolutionSTFTLoss(fft_sizes=(4, 12), hop_sizes=(3, 5))(input, target)
    expected = by_numpy(input[0], target[0], (4, 12), (3, 5), (1.0, 1.0, 0.0))
    np.testing.assert_allclose(value, expected, rtol=1e-10)


def test_hops_and_windows_follow_the_fft_sizes() -> None:
    input, target = pair(1, 1, 256)
    given = MultiResolutionSTFTLoss(fft_sizes=(64,), hop_sizes=(16,), win_lengths=(64,))
    assert MultiResolutionSTFTLoss(fft_sizes=(64,))(input, target) == given(input, target)


@pytest.mark.parametrize("size", [(100,), (12, 14)])
def test_gradcheck(size: tuple[int, ...]) -> None:
    loss = MultiResolutionSTFTLoss(fft_sizes=(16, 8), hop_sizes=(5, 4), w_lin_mag=0.3, reduction="none")
    assert torch.autograd.gradcheck(loss, pair(2, 1, *size), fast_mode=True)


def test_the_convergence_is_relative_to_the_target() -> None:
    loss = MultiResolutionSTFTLoss(**SMALL, w_log_mag=0.0)
    x = pair(1, 1, 256)[0].detach()
    assert loss(3 * x, x).item() == pytest.approx(2)
    assert loss(x, 3 * x).item() == pytest.approx(2 / 3)


def test_a_gain_is_its_logarithm() -> None:
    x = pair(2, 1, 256)[0].detach()
    assert MultiResolutionSTFTLoss(**SMALL, w_sc=0.0)(2 * x, x).item() == pytest.approx(np.log(2))


def test_resolutions_that_do_not_fit_are_left_out_with_one_warning() -> None:
    input, target = pair(1, 1, 400)
    loss = MultiResolutionSTFTLoss()
    with pytest.warns(UserWarning, match=r"\[400\] are too short for n_fft 1024, 2048, left out"):
        value = loss(input, target)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert loss(input, target) == value
    assert value == MultiResolutionSTFTLoss((512,), (50,), (240,))(input, target)
    images = pair(1, 1, 10, 64)
    with pytest.warns(UserWarning, match="n_fft 32"):
        assert MultiResolutionSTFTLoss()(*images) == MultiResolutionSTFTLoss((8, 16), (4, 8))(*images)


def test_a_signal_too_short_for_all_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"\[256\].*smallest n_fft is 512"):
        MultiResolutionSTFTLoss()(*pair(1, 1, 256))
    with pytest.raises(ValueError, match=r"\[1, 64\].*smallest n_fft is 8"):
        MultiResolutionSTFTLoss()(*pair(1, 1, 1, 64))


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="not 2, 1 and 2 numbers"):
        MultiResolutionSTFTLoss((64, 32), (16,))
    with pytest.raises(ValueError, match="need fft_sizes"):
        MultiResolutionSTFTLoss(hop_sizes=(16,))
    with pytest.raises(ValueError, match="'square'"):
        MultiResolutionSTFTLoss(window="square")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((3, 2, 400), {**SMALL, "w_lin_mag": 0.3}),
        ((1, 1, 129), {"fft_sizes": (65, 16), "hop_sizes": (7, 16), "win_lengths": (40, 16), "w_log_mag": 0.0}),
        ((2, 1, 400), {**SMALL, "w_sc": 0.0, "mid_side": False}),
        ((2, 2, 400), {**SMALL, "mid_side": True, "loudness": 0.7}),
        ((2, 3, 33, 40), {"w_lin_mag": 0.3}),
        ((1, 1, 12, 20), {"fft_sizes": (4, 9), "hop_sizes": (3, 5)}),
    ],
    ids=str,
)
def test_the_gradient_of_its_own_is_that_of_torch(
    shape: tuple[int, ...], options: dict, reduction: str, dtype: torch.dtype
) -> None:
    """Within `torch.func` the loss is made of torch's and auraloss's own functions."""
    loss = MultiResolutionSTFTLoss(**options, reduction=reduction)
    input, target = pair(*shape, dtype=dtype)
    input.data[0, 0, :9] = target.data[0, 0, :9]

    def weighed(input: Tensor, target: Tensor) -> Tensor:
        values = loss(input, target)
        return (values * torch.arange(1.0, 1 + values.numel(), dtype=dtype)).sum()

    value = weighed(input, target)
    gradients = torch.autograd.grad(value, (input, target))
    expected, plain = torch.func.grad_and_value(weighed, (0, 1))(input.detach(), target.detach())
    torch.testing.assert_close(value.detach(), plain)
    if dtype == torch.float64:
        torch.testing.assert_close(gradients, expected)
        return
    exact = torch.func.grad(weighed, (0, 1))(input.detach().double(), target.detach().double())
    for ours, theirs, right in zip(
        gradients, expected, exact, strict=True
    ):  # rounding weighs where magnitudes are small
        assert (ours - right).norm() < 2 * (theirs - right).norm() + 1e-5 * right.norm()
