"""EDM's networks against values of the originals, and against their arithmetic written out from the state dict."""

import copy
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmspec.components import Component
from mmspec.config import compose, plain
from mmspec.networks import EDMUNet, Network, make_network
from mmspec.networks.edm_layers import (
    BlockStyle,
    FourierEmbedding,
    FusedConvDown,
    PositionalEmbedding,
    Resample,
    ResamplingConv,
    UNetBlock,
    group_norm,
)
from mmspec.pretrained import load_edm

OFFICIAL = [
    *(f"cifar10-32x32-{kind}-{network}" for kind in ("cond", "uncond") for network in ("ddpmpp-vp", "ncsnpp-ve")),
    *(f"{data}-64x64-uncond-{network}" for data in ("ffhq", "afhqv2") for network in ("ddpmpp-vp", "ncsnpp-ve")),
    "imagenet-64x64-cond-adm",
]
TINY = [
    "edm_ddpmpp_cond_aug",
    "edm_ncsnpp_cond_aug",
    "edm_ddpmpp_uncond",
    "edm_ncsnpp_uncond",
    "edm_adm_uncond",
    "vp_ddpmpp_cond",
    "ve_ncsnpp_uncond_gray",
]
SMALL = {"img_resolution": 16, "model_channels": 16, "channel_mult": (1, 2), "num_blocks": 1, "attn_resolutions": (8,)}
NCSNPP = {"embedding_type": "fourier", "channel_mult_noise": 2, "resample_filter": (1, 3, 3, 1)}


def build(seed=0, **options):
    """A small network with every parameter random, those that begin close to 0 too."""
    torch.manual_seed(seed)
    network = EDMUNet(**{**SMALL, **options}).eval()
    for parameter in network.parameters():
        parameter.data += 0.15 * torch.randn_like(parameter)
    return network


def inputs(batch=2, size=(16, 16), channels=3, dtype=torch.float32):
    generator = torch.Generator().manual_seed(5)
    x = torch.randn(batch, channels, *size, generator=generator, dtype=dtype)
    return x, torch.linspace(-1.2, 0.9, batch, dtype=dtype)


# The originals


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_configurations_have_the_official_weights(references, name):
    stated = references.facts(f"edm/full/{name}")
    options = {key: value for key, value in stated["constructor_kwargs"].items() if key != "use_fp16"}
    with torch.device("meta"):
        network = EDMUNet(in_channels=options.pop("img_channels"), **options)
    shapes = {f"model.{key}": list(tensor.shape) for key, tensor in network.state_dict().items()}
    assert list(shapes.items()) == list(stated["state_dict"].items())
    assert sum(parameter.numel() for parameter in network.parameters()) == stated["num_params"]


@pytest.mark.parametrize("name", TINY)
@torch.no_grad()
def test_every_layer_puts_out_what_the_original_does(references, name):
    golden = references.arrays(f"edm/{name}")
    options = references.facts(f"edm/{name}")["constructor_kwargs"]
    network = load_edm(references.weights(f"edm/{name}"), **options).network
    probes = {}
    modules = dict(network.named_modules())
    for probed in golden["probe_names"]:
        hook = lambda module, args, out, probed=probed: probes.update({probed: out.clone()})  # noqa: E731
        modules[probed].register_forward_hook(hook)
    cond = {"labels": "class_labels", "augment_labels": "augment_labels"}
    cond = {ours: torch.from_numpy(golden[theirs]) for ours, theirs in cond.items() if theirs in golden}
    out = network(torch.from_numpy(golden["net_in"]), torch.from_numpy(golden["c_noise"]), **cond)
    assert np.abs(out.numpy() - golden["F"]).max() < 1e-5 * np.abs(golden["F"]).max()
    assert list(probes) == list(golden["probe_names"])
    for probed, row in zip(golden["probe_names"], golden["probe_rows"], strict=True):
        value = probes[probed].double()
        seen = torch.stack([value.mean(), value.std(), *value.flatten()[:4], *value.flatten()[-4:]])
        np.testing.assert_allclose(seen.numpy(), row, atol=1e-4 * np.abs(row).max(), err_msg=probed)


@pytest.fixture(scope="module")
def units(references):
    return references.tensors("edm/units")


