"""Many processes: the same work by 1, 2 and 4 ranks, and launches that are broken: ``python -m tests.faults.ranks``.

Each launch is torchrun with gloo, of processes of their own, on the CPUs of this machine.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from tests.faults.kill_points import newest, prepared
from tests.faults.shared_training import CASES, STEPS
from tests.faults.table import Attempt, tabulate
from tests.programs import ENVIRONMENT, group, python
from tests.shards import prepared as shards_of
from tests.shards import write_pictures

LAST = 30  # step of the trainings that are broken
WORDS = [
    "train", "run_dir=run", "data.train=data", "network=unet", "network.model_channels=8", "network.channel_mult=[1]",
    "network.num_blocks=1", "network.attention_levels=[]", "network.dropout=0.2", "trainer.batch_size=8",
    f"trainer.max_steps={LAST}", "trainer.checkpoint_every=4", "trainer.log_every=1", "trainer.device=cpu",
    "trainer.tensorboard=false",
]  # fmt: skip
SLOW = """
import os, sys, time
from mmspec import cli
from mmspec.errors import InputError
from mmspec.training.trainer import Trainer
step = Trainer._step

def slow(self, number, batches):
    time.sleep(0.2)
    if os.environ.get("RAISES") == os.environ.get("RANK") and number == 6:
        raise InputError("the cable is cut.")
    step(self, number, batches)

