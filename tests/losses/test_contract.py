"""What every regularizer promises, proved by each of them in 1D and 2D, and the lightness of the package."""

import copy
import io
import pickle
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from mmspec.components import choices
from mmspec.losses import (
    FourierAmplitudeLoss,
    FourierAmplitudePhaseLoss,
    MultiResolutionSTFTLoss,
    SquaredError,
    WaveletLoss,
)
from mmspec.losses.base import SpectralLoss

REGULARIZERS: dict[str, Callable[..., SpectralLoss]] = {
    "amplitude": FourierAmplitudeLoss,
    "amplitude_phase": FourierAmplitudePhaseLoss,
    "amplitude_phase_norms": partial(FourierAmplitudePhaseLoss, coupling="norm"),
    "haar": WaveletLoss,
    "bior1.3": partial(WaveletLoss, wavelet="bior1.3"),
    "squared_error": SquaredError,
    "stft": partial(MultiResolutionSTFTLoss, fft_sizes=(32, 16), hop_sizes=(16, 8), w_lin_mag=0.5),
}
SIZES = [(96,), (97,), (32, 24), (33, 23)]


def test_every_loss_of_ours_is_held_to_the_contract() -> None:
    ours = {cls for cls in choices(SpectralLoss).values() if cls.__module__.startswith("mmspec.")}
    assert {type(build()) for build in REGULARIZERS.values()} == ours


