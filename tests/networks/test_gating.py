import numpy as np
import pytest
import pywt
import torch
from torch import Tensor

from mmspec.networks import WaveletDown, WaveletUp
from mmspec.networks.gating import gated_inverse, gated_sum

WAVELETS = ["haar", "db1", "db3", "bior1.3", "sym4"]
SIZES = [(1,), (2,), (7,), (16,), (1, 1), (2, 3), (5, 8), (6, 4)]


def signal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def soft_gates(batch: int, dims: int) -> Tensor:
    return torch.rand(batch, 2**dims, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def pywt_bands(x: np.ndarray, wavelet: str) -> list[np.ndarray]:
    """One level over the last axes of a single `[C, *spatial]`, in the order of mmspec.spectral.dwt."""
    if x.ndim == 2:
        return list(pywt.dwt(x, wavelet, "periodization"))
    approximation, details = pywt.dwt2(x, wavelet, "periodization")
    return [approximation, *details]


def test_reference_values(references):
    golden = references.tensors("sd/wg_ops")
    down = gated_sum(golden["x"], golden["gate_scalar"])
    torch.testing.assert_close(down, golden["down_gated_sum_scalar"], rtol=0, atol=1e-12)
    up = gated_inverse(golden["x"], golden["gate_scalar"])
    torch.testing.assert_close(up, golden["up_gated_idwt_scalar"], rtol=0, atol=1e-12)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("size", SIZES)
def test_gated_sum_is_pywt(wavelet, size):
    x, gates = signal(2, 3, *size), soft_gates(2, len(size))
    out = gated_sum(x, gates, wavelet)
    for sample, row, value in zip(x, gates, out, strict=True):
        bands = pywt_bands(sample.numpy(), wavelet)
        expected = sum(gate * band for gate, band in zip(row.numpy(), bands, strict=True))
        np.testing.assert_allclose(value, expected, atol=1e-12)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize("size", SIZES)
def test_gated_inverse_is_pywt(wavelet, size):
    dims = len(size)
    x, gates = signal(2, 3 * 2**dims, *size), soft_gates(2, dims)
    odd = tuple(2 * n - 1 for n in size)
    out, cropped = gated_inverse(x, gates, wavelet), gated_inverse(x, gates, wavelet, size=odd)
    for b in range(2):
        bands = (x[b].unflatten(0, (2**dims, 3)) * gates[b].view(-1, 1, *[1] * dims)).numpy()
        inverse = pywt.idwt if dims == 1 else lambda a, d, *rest: pywt.idwt2((a, d), *rest)
        details = bands[1] if dims == 1 else tuple(bands[1:])
        expected = inverse(bands[0], details, wavelet, "periodization")
        np.testing.assert_allclose(out[b], expected, atol=1e-12)
        np.testing.assert_allclose(cropped[b], expected[(slice(None), *(slice(n) for n in odd))], atol=1e-12)


@pytest.mark.parametrize("size", [(9,), (8,), (5, 8)])
def test_equal_gates_take_every_other_sample(size):
    """The sum of the Haar bands is the first sample of each block, times the norm of a row of ones."""
    x, gates = signal(2, 3, *size), torch.full((2, 2 ** len(size)), 0.25, dtype=torch.float64)
    every_other = x[(..., *[slice(None, None, 2)] * len(size))]
    torch.testing.assert_close(gated_sum(x, gates), 0.25 * 2 ** (len(size) / 2) * every_other)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("size", [(9,), (8, 5)])
def test_open_gates_undo_a_transform(wavelet, size):
    dims = len(size)
    x = signal(2, 3, *size)
    alone = torch.eye(2**dims, dtype=torch.float64)  # row i opens the gate of sub-band i only
    bands = torch.cat([gated_sum(x, row.expand(2, -1), wavelet) for row in alone], dim=1)
    ones = torch.ones(2, 2**dims, dtype=torch.float64)
    torch.testing.assert_close(gated_inverse(bands, ones, wavelet, size=size), x)


@pytest.mark.parametrize("operator", [gated_sum, gated_inverse])
@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_shut_gates(operator, wavelet):
    x, gates = signal(2, 4, 5, 6).requires_grad_(), torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    out = operator(x, gates, wavelet)
    assert not out.any()
    out.sum().backward()
    assert not x.grad.any() and gates.grad.isfinite().all() and gates.grad.any()


@pytest.mark.parametrize("operator", [gated_sum, gated_inverse])
@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("size", [(5,), (3, 4)])
def test_gradients(operator, wavelet, size):
    x, gates = signal(2, 4, *size).requires_grad_(), soft_gates(2, len(size)).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, gates: operator(x, gates, wavelet), (x, gates))


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_one_row_is_one_dimension(wavelet):
    """A row is repeated to two: low across them is sqrt(2) times it, high is 0."""
    x, gates = signal(2, 3, 8), soft_gates(2, 2)
    flat = gated_sum(x, gates[:, [0, 2]], wavelet)  # low and high along the row, low across
    torch.testing.assert_close(gated_sum(x[:, :, None], gates, wavelet)[:, :, 0], 2**0.5 * flat)


