"""Two processes by gloo on one machine: a training step of a UNet of 15M parameters on 8 pictures of 64x64 each.

Each process has one thread. What the second costs is processor time of one of them, beyond that of a process alone:
waiting for the other is not in it. The wall clock of a busy machine says little here. Beside it what the model on paper
says of the same, from the time that gloo takes to average as many numbers, none of it hidden; below, the same model for
GPUs. Its assumptions, with their values, stand in `benchmarks/on_paper.py`.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import distributed, multiprocessing
from torch.nn.parallel import DistributedDataParallel

from benchmarks import on_paper
from benchmarks.input_pipeline import training_step
from benchmarks.record import Findings, Table
from mmspec.networks import UNet
from mmspec.training.sharding import shard

WIDE = {"model_channels": 96, "channel_mult": (1, 2, 2)}
Measured = tuple[float, float]  # seconds of the processor, and of the wall


def _median(work: Callable[[], object], rounds: int) -> Measured:
    work()
    seconds: list[Measured] = []
    for _ in range(rounds):
        start, begun = time.process_time(), time.perf_counter()
        work()
        seconds.append((time.process_time() - start, time.perf_counter() - begun))
    processor, wall = zip(*seconds, strict=True)
    return statistics.median(processor), statistics.median(wall)


def _work(rank: int, count: int, folder: str, rounds: int, network: dict, shape: tuple[int, ...]) -> None:
    """One process; the first leaves what it measured in the folder."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/{count}", rank=rank, world_size=count)
    torch.manual_seed(0)
    x0 = torch.randn(shape)
    made = UNet(**network)
    numbers = torch.randn(sum(parameter.numel() for parameter in made.parameters()))
    found = {"parameters": numbers.numel()}
    if count == 1:
        found["alone"] = _median(training_step(made, x0), rounds)
    else:
        found["all_reduce"] = _median(lambda: distributed.all_reduce(numbers), rounds)
        found["DDP"] = _median(training_step(DistributedDataParallel(made), x0), rounds)
        shard(sharded := UNet(**network), torch.device("cpu"))
        found["FSDP2"] = _median(training_step(sharded, x0), rounds)
    if rank == 0:
        Path(folder, f"{count}.json").write_text(json.dumps(found))
    distributed.barrier()
    distributed.destroy_process_group()


def main(rounds: int = 3, network: dict | None = None, shape: tuple[int, ...] = (8, 3, 64, 64)) -> Findings:
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for count in (1, 2):
            multiprocessing.spawn(_work, (count, folder, rounds, network or WIDE, shape), nprocs=count)
            found |= json.loads(Path(folder, f"{count}.json").read_text())
    alone, sent = found["alone"][0], found["all_reduce"][0]
    step = on_paper.Step(alone, found["parameters"])
    bandwidth = on_paper.GRADIENT * found["parameters"] / sent
    paper = step.ddp(2, bandwidth, hidden=0.0, latency=0.0)
    rows = [[f"a process alone, {found['parameters'] / 1e6:.1f}M", f"{1e3 * alone:.0f} ms", "", ""]]
    rows.append(["averaging as many numbers", f"{1e3 * sent:.0f} ms", "", ""])
    for name, said in (("DDP", f"{paper:.1%}"), ("FSDP2", "")):
        rows.append([f"two, {name}", f"{1e3 * found[name][0]:.0f} ms", f"{alone / found[name][0]:.1%}", said])
    figures = {
        "lost": tuple(1 - a / b for a, b in zip(found["alone"], found["DDP"], strict=True)),
        "lost, on paper": (1 - paper, None),
        "lost, FSDP2": tuple(1 - a / b for a, b in zip(found["alone"], found["FSDP2"], strict=True)),
    }
    measured = Table(["ranks", "processor time of a step", "efficiency", "on paper"], rows)
    return Findings([measured, on_paper.table()], figures)
