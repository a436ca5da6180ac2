"""Reference values of the original implementations: the shared folder's, or the small ones in ``tests/golden``."""

import io
import json
import lzma
import sys
import types
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.random_weights import compvis_weights, edm_weights, lmnt_weights

HERE = Path(__file__).with_name("golden")


def unpacked(name: str) -> bytes:
    return lzma.decompress((HERE / f"{name}.xz").read_bytes())


class Selected(dict[str, Any]):
    """What a file holds, by name; a test that asks for what was left out here skips."""

    def __missing__(self, key: str) -> Any:
        pytest.skip(f"{key!r} is left out of tests/golden (set MMSPEC_SHARED to the folder of all golden values)")


class References:
    """Arrays, facts, random weights and files, by the names that they have in the shared folder's ``golden``."""

    def __init__(self, shared: Path, made: Path) -> None:
        self.shared, self.made = shared / "golden", made

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        if (self.shared / f"{name}.npz").is_file():
            return Selected(np.load(self.shared / f"{name}.npz"))
        if (HERE / f"{name}.npz.xz").is_file():
            return Selected(np.load(io.BytesIO(unpacked(f"{name}.npz"))))
        pytest.skip(f"{name}.npz is left out of tests/golden, and {self.shared} does not hold it (set MMSPEC_SHARED)")

    def tensors(self, name: str) -> dict[str, Tensor]:
        """The numbers among the arrays."""
        arrays = self.arrays(name)
        return Selected({key: torch.from_numpy(array) for key, array in arrays.items() if array.dtype.kind in "fi"})

    def facts(self, name: str) -> Any:
        return json.loads(unpacked(f"{name}.json"))

    def weights(self, name: str) -> dict[str, Tensor]:
        """A state dict, drawn anew."""
        facts = self.facts(name)
        if name.startswith("lmnt/"):
            return lmnt_weights(list(facts["state_dict"]))
        if name.startswith("edm/"):
            adm = facts["constructor_kwargs"].get("model_type") == "DhariwalUNet"
            return edm_weights(facts["state_dict"], facts["seeds"], adm)
        weights = compvis_weights(facts["shapes"], facts["seed"])
        return weights | {key: torch.tensor(value) for key, value in facts["others"].items()}

    def file(self, name: str) -> Path:
        """A file of weights as the original saves it: the shared folder's, or one made with the weights drawn anew."""
        if (self.shared / name).is_file():
            return self.shared / name
        path = self.made / name
        if not path.is_file():
            path.parent.mkdir(exist_ok=True)
            write = {".pkl": self._write_pickle, ".ckpt": self._write_ldm, ".pt": self._write_pt}[path.suffix]
            write(name.removesuffix(path.suffix), path)
        return path

    def _write_pickle(self, name: str, path: Path) -> None:
        """EDM's pickle, which is kept with its weights set to 0."""
        stored = np.load(io.BytesIO(unpacked(f"{name}.pkl.npz")))
        content, starts = stored["content"], stored["starts"]
        drawn = (tensor for key, tensor in self.weights(name).items() if not key.endswith("resample_filter"))
        for start, tensor in zip(starts, drawn, strict=False):
            raw = np.frombuffer(tensor.numpy().tobytes(), np.uint8)
            content[start : start + len(raw)] = raw
        path.write_bytes(content.tobytes())

    def _write_ldm(self, name: str, path: Path) -> None:
        plain = {"epoch": 12, "global_step": 3456, "pytorch-lightning_version": "1.4.2"}
        content = plain | {"state_dict": self.weights("ldm/ldm_uncond_vqf4")}
        if not name.endswith("_pl142"):
            torch.save(content, path)
            return
        with lightning_callback() as callback:
            torch.save(content | {"callbacks": {callback: {"monitor": "val/loss"}}}, path)

    def _write_pt(self, name: str, path: Path) -> None:
        if name != "lmnt/tiny_weights":
            torch.save(self.weights(name), path)
            return
        others = self.facts("lmnt/tiny")["checkpoint"]
        for group in others["optimizer"]["param_groups"]:
            group["betas"] = tuple(group["betas"])
        torch.save({"step": others.pop("step"), "model": self.weights("lmnt/tiny"), **others}, path)


@contextmanager
def lightning_callback() -> Iterator[type]:
    """A class that pickles under the name of PyTorch Lightning's ``ModelCheckpoint``."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    callback = type("ModelCheckpoint", (), {"__module__": name})
    parts = [name.rsplit(".", count)[0] for count in (2, 1, 0)]
    with pytest.MonkeyPatch.context() as patch:
        for part in parts:
            patch.setitem(sys.modules, part, types.ModuleType(part))
        sys.modules[name].ModelCheckpoint = callback
        yield callback