@pytest.mark.parametrize("operator", [gated_sum, gated_inverse])
@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_type_is_kept(operator, wavelet, dtype):
    x, gates = signal(2, 8, 6, 6), soft_gates(2, 2)
    out = operator(x.to(dtype), gates.to(dtype), wavelet)
    assert out.dtype == dtype
    torch.testing.assert_close(out.double(), operator(x, gates, wavelet), rtol=0.02, atol=0.05)


@pytest.mark.parametrize("layer", [WaveletDown, WaveletUp])
@pytest.mark.parametrize("size", [(9,), (6, 5)])
class TestLayers:
    def test_shapes(self, layer, size):
        x = torch.randn(2, 8, *size)
        out = layer(8, dims=len(size))(x)
        expected = [-(-n // 2) for n in size] if layer is WaveletDown else [2 * n for n in size]
        assert out.shape == (2, 8, *expected)

    def test_gates_are_the_papers(self, layer, size):
        torch.manual_seed(0)
        module = layer(8, dims=len(size)).double()
        x = signal(2, 8, *size)
        hidden = x.mean(tuple(range(2, x.ndim))) @ module.gate[0].weight.T + module.gate[0].bias
        logits = (hidden / (1 + (-hidden).exp())) @ module.gate[2].weight.T + module.gate[2].bias
        gates = module.gates(x)
        assert gates.shape == (2, 2 ** len(size)) and gates.min() > 0 and gates.max() < 1
        torch.testing.assert_close(gates, 1 / (1 + (-logits).exp()))

    def test_layer_is_operator_then_conv(self, layer, size):
        torch.manual_seed(0)
        module = layer(8, dims=len(size), wavelet="db2").double()
        x = signal(2, 8, *size)
        operator = gated_sum if layer is WaveletDown else gated_inverse
        torch.testing.assert_close(module(x), module.conv(operator(x, module.gates(x), "db2")))

    def test_all_parameters_learn(self, layer, size):
        module = layer(8, dims=len(size))
        module(torch.randn(2, 8, *size)).square().sum().backward()
        assert all(p.grad.isfinite().all() and p.grad.any() for p in module.parameters())

    @pytest.mark.parametrize("wavelet", ["haar", "db2"])
    def test_compiles_in_one_graph(self, layer, size, wavelet):
        torch.manual_seed(0)
        module, x = layer(8, dims=len(size), wavelet=wavelet), torch.randn(2, 8, *size)
        torch._dynamo.reset()
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), module(x))

    def test_autocast(self, layer, size):
        torch.manual_seed(0)
        module, x = layer(8, dims=len(size)), torch.randn(2, 8, *size)
        with torch.autocast("cpu", torch.bfloat16):
            out = module(x)
        assert out.dtype == torch.bfloat16
        torch.testing.assert_close(out.float(), module(x), rtol=0.05, atol=0.05)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
@pytest.mark.parametrize("size", [(9,), (6, 5)])
def test_literal_layers_are_the_operators_alone(wavelet, size):
    dims, x = len(size), torch.randn(2, 8, *size)
    down, up = (layer(8, dims, wavelet, reading="literal") for layer in (WaveletDown, WaveletUp))
    torch.testing.assert_close(down(x), gated_sum(x, down.gates(x), wavelet))
    torch.testing.assert_close(up(x), gated_inverse(x, up.gates(x), wavelet))
    assert up(x).shape == (2, 8 // 2**dims, *(2 * n for n in size))


def test_up_undoes_an_odd_size():
    assert WaveletUp(8)(torch.randn(2, 8, 3, 4), size=(5, 7)).shape == (2, 8, 5, 7)


def test_only_parameters():
    assert not list(WaveletDown(8).buffers()) and not list(WaveletUp(8).buffers())
    assert sum(p.numel() for p in WaveletDown(8).parameters()) == (8 * 8 + 8) + (8 * 4 + 4) + (8 * 8 + 8)
    assert sum(p.numel() for p in WaveletUp(8).parameters()) == (8 * 8 + 8) + (8 * 4 + 4) + (2 * 8 + 8)


def test_what_does_not_fit():
    with pytest.raises(ValueError, match="divisible by 4, got 6"):
        WaveletUp(6)
    with pytest.raises(ValueError, match='"paper" or "literal", got "latex"'):
        WaveletDown(8, reading="latex")
    with pytest.raises(ValueError, match="daubechies9"):
        WaveletDown(8, wavelet="daubechies9")
    for size in [(8, 10), (6, 11), (6,)]:
        with pytest.raises(ValueError, match=r"size \[3, 5\] do not come from"):
            WaveletUp(8)(torch.randn(2, 8, 3, 5), size=size)
