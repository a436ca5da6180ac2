"""Several processes draw one set: the samples of one process, a share each, and all end when one fails."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmspec.cli import main
from mmspec.data import PackedDataset
from mmspec.data.packed import DataFile
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.experiment.launch import Launch
from mmspec.networks import UNet

ROOT = Path(__file__).parents[2]
OPTIONS = ["num=7", "steps=2", "batch_size=2", "device=cpu", "guidance=1.5"]


@pytest.fixture(scope="module")
def denoiser(tmp_path_factory):
    torch.manual_seed(0)
    network = UNet(
        dims=2, in_channels=3, model_channels=8, channel_mult=(1, 2), num_blocks=1, attention_levels=(), num_classes=3
    )
    folder = tmp_path_factory.mktemp("denoiser") / "saved"
    Denoiser(network, EDM(0.5), (3, 8, 6), classes=("a", "b", "c")).save_pretrained(folder)
    return folder


def launch(*arguments, cwd, processes=2):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(  # who waits for a failed process would wait for ever
        [*command, *map(str, arguments)], cwd=cwd, env=environment, capture_output=True, text=True, timeout=120
    )


def test_two_processes_draw_the_samples_of_one(tmp_path, denoiser):
    assert main(["sample", f"from={denoiser}", f"out={tmp_path / 'one'}", *OPTIONS]) == 0
    result = launch("--module", "mmspec", "sample", f"from={denoiser}", "out=two", *OPTIONS, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "7 samples in two" in result.stdout and "2 processes" in result.stdout
    one, two = PackedDataset(tmp_path / "one"), PackedDataset(tmp_path / "two")
    two.verify()
    np.testing.assert_allclose(one.data.astype(int), two.data.astype(int), atol=1)  # other batches, other rounding
    assert one.labels.tolist() == two.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    facts = json.loads((tmp_path / "two/sample.json").read_text())
    assert facts["processes"] == 2 and facts["num"] == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]


FAILING = """
import os, sys
from mmspec import cli
from mmspec.experiment import sampling
from mmspec.errors import InputError

def encode(batch):
    if os.environ["RANK"] == "1":
        raise InputError("the cable is cut.")
    return drawn(batch)

drawn, sampling.encode = sampling.encode, encode
sys.exit(cli.main(sys.argv[1:]))
"""


def test_one_failing_process_ends_all_and_says_which_it_was(tmp_path, denoiser):
    (tmp_path / "failing.py").write_text(FAILING)
    result = launch("failing.py", "sample", f"from={denoiser}", "out=set", *OPTIONS, cwd=tmp_path)
    assert result.returncode != 0
    assert "mmspec sample (rank 1): the cable is cut." in result.stderr
    assert not (tmp_path / "set").exists()
    assert main(["sample", f"from={denoiser}", f"out={tmp_path / 'set'}", *OPTIONS]) == 0  # nothing is in the way


@pytest.mark.parametrize(("num", "count"), [(7, 2), (50_000, 96), (3, 8), (1, 1)])
def test_shares_are_disjoint_cover_everything_and_differ_by_one_at_most(num, count):
    shares = [Launch(rank, count).share(num) for rank in range(count)]
    assert [index for share in shares for index in share] == list(range(num))
    sizes = [len(share) for share in shares]
    assert max(sizes) - min(sizes) <= 1


def test_what_is_drawn_is_written_a_batch_at_a_time(tmp_path, denoiser, monkeypatch):
    written = []
    write = DataFile.write
    monkeypatch.setattr(DataFile, "write", lambda file, row, x: (written.append((row, len(x))), write(file, row, x)))
    assert main(["sample", f"from={denoiser}", f"out={tmp_path / 'set'}", *OPTIONS]) == 0
    assert written == [(0, 2), (2, 2), (4, 2), (6, 1)]


def test_weights_that_are_not_finite_get_one_sentence_and_leave_nothing(tmp_path, denoiser, capsys):
    damaged = Denoiser.from_pretrained(denoiser)
    next(damaged.parameters()).data.fill_(float("inf"))
    damaged.save_pretrained(tmp_path / "damaged")
    assert main(["sample", f"from={tmp_path / 'damaged'}", f"out={tmp_path / 'set'}", *OPTIONS]) == 2
    err = capsys.readouterr().err
    assert "samples from 0 on hold NaN or infinity" in err and len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]
