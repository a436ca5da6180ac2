"""Disks that are full: found before the work where a checkpoint will not fit, and survived by what can wait."""

import errno
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from mmspec import files
from mmspec.errors import InputError
from mmspec.training.checkpoint import checkpoint_bytes, require_room
from mmspec.training.complete import newest_whole
from tests.training.test_trainer import make_trainer

FULL = OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize(
    ("options", "count"),
    [
        ({"max_steps": 12, "checkpoint_every": 12}, 1),  # one is all there will be
        ({"max_steps": 12, "checkpoint_every": 1}, 3),  # two to keep, and the next beside them
        ({"max_steps": 12, "checkpoint_every": 1, "keep_last": 1}, 2),
    ],
)
def test_a_disk_without_room_for_the_checkpoints_is_found_before_the_first_step(tmp_path, monkeypatch, options, count):
    asked = []

    def allocate(descriptor: int, start: int, size: int) -> None:
        asked.append(size)
        raise FULL

    monkeypatch.setattr(os, "posix_fallocate", allocate)
    trainer = make_trainer(tmp_path, **options)
    monkeypatch.setattr(trainer, "_step", lambda *_: pytest.fail("a step was taken"))
    with pytest.raises(
        InputError, match=rf"checkpoints has no room .* {count} more of [\d.]+ MB .*No space left.*make room"
    ):
        trainer.train()
    assert asked == [count * checkpoint_bytes(trainer.denoiser, trainer.optimizer.optimizer)]
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_run_that_goes_on_needs_room_for_one_more_and_a_done_one_for_none(tmp_path, monkeypatch):
    make_trainer(tmp_path, max_steps=3, checkpoint_every=1).train()
    asked = []
    monkeypatch.setattr("mmspec.training.trainer.require_room", lambda folder, size, count: asked.append(count))
    for steps in (3, 4):
        make_trainer(tmp_path, max_steps=steps, checkpoint_every=1).train(newest_whole(tmp_path / "checkpoints")[0])
    assert asked == [1]


def test_a_checkpoint_is_about_as_large_as_foretold(tmp_path):
    trainer = make_trainer(tmp_path, max_steps=1)
    trainer.train()
    written = [file for file in (tmp_path / "checkpoints/step_00000001").rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in written if file.suffix == ".safetensors")
    header = sum(
        8 + int.from_bytes(file.open("rb").read(8), "little") for file in written if file.suffix == ".safetensors"
    )
    foretold = checkpoint_bytes(trainer.denoiser, trainer.optimizer.optimizer)
    assert foretold <= size - header < 1.01 * foretold  # and a number of steps for each parameter


def test_room_is_given_back(tmp_path):
    require_room(tmp_path / "checkpoints", 10_000_000, 2)
    assert list((tmp_path / "checkpoints").iterdir()) == []


def test_a_terminal_that_takes_no_line_ends_no_training(tmp_path, monkeypatch, capsys):
    def full(self, *_, **__):
        raise FULL

    monkeypatch.setattr(Console, "print", full)
    make_trainer(tmp_path).train()
    assert newest_whole(tmp_path / "checkpoints")[0].name == "step_00000012"


def test_a_tracker_that_cannot_begin_ends_no_training(tmp_path, monkeypatch, capsys):
    pytest.importorskip("tensorboard")
    trainer = make_trainer(tmp_path, tensorboard=True)

    def full(name):
        raise FULL

    monkeypatch.setattr(trainer.accelerator, "init_trackers", full)
    trainer.train()
    assert capsys.readouterr().err.count("tracking stopped, training goes on: OSError") == 1


def test_a_tracker_that_is_not_installed_is_missed_only_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr("mmspec.training.trainer.is_tensorboard_available", lambda: False)
    make_trainer(tmp_path, tensorboard="auto").train()
    assert not (tmp_path / "tensorboard").exists()
    with pytest.raises(InputError, match=r"trainer.tensorboard=true needs a package that is not installed"):
        make_trainer(tmp_path, tensorboard=True)


def test_a_last_line_that_had_to_wait_is_written_at_the_end(tmp_path, monkeypatch):
    real, failed = files.append, []

    def append(path: Path, text: str) -> None:
        if path.name == "metrics.jsonl" and '"step": 12' in text and not failed:
            failed.append(path)
            raise FULL
        real(path, text)

    monkeypatch.setattr("mmspec.training.log.append", append)
    make_trainer(tmp_path).train()
    assert [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").open()] == [4, 8, 12] and failed
