"""What `mmspec gallery` takes to open a run of 10,000 pictures of 64x64, from the start of its process until the first
page of samples has been asked for and answered: seconds of its processor, of the wall, and its peak of memory, mapped
files included. What a browser then takes to draw is not in it.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.request import urlopen

import numpy as np

from benchmarks.record import Findings, Table
from mmspec.data import DatasetMeta, write_packed
from mmspec.gallery.server import PAGE

COUNT, SIDE, SHOWN = 10_000, 64, 48  # the last: samples on a page


def opened(run: Path) -> tuple[float, float, float]:
    """Processor time, wall time, and megabytes of the server."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "mmspec", "gallery", str(run), "port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline().split()[0].rstrip("/")
        for name in PAGE:
            urlopen(f"{address}/{name}").read()
        (found,) = json.loads(urlopen(f"{address}/api/runs").read())
        (name,) = found["sets"]
        urlopen(f"{address}/api/runs/0/sets/{name}/labels?from=0&count={SHOWN}").read()
        for index in range(SHOWN):
            urlopen(f"{address}/api/runs/0/sets/{name}/{index}/thumbnail.png").read()
        wall = time.perf_counter() - start
        peak = next(line for line in Path(f"/proc/{process.pid}/status").read_text().splitlines() if "VmHWM" in line)
        process.terminate()
        _, _, used = os.wait4(process.pid, 0)
        process.returncode = 0
    return used.ru_utime + used.ru_stime, wall, int(peak.split()[1]) / 1024


def main(rounds: int = 5) -> Findings:
    with tempfile.TemporaryDirectory() as folder:
        pixels = np.random.default_rng(0).integers(0, 256, (COUNT, SIDE, SIDE, 3), np.uint8)
        write_packed(Path(folder, "run"), pixels, meta=DatasetMeta(modality="image", source="noise"))
        counted, wall, memory = map(
            statistics.median, zip(*(opened(Path(folder, "run")) for _ in range(rounds)), strict=True)
        )
    row = [f"{COUNT:,}", f"{counted:.2f} s", f"{wall:.2f} s", f"{memory:.0f} MB"]
    table = Table(["samples", "processor", "wall", "memory"], [row])
    return Findings([table], {"opened": (counted, wall), "memory": (memory, None)})
