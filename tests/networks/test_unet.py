import json
import math
import re

import pytest
import torch
from torch import Tensor

from mmspec.components import Component
from mmspec.networks import Network, UNet
from tests.references import References

FFHQ = {"channel_mult": (1, 2, 3, 4), "attention_levels": (1, 2, 3), "head_channels": 32}
SMALL = {"model_channels": 16, "channel_mult": (1, 2), "num_blocks": 1, "attention_levels": (1,), "head_channels": 8}


def build(seed: int = 0, **options: object) -> UNet:
    """A small network with every parameter random, the zero-initialised ones too."""
    torch.manual_seed(seed)
    network = UNet(**{**SMALL, **options}).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return network


def relative(value: Tensor, expected: Tensor) -> float:
    return ((value - expected).abs().max() / expected.abs().max()).item()


# CompVis weights


def from_compvis(state: dict[str, Tensor], num_blocks: int) -> dict[str, Tensor]:
    """The names that CompVis' UNetModel gives its tensors, as ours; its AttentionBlocks have Conv1d of kernel 1."""
    first = {"time_embed": "embed_time", "input_blocks.0.0": "conv_in", "out.0": "norm_out", "out.2": "conv_out"}
    residual = {
        "in_layers.0": "residual.norm1",
        "in_layers.2": "residual.conv1",
        "emb_layers.1": "residual.embed",
        "out_layers.0": "residual.norm2",
        "out_layers.3": "residual.conv2",
        "skip_connection": "residual.skip",
    }
    transformer = {
        "transformer_blocks": "blocks",
        "to_out.0": "to_out",
        "ff.net.0": "feed_forward.0",
        "ff.net.2": "feed_forward.1",
    }

    def inner(layer: str) -> str:
        if layer in residual:
            return residual[layer]
        if layer == "proj_out" and not uses_context:
            return "attention.proj"
        for old, new in transformer.items():
            layer = layer.replace(old, new)
        return f"attention.{layer}"

    def rename(key: str) -> str:
        for old, new in first.items():
            if key.startswith(old + "."):
                return new + key.removeprefix(old)
        old, kind = key.rsplit(".", 1)
        if match := re.match(r"middle_block\.(\d)\.(.*)", old):
            return f"middle.{int(match[1]) // 2}.{inner(match[2])}.{kind}"
        half, index, layer = re.match(r"(input|output)_blocks\.(\d+)\.\d\.(.*)", old).groups()
        level, block = divmod(int(index) - (half == "input"), num_blocks + 1)
        place = f"{'encoder' if half == 'input' else 'decoder'}.{level}"
        if layer in ("op", "conv"):
            return f"{place}.down.0.0.{kind}" if layer == "op" else f"{place}.up.0.1.{kind}"
        return f"{place}.blocks.{block}.{inner(layer)}.{kind}"

    uses_context = any("transformer_blocks" in key for key in state)
    return {rename(key): tensor.squeeze(-1) if tensor.ndim == 3 else tensor for key, tensor in state.items()}


class CompVis:
    """A UNet of CompVis with its weights and outputs, and ours with the same weights."""

    def __init__(self, references: References, name: str) -> None:
        config = references.facts(f"ldm/{name}")["config"]
        self.num_blocks = config["num_res_blocks"]
        self.state = references.weights(f"ldm/{name}")
        self.golden = references.tensors(f"ldm/{name}")
        self.network = UNet(
            in_channels=config["in_channels"],
            out_channels=config["out_channels"],
            model_channels=config["model_channels"],
            channel_mult=config["channel_mult"],
            num_blocks=self.num_blocks,
            attention_levels=[int(math.log2(factor)) for factor in config["attention_resolutions"]],
            head_channels=config.get("num_head_channels", 32),
            num_heads=config.get("num_heads", 0),
            context_channels=config.get("context_dim", 0),
            group_channels=1,
        ).eval()
        self.load(self.state)

    def load(self, state: dict[str, Tensor]) -> None:
        self.network.load_state_dict(from_compvis(state, self.num_blocks))

    def inputs(self, case: str = "") -> dict[str, Tensor]:
        names = {"x": "x", "c_noise": "t"} | ({"context": "context"} if self.network.context_channels else {})
        return {ours: self.golden[theirs + case].clone() for ours, theirs in names.items()}


