"""Packed data that a disk or a copy damaged: found before the first step, or in the midst of a training."""

import os
from pathlib import Path

import numpy as np
import pytest

from mmspec.cli import main
from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.errors import InputError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3))
    statistics = {"mean": 0.0, "std": 0.4, "sigma_data": 0.4}
    meta = DatasetMeta(modality="image", source="noise", statistics=statistics)
    write_packed(tmp_path / "data", pixels.astype(np.uint8), meta=meta)
    return tmp_path / "data"


def test_a_flipped_byte_is_found_before_a_run_begins(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (data / "data.npy").open("r+b") as file:
        file.seek(-5, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-5, os.SEEK_END)
        file.write(bytes([byte ^ 4]))
    words = [f"data.train={data}", f"run_dir={tmp_path / 'run'}", "network=unet", "network.model_channels=8"]
    words += ["network.channel_mult=[1]", "network.num_blocks=1", "network.attention_levels=[]", "trainer.device=cpu"]
    assert main(["train", *words, "trainer.max_steps=1", "trainer.batch_size=1"]) == 2
    said = capsys.readouterr().err
    assert said == f"mmspec train: {data}/data.npy does not match its checksum in meta.json: make the data set again.\n"
    assert not (tmp_path / "run").exists()


def test_a_file_that_is_cut_while_it_is_in_use_is_a_sentence(data: Path) -> None:
    dataset = PackedDataset(data)
    assert dataset.batch([11])[0].shape == (1, 3, 64, 64)
    os.truncate(data / "data.npy", 5000)
    with pytest.raises(InputError, match=r"data\.npy was cut short while it was in use: make the data set again"):
        dataset.batch([11])  # whose pages are gone: reading them is a SIGBUS


def test_a_file_that_is_replaced_while_it_is_in_use_is_read_as_it_was(data: Path, tmp_path: Path) -> None:
    dataset = PackedDataset(data)
    before = dataset.batch([0, 11])[0]
    (tmp_path / "short").write_bytes(b"short")
    os.replace(tmp_path / "short", data / "data.npy")
    assert dataset.batch([0, 11])[0].equal(before)
