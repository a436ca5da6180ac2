"""The share of a GPU's arithmetic that a training says it uses."""

import json

import pytest
import torch
from torch import nn

from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.training import trainer, utilization
from tests.faults.shared_training import denoiser, make_trainer


class OneConvolution(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 5, padding=2, bias=False)

    def forward(self, x, c_noise):
        return self.conv(x)


class ByValue(OneConvolution):
    def forward(self, x, c_noise):
        return self.conv(x) if float(c_noise.mean()) > 0 else x


def test_a_step_is_three_passes_of_two_operations_a_product():
    one = Denoiser(OneConvolution(), EDM(), (3, 8, 9))
    assert utilization.flops_of(utilization.cost_per_signal(one)) == 6 * (8 * 9 * 3) * (5 * 5 * 3)
    assert utilization.cost_per_signal(Denoiser(OneConvolution(), EDM())) is None
    assert utilization.cost_per_signal(Denoiser(ByValue(), EDM(), (3, 8, 9))) is None


def test_only_of_devices_whose_peak_is_known(monkeypatch):
    assert utilization.peak_of(torch.device("cpu")) is None
    for name, peak in (("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA H100 PCIe", 756e12), ("NVIDIA L40S", 362e12)):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        assert utilization.peak_of(torch.device("cuda")) == peak
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "another")
    assert utilization.peak_of(torch.device("cuda")) is None


def test_the_log_has_it_beside_throughput_and_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "peak_of", lambda device: 1e12)
    make_trainer(tmp_path).train()
    flops = utilization.flops_of(utilization.cost_per_signal(denoiser(0)))
    for line in (tmp_path / "metrics.jsonl").read_text().splitlines():
        said = json.loads(line)
        reached = said["perf/samples_per_sec"] * flops
        assert said["perf/mfu"] == pytest.approx(reached / 1e12) and said["perf/max_memory_gb"] > 0
