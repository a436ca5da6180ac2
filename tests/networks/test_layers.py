import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mmspec.networks.layers import (
    ConvDown,
    ConvUp,
    ResidualBlock,
    ResidualDown,
    ResidualUp,
    SelfAttention,
    conv,
    group_norm,
    head_count,
    sinusoid,
    zeroed,
)


def randomized(layer: torch.nn.Module) -> torch.nn.Module:
    torch.manual_seed(0)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter)
    return layer


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_conv_keeps_the_size(dims, kernel_size):
    x = torch.randn(2, 3, *(5, 4)[:dims])
    assert conv(dims, 3, 7, kernel_size)(x).shape == (2, 7, *x.shape[2:])


@pytest.mark.parametrize(
    "channels, group_channels, groups",
    [
        *[(224, 4, 32), (128, 4, 32), (96, 4, 16), (64, 4, 16), (32, 4, 8), (24, 4, 4), (16, 4, 4), (6, 4, 1)],
        *[(32, 1, 32), (64, 1, 32), (176, 1, 16), (7, 1, 1)],
    ],
)
def test_group_rule(channels, group_channels, groups):
    layer = group_norm(channels, group_channels)
    assert (layer.num_groups, layer.eps) == (groups, 1e-5)


@pytest.mark.parametrize("channels", [8, 9])
def test_sinusoid_closed_form(channels):
    c_noise = torch.tensor([-1.3, 0.0, 0.25, 999.0], dtype=torch.float64)
    frequencies = 10000.0 ** (-np.arange(4) / 4)
    angles = c_noise.numpy()[:, None] * frequencies
    expected = np.concatenate([np.cos(angles), np.sin(angles), np.zeros((4, channels % 2))], axis=1)
    np.testing.assert_allclose(sinusoid(c_noise, channels), expected, atol=1e-12)
    assert sinusoid(c_noise.bfloat16(), channels).dtype == torch.float32
    assert sinusoid(c_noise.long(), channels).dtype == torch.float32


@pytest.mark.parametrize("channels", [8, 9, 32])
def test_sinusoid_is_compvis(references, channels):
    units = references.arrays("ldm/units")
    out = sinusoid(torch.from_numpy(units["temb_t"]), channels)
    np.testing.assert_allclose(out, units[f"temb_{channels}"], atol=1e-6)


def test_norm_and_resampling_are_compvis(references):
    units = references.tensors("ldm/units")
    norm = group_norm(64, group_channels=1)
    norm.load_state_dict({"weight": units["norm_g"], "bias": units["norm_b"]})
    torch.testing.assert_close(norm(units["norm_x"]), units["groupnorm32_eps1e5"])
    down, up = ConvDown(2, dims=2), ConvUp(2, dims=2)
    down.load_state_dict({"0.weight": units["resample_w"], "0.bias": units["resample_b"]})
    up.load_state_dict({"1.weight": units["resample_w"], "1.bias": units["resample_b"]})
    torch.testing.assert_close(down(units["resample_x"]), units["unet_down"])
    torch.testing.assert_close(up(units["resample_x"]), units["unet_up"])


def test_zeroed():
    assert all(not parameter.any() for parameter in zeroed(torch.nn.Linear(3, 4)).parameters())


@pytest.mark.parametrize("dims", [1, 2])
def test_residual_block_begins_as_its_skip(dims):
    x, embedding = torch.randn(2, 8, *(6, 5)[:dims]), torch.randn(2, 12)
    assert torch.equal(ResidualBlock(dims, 8, 8, 12)(x, embedding), x)
    wider = ResidualBlock(dims, 8, 10, 12)
    assert torch.equal(wider(x, embedding), wider.skip(x))


@pytest.mark.parametrize("channels", [8, 16, 32])
def test_the_norm_lets_the_embedding_through(channels):
    """One channel a group would subtract it; so it is in LDM's rule at width 32."""
    x = torch.randn(1, channels, 8, generator=torch.Generator().manual_seed(0))
    embeddings = torch.randn(2, 1, 12, generator=torch.Generator().manual_seed(1))
    block = randomized(ResidualBlock(1, channels, channels, 12))
    assert (block(x, embeddings[0]) - block(x, embeddings[1])).abs().max() > 0.1
    deaf = randomized(ResidualBlock(1, channels, channels, 12, group_channels=1))
    assert (deaf(x, embeddings[0]) - deaf(x, embeddings[1])).abs().max() < 1e-3


