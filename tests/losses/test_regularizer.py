import pytest
import torch

from mmspec.losses import FourierAmplitudeLoss, clean_and_sigma
from mmspec.losses.regularizer import Regularizer
from mmspec.losses.weighting import EDMWeight, InverseSigmaGate, NoisePredictionWeight, StepGate


class Absolute(torch.nn.Module):
    reduction = "none"

    def forward(self, input, target):
        return (input - target).abs().flatten(1).mean(1)


SIGMA = torch.tensor([0.1, 0.5, 2.0, 10.0])


def inputs(shape=(4, 2, 9)):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator).requires_grad_(), torch.randn(shape, generator=generator)


def test_sigma_weights_have_their_closed_forms():
    torch.testing.assert_close(EDMWeight(0.3)(SIGMA), (SIGMA**2 + 0.09) / (SIGMA * 0.3) ** 2)
    torch.testing.assert_close(NoisePredictionWeight()(SIGMA), 1 / SIGMA**2)
    torch.testing.assert_close(InverseSigmaGate(0.5)(SIGMA), torch.tensor([1.0, 1.0, 0.25, 0.05]))
    assert StepGate(2.0)(SIGMA).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("shape", [(4, 2, 9), (4, 3, 5, 6)])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_gradient_balancing_gives_the_term_its_stated_share(shape, share):
    prediction, clean = inputs(shape)
    denoising = (1e3 * (prediction - clean) ** 2).flatten(1).mean(1)
    term = Regularizer(Absolute(), share, InverseSigmaGate(), balance="gradient")(
        prediction, clean, SIGMA, denoising=denoising
    )
    ours = torch.autograd.grad(term.weighted.mean(), prediction, retain_graph=True)[0]
    theirs = torch.autograd.grad(denoising.mean(), prediction)[0]
    assert (ours.norm() / theirs.norm()).item() == pytest.approx(share, rel=1e-4)
    assert term.grad_share.item() == pytest.approx(share, rel=1e-4)


def test_the_share_of_a_fixed_weight_is_measured_too():
    prediction, clean = inputs()
    denoising = (prediction - clean).square().flatten(1).mean(1)
    term = Regularizer(Absolute(), 0.2)(prediction, clean, SIGMA, denoising=denoising)
    ours = torch.autograd.grad(term.weighted.mean(), prediction, retain_graph=True)[0]
    theirs = torch.autograd.grad(denoising.mean(), prediction)[0]
    assert term.grad_share.item() == pytest.approx((ours.norm() / theirs.norm()).item(), rel=1e-5)


@pytest.mark.parametrize("sigma", [SIGMA[:, None, None], SIGMA])
def test_a_sigma_that_broadcasts_weighs_each_sample_by_its_own(sigma):
    prediction, clean = inputs()
    term = Regularizer(Absolute(), 1.0, InverseSigmaGate(0.5))(prediction, clean, sigma)
    torch.testing.assert_close(term.weighted, term.raw * torch.tensor([1.0, 1.0, 0.25, 0.05]))


@pytest.mark.parametrize("reduced", [False, True])
def test_balancing_against_a_loss_of_the_noise_through_what_both_depend_on(reduced):
    """The gradients' norms are those at the network's output, by torch's own backward."""
    predicted, noise = inputs()
    clean, sigma = torch.randn(4, 2, 9, generator=torch.Generator().manual_seed(1)), SIGMA[:, None, None]
    x0_hat = (clean + sigma * noise) - sigma * predicted
    denoising = (predicted - noise).square().flatten(1).mean(1)
    denoising = denoising.mean() if reduced else denoising
    regularizer = Regularizer(Absolute(), 0.3, StepGate(2.0), balance="gradient")
    term = regularizer(x0_hat, clean, SIGMA, denoising=denoising, through=predicted)
    ours = torch.autograd.grad(term.weighted.mean(), predicted, retain_graph=True)[0]
    theirs = torch.autograd.grad(denoising.mean(), predicted)[0]
    assert (ours.norm() / theirs.norm()).item() == pytest.approx(0.3, rel=1e-4)
    assert not ours[3].any()  # its gate is shut


