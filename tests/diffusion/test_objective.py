import numpy as np
import pytest
import torch

from mmspec.diffusion import Objective
from mmspec.diffusion.noise import LogNormal
from mmspec.diffusion.objective import Draw
from mmspec.diffusion.processes import DDPM, EDM
from mmspec.diffusion.processes.ddpm import ddpm_sigmas
from mmspec.losses.regularizer import Regularizer
from tests.oracles import Gaussian

SHAPES = [(6, 2, 31), (6, 3, 5, 4)]


class MeanAbsolute(torch.nn.Module):
    def forward(self, input, target):
        return (input - target).abs().flatten(1).mean(1)


def test_edm_loss_is_the_original_up_to_the_mean(references):
    golden, cases = references.arrays("edm/losses"), references.facts("edm/losses")
    x0 = torch.from_numpy(golden["images"])
    for name, case in cases.items():
        if case["cls"] != "EDMLoss":
            continue
        sigma_data = case["args"].get("sigma_data", 0.5)
        process = EDM(sigma_data, mean=case["args"].get("P_mean", -1.2), std=case["args"].get("P_std", 1.2))
        drawn = torch.from_numpy(golden[f"{name}/draw0"]).flatten()
        sigma = (drawn * process.noise.std + process.noise.mean).exp()
        draw = Draw(sigma, torch.from_numpy(golden[f"{name}/draw1"]), torch.ones(4))
        terms = Objective(process)(Gaussian(0.5), x0, draw=draw)
        expected = golden[f"{name}/loss"].reshape(4, -1).mean(1)
        np.testing.assert_allclose(terms.total.numpy(), expected, rtol=1e-4)
        np.testing.assert_allclose(terms.sigma.numpy(), golden[f"{name}/sigma"].flatten(), rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("distance", ["l2", "l1"])
def test_noise_prediction_weight_makes_it_the_error_of_the_predicted_noise(shape, distance):
    x0 = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    objective = Objective(DDPM(), distance)
    draw = objective.draw(shape, torch.Generator().manual_seed(1))
    draw = Draw(draw.sigma.double(), draw.noise.double(), draw.keep)
    terms = objective(Gaussian(), x0, draw=draw)
    sigma = draw.sigma.reshape(-1, *[1] * (len(shape) - 1))
    x = x0 + sigma * draw.noise
    predicted = (x - Gaussian()(x, draw.sigma)) / sigma
    error = (predicted - draw.noise).flatten(1)
    expected = error.square().mean(1) if distance == "l2" else error.abs().mean(1)
    torch.testing.assert_close(terms.total, expected)


def test_noise_distributions_have_the_stated_moments():
    sigma = LogNormal(-1.2, 1.2).draw(20_000, torch.Generator().manual_seed(0))
    assert sigma.log().mean().item() == pytest.approx(-1.2, abs=0.03)
    assert sigma.log().std().item() == pytest.approx(1.2, abs=0.03)
    table = ddpm_sigmas().float()
    drawn = DDPM().draw(20_000, torch.Generator().manual_seed(0))
    assert torch.isin(drawn, table).all()
    assert (drawn <= table[499]).float().mean().item() == pytest.approx(0.5, abs=0.02)


def test_regularizers_add_up_and_are_reported():
    term = Regularizer(MeanAbsolute(), weight=0.5, sigma_weight=lambda sigma: sigma)
    objective = Objective(EDM(), regularizers={"mae": term})
    x0 = torch.randn(5, 1, 16)
    draw = objective.draw(x0.shape, torch.Generator().manual_seed(0))
    terms = objective(Gaussian(), x0, draw=draw)
    torch.testing.assert_close(terms.parts["mae_weighted"], 0.5 * draw.sigma * terms.parts["mae"])
    torch.testing.assert_close(terms.total, terms.parts["denoising"] + terms.parts["mae_weighted"])
    assert terms.grad_shares == {}  # the closed form has no weights to train


def test_labels_are_dropped_at_the_stated_rate_and_only_then():
    seen = []

    def denoiser(x, sigma, labels):
        seen.append(labels)
        return x

    labels = torch.nn.functional.one_hot(torch.arange(4000) % 4, 4).float()
    x0 = torch.zeros(4000, 1, 1)
    Objective(EDM(), label_dropout=0.25)(denoiser, x0, labels=labels)
    Objective(EDM())(denoiser, x0, labels=labels)
    dropped = 1 - seen[0].sum(1)
    assert dropped.mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(seen[0][dropped == 0], labels[dropped == 0])
    torch.testing.assert_close(seen[1], labels)


def test_bad_arguments_say_what_was_expected():
    with pytest.raises(ValueError, match="one of l2, l1, not 'huber'"):
        Objective(EDM(), "huber")
    with pytest.raises(ValueError, match="probability"):
        Objective(EDM(), label_dropout=3)
