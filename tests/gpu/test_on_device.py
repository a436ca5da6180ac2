"""What mmspec computes on a GPU, beside the same on the CPU: `make gpu` runs this there.

Without a GPU, or with ``MMSPEC_TEST_DEVICE=cpu``, all of it runs on the CPU, so that it is known to be right.
"""

import os

import numpy as np
import pytest
import torch
from accelerate.state import AcceleratorState

from mmspec.data.augment import EDMAugment
from mmspec.diffusion import sample, seeded
from mmspec.metrics.cost import example
from mmspec.training.complete import newest_whole
from tests.faults.shared_training import CASES, denoiser, make_trainer
from tests.losses.test_contract import REGULARIZERS, SIZES, pair
from tests.networks.test_contract import INSTANCES
from tests.pretrained.test_edm import PICKLES, STATE_DICTS, load

DEVICE = torch.device(os.environ.get("MMSPEC_TEST_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu"))
BACKEND = "inductor" if DEVICE.type == "cuda" else "aot_eager"  # which needs no compiler
TRAINED = [case for case in CASES if "FSDP2" not in case]


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """A GPU's convolutions would take ten bits of each number."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize("build", REGULARIZERS.values(), ids=REGULARIZERS)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_losses_and_their_gradients(build, size):
    loss = build(reduction="none").to(DEVICE)
    input, target = (x.to(DEVICE).requires_grad_() for x in pair(size))
    values = loss(input, target)
    gradients = torch.autograd.grad(values.sum(), (input, target))
    exact_input, exact_target = (x.detach().cpu().double().requires_grad_() for x in (input, target))
    exact = build(reduction="none")(exact_input, exact_target)
    assert values.device.type == DEVICE.type
    torch.testing.assert_close(values.cpu().double(), exact, rtol=1e-4, atol=1e-6)
    for ours, right in zip(gradients, torch.autograd.grad(exact.sum(), (exact_input, exact_target)), strict=True):
        assert (ours.cpu().double() - right).norm() <= 0.02 * right.norm()  # rounding turns the sign of a few


@pytest.fixture(params=INSTANCES)
def network(request):
    torch.manual_seed(0)
    network, shape = INSTANCES[request.param]()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    (x, c_noise), told = example(network, shape, 2, "cpu")
    with torch.no_grad():
        wanted = network.eval()(x, c_noise, **told)
    told = {name: value.to(DEVICE) for name, value in told.items()}
    return network.to(DEVICE), (x.to(DEVICE), c_noise.to(DEVICE)), told, wanted


@torch.no_grad()
def test_networks_in_float32(network):
    network, arguments, told, wanted = network
    torch.testing.assert_close(
        network(*arguments, **told).cpu(), wanted, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())
    )


@torch.no_grad()
def test_networks_with_bf16_autocast(network):
    network, arguments, told, wanted = network
    with torch.autocast(DEVICE.type, torch.bfloat16):
        found = network(*arguments, **told)
    assert (found.cpu().float() - wanted).norm() < 0.05 * wanted.norm()


@torch.no_grad()
def test_networks_compiled(network):
    network, arguments, told, wanted = network
    torch._dynamo.reset()
    network.compile(backend=BACKEND)
    torch.testing.assert_close(
        network(*arguments, **told).cpu(), wanted, rtol=1e-3, atol=1e-3 * float(wanted.abs().max())
    )


@pytest.mark.parametrize("name", PICKLES + STATE_DICTS)
@torch.no_grad()
def test_golden_values_of_edm(references, name):
    denoiser, values = load(references, name).to(DEVICE), references.arrays(f"edm/{name}")
    cond = {"labels": "class_labels", "augment_labels": "augment_labels"}
    cond = {ours: torch.from_numpy(values[theirs]).to(DEVICE) for ours, theirs in cond.items() if theirs in values}
    x, sigma = (torch.from_numpy(values[key]).to(DEVICE) for key in ("x", "sigma"))
    error = np.abs(denoiser(x, sigma, **cond).cpu().numpy() - values["D"]).max()
    assert error <= 1e-4 * np.abs(values["D"]).max()


def test_samples_are_those_of_the_cpu():
    told = {"labels": torch.eye(2)}
    drawn = [
        sample(denoiser(0).to(device).eval(), (2, 1, 64), steps=4, guidance=2.0, generator=seeded(range(2)), **told)
        for device in ("cpu", DEVICE)
    ]
    torch.testing.assert_close(drawn[1].cpu(), drawn[0], rtol=1e-3, atol=1e-3)


@pytest.fixture
def own_precision():
    """Accelerate has one a process, which tests after this one choose themselves."""
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.mark.usefixtures("own_precision")
@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("case", TRAINED)
def test_trainings_go_on_where_they_stopped(case, precision, tmp_path):
    options = {**CASES[case], "device": "cpu" if DEVICE.type == "cpu" else "auto", "mixed_precision": precision}
    make_trainer(tmp_path / "parts", **options, max_steps=2).train()
    resumed = make_trainer(tmp_path / "parts", **options)
    resumed.train(newest_whole(tmp_path / "parts/checkpoints")[0])
    whole = make_trainer(tmp_path / "whole", **options)
    whole.train()
    assert whole.device.type == DEVICE.type
    for ours, theirs in zip(resumed.denoiser.parameters(), whole.denoiser.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_augmentation_is_that_of_the_cpu():
    augment = EDMAugment()
    pictures = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    moves = augment.draw(4, torch.Generator().manual_seed(0), torch.device("cpu"))
    found = augment.apply(pictures.to(DEVICE), moves.to(DEVICE))
    torch.testing.assert_close(found.cpu(), augment.apply(pictures, moves), rtol=1e-4, atol=1e-4)
