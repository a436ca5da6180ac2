"""Small files and folders that are as they should be: what hostile ones are made from, and fuzzers begin with."""

import io
import json
import struct
import wave
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure as Drawing
from safetensors.torch import save_file

from mmspec.data import DatasetMeta
from mmspec.data.walk import write_walk_file
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.drawing.figure import Figure
from mmspec.drawing.pictures import write_picture
from mmspec.networks import AutoencoderKL, DiffWave, EDMUNet, UNet
from mmspec.pretrained.diffwave import Params
from tests.hostile.archives import png
from tests.packed import write_clips, write_pictures

SPECTRUM = {"unit": "cycles a pixel", "frequency": [0.1, 0.2], "real": [1.0, 0.5], "generated": [1.0, 0.4]}
EVALUATION = {
    "metrics": {"fid": 3.5},
    "units": {"fid": ""},
    "better": {"fid": "lower"},
    "samples": {"count": 4, "path": "samples"},
    "reference": {"count": 4, "path": "test"},
    "spectrum": SPECTRUM,
    "command": "mmspec evaluate",
    "warnings": [],
}
LAYOUT = """title: A table
source: a paper
columns:
  FID: {metric: fid, digits: 2}
rows:
  ours: {runs: "run*", paper: {FID: 3.4}}
"""


def denoiser(folder: Path) -> Path:
    torch.manual_seed(0)
    network = UNet(model_channels=32, channel_mult=(1,), num_blocks=1, attention_levels=())
    Denoiser(network, EDM(), (3, 8, 8), classes=None).save_pretrained(folder)
    return folder


def first_stage(folder: Path) -> Path:
    AutoencoderKL(channels=32, channel_mult=(1, 1), num_blocks=1, middle_attention=False).save_pretrained(folder)
    return folder


def edm(path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(EDMUNet(8, model_channels=16, channel_mult=(1,), num_blocks=1).state_dict(), path)
    return path


def diffwave(path: Path) -> Path:
    network = DiffWave(residual_channels=4, residual_layers=2, n_mels=80)
    content = {"model": network.state_dict(), "params": vars(Params(residual_channels=4, residual_layers=2)), "step": 1}
    torch.save(content, path)
    return path


def old_file(path: Path) -> Path:
    content = {"state_dict": {"a.weight": torch.arange(8.0), "b": torch.ones(2, 2)}, "epoch": 3, "args": {"lr": [0.1]}}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    return path


def safetensors(path: Path) -> Path:
    save_file({"a.weight": torch.arange(8.0), "b": torch.ones(2, 2, dtype=torch.float16)}, path)
    return path


def pictures(folder: Path) -> Path:
    return write_pictures(folder, np.arange(4 * 8 * 8 * 3).reshape(4, 8, 8, 3) % 256)


def walk(folder: Path) -> Path:
    pictures(folder)
    write_walk_file(folder, [2.0, 1.0], {"down": [[0.1, 0.2], [0.3, 0.4]]})
    return folder


def clips(folder: Path) -> Path:
    return write_clips(folder, np.sin(np.arange(200).reshape(2, 100)), 8000, lengths=[90, 100])


def meta(**changes: object) -> bytes:
    """meta.json of `pictures`, with other values."""
    fields = vars(DatasetMeta(modality="image", source="test", count=4, shape=(3, 8, 8), sha256="0" * 64))
    return json.dumps({"format": "mmspec-packed-1", **fields, **changes}).encode()


def run(folder: Path) -> Path:
    """A run's folder, as far as reports read it."""
    folder.mkdir(exist_ok=True)
    config = "network: {type: UNet}\ndata: {train: train, test: test}\nprovenance: {command: mmspec train}\n"
    (folder / "config.yaml").write_text(config)
    (folder / "metrics.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "loss": 0.4}\n')
    (folder / "evaluation.json").write_text(json.dumps(EVALUATION))
    pictures(folder / "samples" / "final")
    record = {"command": "mmspec sample", "sampler": {"type": "Heun"}, "steps": 4, "guidance": None, "files": []}
    (folder / "samples" / "final" / "sample.json").write_text(json.dumps(record))
    return folder


def layout(path: Path) -> Path:
    path.write_text(LAYOUT)
    return path


def table(path: Path) -> Path:
    cell = {"mean": 3.5, "deviation": None, "runs": 1, "paper": 3.4}
    facts = {"title": "A table", "source": "a paper", "note": "", "columns": ["FID"], "digits": [2]}
    path.write_text(json.dumps({**facts, "rows": {"ours": [cell]}, "definitions": []}))
    return path


def correction(path: Path) -> Path:
    gains = {"sigmas": [1.0, 2.0], "gains": [[1.0], [1.1]]}
    of = {"denoiser": "0" * 64, "shape": [3, 8, 8], "sample_rate": None, "guidance": None}
    path.write_text(json.dumps({"format": "mmspec-correction-1", "calibrated_for": of, "data": "0" * 64, "signals": 4,
                                "command": "mmspec calibrate", "correction": gains}))  # fmt: skip
    return path


def figure(path: Path) -> Path:
    drawing = Drawing(figsize=(2, 1))
    drawing.subplots().plot([0, 1], [1, 0])
    write_picture(path, Figure("A title", drawing, "A caption", []))
    return path


def sound(path: Path, samples: int = 800) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(np.rint(8000 * np.sin(np.arange(samples))).astype("<i2").tobytes())
    return path


def encoded(form: str, subtype: str | None = None, rate: int = 8000, samples: int = 4000) -> bytes:
    """A sound in another format of libsndfile's."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, 0.3 * np.sin(np.arange(samples) / 5), rate, format=form, subtype=subtype)
    return buffer.getvalue()


def image(form: str, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    noise = np.random.default_rng(0).normal(128, 50, size[::-1]).clip(0, 255).astype(np.uint8)
    Image.fromarray(noise).convert(mode).save(buffer, form)
    return buffer.getvalue()


def npy(header: bytes, data: bytes = bytes(768), version: tuple[int, int] = (1, 0)) -> bytes:
    """An array of NumPy with any header."""
    length = struct.pack("<H" if version == (1, 0) else "<I", len(header))
    return b"\x93NUMPY" + bytes(version) + length + header + data


def picture(path: Path) -> Path:
    path.write_bytes(png())
    return path