@pytest.mark.parametrize("taps", [(1, 1), (1, 3, 3, 1)])
@pytest.mark.parametrize("direction", ["up", "down"])
def test_changes_of_size_are_the_originals(units, direction, taps):
    x, written = units["conv_x"], "".join(map(str, taps))
    up, down = int(direction == "up"), int(direction == "down")
    for kernel in (0, 1, 3):
        name = f"conv_up{up}_down{down}_f{written}_k{kernel}_fused0"
        layer = ResamplingConv(6, 5, kernel, direction, taps) if kernel else Resample(direction, taps)
        keys = layer.state_dict().keys()
        torch.testing.assert_close(layer.resample_filter, units[f"{name}/resample_filter"])
        layer.load_state_dict({key: units[f"{name}/{key}"] for key in keys})
        torch.testing.assert_close(layer(x), units[f"{name}/out"])
    if direction == "down":
        name = f"conv_up0_down1_f{written}_k3_fused1"
        layer = FusedConvDown(6, 5, taps)
        layer.load_state_dict({key: units[f"{name}/{key}"] for key in layer.state_dict()})
        torch.testing.assert_close(layer(x), units[f"{name}/out"])


def test_norms_and_embeddings_are_the_originals(units, references):
    stated = references.facts("edm/units")
    for name, facts in stated.items():
        norm = group_norm(int(name.removeprefix("gn")), facts["eps"])
        norm.load_state_dict({key: units[f"{name}/{key}"] for key in ("weight", "bias")})
        assert norm.num_groups == facts["num_groups"]
        torch.testing.assert_close(norm(units[f"{name}/x"]), units[f"{name}/out"])
    c_noise = units["emb_in"]
    torch.testing.assert_close(PositionalEmbedding(16, True)(c_noise), units["posemb_endpoint_16"])
    torch.testing.assert_close(PositionalEmbedding(16, False)(c_noise), units["posemb_noendpoint_16"])
    fourier = FourierEmbedding(16)
    fourier.load_state_dict({"freqs": units["fourier_freqs"]})
    torch.testing.assert_close(fourier(c_noise), units["fourier_16"], atol=2e-5, rtol=1e-5)


def test_attention_weights_are_the_originals(units):
    q, k, weights = units["attn_q"], units["attn_k"], units["attn_w"]  # [3, channels, places], twice; [3, to, from]
    block = UNetBlock(8, 8, 4, BlockStyle(1e-6, False, 1.0, None, True), attends=True)
    v = torch.eye(8, 10).expand(3, -1, -1)  # so that channel c is the weight of place c
    block.norm2 = block.proj = nn.Identity()
    block.qkv = nn.Identity()
    block.qkv.forward = lambda x: torch.stack([q, k, v], dim=2).reshape(3, 24, 2, 5)
    torch.testing.assert_close(block.attention(torch.zeros(3, 8, 2, 5)).flatten(2), weights[:, :, :8].mT)


# The arithmetic once more, in plain functions of a state dict


def plain_norm(w, name, x, eps):
    groups = min(32, x.shape[1] // 4)
    parts = x.reshape(len(x), groups, -1)
    parts = (parts - parts.mean(2, True)) / (parts.var(2, correction=0, keepdim=True) + eps).sqrt()
    return parts.reshape(x.shape) * w[f"{name}.weight"][:, None, None] + w[f"{name}.bias"][:, None, None]


def plain_resample(w, name, x, direction):
    kernel = w[f"{name}.resample_filter"].expand(x.shape[1], 1, -1, -1)
    padding = (kernel.shape[-1] - 1) // 2
    if direction == "down":
        return F.conv2d(x, kernel, stride=2, padding=padding, groups=x.shape[1])
    return F.conv_transpose2d(x, 4 * kernel, stride=2, padding=padding, groups=x.shape[1])


def plain_conv(w, name, x, direction=None):
    x = plain_resample(w, name, x, direction) if direction else x
    if f"{name}.weight" not in w:
        return x
    return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], padding=w[f"{name}.weight"].shape[-1] // 2)