@pytest.fixture(scope="module", params=["unet_uncond", "unet_cin", "unet_text"])
def compvis(references, request) -> CompVis:
    return CompVis(references, request.param)


@pytest.mark.parametrize("case", ["", "_frac", "_rect"])
def test_compvis_outputs(compvis, case):
    with torch.no_grad():
        out = compvis.network(**compvis.inputs(case))
    assert relative(out, compvis.golden["out" + case]) < 1e-5


def test_compvis_gradient(compvis):
    inputs = compvis.inputs()
    inputs["x"].requires_grad_()
    compvis.network(**inputs).backward(compvis.golden["grad_w"])
    assert relative(inputs["x"].grad, compvis.golden["grad_x"]) < 1e-5


def test_compvis_quiet(compvis, references, request):
    """Small weights and inputs: here another eps in the norms would show."""
    name = request.node.callspec.params["compvis"]
    quiet = references.tensors("ldm/quiet")
    norms = re.compile(r"(in_layers\.0|out_layers\.0|norm\d?|^out\.0)\.(weight|bias)$")
    factor = float(quiet["factor"])
    compvis.load({key: value if norms.search(key) else value * factor for key, value in compvis.state.items()})
    inputs = compvis.inputs()
    with torch.no_grad():
        out = compvis.network(**{**inputs, "x": inputs["x"] * 0.01})
    compvis.load(compvis.state)
    assert relative(out, quiet[f"{name}/out"]) < 1e-5


# The paper's sizes


@pytest.mark.parametrize(
    "options, parameters",
    [
        ({"model_channels": 224}, 274_056_163),  # LDM
        ({"model_channels": 64}, 22_411_843),  # Lite-LDM
        ({"model_channels": 64, "resample": "wavelet"}, 21_094_683),  # Spectral Diffusion
        ({"model_channels": 64, "resample": "wavelet", "reading": "literal"}, 20_391_419),  # its text by the letter
    ],
)
def test_parameters_of_the_papers_networks(options, parameters):
    with torch.device("meta"):
        network = UNet(**FFHQ, **options)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


# What a denoising network must do, for both ways of resampling and in both dimensions

KINDS = [
    {"dims": 1, "resample": "conv"},
    {"dims": 2, "resample": "conv"},
    {"dims": 1, "resample": "wavelet"},
    {"dims": 2, "resample": "wavelet"},
    {"dims": 1, "resample": "wavelet", "reading": "literal", "factors": 4, "patch_size": 2},
    {"dims": 2, "resample": "wavelet", "wavelet": "db2", "num_classes": 5, "num_heads": 4},
    {"dims": 2, "resample": "wavelet", "reading": "literal", "gates_see_noise": True, "scale_shift": True},
]
IDS = [" ".join(str(value) for value in kind.values()) for kind in KINDS]


@pytest.fixture(scope="module", params=KINDS, ids=IDS)
def network(request) -> UNet:
    return build(**request.param)


def inputs(network: UNet, size: tuple[int, ...] = (), batch: int = 2) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    size = size or (16, 12)[: network.dims]
    return torch.randn(batch, network.in_channels, *size, generator=generator), torch.tensor([-0.7, 0.4])[:batch]


def test_every_size(network):
    for n in range(1, 34, 2 if network.dims == 2 else 1):
        x, c_noise = inputs(network, (n, 35 - n)[: network.dims])
        with torch.no_grad():
            out = network(x, c_noise)
        assert out.shape == x.shape and out.isfinite().all()


