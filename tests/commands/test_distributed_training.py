"""A multirun in several processes: one launch trains run after run."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from mmspec.data import DatasetMeta, write_packed
from mmspec.training.complete import complete_checkpoints

ROOT = Path(__file__).parents[2]
SMALL = [
    "network.model_channels=8",
    "network.channel_mult=[1]",
    "network.num_blocks=1",
    "network.attention_levels=[]",
    "trainer.batch_size=4",
    "trainer.max_steps=2",
]


def test_two_processes_train_one_run_after_the_other(tmp_path):
    pictures = np.random.default_rng(0).integers(0, 255, (8, 8, 8, 3)).astype(np.uint8)
    statistics = {"mean": 0.0, "std": 0.5, "sigma_data": 0.5}
    meta = DatasetMeta(modality="image", source="noise", statistics=statistics)
    write_packed(tmp_path / "pictures", pictures, meta=meta)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--module"]
    command += ["mmspec", "train", "-m", "seed=0,1", "run_dir=runs", "data.train=pictures", *SMALL]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr[-3000:]
    for run in (tmp_path / "runs" / "0", tmp_path / "runs" / "1"):
        assert [path.name for path in complete_checkpoints(run / "checkpoints")] == ["step_00000002"]
        assert len((run / "metrics.jsonl").read_text().splitlines()) == 1  # of process 0 alone
