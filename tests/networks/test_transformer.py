import pytest
import torch
from torch import Tensor, nn

from mmspec.networks.transformer import GEGLU, CrossAttention, SpatialTransformer, TransformerBlock
from tests.references import References


class Reference:
    """The layers of CompVis' SpatialTransformer with their weights, inputs and outputs."""

    def __init__(self, references: References) -> None:
        self.tensors = references.tensors("ldm/units") | references.tensors("ldm/units_transformer")

    def __getitem__(self, name: str) -> Tensor:
        return self.tensors[name]

    def state(self, prefix: str) -> dict[str, Tensor]:
        """Weights by the names of our layers."""
        renamed = {"to_out.0": "to_out", "ff.net.0": "feed_forward.0", "ff.net.2": "feed_forward.1"}
        renamed["transformer_blocks"] = "blocks"
        state = {key.removeprefix(prefix + "."): self[key] for key in self.tensors if key.startswith(prefix + ".")}
        for old, new in renamed.items():
            state = {key.replace(old, new): value for key, value in state.items()}
        return state


@pytest.fixture(scope="module")
def reference(references) -> Reference:
    return Reference(references)


def randomized(layer: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.3)
    return layer


def projecting(layer: CrossAttention, state: dict[str, Tensor]) -> CrossAttention:
    """`layer` with an inner width other than its own, which CompVis' layers may have and those of its UNets do not."""
    for name in ("to_q", "to_k", "to_v", "to_out"):
        outputs, inputs = state[name + ".weight"].shape
        setattr(layer, name, nn.Linear(inputs, outputs, bias=name == "to_out"))
    layer.load_state_dict(state)
    return layer


def test_cross_attention_is_compvis(reference):
    layer = projecting(CrossAttention(12, 10, heads=3), reference.state("ca"))
    torch.testing.assert_close(layer(reference["ca_x"], reference["ca_ctx"]), reference["ca_out"])


def test_geglu_is_compvis(reference):
    layer = GEGLU(6, 5)
    layer.load_state_dict({"proj.weight": reference["geglu_w"], "proj.bias": reference["geglu_b"]})
    torch.testing.assert_close(layer(reference["geglu_x"]), reference["geglu_out"])


def test_block_is_compvis(reference):
    layer = TransformerBlock(8, 6, heads=2)
    layer.load_state_dict(reference.state("tb"))
    torch.testing.assert_close(layer(reference["tb_x"], reference["tb_ctx"]), reference["tb_out"])


def test_spatial_transformer_is_compvis(reference):
    layer = SpatialTransformer(2, 16, 6, heads=2)
    layer.norm = nn.GroupNorm(32, 32, eps=layer.norm.eps)
    layer.proj_in, layer.proj_out = nn.Conv2d(32, 16, 1), nn.Conv2d(16, 32, 1)
    layer.load_state_dict(reference.state("st"))
    torch.testing.assert_close(layer(reference["st_x"], reference["st_ctx"]), reference["st_out"])


def test_norm_is_compvis(reference):
    norm = SpatialTransformer(2, 64, 6, heads=2, group_channels=1).norm
    assert (norm.num_groups, norm.eps) == (32, float(reference["Normalize_attention_eps1e6_epsvalue"]))


@pytest.mark.parametrize("spatial", [(9,), (3, 5)])
class TestSpatialTransformer:
    def layer(self, spatial: tuple[int, ...]) -> SpatialTransformer:
        return randomized(SpatialTransformer(len(spatial), 16, 6, heads=2, depth=2)).double()

    def inputs(self, spatial: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        torch.manual_seed(1)
        return torch.randn(2, 16, *spatial, dtype=torch.float64), torch.randn(2, 4, 6, dtype=torch.float64)

    def test_begins_as_the_identity(self, spatial):
        layer, (x, context) = SpatialTransformer(len(spatial), 16, 6, heads=2), self.inputs(spatial)
        assert torch.equal(layer(x.float(), context.float()), x.float())

    def test_order_in_the_context_does_not_matter(self, spatial):
        layer, (x, context) = self.layer(spatial), self.inputs(spatial)
        torch.testing.assert_close(layer(x, context.flip(1)), layer(x, context))
        assert (layer(x, context + 1) - layer(x, context)).abs().max() > 1e-3

    def test_moves_with_its_positions(self, spatial):
        layer, (x, context) = self.layer(spatial), self.inputs(spatial)
        torch.testing.assert_close(layer(x.flip(-1), context), layer(x, context).flip(-1))

    def test_samples_are_independent(self, spatial):
        layer, (x, context) = self.layer(spatial), self.inputs(spatial)
        each = torch.cat([layer(x[i : i + 1], context[i : i + 1]) for i in range(2)])
        torch.testing.assert_close(layer(x, context), each)


def by_definition(layer: CrossAttention, tokens: Tensor, context: Tensor) -> Tensor:
    """Attention, head by head."""
    width = layer.to_q.weight.shape[0] // layer.heads
    q, k, v = tokens @ layer.to_q.weight.mT, context @ layer.to_k.weight.mT, context @ layer.to_v.weight.mT
    heads = []
    for head in range(layer.heads):
        part = slice(head * width, (head + 1) * width)
        weights = (q[..., part] @ k[..., part].mT * width**-0.5).softmax(-1)
        heads.append(weights @ v[..., part])
    return torch.cat(heads, dim=-1) @ layer.to_out.weight.mT + layer.to_out.bias


@pytest.mark.parametrize("heads", [1, 3])
def test_cross_attention_by_its_definition(heads):
    layer = randomized(CrossAttention(12, 10, heads)).double()
    torch.manual_seed(1)
    tokens, context = torch.randn(2, 4, 12, dtype=torch.float64), torch.randn(2, 6, 10, dtype=torch.float64)
    torch.testing.assert_close(layer(tokens, context), by_definition(layer, tokens, context))


def test_heads_that_do_not_split():
    with pytest.raises(ValueError, match="12 channels do not split into 5 heads"):
        CrossAttention(12, 10, heads=5)