def test_a_size_that_does_not_divide_is_padded_by_its_last_sample(network):
    size = (13, 7)[: network.dims]
    x, c_noise = inputs(network, size)
    whole = tuple(-(-n // network.multiple) * network.multiple for n in size)
    padded = x
    for axis, (n, m) in enumerate(zip(size, whole, strict=True), start=2):
        padded = padded.index_select(axis, torch.arange(m).clamp(max=n - 1))
    out = network(padded, c_noise)
    torch.testing.assert_close(network(x, c_noise), out[(..., *(slice(n) for n in size))])


def test_samples_are_independent(network):
    x, c_noise = inputs(network)
    each = torch.cat([network(x[i : i + 1], c_noise[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(network(x, c_noise), each, rtol=1e-4, atol=1e-4)


def test_noise_level_matters(network):
    x, c_noise = inputs(network)
    assert (network(x, c_noise) - network(x, c_noise + 0.1)).abs().max() > 1e-3


def test_all_parameters_get_a_finite_gradient(network):
    x, c_noise = inputs(network)
    labels = torch.arange(2) if network.num_classes else None
    network.zero_grad()
    network(x, c_noise, labels).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.isfinite().all() and parameter.grad.any(), name


def test_float64(network):
    x, c_noise = inputs(network)
    out = network(x, c_noise)
    network.double()
    exact = network(x.double(), c_noise.double())
    network.float()
    assert exact.dtype == torch.float64
    torch.testing.assert_close(out.double(), exact, rtol=1e-4, atol=1e-4)


def test_bf16_autocast(network):
    x, c_noise = inputs(network)
    expected = network(x, c_noise)
    with torch.autocast("cpu", torch.bfloat16):
        out = network(x, c_noise)
    assert out.dtype == torch.bfloat16
    assert (out - expected).abs().max() < 0.1 * expected.abs().max()


def test_config_and_state_make_the_same_network(network):
    config = json.loads(json.dumps(network.config))
    assert config == network.config
    twin = Component("UNet", config).build(Network, "network").eval()
    twin.load_state_dict(network.state_dict())
    x, c_noise = inputs(network)
    assert torch.equal(twin(x, c_noise), network(x, c_noise))


def test_compiles_in_one_graph(network):
    torch._dynamo.reset()
    x, c_noise = inputs(network, (15, 9)[: network.dims])
    labels = torch.arange(2) if network.num_classes else None
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, c_noise, labels), network(x, c_noise, labels), rtol=1e-4, atol=1e-4)


def test_exports(network):
    arguments = inputs(network)
    program = torch.export.export(network, arguments)
    torch.testing.assert_close(program.module()(*arguments), network(*arguments))


def test_channels_last_gives_the_same(network):
    if network.dims == 1:
        pytest.skip("channels_last is a memory format of images")
    x, c_noise = inputs(network)
    expected = network(x, c_noise)
    network.to(memory_format=torch.channels_last)
    out = network(x.contiguous(memory_format=torch.channels_last), c_noise)
    network.to(memory_format=torch.contiguous_format)
    torch.testing.assert_close(out, expected, rtol=1e-4, atol=1e-4)


def test_begins_at_zero():
    network = UNet(**SMALL)
    assert not network(*inputs(network)).any()


def test_one_row_of_kernels_is_the_1d_network():
    flat, image = build(dims=1), build(dims=2)
    state = image.state_dict()
    for name, value in flat.state_dict().items():
        if value.ndim == 3:
            state[name].zero_()
            state[name][:, :, value.shape[-1] // 2] = value
        else:
            state[name].copy_(value)
    x, c_noise = inputs(flat)
    rows = image(x[:, :, None].expand(-1, -1, 4, -1), c_noise)
    torch.testing.assert_close(rows, flat(x, c_noise)[:, :, None].expand_as(rows), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("factors, multiple", [(2, 4), (4, 16), ((4, 2), 8)])
@pytest.mark.parametrize("resample", ["conv", "wavelet"])
def test_factors(factors, multiple, resample):
    network = build(dims=1, channel_mult=(1, 2, 2), attention_levels=(), factors=factors, resample=resample)
    sizes = []
    network.middle[0].register_forward_hook(lambda module, args, output: sizes.append(output.shape[-1]))
    assert network(*inputs(network, (32,))).shape == (2, 3, 32)
    assert network.multiple == multiple and sizes == [32 // multiple]


def test_literal_reading_hands_on_a_quarter_of_the_channels():
    network = build(resample="wavelet", reading="literal", channel_mult=(1, 2, 2), attention_levels=(), factors=(2, 4))
    joined = [level.blocks[0].residual.conv1.in_channels for level in network.decoder]
    assert joined == [32 + 32, 32 // 4**2 + 32, 32 // 4 + 16]  # from below, and over the skip connection


def test_gates_begin_as_the_papers_though_they_see_the_noise():
    plain, seeing = UNet(**SMALL, resample="wavelet"), UNet(**SMALL, resample="wavelet", gates_see_noise=True)
    new = set(seeing.state_dict()) - set(plain.state_dict())
    assert len(new) == 4 and not any(seeing.state_dict()[name].any() for name in new)
    down = seeing.encoder[0].down[0]
    x, embedding = torch.randn(2, 16, 4, 4), torch.randn(2, 64)
    assert torch.equal(down.gates(x, embedding), down.gates(x, 2 * embedding))
    torch.nn.init.normal_(down.embed.weight)
    assert (down.gates(x, embedding) - down.gates(x, 2 * embedding)).abs().max() > 1e-3
    with pytest.raises(ValueError, match="give its embedding"):
        down.gates(x)


def test_patches():
    network = build(patch_size=4, out_channels=5, in_channels=2)
    assert network.conv_in.in_channels == 2 * 16 and network.multiple == 8
    assert network(*inputs(network, (16, 24))).shape == (2, 5, 16, 24)


# Labels


def test_classes_and_one_hot_rows_agree():
    network = build(num_classes=5)
    x, c_noise = inputs(network)
    labels = torch.tensor([0, 4])
    rows = torch.nn.functional.one_hot(labels, 5)
    out = network(x, c_noise, labels)
    torch.testing.assert_close(network(x, c_noise, rows.float()), out)
    torch.testing.assert_close(network(x, c_noise, rows), out)
    assert (out - network(x, c_noise, labels.flip(0))).abs().max() > 1e-3


def test_a_row_of_zeros_is_unconditional():
    network = build(num_classes=5)
    x, c_noise = inputs(network)
    rows = torch.zeros(2, 5)
    torch.testing.assert_close(network(x, c_noise, rows), network(x, c_noise))
    rows[1, 3] = 1
    out = network(x, c_noise, rows)
    torch.testing.assert_close(out[:1], network(x, c_noise)[:1])
    torch.testing.assert_close(out[1:], network(x[1:], c_noise[1:], torch.tensor([3])))


@pytest.mark.parametrize(
    "labels, message",
    [
        (torch.tensor([0, 5]), "run from 0 to 4, got 0 to 5"),
        (torch.tensor([-1, 2]), "run from 0 to 4, got -1 to 2"),
        (torch.zeros(2, 4), r"one-hot rows \[B, 5\], got \[2, 4\]"),
        (torch.zeros(2), "integer type"),
    ],
)
def test_labels_that_do_not_fit(labels, message):
    network = build(num_classes=5)
    with pytest.raises(ValueError, match=message):
        network(*inputs(network), labels)


def test_labels_without_classes():
    network = build()
    with pytest.raises(ValueError, match="num_classes=0"):
        network(*inputs(network), torch.tensor([0, 1]))


# Context


@pytest.fixture(scope="module", params=[1, 2])
def seeing(request) -> UNet:
    """A network that looks at a context."""
    return build(dims=request.param, context_channels=6, resample="wavelet")


def seen(length: int = 5) -> Tensor:
    return torch.randn(2, length, 6, generator=torch.Generator().manual_seed(2))


def test_context_of_every_sample_is_its_own(seeing):
    (x, c_noise), context = inputs(seeing), seen()
    out = seeing(x, c_noise, context=context)
    each = torch.cat([seeing(x[i : i + 1], c_noise[i : i + 1], context=context[i : i + 1]) for i in range(2)])
    torch.testing.assert_close(out, each, rtol=1e-4, atol=1e-4)
    assert (out - seeing(x, c_noise, context=context.flip(0))).abs().max() > 1e-3


def test_context_and_all_parameters_get_a_finite_gradient(seeing):
    (x, c_noise), context = inputs(seeing), seen().requires_grad_()
    seeing.zero_grad()
    seeing(x, c_noise, context=context).square().mean().backward()
    for name, tensor in [("context", context), *seeing.named_parameters()]:
        assert tensor.grad.isfinite().all() and tensor.grad.any(), name


def test_context_exports():
    network = build(context_channels=6, attention_levels=())
    (x, c_noise), context = inputs(network), seen()
    program = torch.export.export(network, (x, c_noise), {"context": context})
    torch.testing.assert_close(program.module()(x, c_noise, context=context), network(x, c_noise, context=context))


def test_config_with_a_context_makes_the_same_network(seeing):
    twin = UNet(**json.loads(json.dumps(seeing.config))).eval()
    twin.load_state_dict(seeing.state_dict())
    (x, c_noise), context = inputs(seeing), seen()
    assert torch.equal(twin(x, c_noise, context=context), seeing(x, c_noise, context=context))


@pytest.mark.parametrize("shape", [(2, 5, 7), (3, 5, 6), (2, 6)])
def test_contexts_that_do_not_fit(shape):
    network = build(context_channels=6)
    with pytest.raises(ValueError, match=r"context of shape \[2, L, 6\], got"):
        network(*inputs(network), context=torch.zeros(shape))


def test_context_where_there_is_none_and_none_where_there_is():
    with pytest.raises(ValueError, match="context_channels=0"):
        build()(*inputs(build()), context=seen())
    with pytest.raises(ValueError, match=r"give one of shape \[B, L, 6\]"):
        build(context_channels=6)(*inputs(build()))


# Arguments


@pytest.mark.parametrize(
    "options, message",
    [
        ({"dims": 3}, "dims must be 1 or 2, got 3"),
        ({"resample": "fft"}, '"residual" or "wavelet", got "fft"'),
        ({"resample": "wavelet", "wavelet": "hare"}, "hare"),
        ({"resample": "wavelet", "reading": "litteral"}, '"paper" or "literal", got "litteral"'),
        ({"resample": "wavelet", "reading": "literal", "factors": 8}, "divisible by 4, got 2"),
        ({"factors": 3}, "2, 4, 8"),
        ({"factors": 1}, "2, 4, 8"),
        ({"factors": (2, 2)}, "factors must be 1 of"),
        ({"model_channels": 50, "head_channels": 32}, "100 channels do not split into 3 heads"),
        ({"model_channels": 5, "resample": "wavelet"}, "divisible by 4, got 10"),
        ({"attention_levels": (2,)}, "attention_levels"),
        ({"num_blocks": 0}, "num_blocks must be 1 or more, not 0"),
        ({"patch_size": 0}, "patch_size must be 1 or more, not 0"),
    ],
)
def test_arguments_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        UNet(**{**SMALL, **options})


def test_misspelt_argument():
    with pytest.raises(TypeError, match="chanel_mult"):
        UNet(chanel_mult=(1, 2))


@pytest.mark.parametrize("shape", [(2, 3, 16), (2, 4, 16, 16), (3, 16, 16)])
def test_signals_that_do_not_fit(shape):
    with pytest.raises(ValueError, match=r"\[B, 3, H, W\], got"):
        build()(torch.randn(shape), torch.zeros(2))
