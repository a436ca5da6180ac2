"""What every network promises, and how one is made for the data at hand."""

import copy
import json

import pytest
import torch

from mmspec.analysis.frequency_bias import TwoLayers
from mmspec.components import Component, choices
from mmspec.config import compose, plain
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.metrics.cost import count, example
from mmspec.networks import ClassContextUNet, DiffusersUNet, DiffWave, EDMUNet, FirstStage, Network, UNet, make_network
from mmspec.training.recompute import recompute_blocks

SMALL = {"model_channels": 8, "channel_mult": (1, 2), "num_blocks": 1, "attention_levels": (1,), "head_channels": 8}
INSTANCES = {  # and the shape (C, *spatial) of a signal that the levels do not divide
    "UNet": lambda: (UNet(1, 2, **SMALL, patch_size=2, num_classes=3, context_channels=5), (2, 21)),
    "ClassContextUNet": lambda: (
        ClassContextUNet(in_channels=2, **SMALL, num_classes=3, context_channels=5),
        (2, 7, 9),
    ),
    "EDMUNet": lambda: (
        EDMUNet(8, 3, None, 3, 4, model_channels=8, channel_mult=(1, 2), num_blocks=1, attn_resolutions=(4,)),
        (3, 7, 9),
    ),
    "DiffWave": lambda: (DiffWave(residual_channels=8, residual_layers=2, n_mels=5), (1, 301)),
    "DiffusersUNet": lambda: (diffusers_unet(), (2, 7, 9)),
    "TwoLayers": lambda: (TwoLayers(15, 4), (1, 15)),
}


def diffusers_unet():
    pytest.importorskip("diffusers", reason="diffusers is not installed")
    blocks = {"down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "up_block_types": ["AttnUpBlock2D", "UpBlock2D"]}
    widths = {"block_out_channels": [8, 8], "norm_num_groups": 4, "attention_head_dim": 4, "layers_per_block": 1}
    return DiffusersUNet(
        "UNet2DModel", {"in_channels": 2, "out_channels": 2, "num_class_embeds": 3, **blocks, **widths}
    )


MAY_BE_NONE = ("labels", "augment_labels")


def test_every_network_is_held_to_the_contract():
    ours = [name for name, made in choices(Network).items() if made.__module__.startswith("mmspec.")]
    missing = [name for name in ours if name not in INSTANCES]
    assert not missing, f"give INSTANCES a small {missing[0]}, so that it is held to what every network promises"
    assert {"UNet", "ClassContextUNet", "EDMUNet", "DiffWave"} <= set(ours)


@pytest.fixture(params=INSTANCES)
def case(request):
    torch.manual_seed(0)
    network, shape = INSTANCES[request.param]()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)  # what begins at 0 would hide differences
    return network.eval(), shape


def test_the_config_makes_the_same_network(case):
    network, _ = case
    written = json.loads(json.dumps(Component.of(network).write()))
    assert written == {"type": type(network).__name__, **network.config}
    twin = Component.read(written, "network").build(Network, "network")
    assert twin.config == network.config and twin.conditions == network.conditions
    ours, theirs = ({k: v.shape for k, v in each.state_dict().items()} for each in (network, twin))
    assert list(ours.items()) == list(theirs.items())


def test_a_copy_is_a_network_of_the_same_config_and_weights(case):
    network, shape = case
    twin = copy.deepcopy(network)
    assert twin.config == network.config and twin.conditions == network.conditions
    arguments, told = example(network, shape, 1, "cpu")
    assert torch.equal(twin(*arguments, **told), network(*arguments, **told))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    assert all(parameter.any() for parameter in twin.parameters())


def test_the_output_is_a_signal_whatever_it_is_told(case):
    network, shape = case
    assert (network.dims, network.in_channels, network.out_channels) == (len(shape) - 1, shape[0], shape[0])
    arguments, told = example(network, shape, 2, "cpu")
    assert list(told) == list(network.conditions)
    assert network(*arguments, **told).shape == (2, *shape)
    for name in told:
        hidden = {**told, name: None}
        if name in MAY_BE_NONE:
            assert network(*arguments, **hidden).shape == (2, *shape)
        else:
            with pytest.raises(ValueError, match=name):
                network(*arguments, **hidden)


def test_what_it_is_told_matters(case):
    network, shape = case
    arguments, told = example(network, shape, 2, "cpu")
    before = network(*arguments, **told)
    for name, value in told.items():
        assert not torch.allclose(network(*arguments, **{**told, name: value.flip(0) + 1}), before)


