import numpy as np
import pytest
import torch

from mmspec.networks import DiffWave
from mmspec.networks.diffwave import step_table

TINY = {"residual_channels": 8, "residual_layers": 4, "dilation_cycle_length": 3}


@pytest.fixture(scope="module")
def tiny(references):
    network = DiffWave(**TINY)
    network.load_state_dict(references.weights("lmnt/tiny"))
    return network


@pytest.fixture(scope="module")
def golden(references):
    return references.tensors("lmnt/tiny")


def relative_error(output, expected):
    return ((output - expected).abs().max() / expected.abs().max()).item()


def test_the_step_table_is_torchs_bit_for_bit(references):
    stored = references.arrays("lmnt/embedding_table")
    np.testing.assert_array_equal(step_table(50).numpy(), stored["table"])
    angles = np.arange(50)[:, None] * 10 ** (np.arange(64) * 4 / 63)
    exact = np.concatenate([np.sin(angles), np.cos(angles)], axis=1)
    assert np.abs(stored["table"] - exact).max() > 0.02  # so that exact arithmetic would not do
    with torch.device("meta"):
        assert torch.equal(DiffWave(**TINY).diffusion_embedding.embedding, step_table(50))
    assert "diffusion_embedding.embedding" not in DiffWave(**TINY).state_dict()


@pytest.mark.parametrize("step", ["int", "float", "float_frac"])
def test_forward_is_lmnts(tiny, golden, step):
    output = tiny(golden["audio"][:, None], golden[f"step_{step}"], golden["spectrogram"])
    assert relative_error(output, golden[f"out_step_{step}"]) < 1e-5
    embedding = tiny.diffusion_embedding(golden[f"step_{step}"])
    assert relative_error(embedding, golden[f"emb_step_{step}"]) < 1e-5


def test_the_upsampled_spectrogram_is_lmnts(tiny, golden):
    upsampled = tiny.spectrogram_upsampler(golden["spectrogram"][:1])
    assert relative_error(upsampled, golden["upsampled_spectrogram"]) < 1e-5


def test_a_batch_of_fractional_steps_is_each_by_itself(tiny, golden):
    x, spectrogram = golden["audio"][:, None], golden["spectrogram"]
    steps = torch.tensor([17.375, 48.9])
    together = tiny(x, steps, spectrogram)
    for i in range(2):
        torch.testing.assert_close(together[i : i + 1], tiny(x[i : i + 1], steps[i : i + 1], spectrogram[i : i + 1]))
    whole = torch.tensor([3, 49])
    torch.testing.assert_close(tiny(x, whole, spectrogram), tiny(x, whole.float(), spectrogram))


def test_float64_agrees_with_float32_and_keeps_the_float32_table(tiny, golden):
    double = DiffWave(**TINY).double()
    double.load_state_dict(tiny.state_dict())
    x, step, spectrogram = (golden[name].double() for name in ("audio", "step_float_frac", "spectrogram"))
    assert relative_error(double(x[:, None], step, spectrogram), golden["out_step_float_frac"].double()) < 1e-5


def test_keys_shapes_and_sizes_are_those_of_lmnt(references):
    stored = references.facts("lmnt/tiny")
    network = DiffWave(**TINY)
    assert {name: list(tensor.shape) for name, tensor in network.state_dict().items()} == stored["state_dict"]
    assert list(network.state_dict()) == list(stored["state_dict"])
    with torch.device("meta"):
        conditional, unconditional = DiffWave(), DiffWave(unconditional=True)
    assert sum(parameter.numel() for parameter in conditional.parameters()) == 2_619_971
    assert sum(parameter.numel() for parameter in unconditional.parameters()) == 2_308_737
    extra = set(conditional.state_dict()) - set(unconditional.state_dict())
    assert all("conditioner_projection" in name or "spectrogram_upsampler" in name for name in extra)


def test_a_new_network_begins_as_lmnts_does():
    torch.manual_seed(0)
    network = DiffWave(residual_channels=64, residual_layers=2)
    assert not network.output_projection.weight.any()
    weight = network.residual_layers[0].dilated_conv.weight
    assert weight.std().item() == pytest.approx((2 / (64 * 3)) ** 0.5, rel=0.02)
    assert DiffWave(**network.config).config == network.config


def test_any_length_has_a_frame_for_each_hop_begun(tiny):
    x = torch.randn(1, 1, 300, generator=torch.Generator().manual_seed(0))
    spectrogram = torch.rand(1, 80, 2, generator=torch.Generator().manual_seed(1))
    step = torch.tensor([7.5])
    output = tiny(x, step, spectrogram)
    assert output.shape == x.shape
    # Zeros behind the signal are what its convolutions see anyway: only samples near the end may differ.
    padded = tiny(torch.nn.functional.pad(x, (0, 212)), step, spectrogram)
    torch.testing.assert_close(output[..., :270], padded[..., :270])


def test_unconditional_networks_run_on_the_waveform_alone():
    network = DiffWave(**TINY, unconditional=True)
    torch.nn.init.normal_(network.output_projection.weight)
    x = torch.randn(2, 1, 333, requires_grad=True)
    network(x, torch.tensor([0.0, 49.0])).square().mean().backward()
    assert torch.isfinite(x.grad).all() and x.grad.any()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": 2, "in_channels": 3}, "one channel of sound"),
        ({"num_classes": 10}, "data.labels=false"),
        ({"residual_layers": 0}, "residual_layers must be 1 or more, not 0"),
    ],
)
def test_what_it_is_not_for_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DiffWave(**options)


def test_spectrograms_that_do_not_fit_are_refused():
    x, step = torch.zeros(2, 1, 512), torch.zeros(2)
    with torch.device("meta"):
        conditional, unconditional = DiffWave(**TINY), DiffWave(**TINY, unconditional=True)
    with pytest.raises(ValueError, match="needs spectrogram="):
        conditional(x, step)
    with pytest.raises(ValueError, match=r"needs a spectrogram \[2, 80, 2\] .* not \[2, 80, 3\]"):
        conditional(x, step, torch.zeros(2, 80, 3))
    with pytest.raises(ValueError, match="takes no spectrogram"):
        unconditional(x, step, torch.zeros(2, 80, 2))
    with pytest.raises(ValueError, match=r"waveforms \[B, 1, T\], not for \[2, 512\]"):
        unconditional(x[:, 0], step)
