"""The tiny autoencoder against a plain network of its description, and what first stages promise."""

import pytest
import torch
from torch import nn
from torch.nn.functional import relu

from mmspec.networks import AutoencoderTiny
from tests.tiny_autoencoders import plain_decoder, plain_encoder

SMALL = {"channels": 8, "num_blocks": (1, 2, 1)}


def drawn(**options):
    torch.manual_seed(0)
    return AutoencoderTiny(**options)


def halves(stage):
    """Plain networks with a stage's weights."""
    config = stage.config
    facts = (config["in_channels"], config["channels"], config["num_blocks"], config["embed_channels"])
    networks = {"encoder": plain_encoder(*facts, config["pooled"]), "decoder": plain_decoder(*facts, config["pooled"])}
    for half, network in networks.items():
        network.load_state_dict(getattr(stage, half).state_dict())
    return networks["encoder"], networks["decoder"]


@pytest.mark.parametrize("embed_channels, pooled", [(4, False), (16, False), (32, True)])
def test_it_computes_what_its_description_says(embed_channels, pooled):
    stage = drawn(embed_channels=embed_channels, pooled=pooled)
    encoder, decoder = halves(stage)
    x = torch.rand(2, 3, 24, 32) * 2 - 1
    with torch.no_grad():
        z, latents = stage.encode(x), encoder((x + 1) / 2)
        torch.testing.assert_close(z, latents, rtol=0, atol=1e-6)
        torch.testing.assert_close(stage.decode(5 * z), 2 * decoder(5 * latents) - 1, rtol=0, atol=1e-6)


def test_published_weights_compute_it_too(published):
    stage, (encoder, decoder) = published, halves(published)
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        z = encoder((x + 1) / 2)
        torch.testing.assert_close(stage.encode(x), z, rtol=0, atol=1e-6)
        torch.testing.assert_close(stage.decode(z), 2 * decoder(z) - 1, rtol=0, atol=1e-6)


def test_published_weights_give_a_picture_back(published):
    """A smooth picture comes back with more than 25 dB; with the wrong range it does not."""
    rows, columns = torch.meshgrid(torch.linspace(0, 3, 128), torch.linspace(0, 2, 128), indexing="ij")
    x = 0.6 * torch.stack([rows.sin(), columns.cos(), (rows + columns).sin()])[None]
    with torch.no_grad():
        error = (published.decode(published.encode(x)) - x).square().mean()
    assert 10 * (4 / error).log10() > 25


def test_shapes_are_rounded_up():
    stage = drawn(**SMALL, in_channels=1, embed_channels=5)
    x = torch.randn(2, 1, 12, 21)
    z = stage.encode(x)
    assert stage.factor == 4 and stage.moment_channels == 5
    assert tuple(z.shape[1:]) == stage.latent_shape(x.shape[1:]) == (5, 3, 6)
    assert stage.decode(z).shape == (2, 1, 12, 24)


def test_the_decoder_has_a_gradient_that_is_the_plain_ones():
    stage = drawn(**SMALL, pooled=True)
    _, decoder = halves(stage)
    z = torch.randn(2, 4, 3, 3)
    stage.decode(z).square().mean().backward()
    (2 * decoder(z) - 1).square().mean().backward()
    ours, theirs = dict(stage.decoder.named_parameters()), dict(decoder.named_parameters())
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name].grad, theirs[name].grad, rtol=1e-5, atol=1e-7)


def test_scale_factor_scales_latents_alone():
    plain, scaled = drawn(**SMALL), drawn(**SMALL, scale_factor=0.25)
    x = torch.randn(1, 3, 8, 8)
    torch.testing.assert_close(scaled.encode(x), 0.25 * plain.encode(x))
    torch.testing.assert_close(scaled.decode(scaled.encode(x)), plain.decode(plain.encode(x)))
    assert scaled.sha256() != plain.sha256()


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="two or more levels"):
        AutoencoderTiny(num_blocks=(3,))
    with pytest.raises(ValueError, match="one or more blocks"):
        AutoencoderTiny(num_blocks=(1, 0))
    with pytest.raises(ValueError, match=r"takes \[B, 3, H, W\]"):
        drawn(**SMALL).encode(torch.zeros(1, 1, 8, 8))


def test_the_plain_network_is_that_of_the_description():
    """Or the tests above would compare mmspec with itself."""
    decoder = plain_decoder(3, 64, (1, 3, 3, 3), 32, True)
    assert sum(isinstance(layer, nn.Conv2d) for layer in decoder) == 5
    block = decoder[-2]
    x = torch.randn(1, 64, 4, 4)
    convs = [layer for layer in block.conv if isinstance(layer, nn.Conv2d)]
    torch.testing.assert_close(block(x), relu(convs[2](relu(convs[1](relu(convs[0](x))))) + x))