def test_blocks_are_no_parts_of_each_other_and_may_be_computed_twice(case):
    network, shape = case
    blocks = network.blocks()
    parts = [part for block in blocks for part in block.modules()]
    assert len({id(part) for part in parts}) == len(parts)
    arguments, told = example(network, shape, 2, "cpu")
    gradients = []
    for recomputed in (False, True):
        if recomputed:
            recompute_blocks(network)
        ran = []
        handles = [
            part.register_forward_hook(lambda *_, ran=ran: ran.append(1)) for part in parts if part not in blocks
        ]
        torch.manual_seed(0)
        output = network.train()(*arguments, **told)
        before = len(ran)
        gradients.append(torch.autograd.grad(output.square().sum(), list(network.parameters()), allow_unused=True))
        assert (len(ran) > before) == (recomputed and before > 0)
        for handle in handles:
            handle.remove()
    for once, twice in zip(*gradients, strict=True):
        assert once is twice is None or torch.equal(once, twice)


def outputs_of(network, modules, shape):
    """What modules put out, and the order in which they ran."""
    ran = []
    handles = [
        module.register_forward_hook(lambda _, inputs, output, index=index: ran.append((output, index)))
        for index, module in enumerate(modules)
    ]
    arguments, told = example(network, shape, 2, "cpu")
    network(*arguments, **told)
    for handle in handles:
        handle.remove()
    outputs, order = zip(*ran, strict=True)
    return outputs, order


def test_levels_end_in_features_in_the_order_they_run(case):
    network, shape = case
    if type(network) is TwoLayers:
        with pytest.raises(ValueError, match="levels of a TwoLayers end is not known: compare outputs alone"):
            network.level_ends()
        return
    features, order = outputs_of(network, network.level_ends(), shape)
    assert list(order) == list(range(len(network.level_ends())))
    assert all(each.shape[0] == 2 and each.ndim == network.dims + 2 for each in features)
    sizes = [each.shape[-1] for each in features]
    assert sizes == sorted(set(sizes))  # from coarse to fine, one an end


def test_multiples_are_not_padded(case):
    network, shape = case
    if type(network) is TwoLayers:
        pytest.skip("it knows one length alone, and no levels")
    sizes = []
    for times in (2, 3, 4):
        features, _ = outputs_of(
            network, network.level_ends()[-1:], (shape[0], *[times * network.multiple] * network.dims)
        )
        sizes.append(features[0].shape[-1])
    assert [2 * size for size in sizes] == [times * sizes[0] for times in (2, 3, 4)]


def test_it_can_be_counted(case):
    network, shape = case
    cost = count(network, shape)
    assert cost.parameters == sum(parameter.numel() for parameter in network.parameters())
    assert 0 < cost.macs <= cost.macs_with_attention and cost.activation_bytes > 0


# What the data decide


class ContractLayers(Network):
    """One pointwise layer for signals of any kind."""

    def __init__(self, dims: int, in_channels: int, num_classes: int = 0, width: int = 4) -> None:
        super().__init__(labels=num_classes)
        self.dims, self.in_channels, self.out_channels = dims, in_channels, in_channels

    def forward(self, x, c_noise, labels=None):
        return x


class ContractPictures(ContractLayers):
    dims = 2

    def __init__(self, in_channels: int) -> None:
        super().__init__(2, in_channels)


class ContractChannels(ContractLayers):
    dims = 2

    def __init__(self, channels: int = 1) -> None:
        super().__init__(2, channels)


class ContractUndecided(ContractLayers):
    def __init__(self, in_channels: int) -> None:
        super().__init__(1, in_channels)


class ContractInherited(ContractLayers):
    """Has the constructor of another."""


class ContractWide(ContractLayers):
    def __init__(self, dims: int, in_channels: int, width: int) -> None:
        super().__init__(dims, in_channels)


def made(name, shape, num_classes=0, **options):
    return make_network(Component(name, options), shape, num_classes)


def test_facts_of_the_data_are_handed_on_by_name():
    network = made("ContractLayers", (3, 8, 6), 5, width=2)
    assert network.config == {"dims": 2, "in_channels": 3, "num_classes": 5, "width": 2}
    assert network.conditions == {"labels": 5}
    assert made("contract_layers", (2, 9)).config == {"dims": 1, "in_channels": 2, "num_classes": 0, "width": 4}
    assert made("ContractPictures", (3, 8, 6)).config == {"in_channels": 3}
    assert made("ContractLayers", (2, 9), dims=1).dims == 1