Trainer._step = slow
sys.exit(cli.main(sys.argv[1:]))
"""


def attempts(folder: Path) -> Iterator[Attempt]:
    """Every row."""
    for row in (same_steps, same_samples, asked, broken, from_shards, left_alone, anew, launched_by_accelerate):
        (folder / row.__name__).mkdir()
        yield from row(folder / row.__name__)


# The same work


def same_steps(folder: Path, counts: tuple[int, ...] = (2, 4)) -> Iterator[Attempt]:
    for count in (1, *counts):
        group("-m", "tests.faults.shared_training", folder / str(count), count=count)
    for case in CASES:
        for count in counts:
            yield "same gradient by 1, 2 and 4 ranks", f"{case} by {count}", _differ(folder, case, count)


def _differ(folder: Path, case: str, count: int) -> str | None:
    """How weights, moments or log lines of a training differ from those of one process."""
    last = f"{case}/checkpoints/step_{STEPS:08d}"
    for file in (folder / "1" / last).rglob("*.safetensors"):
        name = file.relative_to(folder / "1")
        one, many = load_file(file), load_file(folder / str(count) / name)
        for key, tensor in one.items():  # some gradients are differences of large numbers
            if not torch.allclose(many[key], tensor, rtol=1e-4, atol=3e-4 * float(tensor.abs().max())):
                return f"{key} of {name} differs"
    one, many = (_lines(folder / str(number) / case) for number in (1, count))
    for expected, found in zip(one, many, strict=True):
        for key in (key for key in expected if not key.startswith("perf/")):
            if not np.isclose(found[key], expected[key], rtol=1e-3, atol=1e-7):
                return f"{key} is {found[key]} in place of {expected[key]}"
    return None


def _lines(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def same_samples(folder: Path) -> Iterator[Attempt]:
    prepared(folder / "work")
    assert _trained(folder / "work", 1, "trainer.max_steps=2") == 0
    drawn = {}
    for count in (1, 2, 4):
        words = ["sample", "from=run", f"out=samples-{count}", "num=10", "steps=2", "batch_size=3", "device=cpu"]
        assert _launched(folder / "work", count, words).wait(120) == 0
        drawn[count] = np.load(folder / f"work/samples-{count}/data.npy").astype(int)
        if count > 1:
            same = abs(drawn[count] - drawn[1]).max() <= 1  # other batches round otherwise
            yield "same samples by 1, 2 and 4 ranks", f"by {count}", None if same else "samples differ"


# Launches that are broken


def broken(folder: Path) -> Iterator[Attempt]:
    """A rank is killed, stopped or raises: all end, it is named, and another number of ranks goes on."""
    expected = _undisturbed(folder)
    for fault, count, again in (("killed", 2, 4), ("killed", 4, 1), ("raises", 2, 1), ("stopped", 2, 4)):
        run = prepared(folder / f"{fault}-{count}")
        launch = _launched(run, count, WORDS, **({"RAISES": "1"} if fault == "raises" else {}))
        if fault != "raises":
            _reach(run, 6)
            os.kill(_ranks(launch)[-1], signal.SIGKILL if fault == "killed" else signal.SIGSTOP)
        begun, said = time.monotonic(), f"local_rank: {count - 1}" if fault == "killed" else "rank 1"
        wrong = _ended(launch, run, said, 75 if fault == "stopped" else 30)
        which = f"{count} ranks, after {time.monotonic() - begun:.0f} s, then {again}"
        yield f"a rank {fault}: all end, another number goes on", which, wrong or _resumed(run, again, expected)


def from_shards(folder: Path) -> Iterator[Attempt]:
    """A rank is killed in the midst of a tar shard; another number of ranks ends with the weights of one process."""
    shards = shards_of(write_pictures(folder / "pictures", 60), folder / "shards", "--shards", 7)

    def reading(name: str) -> Path:
        (folder / name).mkdir()
        (folder / name / "data").symlink_to(shards)
        return folder / name

    assert _trained(reading("whole"), 1) == 0
    for count, again in ((2, 4), (4, 1)):
        launch = _launched(run := reading(str(count)), count, WORDS)
        _reach(run, 6)
        os.kill(_ranks(launch)[-1], signal.SIGKILL)
        wrong = _ended(launch, run, f"local_rank: {count - 1}", 30)
        yield (
            "from tar shards: a rank killed, another number goes on",
            f"{count}, then {again}",
            wrong or _resumed(run, again, _averages(folder / "whole")),
        )


def _ended(launch: subprocess.Popen, run: Path, said: str, seconds: int) -> str | None:
    """What is wrong with how a launch ended."""
    try:
        status = launch.wait(seconds)
    except subprocess.TimeoutExpired:
        launch.kill()
        return f"did not end within {seconds} s"
    told = (run / "said").read_text()
    return None if status and said in told and "Traceback" not in told else f"ended with {status}: {told[-600:]}"


def asked(folder: Path) -> Iterator[Attempt]:
    """The launcher is asked to stop: all is saved, and another number of ranks goes on."""
    expected = _undisturbed(folder)
    for number, count, again in ((signal.SIGTERM, 4, 2), (signal.SIGUSR1, 2, 1)):
        run = prepared(folder / number.name)
        launch = _launched(run, count, WORDS)
        _reach(run, 6)
        second = python("-m", "mmspec", "train", f"run_dir={run}/run", *_elsewhere(run))
        refused = "is being trained by another process" in second.communicate(timeout=60)[1]
        yield "a second training in the folder is refused", number.name, None if refused else "it was not"
        launch.send_signal(number)
        status = launch.wait(60)
        wrong = f"ended with {status}" if status != 75 else _resumed(run, again, expected)
        yield "a launch asked to stop: 75, another number goes on", f"{count} then {again}", wrong


def _elsewhere(run: Path) -> list[str]:
    return [f"data.train={run}/data" if word.startswith("data.train") else word for word in WORDS[2:]]


def left_alone(folder: Path) -> Iterator[Attempt]:
    """The launcher is killed: its ranks save and end, and a restart does not join them."""
    expected, run = _undisturbed(folder), prepared(folder / "orphans")
    launch = _launched(run, 2, WORDS)
    _reach(run, 6)
    ranks = _ranks(launch)
    launch.kill()
    launch.wait()
    until = time.monotonic() + 30
    while any(map(_alive, ranks)) and time.monotonic() < until:
        time.sleep(0.1)
    wrong = "ranks went on" if any(map(_alive, ranks)) else _resumed(run, 2, expected)
    yield "torchrun killed: its ranks save and end", "2 ranks", wrong


def anew(folder: Path) -> Iterator[Attempt]:
    """``resume=none`` in many ranks moves the earlier run aside, once."""
    run = prepared(folder / "work")
    for _ in range(2):
        assert _trained(run, 4, "trainer.max_steps=2", "resume=none") == 0
    found = sorted(path.name for path in run.glob("run*"))
    whole = newest(run / "run") == newest(run / "run.old-1") == "step_00000002"
    right = whole and found == ["run", "run.old-1"]
    yield "resume=none by 4 ranks moves one run aside", "twice", None if right else f"left {found}"


def launched_by_accelerate(folder: Path) -> Iterator[Attempt]:
    """``accelerate launch --cpu`` starts one process of several: that is said."""
    run = prepared(folder / "work")
    words = ["accelerate.commands.launch", "--cpu", "--num_processes", "2", "-m", "mmspec", "train"]
    said = python("-m", *words, f"run_dir={run}/run", f"data.train={run}/data").communicate(timeout=60)[1]
    right = "mmspec train: accelerate launch starts one process on CPUs" in said
    yield "accelerate launch --cpu is told from one process", "2 processes", None if right else said[-300:]


def _launched(run: Path, count: int, words: list[str], **environment: str) -> subprocess.Popen:
    """A launch whose ranks step slowly; all that they say goes to the file ``said``."""
    (run / "slow.py").write_text(SLOW)
    command = [sys.executable, "-m", "mmspec.torchrun", "--standalone", f"--nproc-per-node={count}", "slow.py", *words]
    with (run / "said").open("w") as said:
        return subprocess.Popen(command, cwd=run, stdout=said, stderr=said, env={**ENVIRONMENT, **environment})


def _trained(run: Path, count: int, *words: str) -> int:
    return _launched(run, count, [*WORDS, *words]).wait(180)


def _undisturbed(folder: Path) -> dict[str, torch.Tensor]:
    """The averaged weights of a training by one process."""
    assert _trained(prepared(folder / "whole"), 1) == 0
    return _averages(folder / "whole")


def _averages(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / f"run/checkpoints/step_{LAST:08d}/ema/model.safetensors")


def _resumed(run: Path, count: int, expected: dict[str, torch.Tensor]) -> str | None:
    """What is wrong with the same training, gone on with by so many ranks."""
    had = newest(run / "run")
    if (status := _trained(run, count)) != 0:
        return f"started again it ended with {status}: {(run / 'said').read_text()[-600:]}"
    if f"going on from run/checkpoints/{had}" not in (run / "run/log.txt").read_text():
        return f"lost {had}"
    if [line["step"] for line in _lines(run / "run")] != list(range(1, LAST + 1)):
        return "the log lacks lines"
    found = _averages(run)
    return next(
        (f"{name} differs" for name in expected if not torch.allclose(found[name], expected[name], atol=1e-5)), None
    )


def _reach(run: Path, step: int) -> None:
    """Wait until a training has logged a step."""
    log, until = run / "run/metrics.jsonl", time.monotonic() + 120
    while not log.exists() or len(log.read_text().splitlines()) < step:
        assert time.monotonic() < until, (run / "said").read_text()
        time.sleep(0.05)


def _ranks(launch: subprocess.Popen) -> list[int]:
    """The processes of a launch, rank 0 first."""
    return sorted(map(int, Path(f"/proc/{launch.pid}/task/{launch.pid}/children").read_text().split()))


def _alive(process: int) -> bool:
    return Path(f"/proc/{process}").exists() and ") Z " not in Path(f"/proc/{process}/stat").read_text()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        sys.exit(tabulate(attempts(Path(made).resolve())))