def plain_block(w, name, x, emb, adm):
    direction = next((d for d in ("up", "down") if name.endswith(d)), None)
    eps, scale = (1e-5, 1.0) if adm else (1e-6, 0.5**0.5)
    h = plain_conv(w, f"{name}.conv0", F.silu(plain_norm(w, f"{name}.norm0", x, eps)), direction)
    affine = F.linear(emb, w[f"{name}.affine.weight"], w[f"{name}.affine.bias"])[:, :, None, None]
    if adm:
        gain, shift = affine.chunk(2, dim=1)
        h = F.silu(plain_norm(w, f"{name}.norm1", h, eps) * (gain + 1) + shift)
    else:
        h = F.silu(plain_norm(w, f"{name}.norm1", h + affine, eps))
    skipped = any(key.startswith(f"{name}.skip") for key in w)
    x = (plain_conv(w, f"{name}.conv1", h) + (plain_conv(w, f"{name}.skip", x, direction) if skipped else x)) * scale
    if f"{name}.qkv.weight" not in w:
        return x
    heads = x.shape[1] // 64 if adm else 1
    qkv = plain_conv(w, f"{name}.qkv", plain_norm(w, f"{name}.norm2", x, eps))
    q, k, v = qkv.reshape(len(x), heads, x.shape[1] // heads, 3, -1).unbind(3)
    weights = torch.einsum("bhcq,bhck->bhqk", q, k / math.sqrt(k.shape[2])).softmax(3)
    attended = torch.einsum("bhqk,bhck->bhcq", weights, v).reshape(x.shape)
    return (plain_conv(w, f"{name}.proj", attended) + x) * scale


def plain_embedding(w, c_noise, labels, augment, adm, channels):
    if "map_noise.freqs" in w:
        angles = c_noise[:, None] * 2 * math.pi * w["map_noise.freqs"]
    else:
        steps = torch.arange(channels // 2, dtype=c_noise.dtype) / (channels // 2 - (not adm))
        angles = c_noise[:, None] * (1 / 10000) ** steps
    emb = torch.cat([angles.cos(), angles.sin()] if adm else [angles.sin(), angles.cos()], dim=1)
    if not adm:
        emb = emb + F.linear(labels * labels.shape[1] ** 0.5, w["map_label.weight"], w["map_label.bias"])
    emb = emb + F.linear(augment, w["map_augment.weight"])
    emb = F.silu(F.linear(emb, w["map_layer0.weight"], w["map_layer0.bias"]))
    emb = F.linear(emb, w["map_layer1.weight"], w["map_layer1.bias"])
    return F.silu(emb + F.linear(labels, w["map_label.weight"]) if adm else emb)


def plain_network(w, x, c_noise, labels, augment, adm, channels):
    emb = plain_embedding(w, c_noise, labels, augment, adm, channels)
    names = list(dict.fromkeys(".".join(key.split(".")[:2]) for key in w if key.startswith(("enc.", "dec."))))
    h, image, skips, out = x, x, [], None
    for name in (name for name in names if name.startswith("enc")):
        if name.endswith("aux_down"):
            image = plain_resample(w, name, image, "down")
        elif name.endswith("aux_skip"):
            h = skips[-1] = h + plain_conv(w, name, image)
        elif name.endswith("aux_residual"):
            taps = w[f"{name}.resample_filter"].shape[-1]
            image = F.conv2d(image, w[f"{name}.weight"], padding=1 + (taps - 1) // 2)
            kernel = w[f"{name}.resample_filter"].expand(image.shape[1], 1, -1, -1)
            image = F.conv2d(image, kernel, stride=2, groups=image.shape[1]) + w[f"{name}.bias"][:, None, None]
            h = skips[-1] = image = (h + image) * 0.5**0.5
        else:
            h = plain_conv(w, name, h) if name.endswith("_conv") else plain_block(w, name, h, emb, adm)
            skips.append(h)
    for name in (name for name in names if name.startswith("dec")):
        if name.endswith("aux_up"):
            out = plain_resample(w, name, out, "up")
        elif name.endswith("aux_norm"):
            features = F.silu(plain_norm(w, name, h, 1e-6))
        elif name.endswith("aux_conv"):
            out = plain_conv(w, name, features) + (0 if out is None else out)
        else:
            h = plain_block(w, name, torch.cat([h, skips.pop()], 1) if "_block" in name else h, emb, adm)
    return plain_conv(w, "out_conv", F.silu(plain_norm(w, "out_norm", h, 1e-5))) if adm else out


@pytest.mark.parametrize(
    "options",
    [
        {},
        {**NCSNPP, "encoder_type": "residual"},
        {"encoder_type": "skip", "decoder_type": "skip"},
        {**NCSNPP, "encoder_type": "skip", "decoder_type": "skip", "channel_mult": (1, 2, 2)},
        {"model_type": "DhariwalUNet", "model_channels": 64, "channel_mult": (1, 2), "attn_resolutions": (16, 8)},
    ],
    ids=["ddpmpp", "ncsnpp", "skip", "skip-fir", "adm"],
)
@torch.no_grad()
def test_every_kind_of_network_is_its_arithmetic_written_out(options):
    network = build(label_dim=4, augment_dim=9, **options).double()
    x, c_noise = inputs(dtype=torch.float64)
    labels, augment = torch.tensor([[0, 0, 1, 0], [0, 0, 0, 0]]).double(), torch.randn(2, 9, dtype=torch.float64)
    adm, channels = network.adm, network.map_layer0.in_features
    if options.get("model_type"):
        assert network.enc["8x8_block0"].heads == 2 and network.enc["16x16_block0"].heads == 1
    expected = plain_network(network.state_dict(), x, c_noise, labels, augment, adm, channels)
    # positional frequencies are float32 powers, as the original's
    torch.testing.assert_close(network(x, c_noise, labels, augment), expected, atol=1e-5, rtol=1e-5)


# Everything else


def test_labels_are_classes_or_rows_and_none_of_them_is_unconditional():
    network = build(label_dim=3)
    x, c_noise = inputs(3)
    rows = torch.eye(3)
    torch.testing.assert_close(network(x, c_noise, torch.arange(3)), network(x, c_noise, rows))
    torch.testing.assert_close(network(x, c_noise), network(x, c_noise, torch.zeros(3, 3)))
    assert (network(x, c_noise) - network(x, c_noise, rows)).abs().max() > 1e-3
    with pytest.raises(ValueError, match="labels run from 0 to 2, got 1 to 3"):
        network(x, c_noise, torch.tensor([1, 2, 3]))
    with pytest.raises(ValueError, match=r"one-hot rows \[B, 3\], got \[3, 4\]"):
        network(x, c_noise, torch.eye(3, 4))
    with pytest.raises(ValueError, match="label_dim=0: leave labels out"):
        build()(x, c_noise, rows)
    with pytest.raises(ValueError, match="augment_dim=0: leave augment_labels out"):
        network(x, c_noise, augment_labels=torch.zeros(3, 9))


def test_classes_are_hidden_in_training_alone_at_the_stated_rate():
    network = build(label_dim=2, label_dropout=0.25, dropout=0.0)
    seen = []
    network.map_label.register_forward_hook(lambda module, args, out: seen.append(args[0]))
    rows = torch.eye(2)[torch.zeros(4000, dtype=torch.long)]
    torch.manual_seed(0)
    for mode in (True, False):
        network.train(mode)._class_embedding(rows, torch.zeros(4000, 1))
    assert (seen[0].sum(1) == 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    torch.testing.assert_close(seen[1], rows * math.sqrt(2))


@pytest.mark.parametrize("size", [(16, 24), (15, 17), (1, 5)])
@torch.no_grad()
def test_any_size_is_padded_and_cropped(size):
    network = build(attn_resolutions=(), channel_mult=(1, 1, 1))
    x, c_noise = inputs(size=size)
    out = network(x, c_noise)
    assert out.shape == x.shape
    padded = F.pad(x, (0, -size[1] % 4, 0, -size[0] % 4), mode="replicate")
    torch.testing.assert_close(out, network(padded, c_noise)[:, :, : size[0], : size[1]])


def test_memory_layout_and_autocast_change_nothing_but_rounding():
    network = build(label_dim=3, **NCSNPP, encoder_type="residual", dropout=0.0)
    x, c_noise = inputs()
    out = network(x, c_noise)
    out.square().mean().backward()
    expected = [parameter.grad for parameter in network.parameters()]
    twin = copy.deepcopy(network).to(memory_format=torch.channels_last)
    for tolerance, bf16 in ((1e-5, False), (0.1, True)):
        twin.train().zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            seen = twin(x, c_noise).float()
        seen.square().mean().backward()
        assert (seen - out).abs().max() < tolerance * out.abs().max()
        for parameter, gradient in zip(twin.parameters(), expected, strict=True):
            assert (parameter.grad - gradient).norm() < max(tolerance, 1e-4) * gradient.norm() + 1e-6
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            assert (twin.eval()(x, c_noise) - out).abs().max() < tolerance * out.abs().max()


def test_new_networks_begin_close_to_nothing_and_train_everywhere():
    x, c_noise = inputs()
    for options, bound in (({}, 1e-3), ({"model_type": "DhariwalUNet"}, 0.0)):
        torch.manual_seed(0)
        network = EDMUNet(**{**SMALL, "channel_mult": (1, 4)}, label_dim=3, **options)
        assert network(x, c_noise).abs().max() <= bound
        for parameter in network.parameters():
            parameter.data += 0.02 * torch.randn_like(parameter)
        network(x, c_noise, torch.tensor([0, 2])).square().mean().backward()
        assert all(parameter.grad.isfinite().all() and parameter.grad.any() for parameter in network.parameters())
    song = EDMUNet(**SMALL)
    conv0, conv1 = song.enc["16x16_block0"].conv0.weight, song.enc["16x16_block0"].conv1.weight
    bound = math.sqrt(6 / (2 * 16 * 9))  # Xavier's
    assert 0.98 * bound < conv0.abs().max() <= bound and 0.98 * bound < 1e5 * conv1.abs().max() <= 1.0001 * bound


@pytest.mark.parametrize(
    ("overrides", "parameters"),
    [
        ("edm_ddpmpp network.channel_mult=[2,2,2] network.augment_dim=9 shape=[3,32,32] classes=10", 55_735_299),
        ("edm_ncsnpp network.augment_dim=9 shape=[3,64,64]", 62_761_091),
        ("edm_adm shape=[3,64,64] classes=1000", 295_899_267),
    ],
)
def test_the_configurations_here_are_the_official_ones(overrides, parameters):
    config = plain(compose("info", f"network={overrides}".split()))
    with torch.device("meta"):
        network = make_network(Component.read(config["network"], "network"), config["shape"], config["classes"])
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


def test_config_builds_the_same_network_again():
    network = build(label_dim=3, augment_dim=9, **NCSNPP, encoder_type="residual")
    config = json.loads(json.dumps(network.config))
    twin = Component("EDMUNet", config).build(Network, "network").eval()
    assert twin.config == network.config
    twin.load_state_dict(network.state_dict())
    x, c_noise = inputs()
    torch.testing.assert_close(twin(x, c_noise), network(x, c_noise), rtol=0, atol=0)
    assert (network.dims, network.in_channels, network.out_channels, network.num_classes) == (2, 3, 3, 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model_type": "UNet"}, "model_type must be one of SongUNet, DhariwalUNet, not 'UNet'"),
        ({"encoder_type": "none"}, "encoder_type must be one of standard, skip, residual"),
        ({"model_type": "DhariwalUNet", "embedding_type": "fourier"}, "embedding_type is no option of DhariwalUNet"),
        ({"img_resolution": 15}, "img_resolution=15 cannot be halved 1 times"),
        ({"model_channels": 36, "channel_mult": (1, 4)}, "144 channels do not split into 32 groups"),
        ({"model_channels": 2}, "2 channels do not split"),
        ({"num_blocks": 0}, "num_blocks must be 1 or more, not 0"),
        ({"channel_mult": ()}, "channel_mult must be 1 or more"),
        ({"resample_filter": (1, 2, 1)}, "even number of taps"),
        ({"dims": 1}, "EDMUNet is for images"),
    ],
)
def test_bad_arguments_say_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        EDMUNet(**{**SMALL, **options})


def test_another_signal_is_named():
    with pytest.raises(ValueError, match=r"takes x of shape \[B, 3, H, W\], got \[2, 1, 16, 16\]"):
        build()(*inputs(channels=1))