def test_dropout_acts_in_training_only():
    block = randomized(ResidualBlock(1, 8, 8, 12, dropout=0.5))
    x, embedding = torch.randn(2, 8, 6), torch.randn(2, 12)
    assert not torch.equal(block(x, embedding), block(x, embedding))
    block.eval()
    assert torch.equal(block(x, embedding), block(x, embedding))


@pytest.mark.parametrize("spatial", [(7,), (3, 5), (1, 1)])
def test_attention_in_numpy(spatial):
    channels, heads, width = 12, 3, 4
    layer = randomized(SelfAttention(channels, heads=channels // width, group_channels=3)).double()
    x = torch.randn(2, channels, *spatial, dtype=torch.float64)
    tokens = layer.norm(x).detach().numpy().reshape(2, channels, -1)
    qkv = np.einsum("oc,bct->bot", layer.qkv.weight.detach(), tokens) + layer.qkv.bias.detach().numpy()[:, None]
    mixed = np.empty_like(tokens)
    for head in range(heads):
        q, k, v = (qkv[:, (3 * head + i) * width : (3 * head + i + 1) * width] for i in range(3))
        scores = np.exp(np.einsum("bct,bcs->bts", q, k) / math.sqrt(width))
        weights = scores / scores.sum(-1, keepdims=True)
        mixed[:, head * width : (head + 1) * width] = np.einsum("bts,bcs->bct", weights, v)
    out = np.einsum("oc,bct->bot", layer.proj.weight.detach(), mixed) + layer.proj.bias.detach().numpy()[:, None]
    np.testing.assert_allclose(layer(x).detach(), x + torch.from_numpy(out).view(x.shape), atol=1e-10)


def test_attention_heads():
    assert [head_count(channels, head_channels=32) for channels in (16, 64)] == [1, 2]
    assert [head_count(channels, head_channels=32, num_heads=8) for channels in (16, 64)] == [8, 8]
    with pytest.raises(ValueError, match="100 channels do not split into 3 heads: change head_channels"):
        head_count(100, head_channels=32)
    with pytest.raises(ValueError, match="100 channels do not split into 8 heads: change num_heads"):
        head_count(100, head_channels=32, num_heads=8)


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_resampling_sizes(n):
    assert ConvDown(4, dims=1)(torch.randn(1, 4, n)).shape == (1, 4, math.ceil(n / 2))
    assert ConvUp(4, dims=2)(torch.randn(1, 4, n, 3)).shape == (1, 4, 2 * n, 6)


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("scale_shift", [False, True])
def test_residual_blocks_change_the_size_after_their_first_norm(dims, scale_shift):
    torch.manual_seed(0)
    x, embedding = torch.randn(2, 8, *[6] * dims), torch.randn(2, 5)
    for made, factor in ((ResidualDown, 0.5), (ResidualUp, 2)):
        block = made(8, dims=dims, embed_channels=5, scale_shift=scale_shift)
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter)

        def resized(values, factor=factor):
            if factor < 1:
                for axis in range(2, 2 + dims):
                    values = values.unflatten(axis, (-1, 2)).mean(axis + 1)
                return values
            for axis in range(2, 2 + dims):
                values = values.repeat_interleave(2, axis)
            return values

        plain = ResidualBlock(dims, 8, 8, 5, scale_shift=scale_shift)
        plain.load_state_dict(block.state_dict())
        h = plain.conv1(resized(F.silu(plain.norm1(x))))
        embedded = plain.embed(embedding)[(..., *[None] * dims)]
        if scale_shift:
            scale, shift = embedded[:, :8], embedded[:, 8:]
            h = plain.norm2(h) * (1 + scale) + shift
        else:
            h = plain.norm2(h + embedded)
        expected = resized(x) + plain.conv2(F.silu(h))
        torch.testing.assert_close(block(x, embedding), expected)
