"""How a denoiser is called fastest: one graph for a whole set of samples, and what is taken of what was measured."""

import json

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from mmspec.cli import main
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.experiment import inference
from mmspec.experiment.inference import Way, fastest
from mmspec.networks import UNet

EAGER, LAST, COMPILED = Way(), Way(channels_last=True), Way(compile=True)
BOTH = Way(channels_last=True, compile=True)
WAYS = (EAGER, LAST, COMPILED, BOTH)


def denoiser(num_classes: int = 0) -> Denoiser:
    torch.manual_seed(0)
    network = UNet(2, 3, 3, 8, (1, 2), 1, (1,), head_channels=8, num_classes=num_classes)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    classes = [str(number) for number in range(num_classes)] or None
    return Denoiser(network, EDM(0.5), (3, 8, 8), classes=classes).eval()


@pytest.fixture
def saved(tmp_path):
    denoiser(num_classes=3).save_pretrained(tmp_path / "denoiser")
    return tmp_path / "denoiser"


@pytest.fixture
def graphs(monkeypatch):
    """Counts the graphs that torch.compile makes, which are run eagerly."""
    torch._dynamo.reset()
    counter = CompileCounter()
    monkeypatch.setattr(inference, "COMPILE", {"dynamic": False, "backend": counter})
    return counter


def drawn(source, out, *words):
    given = ["num=7", "batch_size=3", "steps=3", "guidance=2", "device=cpu", f"out={out}", *words]
    assert main(["sample", f"from={source}", *given]) == 0
    return np.load(out / "data.npy").astype(int)


def test_one_graph_for_all_noise_levels_and_the_last_batch(saved, tmp_path, graphs):
    plain = drawn(saved, tmp_path / "plain")
    found = drawn(saved, tmp_path / "compiled", "compile=true")
    assert graphs.frame_count == 1
    assert np.abs(found - plain).max() <= 1  # of 255, where rounding falls on the other side of a half


def test_auto_draws_the_same_and_says_what_it_took(saved, tmp_path, graphs, monkeypatch, capsys):
    times = {EAGER: 2.0, LAST: 1.0, COMPILED: 3.0, BOTH: 4.0}
    measured = []

    def seconds(call, made):
        call(made)
        layout = made.network.conv_in.weight.is_contiguous(memory_format=torch.channels_last)
        measured.append(Way(layout, made.network._compiled_call_impl is not None))
        return times[measured[-1]]

    monkeypatch.setattr(inference, "_seconds", seconds)
    monkeypatch.setattr(inference, "WORTH_COMPILING", 0)
    plain = drawn(saved, tmp_path / "plain")
    capsys.readouterr()
    found = drawn(saved, tmp_path / "auto", "channels_last=auto", "compile=auto")
    assert measured == list(WAYS)
    assert "channels_last=true: 2.00x" in capsys.readouterr().out
    assert np.abs(found - plain).max() <= 1
    assert json.loads((tmp_path / "auto/sample.json").read_text())["steps"] == 3


def test_the_fastest_is_taken_and_what_cannot_be_compiled_left_out(monkeypatch):
    times = {"eager": 2.0, "channels_last=true": 1.99, "compile=true": 0.5}
    tried = []

    def timed(call, made):
        tried.append(call(made))
        if tried[-1] == "channels_last=true compile=true":
            raise RuntimeError("no compiler")
        return times[tried[-1]]

    monkeypatch.setattr(inference, "_seconds", timed)
    monkeypatch.setattr(Way, "of", lambda way, _: way)
    found = fastest(denoiser(), str, WAYS)
    assert (found.way, found.gain, tried[-1]) == (COMPILED, 4.0, "channels_last=true compile=true")
    found = fastest(denoiser(), str, WAYS, calls=10)  # 20 seconds, which are not worth minutes
    assert (found.way, found.gain) == (EAGER, 1.0)  # a gain that may be by chance is none


def test_what_cannot_be_compiled_is_one_sentence(saved, tmp_path, monkeypatch, capsys):
    def broken(graph, inputs):
        raise RuntimeError("no such compiler")

    torch._dynamo.reset()
    monkeypatch.setattr(inference, "COMPILE", {"dynamic": False, "backend": broken})
    assert main(["sample", f"from={saved}", f"out={tmp_path / 'out'}", "compile=true", "device=cpu", "num=2"]) == 2
    assert "it needs a C++ compiler; or leave it out." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="compile=true failed"):
        inference.compiled(lambda made: made(torch.zeros(1, 3, 8, 8), 1.0, labels=torch.zeros(1, 3)),
                           Way(compile=True).of(denoiser(3)))  # fmt: skip
