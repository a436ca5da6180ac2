"""docs/extending.md, executed: its files are written, its commands run, its arithmetic held to references."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.fft
import torch
import yaml

from mmspec import plugins
from mmspec.cli import main
from mmspec.components import choices
from mmspec.diffusion import sample
from mmspec.diffusion.processes import EDM, Process
from mmspec.diffusion.samplers import Sampler
from mmspec.losses import SpectralLoss
from mmspec.metrics.measure import Measure
from mmspec.networks import Network
from tests.oracles import Gaussian

PAGE = Path(__file__).parents[2] / "docs/extending.md"
TEXT = PAGE.read_text(encoding="utf-8")
FILES = dict(re.findall(r'^```python title="([^"]+)"\n(.*?)^```', TEXT, re.MULTILINE | re.DOTALL))
COMMANDS = [
    shlex.split(command)
    for block in re.findall(r"^```bash\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
    for command in block.replace("\\\n", " ").splitlines()
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder with the page's files, in which its commands were run in their order."""
    folder, before = tmp_path_factory.mktemp("own"), Path.cwd()
    for name, content in FILES.items():
        (folder / name).write_text(content, encoding="utf-8")
    os.chdir(folder)
    try:
        for program, *arguments in COMMANDS:
            if program == "mmspec":
                assert main(arguments) == 0, arguments
            else:
                environment = {**os.environ, "PYTHONPATH": str(PAGE.parents[1])}
                subprocess.run([sys.executable, *arguments], check=True, env=environment)
        yield folder
    finally:
        os.chdir(before)


def known(base, name):
    """A class of the page, by its name alone."""
    plugins.load([name])
    return choices(base)


def test_each_thing_is_trained_sampled_or_judged_with_by_its_name(folder):
    lines = [json.loads(line) for line in (folder / "exp/dct/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["train/loss/DCTLoss"] > 0 and lines[-1]["train/grad_share/DCTLoss"] > 0
    config = yaml.safe_load((folder / "exp/soft/config.yaml").read_text())
    assert config["objective"]["weighting"] == {"type": "SoftMinSNR", "gamma": 3.0}
    saved = json.loads((folder / "exp/own/checkpoints/step_00000006/ema/config.json").read_text())
    assert saved["network"]["type"] == "Dilated" and saved["network"]["plugin"]["name"] == "dilated.py"
    assert saved["process"]["sigma_data"] == pytest.approx(0.7 / 2**0.5, rel=0.01)
    lines = [json.loads(line) for line in (folder / "exp/student/metrics.jsonl").read_text().splitlines()]
    assert lines[-1]["train/loss/distill_frequency"] > 0 and lines[-1]["train/loss/DCTLoss"] > 0
    facts = json.loads((folder / "exp/own/samples/final/sample.json").read_text())
    assert facts["sampler"]["type"] == "Midpoint" and facts["num"] == 8
    evaluation = json.loads((folder / "exp/own/evaluation.json").read_text())
    assert evaluation["units"]["spectral_slope"] == "dB/octave" and evaluation["better"]["spectral_slope"] is None


def test_the_dct_is_scipys_in_both_dimensions(folder):
    loss = known(SpectralLoss, str(folder / "dct_loss.py"))["DCTLoss"](reduction="none")
    for shape in [(3, 2, 31), (2, 3, 8, 13)]:
        input, target = torch.randn(2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        axes = tuple(range(2, len(shape)))
        expected = np.abs(scipy.fft.dctn((input - target).numpy(), axes=axes, norm="ortho")).reshape(shape[0], -1)
        np.testing.assert_allclose(loss(input, target).numpy(), expected.mean(1), rtol=1e-12)
        x = target.clone().requires_grad_()
        loss(x, target).sum().backward()
        assert x.grad.isfinite().all()


def test_trig_flow_is_edm_but_for_the_sign_of_the_network(folder):
    flow, edm = known(Process, str(folder / "trig_flow.py"))["TrigFlow"](0.4), EDM(0.4)
    sigma = torch.tensor([0.01, 0.4, 7.0], dtype=torch.float64)
    ours, theirs = flow.scalings(sigma), edm.scalings(sigma)
    torch.testing.assert_close(ours.c_skip, theirs.c_skip)
    torch.testing.assert_close(ours.c_out, -theirs.c_out)
    torch.testing.assert_close(ours.c_in, theirs.c_in)
    torch.testing.assert_close(flow.weight(sigma), edm.weight(sigma))
    assert (flow.sampling_sigmas(7).diff() < 0).all() and flow.sampling_sigmas(7)[0] == pytest.approx(80, rel=1e-6)


def test_the_midpoint_method_is_of_second_order(folder):
    walk = known(Sampler, str(folder / "midpoint.py"))["Midpoint"]()
    noise = torch.randn(4, 1, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    exact = 10 * noise * 0.5 / (0.25 + 100) ** 0.5

    def error(steps):
        sigmas = torch.logspace(1, -2.7, steps, dtype=torch.float64)
        return (sample(Gaussian(), noise, sampler=walk, sigmas=sigmas) - exact).abs().max().item()

    assert np.log2(error(20) / error(40)) > 1.65


def test_without_its_plug_in_a_run_says_what_it_needs(folder, capsys):
    """In a process of its own, which has never seen the plug-ins."""
    environment = {**os.environ, "PYTHONPATH": str(PAGE.parents[1]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "mmspec", "sample", "from=exp/own", "num=1", "out=samples"]
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "network.type=Dilated is of the plug-in dilated.py (SHA-256 " in result.stderr
    assert "which is not loaded: give plugins=[PATH/dilated.py]" in result.stderr


def test_a_run_goes_on_with_the_plug_in_that_it_was_trained_with_alone(folder, capsys):
    train = next(arguments for program, *arguments in COMMANDS if "run_dir=exp/dct" in arguments)
    longer = [word for word in train if not word.startswith("trainer.max_steps")] + ["trainer.max_steps=5"]
    assert main(longer) == 0
    changed = folder / "changed" / "dct_loss.py"
    changed.parent.mkdir()
    changed.write_text(FILES["dct_loss.py"].replace("class DCTLoss", "class OtherDCTLoss"))
    others = [word.replace("[dct_loss.py]", "[changed/dct_loss.py]") for word in longer]
    plugins._loaded.pop(next(sha256 for sha256, each in plugins._loaded.items() if each.name == "dct_loss.py"))
    assert main(others) == 2
    assert "was trained with another dct_loss.py (SHA-256 " in capsys.readouterr().err
    assert {"Dilated", "UNet"} <= choices(Network).keys() and "SpectralSlope" in choices(Measure)
