"""Two real processes: shards of weights take the steps of one, and a signal to one of them stops both."""

import json

import pytest
import torch
from safetensors.torch import load_file

from mmspec.training.complete import newest_whole
from tests.faults.shared_training import CASES, make_trainer
from tests.programs import two_processes

SHARDED = """
import sys
from pathlib import Path
from tests.faults.shared_training import CASES, make_trainer
make_trainer(Path(sys.argv[1]), **CASES[sys.argv[2]], sample_every=2, preview=lambda denoiser, file: (
    file.parent.mkdir(exist_ok=True), file.write_text(str(denoiser.network.conv_in.weight.norm().item())))).train()
"""


def test_shards_of_weights_take_the_steps_of_one_process_which_goes_on_with_them(tmp_path):
    case = "FSDP2, distillation, blocks computed twice"
    two_processes(SHARDED, tmp_path / "two", case)
    one = make_trainer(tmp_path / "one", **CASES[case])
    one.train()
    files = ("model", "optimizer", "objective", "ema/model")
    found, expected = ([load_file(newest_whole(tmp_path / name / "checkpoints")[0] / f"{file}.safetensors")
                        for file in files] for name in ("two", "one"))  # fmt: skip
    for theirs, ours in zip(found, expected, strict=True):
        assert theirs.keys() == ours.keys()
        for name, tensor in ours.items():
            torch.testing.assert_close(theirs[name], tensor, rtol=1e-4, atol=1e-6)
    shown = float((tmp_path / "two/samples/step_00000003.png").read_text())
    assert shown == pytest.approx(found[3]["conv_in.weight"].norm().item(), rel=1e-6)
    config = json.loads((newest_whole(tmp_path / "two/checkpoints")[0] / "ema/config.json").read_text())
    assert config["network"]["type"] == "UNet"
    make_trainer(tmp_path / "two", **CASES[case], max_steps=4).train(newest_whole(tmp_path / "two/checkpoints")[0])


ASKED = """
import os, signal, sys
from pathlib import Path
from mmspec.interruption import Interrupted
from tests.faults.shared_training import make_trainer
from mmspec.training.trainer import Trainer
step = Trainer._step
def asked(self, number, batches):
    if number == 4 and self.accelerator.process_index == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    step(self, number, batches)
Trainer._step = asked
trainer = make_trainer(Path(sys.argv[1]), max_steps=10000)
try:
    trainer.train()
except Interrupted as error:
    Path(sys.argv[1], f"rank{trainer.accelerator.process_index}").write_text(str(error))
"""


def test_a_signal_to_one_process_stops_both_after_the_same_step_at_once(tmp_path):
    two_processes(ASKED, tmp_path)
    said = {(tmp_path / f"rank{rank}").read_text() for rank in (0, 1)}
    step = int(newest_whole(tmp_path / "checkpoints")[0].name.removeprefix("step_"))
    assert said == {f"interrupted at step {step}, saved: run the same command again to go on."} and step in (5, 6)
