"""A training step does not wait for the device: nothing in it asks the host for a number that a GPU is to compute."""

import traceback
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.faults.shared_training import CASES, make_trainer

ASKING = {"_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "unique", "_unique2", "item"}
READING = ("cpu", "tolist", "numpy", "__array__")
MAY = {  # file and function
    ("late.py", "read"),  # what was on its way for a step
    ("weighting.py", "noise_level"),  # looks at what is on a CPU alone
    ("conditions.py", "of"),  # as torch's one_hot does
}


class Asked(TorchDispatchMode):
    """Where operators were called whose result is a number of the host, or as large as what is in their tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.places: list[str] = []

    def note(self, name: str) -> None:
        place = [frame for frame in traceback.extract_stack() if "/mmspec/" in frame.filename][-1]
        if (Path(place.filename).name, place.name) not in MAY:
            self.places.append(f"{name} at {place.filename}:{place.lineno}")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        if name in ASKING:
            self.note(name)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("case", [case for case in CASES if "FSDP2" not in case])
def test_no_step_asks_the_host(case, tmp_path, monkeypatch):
    steps, asked = 0, Asked()
    trainer = make_trainer(tmp_path, **CASES[case], log_every=100, checkpoint_every=100)
    taken = trainer._step

    def step(number, batches):
        nonlocal steps
        steps += 1
        if number == 0:  # buffers are made once
            return taken(number, batches)
        with monkeypatch.context() as patched, asked:
            for name in READING:
                kept = getattr(torch.Tensor, name)
                patched.setattr(torch.Tensor, name, lambda *a, _kept=kept, _name=name, **k: (
                    asked.note(_name), _kept(*a, **k))[1])  # fmt: skip
            return taken(number, batches)

    monkeypatch.setattr(trainer, "_step", step)
    trainer.train()
    assert steps > 1
    assert not asked.places
