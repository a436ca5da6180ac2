"""Graphs of every network and first stage, in both formats, against torch's eager ones."""

import importlib.util

import pytest
import torch

from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import DDPM, EDM, VE, VP, DiffWave
from mmspec.errors import InputError
from mmspec.exported.graphs import parts, reader, traced, write_graph
from mmspec.networks import (
    AutoencoderKL,
    AutoencoderTiny,
    ClassContextUNet,
    EDMUNet,
    Network,
    UNet,
    VQModel,
)
from mmspec.networks import DiffWave as DiffWaveNetwork

SMALL = {"model_channels": 8, "channel_mult": (1, 1), "num_blocks": 1, "attention_levels": (), "head_channels": 8}
ATTENTIVE = SMALL | {"channel_mult": (1, 2), "attention_levels": (1,)}
EDMS = {"model_channels": 8, "channel_mult": (1, 2), "num_blocks": 1, "attn_resolutions": (4,)}
NCSNPP = {
    "embedding_type": "fourier",
    "channel_mult_noise": 2,
    "encoder_type": "residual",
    "resample_filter": (1, 3, 3, 1),
}
STAGE = {"channels": 32, "channel_mult": (1, 1), "num_blocks": 1}
CASES = {  # sizes that the levels do not divide
    "unet": lambda: Denoiser(UNet(2, 3, **ATTENTIVE), EDM(), (3, 7, 9)),
    "unet_1d_told": lambda: Denoiser(UNet(1, 2, **ATTENTIVE, num_classes=3, context_channels=5), VP(), (2, 21)),
    "class_context": lambda: Denoiser(
        ClassContextUNet(in_channels=2, **ATTENTIVE, num_classes=3, context_channels=5), DDPM(), (2, 7, 9)
    ),
    "gated": lambda: Denoiser(UNet(2, 3, **SMALL, resample="wavelet"), DDPM(), (3, 7, 9)),
    "gated_literal": lambda: Denoiser(UNet(1, 2, **SMALL, resample="wavelet", reading="literal"), EDM(), (2, 21)),
    "gated_db2": lambda: Denoiser(UNet(2, 3, **SMALL, resample="wavelet", wavelet="db2"), EDM(), (3, 7, 9)),
    "ddpmpp": lambda: Denoiser(EDMUNet(8, 3, None, 3, 9, **EDMS), EDM(), (3, 8, 8)),
    "ncsnpp": lambda: Denoiser(EDMUNet(8, **EDMS, **NCSNPP), VE(), (3, 8, 8)),
    "adm": lambda: Denoiser(EDMUNet(8, model_type="DhariwalUNet", **EDMS), EDM(), (3, 8, 8)),
    "diffwave": lambda: Denoiser(
        DiffWaveNetwork(residual_channels=8, residual_layers=2, n_mels=5), DiffWave(), (1, 512)
    ),
    "kl": lambda: latent(AutoencoderKL(**STAGE), 4),
    "vq": lambda: latent(VQModel(**STAGE, num_codes=32), 3),
    "kl_1d": lambda: Denoiser(
        UNet(1, 4, **SMALL), EDM(), (2, 32), first_stage=AutoencoderKL(dims=1, in_channels=2, **STAGE)
    ),
    "tiny": lambda: latent(AutoencoderTiny(channels=8, num_blocks=(1, 1)), 4),
}


def latent(first_stage, channels):
    return Denoiser(UNet(2, channels, **SMALL), EDM(), (3, 16, 16), first_stage=first_stage)


def made(case):
    torch.manual_seed(0)
    denoiser = CASES[case]().eval()
    for module in filter(None, (denoiser.network, denoiser.first_stage)):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.1)  # what begins at 0 would hide differences
    return denoiser


def other_batch(part, count):
    generator = torch.Generator().manual_seed(1)
    inputs = {name: torch.randn(count, *value.shape[1:], generator=generator) for name, value in part.inputs.items()}
    return inputs | ({"sigma": torch.logspace(-1, 1, count)} if "sigma" in inputs else {})


@pytest.mark.parametrize("case", CASES)
def test_graphs_put_out_what_torch_does_for_any_number_of_samples(case, tmp_path):
    part = parts(made(case))[-1]  # of latent diffusion the decoder
    graph = traced(part)
    hold(part, reader(write_graph(part, graph, tmp_path, "torch", 18)))
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    pytest.importorskip("onnxruntime", reason="graphs run in onnxruntime (the extra export)")
    hold(part, reader(write_graph(part, graph, tmp_path, "onnx", 18)))


def test_attention_is_one_operator(tmp_path):
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (the extra export)")
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    part = parts(made("kl"))[-1]
    nodes = onnx.load(write_graph(part, traced(part), tmp_path, "onnx", 18)).graph.node
    kinds = [node.op_type for node in nodes]
    assert kinds.count("MultiHeadAttention") == 1 and "Softmax" not in kinds


def other_length(inputs):
    """A vocoder's recordings and texts are of any length."""
    if "spectrogram" in inputs:
        x, mel = inputs["x"], inputs["spectrogram"]
        return inputs | {"x": torch.cat([x, x[..., :77]], 2), "spectrogram": torch.cat([mel, mel[..., :1]], 2)}
    return inputs | ({"context": inputs["context"][:, :5]} if "context" in inputs else {})


def hold(part, graph):
    for inputs in (other_batch(part, 1), other_batch(part, 3), other_length(other_batch(part, 2))):
        count = len(next(iter(inputs.values())))
        with torch.no_grad():
            wanted, found = part.module(inputs), graph(inputs)
        assert wanted.shape == found.shape and len(found) == count
        torch.testing.assert_close(found, wanted, atol=1e-4 * max(1, wanted.abs().max().item()), rtol=0)


class ExportedBySorting(Network):
    dims, in_channels, out_channels = 2, 3, 3

    def __init__(self) -> None:
        super().__init__()
        self.edges = torch.nn.Buffer(torch.linspace(-1, 1, 5))

    def forward(self, x, c_noise):
        return torch.searchsorted(self.edges, x.contiguous()).float()


def test_a_missing_exporter_is_named(tmp_path):
    if importlib.util.find_spec("onnxscript"):
        pytest.skip("onnxscript is installed here")
    (part,) = parts(Denoiser(ExportedBySorting(), EDM(), (3, 8, 8)))
    with pytest.raises(InputError, match=r"format=onnx needs onnxscript: pip install 'mmspec\[export\]'"):
        write_graph(part, traced(part), tmp_path, "onnx", 18)


class ExportedByLooking(ExportedBySorting):
    def forward(self, x, c_noise):
        return x if x.sum() > 0 else -x


def test_what_a_format_lacks_is_one_sentence(tmp_path):
    (part,) = parts(Denoiser(ExportedByLooking(), EDM(), (3, 8, 8)))
    with pytest.raises(InputError, match=r"the model cannot be exported: torch.export cannot follow") as caught:
        traced(part)
    assert "\n" not in str(caught.value)
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    (part,) = parts(Denoiser(ExportedBySorting(), EDM(), (3, 8, 8)))
    with pytest.raises(InputError, match=r"ONNX \(opset 18\) lacks an operator for aten.searchsorted"):
        write_graph(part, traced(part), tmp_path, "onnx", 18)
    assert list(tmp_path.iterdir()) == []
