"""Checkpoints that a disk or a copy damaged: named, passed over, and never trained from or sampled in silence."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import mmspec
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.networks import UNet
from mmspec.training.checkpoint import load_checkpoint, save_checkpoint, take_snapshot
from mmspec.training.complete import newest_whole, prune_checkpoints
from mmspec.training.integrity import MARKER
from mmspec.training.run import Run, find_denoiser

FILES = ["state.json", "model.safetensors", "optimizer.safetensors", "ema/model.safetensors", "ema/config.json"]
DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut": lambda file: file.write_bytes(file.read_bytes()[:-3]),
    "empty": lambda file: file.write_bytes(b""),
    "binary": lambda file: file.write_bytes(bytes(range(256)) * 4),
    "flipped": lambda file: _flip(file, file.stat().st_size // 2),
    "missing": lambda file: file.unlink(),
    "a folder": lambda file: (file.unlink(), file.mkdir()),
}


def _flip(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 1
    file.write_bytes(content)


def parts(scale: float = 1.0) -> tuple[Denoiser, torch.optim.AdamW]:
    torch.manual_seed(0)
    network = UNet(dims=1, in_channels=1, model_channels=8, channel_mult=(1,), num_blocks=1, attention_levels=())
    denoiser = Denoiser(network, EDM(), (1, 8), sample_rate=8000)
    optimizer = torch.optim.AdamW(denoiser.parameters(), fused=True)
    denoiser(torch.randn(2, 1, 8), 1.0).sum().backward()
    optimizer.step()
    torch.nn.init.constant_(network.conv_in.bias, scale)
    return denoiser, optimizer


def save(run: Path, step: int) -> Path:
    denoiser, optimizer = parts(step)
    return save_checkpoint(run / "checkpoints", take_snapshot(step, denoiser, denoiser, optimizer, {}))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with whole checkpoints of steps 1 and 2, whose biases at the entry are 1 and 2."""
    run = tmp_path_factory.mktemp("runs") / "run"
    assert Run(run).open({}, []) is None
    for step in (1, 2):
        save(run, step)
    return run


@pytest.fixture
def run(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "run"))


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", [*FILES, MARKER])
def test_the_next_older_is_taken_and_the_damaged_named(
    run: Path, name: str, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = run / "checkpoints/step_00000002"
    DAMAGE[how](newest / name)
    if name == MARKER and how in ("empty", "missing", "a folder"):  # of before checksums, or not complete
        return
    with pytest.raises(InputError, match=r"step_00000002 is damaged \(" + name):
        load_checkpoint(newest, parts()[0], parts()[0], parts()[1])
    taken = Run(run).open({}, [])
    said = capsys.readouterr().err
    assert taken == run / "checkpoints/step_00000001"
    assert said.startswith(f"{newest} is damaged ({name} ") and said.count("\n") == 1
    assert said.endswith(f"and set aside: {taken} is taken instead.\n")
    assert (run / "checkpoints/damaged-step_00000002").is_dir() and not newest.exists()
    denoiser, optimizer = parts()
    assert load_checkpoint(taken, denoiser, denoiser, optimizer)["step"] == 1
    assert denoiser.network.conv_in.bias.eq(1).all()


@pytest.mark.parametrize("how", DAMAGE)
def test_samples_come_from_the_newest_averages_that_are_whole(
    run: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    newest = run / "checkpoints/step_00000002"
    DAMAGE[how](newest / "optimizer.safetensors")
    assert find_denoiser(run) == newest / "ema" and capsys.readouterr().err == ""  # it needs no optimizer
    DAMAGE[how](newest / "ema/model.safetensors")
    assert mmspec.from_pretrained(run).network.conv_in.bias.eq(1).all()
    assert "passed over" in capsys.readouterr().err and newest.is_dir()
    for named in (newest, newest / "ema"):
        with pytest.raises(InputError, match=r"step_00000002 is damaged \(ema/model.safetensors"):
            find_denoiser(named)


def test_where_none_is_whole_training_does_not_begin_anew(run: Path) -> None:
    for step in (1, 2):
        DAMAGE["flipped"](run / f"checkpoints/step_0000000{step}/ema/model.safetensors")
    for opened in (lambda: Run(run).open({}, []), lambda: find_denoiser(run)):
        with pytest.raises(InputError, match=r"no whole checkpoint \(step_00000002: ema/model.*step_00000001: "):
            opened()
    assert len(list((run / "checkpoints").glob("step_*"))) == 2


@pytest.mark.parametrize("how", DAMAGE)
@pytest.mark.parametrize("name", FILES)
def test_checkpoints_of_before_checksums_are_read_and_must_open(run: Path, name: str, how: str) -> None:
    for marker in run.rglob(MARKER):
        marker.write_bytes(b"")
    assert Run(run).open({}, []) == run / "checkpoints/step_00000002"
    DAMAGE[how](run / "checkpoints/step_00000002" / name)
    if how != "flipped":
        assert Run(run).open({}, []) == run / "checkpoints/step_00000001"


def test_what_was_set_aside_counts_no_more_and_is_not_lost(run: Path) -> None:
    for times in (1, 2):
        DAMAGE["cut"](run / "checkpoints/step_00000002/state.json")
        assert newest_whole(run / "checkpoints")[0] == Run(run).open({}, [])
        assert len(list((run / "checkpoints").glob("damaged-*"))) == times
        save(run, 2)
    save(run, 3)
    prune_checkpoints(run / "checkpoints", keep_last=2, keep_every=None)
    names = sorted(path.name for path in (run / "checkpoints").iterdir())
    assert names == [
        "damaged-step_00000002",
        "damaged-step_00000002-2",
        "latest",
        "step_00000002",
        "step_00000003",
    ]