def test_edms_networks_call_them_by_edms_names():
    small = {"model_channels": 8, "channel_mult": [1, 2], "num_blocks": 1, "attn_resolutions": []}
    config = made("EDMUNet", (1, 8, 12), 3, **small).config
    assert [config[name] for name in ("img_resolution", "in_channels", "label_dim", "dims")] == [12, 1, 3, 2]


@pytest.mark.parametrize(
    ("name", "shape", "num_classes", "options", "message"),
    [
        ("ContractChannels", (3, 8, 8), 0, {}, "takes no in_channels, which is 3 here: give its __init__ an argument"),
        ("ContractChannels", (3, 8, 8), 0, {"channels": 3}, "takes no in_channels, which is 3 here"),
        ("ContractUndecided", (1, 8), 0, {}, "takes no dims, which is 1 here: .* or state dims in the class"),
        ("ContractPictures", (3, 8), 0, {}, r"ContractPictures\.dims=2 does not fit the data, where it is 1"),
        ("ContractPictures", (3, 8, 8), 4, {}, "takes no num_classes, which is 4 here: .* or set data.labels=false"),
        ("ContractWide", (3, 8), 0, {}, "network.width must be given: ContractWide needs it"),
        ("ContractInherited", (3, 8), 0, {"width": "4"}, "network.width takes a whole number, not '4'"),
        ("ContractLayers", (3, 8), 0, {"in_channels": 3}, "network.in_channels follows from the data"),
        ("ContractLayers", (3, 8), 0, {"dims": 2}, "network.dims=2 does not fit the data, where it is 1"),
        ("ContractPictures", (3, 8, 8), 0, {"dims": 1}, "network.dims=1 does not fit the data, where it is 2"),
        ("EDMUNet", (3, 8, 8), 0, {"label_dim": 3}, "network.label_dim follows from the data"),
        ("EDMUNet", (1, 64), 0, {"channel_mult": [1]}, "EDMUNet is for images"),
        ("DiffWave", (3, 8, 8), 0, {}, "one channel of sound"),
        ("DiffWave", (1, 64), 2, {}, "data.labels=false"),
        ("ClassContextUNet", (3, 8, 8), 3, {"model_channels": "8"}, "network.model_channels takes a whole number"),
        ("ContractPicture", (3, 8), 0, {}, "network.type=ContractPicture is unknown: did you mean ContractPictures?"),
    ],
)
def test_what_does_not_fit_the_data_is_one_sentence(name, shape, num_classes, options, message):
    with pytest.raises(InputError, match=message) as caught:
        made(name, shape, num_classes, **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("preset", ["wavelet_unet_1d", "sd_audio_16k", "sd_audio_44k_stereo"])
def test_presets_for_waveforms_refuse_pictures(preset):
    config = plain(compose("info", [f"network={preset}"]))["network"]
    with pytest.raises(InputError, match=r"network\.dims=1 does not fit the data, where it is 2"):
        make_network(Component.read(config, "network"), (3, 32, 32), 0)
    with torch.device("meta"):
        assert make_network(Component.read(config, "network"), (2, 1024), 0).dims == 1


def test_a_first_stage_is_drawn_from_by_its_own_class():
    with pytest.raises(TypeError, match="abstract"):
        FirstStage(dims=2, in_channels=3, embed_channels=4, moment_channels=4, factor=8, scale_factor=1.0)
    assert {"AutoencoderKL", "AutoencoderTiny", "VQModel"} <= set(choices(FirstStage))


def test_saved_denoisers_of_earlier_versions_open(tmp_path):
    """DiffWave's config did not say what follows from the data."""
    network = DiffWave(residual_channels=8, residual_layers=2, unconditional=True)
    Denoiser(network, EDM(), (1, 64)).save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text())
    for name in ("dims", "in_channels", "num_classes"):
        del config["network"][name]
    file.write_text(json.dumps(config))
    opened = Denoiser.from_pretrained(tmp_path)
    assert opened.network.config == network.config and opened.told == {}
    x = torch.randn(1, 1, 64, generator=torch.Generator().manual_seed(0))
    assert torch.equal(opened.network(x, torch.ones(1)), network(x, torch.ones(1)))