def noise(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def pair(size: tuple[int, ...], dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Prediction and clean signal, three samples of two channels."""
    return noise(3, 2, *size, dtype=dtype), noise(3, 2, *size, seed=1, dtype=dtype)


@pytest.mark.parametrize("build", REGULARIZERS.values(), ids=REGULARIZERS)
@pytest.mark.parametrize("size", SIZES, ids=str)
class TestRegularizer:
    def test_nothing_lies_between_a_signal_and_itself(self, build, size) -> None:
        for x in (noise(3, 2, *size), torch.zeros(3, 2, *size)):
            input = x.clone().requires_grad_()
            value = build()(input, x)
            value.backward()
            assert value == 0 and torch.isfinite(input.grad).all()

    def test_silence_has_finite_values_and_gradients(self, build, size) -> None:
        sound, silence = noise(3, 2, *size), torch.zeros(3, 2, *size)
        for input, target in ((silence, sound), (sound, silence)):
            input, target = input.clone().requires_grad_(), target.clone().requires_grad_()
            value = build()(input, target)
            gradients = torch.autograd.grad(value, (input, target))
            assert torch.isfinite(value) and value > 0
            assert all(torch.isfinite(gradient).all() for gradient in gradients)

    def test_a_batch_is_its_items(self, build, size) -> None:
        input, target = pair(size)
        values = build(reduction="none")(input, target)
        alone = [build(reduction="none")(input[i : i + 1], target[i : i + 1]) for i in range(3)]
        assert values.shape == (3,)
        torch.testing.assert_close(values, torch.cat(alone))

    def test_reductions_agree(self, build, size) -> None:
        input, target = pair(size)
        torch.testing.assert_close(build()(input, target), build(reduction="none")(input, target).mean())
        total = build(reduction="sum")
        alone = [total(input[i : i + 1], target[i : i + 1]) for i in range(3)]
        torch.testing.assert_close(total(input, target), torch.stack(alone).sum())

    def test_the_gradient_of_a_sample_does_not_depend_on_the_others(self, build, size) -> None:
        input, target = pair(size)
        input.requires_grad_()
        values = build(reduction="none")(input, target)
        (gradient,) = torch.autograd.grad(values[1], input)
        assert gradient[1].any() and not gradient[0].any() and not gradient[2].any()

    def test_a_step_against_the_gradient_goes_down(self, build, size) -> None:
        input, target = pair(size, torch.float64)
        input.requires_grad_()
        before = build()(input, target)
        (gradient,) = torch.autograd.grad(before, input)
        step = 1e-7 * before.detach() / gradient.square().sum()
        after = build()(input - step * gradient, target)
        assert (before - after).item() == pytest.approx(1e-7 * before.item(), rel=0.1)

    def test_autocast_does_not_reach_inside(self, build, size) -> None:
        input, target = pair(size)
        outside = build()(input, target)
        with torch.autocast("cpu", torch.bfloat16):
            inside = build()(input, target)
            projected = (input.flatten(1) @ input.flatten(1).T).sum()
        assert projected.dtype == torch.bfloat16  # autocast was on
        assert inside.dtype == torch.float32 and inside == outside

    def test_half_precision_is_computed_in_float32_and_float64_is_kept(self, build, size) -> None:
        input, target = pair(size, torch.float64)
        assert build()(input, target).dtype == torch.float64
        coarse = input.bfloat16().requires_grad_()
        value = build()(coarse, target.float())
        torch.testing.assert_close(value, build()(coarse.detach().float(), target.float()), rtol=0, atol=0)
        value.backward()
        assert value.dtype == torch.float32 and coarse.grad.dtype == torch.bfloat16

    def test_layout_in_memory_does_not_matter(self, build, size) -> None:
        input, target = pair(size)
        strided = input.transpose(1, -1).contiguous().transpose(1, -1)
        assert not strided.is_contiguous()
        torch.testing.assert_close(build()(strided, target), build()(input, target))

    def test_saved_and_loaded_it_is_identical(self, build, size) -> None:
        loss = build(reduction="none")
        value = loss(*pair(size))
        file = io.BytesIO()
        torch.save(loss.state_dict(), file)
        file.seek(0)
        loaded = build(reduction="none")
        loaded.load_state_dict(torch.load(file, weights_only=True))
        for twin in (loaded, copy.deepcopy(loss), pickle.loads(pickle.dumps(loss))):
            assert torch.equal(twin(*pair(size)), value)

    def test_bad_signals_are_named(self, build, size) -> None:
        input, target = pair(size)
        with pytest.raises(ValueError) as error:
            build()(input, target[:, :1])
        assert str(list(input.shape)) in str(error.value) and str([3, 1, *size]) in str(error.value)
        with pytest.raises(TypeError, match="int64"):
            build()(input.long(), target.long())
        with pytest.raises(TypeError, match="uint8"):
            build()(input, target.byte())
        with pytest.raises(ValueError, match=r"\[3, 2\]"):
            build()(input.flatten(2)[..., 0], target.flatten(2)[..., 0])


@pytest.mark.parametrize("build", REGULARIZERS.values(), ids=REGULARIZERS)
class TestOptions:
    def test_a_misspelt_option_is_an_error(self, build) -> None:
        with pytest.raises(TypeError, match="reductoin"):
            build(reductoin="none")

    def test_an_unknown_reduction_is_an_error(self, build) -> None:
        with pytest.raises(ValueError, match="'average'"):
            build(reduction="average")

    def test_training_code_around_it_compiles(self, build) -> None:
        loss, layer = build(), torch.nn.Conv1d(1, 1, 3, padding=1)
        x, target = noise(2, 1, 64), noise(2, 1, 64, seed=1)

        def step(x: Tensor) -> Tensor:
            return 2 * loss(layer(x), target)

        expected = torch.autograd.grad(step(x), layer.weight)
        compiled = torch.autograd.grad(torch.compile(step, backend="aot_eager", fullgraph=True)(x), layer.weight)
        torch.testing.assert_close(compiled, expected)


@pytest.mark.parametrize(
    "name", ["amplitude", "amplitude_phase", "amplitude_phase_norms", "haar", "bior1.3", "squared_error"]
)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_an_image_of_height_one_is_a_signal(name: str, reduction: str) -> None:
    input, target = pair((97,))
    loss = REGULARIZERS[name](reduction=reduction)
    torch.testing.assert_close(loss(input[:, :, None], target[:, :, None]), loss(input, target))
    torch.testing.assert_close(loss(input[..., None], target[..., None]), loss(input, target))


def test_importing_the_losses_imports_little() -> None:
    heavy = ("auraloss", "librosa", "scipy", "torchaudio", "soundfile", "matplotlib", "hydra", "accelerate")
    program = "import sys, mmspec.losses; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "mmspec.losses" in modules
    assert not {module.split(".")[0] for module in modules} & set(heavy)
    parts = {module.split(".")[1] for module in modules if module.startswith("mmspec.")}
    assert parts == {"losses", "spectral"}