@pytest.mark.parametrize("balance", [None, "gradient"])
def test_a_loss_that_does_not_depend_on_the_prediction_asks_for_through(balance):
    predicted, clean = inputs()
    x0_hat, denoising = 2 * predicted, predicted.square().flatten(1).mean(1)
    regularizer = Regularizer(Absolute(), balance=balance)
    for unrelated in (denoising, denoising.detach()):
        with pytest.raises(ValueError, match=r"^denoising was not computed from .*: give through="):
            regularizer(x0_hat, clean, SIGMA, denoising=unrelated)
    with pytest.raises(ValueError, match=r"^the prediction was not computed from .*: give through="):
        regularizer(x0_hat, clean, SIGMA, denoising=denoising, through=torch.ones(4, requires_grad=True))


def test_balancing_at_a_detached_tensor_is_refused_and_in_evaluation_is_not():
    predicted, clean = inputs()
    denoising = (predicted - clean).square().flatten(1).mean(1)
    regularizer = Regularizer(Absolute(), 0.3, balance="gradient")
    with pytest.raises(ValueError, match=r"^gradients cannot be compared at a tensor that has none"):
        regularizer(predicted, clean, SIGMA, denoising=denoising, through=predicted.detach())
    term = regularizer(predicted.detach(), clean, SIGMA, denoising=denoising.detach())
    assert term.squares is None and not term.weighted.requires_grad


def test_a_gate_in_the_place_of_the_loss_is_refused():
    with pytest.raises(ValueError, match=r"weight must be a number, not a Absolute"):
        Regularizer(InverseSigmaGate(), Absolute())


def test_a_ramp_grows_linearly_from_nothing_to_the_full_weight():
    prediction, clean = inputs()
    regularizer = Regularizer(Absolute(), 0.4, ramp_steps=10)
    values = [regularizer(prediction, clean, SIGMA, step).weighted.sum().item() for step in (0, 5, 10, 100)]
    full = 0.4 * Absolute()(prediction, clean).sum().item()
    assert values == pytest.approx([0, full / 2, full, full])


def test_a_perfect_prediction_gives_finite_gradients_under_balancing():
    clean = torch.randn(4, 1, 8)
    prediction = clean.clone().requires_grad_()
    denoising = (prediction - clean).square().flatten(1).mean(1)
    term = Regularizer(Absolute(), 0.1, balance="gradient")(prediction, clean, SIGMA, denoising=denoising)
    (denoising + term.weighted).mean().backward()
    assert torch.isfinite(prediction.grad).all()
    assert term.weighted.tolist() == [0, 0, 0, 0]


def test_a_gated_term_of_a_noise_prediction_compiles_whole():
    predicted, clean = inputs((4, 2, 16))
    regularizer = Regularizer(FourierAmplitudeLoss(reduction="none"), 0.3, StepGate(2.0))

    def step(predicted, t):
        x0_hat, sigma = clean_and_sigma(clean, predicted, t=t)
        return regularizer(x0_hat, clean, sigma).weighted.sum()

    t = SIGMA / (1 + SIGMA)
    expected = torch.autograd.grad(step(predicted, t), predicted)
    torch._dynamo.reset()
    compiled = torch.autograd.grad(torch.compile(step, backend="aot_eager", fullgraph=True)(predicted, t), predicted)
    torch.testing.assert_close(compiled, expected)


def test_misuse_is_refused_in_one_sentence():
    class Mean(Absolute):
        reduction = "mean"

    prediction, clean = inputs()
    with pytest.raises(ValueError, match='build it with reduction="none"'):
        Regularizer(Mean())
    with pytest.raises(ValueError, match="0 or more"):
        Regularizer(Absolute(), weight=-1)
    with pytest.raises(ValueError, match='None or "gradient"'):
        Regularizer(Absolute(), balance="loss")
    with pytest.raises(ValueError, match="needs denoising="):
        Regularizer(Absolute(), balance="gradient")(prediction, clean, SIGMA)
    with pytest.raises(ValueError, match="needs step="):
        Regularizer(Absolute(), ramp_steps=3)(prediction, clean, SIGMA)
