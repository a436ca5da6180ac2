import numpy as np
import pytest
import torch

from mmspec.analysis import figures
from mmspec.analysis.trajectory import chosen_calls, recorded
from mmspec.diffusion import Denoiser, sample
from mmspec.diffusion.processes import EDM
from mmspec.networks import UNet


@pytest.fixture(scope="module")
def denoiser():
    torch.manual_seed(0)
    options = {"model_channels": 8, "channel_mult": (1, 1), "num_blocks": 1, "attention_levels": ()}
    network = UNet(dims=2, in_channels=1, out_channels=1, resample="wavelet", **options)
    return Denoiser(network, EDM(), signal_shape=(1, 16, 16)).eval()


def test_predictions_and_levels_are_the_samplers(denoiser):
    told = []
    with recorded(denoiser) as trajectory:
        generator = torch.Generator().manual_seed(0)
        sample(
            denoiser,
            (2, 1, 16, 16),
            sampler="euler",
            steps=5,
            generator=generator,
            callback=lambda step, x, denoised: told.append(denoised),
        )
    np.testing.assert_allclose(trajectory.sigmas, denoiser.process.sampling_sigmas(5), rtol=1e-6)
    for prediction, denoised in zip(trajectory.predictions, told, strict=True):
        torch.testing.assert_close(prediction, denoised.float())


def test_gates_are_the_layers_own_and_listening_ends(denoiser):
    x, sigma = torch.randn(2, 1, 16, 16), torch.tensor([0.5, 0.5])
    with torch.no_grad():
        expected = denoiser(x, sigma)
        with recorded(denoiser, predictions=False) as trajectory:
            torch.testing.assert_close(denoiser(x, sigma), expected)
        denoiser(x, sigma)
    assert len(trajectory.gates) == 2 and not trajectory.predictions and len(trajectory.sigmas) == 1
    for calls in trajectory.gates.values():
        (gates,) = calls
        assert gates.shape == (2, 4) and gates.min() > 0 and gates.max() < 1
    for module in denoiser.modules():
        assert "gates" not in vars(module)
    seen = {}
    for name, module in denoiser.named_modules():
        if name in trajectory.gates:
            module.register_forward_pre_hook(lambda m, inputs, name=name: seen.update({name: m.gates(*inputs)}))
    with torch.no_grad():
        denoiser(x, sigma)
    for name, (gates,) in trajectory.gates.items():
        torch.testing.assert_close(gates, seen[name])
    torch.testing.assert_close(trajectory.mean_gates()[name], gates.mean(0)[None])


@pytest.mark.parametrize(("calls", "count", "chosen"), [(9, 3, [0, 4, 8]), (2, 5, [0, 1]), (1, 4, [0]), (9, 2, [0, 8])])
def test_chosen_calls_are_spread(calls, count, chosen):
    assert chosen_calls([1.0] * calls, count) == chosen


def test_figures_hold_predictions_and_gates():
    rng = np.random.default_rng(0)
    signals, power, real = rng.uniform(-1, 1, (3, 3, 8, 8)), rng.random((3, 6)) + 0.1, rng.random(6) + 0.1
    figure = figures.predictions(signals, [9.0, 1.0, 0.1], np.arange(6), power, real, "cycles/image")
    pictures = [axes.images[0].get_array() for axes in figure.axes[:3]]
    np.testing.assert_allclose(pictures[1], (np.moveaxis(signals[1], 0, -1) + 1) / 2)
    assert [axes.get_title() for axes in figure.axes[:3]] == ["σ = 9", "σ = 1", "σ = 0.1"]
    drawn = [line.get_ydata() for line in figure.axes[3].lines]
    for line, values in zip(drawn, [real, *power], strict=True):
        np.testing.assert_allclose(line, 10 * np.log10(values[1:]))
    clips = figures.predictions(signals[:, :, 0], [9.0, 1.0, 0.1], np.arange(6), power, None, "Hz")
    np.testing.assert_allclose(clips.axes[2].lines[0].get_ydata(), signals[2, :, 0].mean(0))

    sigmas, gates = [9.0, 1.0, 0.1], {"down": rng.random((3, 4)), "up": rng.random((3, 4))}
    figure = figures.gate_values(sigmas, gates)
    for axes, (name, values) in zip(figure.axes, gates.items(), strict=False):
        assert axes.get_title() == name and axes.get_xlim() == (9.0, 0.1)
        np.testing.assert_array_equal([line.get_ydata() for line in axes.lines], values.T)
