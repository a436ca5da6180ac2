"""What a GPU makes of mmspec: its tests, the tables of speed, and short trainings with their throughput, model FLOPs
utilization and peak memory. `make gpu` takes less than ten minutes; times are of the wall, the GPU waited for.
"""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks import record
from benchmarks.record import Figures, Findings, Table
from mmspec.cli import main as mmspec
from mmspec.data import DatasetMeta, write_packed

TABLES = ("wavelet_loss", "fourier_loss", "term_cost", "edm_unet", "gating")
MODES = {
    "float32": [],
    "bf16": ["trainer.mixed_precision=bf16", "trainer.channels_last=true"],
    "bf16, compiled": ["trainer.mixed_precision=bf16", "trainer.channels_last=true", "trainer.compile=true"],
}
LARGE = ["network=edm_ddpmpp", "trainer.batch_size=64"]  # 61.8M parameters
MEASURED = {"perf/samples_per_sec": "{:,.0f}/s", "perf/mfu": "{:.1%}", "perf/max_memory_gb": "{:.1f} GB"}
TESTS = ["tests/gpu"]


def tested(device: str, tests: Sequence[str]) -> str:
    """The last line of the tests, run there."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-q", *tests]
    told = {**os.environ, "MMSPEC_TEST_DEVICE": device}
    return subprocess.run(command, capture_output=True, text=True, env=told).stdout.strip().splitlines()[-1]


def trained(folder: Path, size: int, steps: int, words: Sequence[str]) -> dict[str, float]:
    """What a training of so many steps on noise of ``size`` pixels says of its last third."""
    data, run = folder / "data", folder / f"run-{len(list(folder.iterdir()))}"
    if not data.exists():
        pixels = np.random.default_rng(0).integers(0, 256, (256, size, size, 3), dtype=np.uint8)
        statistics = {"mean": 0.0, "std": 0.5, "sigma_data": 0.5}
        write_packed(data, pixels, meta=DatasetMeta(modality="image", source="noise", statistics=statistics))
    given = [f"run_dir={run}", f"data.train={data}", "trainer.tensorboard=false", "preview.num=1"]
    given += [f"trainer.max_steps={3 * steps}", f"trainer.log_every={steps}", f"trainer.checkpoint_every={9 * steps}"]
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    if mmspec(["train", *given, *words]) != 0:
        raise RuntimeError(f"no training with {' '.join(words)}")
    last: dict[str, float] = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    return last


def trainings(modes: dict[str, list[str]], size: int, steps: int, words: Sequence[str]) -> Findings:
    """A short training in each mode."""
    rows, figures = [], Figures()
    with tempfile.TemporaryDirectory() as folder:
        for mode, more in modes.items():
            said = trained(Path(folder), size, steps, [*words, *more])
            rows.append([mode, *(shown.format(said[name]) if name in said else "" for name, shown in MEASURED.items())])
            figures |= {f"training {mode}: {name}": (said[name], None) for name in MEASURED if name in said}
    return Findings([Table([" ".join(words), "pictures", "MFU", "peak memory"], rows)], figures)


def measured(device: str, tables: Sequence[str], rounds: int) -> Findings:
    """The tables of other benchmarks, there."""
    found: list[Table] = []
    figures: Figures = {}
    with torch.device(device):
        for name in tables:
            findings = importlib.import_module(f"benchmarks.{name}").main(rounds=rounds)
            found += findings.tables
            figures |= {f"{name}: {figure}": both for figure, both in findings.figures.items()}
    return Findings(found, figures)


def main(
    device: str = "cuda",
    tests: Sequence[str] = TESTS,
    tables: Sequence[str] = TABLES,
    rounds: int = 5,
    size: int = 64,
    steps: int = 20,
    words: Sequence[str] = LARGE,
    folder: Path = record.RESULTS,
) -> Findings | None:
    """All of it on a device; one sentence where there is no GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        print("torch finds no GPU of CUDA here, so nothing was measured: run `make gpu` where there is one.")
        return None
    start = time.perf_counter()
    verdict = Table(["tests", "verdict"], [[" ".join(tests), tested(device, tests)]])
    parts = [
        measured(device, tables, rounds),
        trainings(MODES if device == "cuda" else {"float32": []}, size, steps, words),
    ]
    figures = {name: both for part in parts for name, both in part.figures.items()}
    findings = Findings([verdict, *(table for part in parts for table in part.tables)], figures)
    name = torch.cuda.get_device_name() if device == "cuda" else record.machine()
    file = record.keep("gpu", (__doc__ or "").strip(), findings, time.perf_counter() - start, folder, name)
    print(f"{findings}\n\n{file}")
    return findings


if __name__ == "__main__":
    main(*(word.removeprefix("device=") for word in sys.argv[1:2]))
