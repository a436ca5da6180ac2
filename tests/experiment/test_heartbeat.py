"""A process that gives no more signs of life is named; those that are all stopped together, or have ended, are not."""

import os
import signal
import time

import pytest
from torch.distributed import HashStore

from mmspec.errors import InputError
from mmspec.experiment import heartbeat
from mmspec.experiment.heartbeat import Heartbeat
from mmspec.experiment.launch import Launch


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(heartbeat, "PERIOD", 0.01)
    monkeypatch.setattr(heartbeat, "PATIENCE", 20)


def eventually(condition) -> bool:
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def test_a_process_that_falls_silent_is_named() -> None:
    store, said = HashStore(), []
    with Heartbeat(store, 0, 2, False, said.append):
        store.set("alive-1", "1")
        assert eventually(lambda: bool(said))
    assert said[0].startswith("rank 1 has given no sign of life for 0 s: it is stopped") and len(said) == 1


def test_processes_that_live_or_have_ended_are_not_missed() -> None:
    store, said = HashStore(), []
    with Heartbeat(store, 0, 3, False, said.append), Heartbeat(store, 2, 3, False, said.append):
        with Heartbeat(store, 1, 3, False, said.append):
            assert eventually(lambda: store.check(["alive-1"]) and int(store.get("alive-1")) > 40)
        beats = int(store.get("alive-0"))
        assert store.get("alive-1") == b"ended" and eventually(lambda: int(store.get("alive-0")) > beats + 40)
    assert said == []


class Gone(HashStore):
    def set(self, *_) -> None:
        raise RuntimeError("Broken pipe")


@pytest.mark.parametrize("launcher", [True, False])
def test_where_the_launcher_is_gone_the_process_is_asked_to_stop(launcher: bool) -> None:
    asked = []
    before = signal.signal(signal.SIGTERM, lambda number, _: asked.append(number))
    try:
        with Heartbeat(Gone(), 0, 2, launcher, asked.append) as thread:
            thread.join(20)
            assert eventually(lambda: bool(asked)) if launcher else not asked
    finally:
        signal.signal(signal.SIGTERM, before)


def test_an_error_of_torch_about_another_process_is_a_sentence(monkeypatch) -> None:
    monkeypatch.setattr("mmspec.experiment.launch._connected", lambda _: (HashStore(), 0, 2))
    launch = Launch(0, 2, HashStore(), "task-0")
    for said in ("[../gloo/transport/tcp/pair.cc:537] Connection reset by peer", "another fault"):
        ours = InputError if "gloo" in said else RuntimeError
        with pytest.raises((InputError, RuntimeError)) as caught, launch.together():
            raise RuntimeError(said)
        assert type(caught.value) is ours


def test_one_process_of_several_that_accelerate_launch_starts_on_cpus_is_told(monkeypatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(os.environ, "ACCELERATE_MIXED_PRECISION", "no")
    assert Launch.current().count == 1  # of one
    monkeypatch.setitem(os.environ, "MASTER_PORT", "29500")
    with pytest.raises(InputError, match="starts one process on CPUs, whatever --num_processes says"):
        Launch.current()
