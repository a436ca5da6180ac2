import pytest
import torch
from torch import nn

from mmspec.components import Component
from mmspec.config import compose, plain
from mmspec.metrics.cost import Cost, count, example, measure
from mmspec.networks import DiffWave, EDMUNet, UNet, make_network

SMALL = {"model_channels": 16, "channel_mult": (1, 2), "num_blocks": 1, "attention_levels": (1,), "head_channels": 8}


def cost_of(preset: str, **overrides: object) -> Cost:
    config = plain(compose("info", [f"network={preset}", *(f"network.{k}={v}" for k, v in overrides.items())]))
    with torch.device("meta"):
        network = make_network(Component.read(config["network"], "network"), config["shape"], config["classes"])
    return count(network, config["shape"], config["context_length"])


# The presets


@pytest.mark.parametrize(
    "preset, parameters, macs",
    [
        ("ldm_ffhq", 274.1e6, 96.1e9),
        ("lite_ldm_ffhq", 22.4e6, 7.9e9),
        ("sd_ffhq", 21.1e6, 6.7e9),
        ("ldm_imagenet", 400.9e6, 99.8e9),
        ("lite_ldm_imagenet", 47.0e6, 11.1e9),
        ("sd_imagenet", 45.4e6, 9.9e9),
        ("ddpm_256", 113.7e6, 248.7e9),
        ("sd_text", 77.6e6, None),
    ],
)
def test_presets_are_the_papers(preset, parameters, macs):
    """ "Diffusion Probabilistic Model Made Slim", tables 2 to 4."""
    cost = cost_of(preset)
    assert cost.parameters == pytest.approx(parameters, rel=0.005)
    assert macs is None or cost.macs == pytest.approx(macs, rel=0.01)


@pytest.mark.parametrize(
    "preset, column",
    [("sd_ffhq", "FFHQ/CelebA-HQ"), ("sd_imagenet", "ImageNet CFG"), ("sd_text", "T2I (SD-v1 UNet, mc=96)")],
)
@pytest.mark.parametrize("reading, row", [("paper", "E "), ("literal", "A ")])
def test_readings_of_the_slim_unet(references, preset, column, reading, row):
    table = references.facts("sd/selected_table")
    expected = next(entry for entry in table if entry["name"].startswith(row))["cols"][column]
    cost = cost_of(preset, reading=reading)
    assert cost.parameters == expected["params"]
    assert cost.macs == pytest.approx(expected["macs_ptflops_like"], rel=0.003)  # ptflops counts layer norms too
    assert cost.macs_with_attention == pytest.approx(expected["macs_with_attention"], rel=0.003)


@pytest.mark.parametrize("preset", ["sd_audio_16k", "sd_audio_44k_stereo"])
def test_audio_presets_are_slim(preset):
    plain_cost = cost_of(preset, resample="conv", factors=2)
    assert cost_of(preset).macs < 0.8 * plain_cost.macs


# Counting


class Layers(nn.Module):
    """One layer of each kind, and attention of two lengths."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 6, 3, stride=2, padding=1, groups=2)
        self.up = nn.ConvTranspose1d(6, 5, 4, stride=2, padding=1, bias=False)
        self.linear = nn.Linear(5, 7)

    def forward(self, x: torch.Tensor, c_noise: torch.Tensor) -> torch.Tensor:
        tokens = self.linear(self.up(self.conv(x)).mT)[:, None]
        return nn.functional.scaled_dot_product_attention(tokens, tokens[:, :, :3], tokens[:, :, :3, :2])


def test_macs_by_hand():
    cost = count(Layers(), (4, 16))
    conv, up, linear = 6 * 8 * (2 * 3) + 6 * 8, 6 * 8 * (5 * 4), 16 * 5 * 7 + 16 * 7
    assert cost.parameters == (6 * 2 * 3 + 6) + 6 * 5 * 4 + (7 * 5 + 7)
    assert cost.macs == conv + up + linear
    assert cost.macs_with_attention == cost.macs + 16 * 3 * (7 + 2)


NETWORKS = [
    (UNet(**SMALL, dims=1, resample="wavelet", wavelet="db2", num_classes=3), (3, 20)),
    (UNet(**SMALL, context_channels=6), (3, 8, 12)),
    (EDMUNet(img_resolution=16, model_channels=16, num_blocks=1, label_dim=4), (3, 16, 16)),
    (DiffWave(residual_channels=8, residual_layers=2), (1, 512)),
]


@pytest.mark.parametrize("network, shape", NETWORKS, ids=lambda value: type(value).__name__)
def test_activations_are_what_training_keeps(network, shape):
    own = {parameter.untyped_storage().data_ptr() for parameter in [*network.parameters(), *network.buffers()]}
    kept = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    arguments, conditions = example(network, shape, 1, "cpu")
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        out = network(*arguments, **conditions)
    assert out.isfinite().all()
    expected = sum(t.untyped_storage().nbytes() for address, t in kept.items() if address not in own)
    assert count(network, shape).activation_bytes == pytest.approx(expected, rel=0.02)


def test_counting_leaves_the_network_alone():
    network = UNet(**SMALL)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    costs = [count(network, (3, 8, 8)) for _ in range(2)]
    assert costs[0] == costs[1]
    for name, tensor in network.state_dict().items():
        assert tensor.device.type == "cpu" and torch.equal(tensor, before[name])


def test_counting_leaves_no_stand_ins_behind():
    """Filters that counting was the first to need are real."""
    network, x = UNet(**SMALL, resample="wavelet", wavelet="coif7"), torch.randn(1, 3, 22, 26)
    count(network, x.shape[1:])
    assert type(network(x, torch.ones(1))) is torch.Tensor


def test_macs_follow_the_context():
    network = UNet(**SMALL, context_channels=6)
    one, seven = (count(network, (3, 8, 8), context_length=length) for length in (1, 7))
    assert one.parameters == seven.parameters and one.macs < seven.macs


# Time


def test_measure_reports_what_it_did():
    facts = measure(UNet(**SMALL), (3, 8, 8), runs=5, batch=2)
    assert 0 < facts["latency_ms_p10"] <= facts["latency_ms"] <= facts["latency_ms_p90"]
    assert facts["batch"] == 2 and facts["samples_per_second"] > 0
