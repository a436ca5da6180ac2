"""Fuzzers of everything that reads what strangers wrote: a sentence or success, within the budgets, and nothing else.

A few examples each in the test suite, always the same; ``make fuzz`` gives each its share of MMSPEC_FUZZ_SECONDS.
"""

import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from mmspec.exported.model import FORMAT
from tests.hostile import archives, media, pickles, seeds
from tests.hostile.confinement import sentence_of
from tests.hostile.mutations import PROGRAMS, altered, edited
from tests.hostile.readers import READERS

SECONDS = float(os.environ.get("MMSPEC_FUZZ_SECONDS", "0"))  # for all fuzzers together
EXAMPLES = 10 if not SECONDS else 50  # before another seed
EXPORTED = {"format": FORMAT, "mmspec": "0.1.0", "graph": "onnx", "opset": 20, "files": {},
            "signal": {"shape": [3, 8, 8], "sample_rate": None, "classes": None}, "latent_shape": [3, 8, 8],
            "process": {"type": "EDM"}, "sigma_min": 0.002, "sigma_max": 80.0, "conditions": {}, "steps": 4,
            "sampler": {"type": "Heun"}, "guidance": None, "parity": {},
            "conditioner": {"sample_rate": 8000, "n_fft": 1024, "hop_samples": 256, "n_mels": 5},
            "int8": {"operators": 9, "calibrated_on": 64, "samples": 16, "log_spectral_distance": 0.1,
                     "between_seeds": 0.3}}  # fmt: skip
SCHEDULER = {"_class_name": "DDIMScheduler", "beta_end": 0.0195, "beta_schedule": "scaled_linear", "steps_offset": 1,
             "beta_start": 0.0015, "num_train_timesteps": 1000, "prediction_type": "epsilon", "clip_sample": False,
             "trained_betas": None, "timestep_spacing": "leading", "set_alpha_to_one": True}  # fmt: skip
UNET = {"_class_name": "UNet2DModel", "attention_head_dim": 8, "block_out_channels": [32, 64], "dropout": 0.0,
        "down_block_types": ["DownBlock2D", "AttnDownBlock2D"], "in_channels": 3, "sample_size": 8}  # fmt: skip
COMPVIS = {"model": {"params": {"linear_start": 0.0015, "image_size": 8, "unet_config": {"params": {"num_heads": 8}}}}}


def read(make: Callable[[Path], object], suffix: str = "") -> bytes:
    """What a seed writes into a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = (Path(folder) / "seed").with_suffix(suffix)
        make(path)
        return path.read_bytes()


def document(make: Callable[[Path], Path], file: str = "") -> Any:
    """What a seed writes into a JSON file."""
    with tempfile.TemporaryDirectory() as folder:
        place = make(Path(folder) / "seed.json") / file if file else make(Path(folder) / "seed.json")
        return json.loads(place.read_text())


def as_json(content: Any) -> bytes:
    return json.dumps(content).encode()


def as_yaml(content: Any) -> bytes:
    return yaml.safe_dump(content).encode()


def as_safetensors(content: Any) -> bytes:
    text = as_json(content)
    return len(text).to_bytes(8, "little") + text + bytes(32)


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, np.zeros((2, 8, 8, 3), np.uint8))
    return buffer.getvalue()


def picture_zip() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.png", archives.PNG)
        archive.writestr("dataset.json", archives.LABELS)
    return buffer.getvalue()


NETWORK = pickles.network(pickles.mapping(img_resolution=pickles.number(8), model_channels=pickles.number(16)))
PICTURES = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "ICO", "TGA", "PPM", "JPEG2000", "DDS", "PCX", "SGI", "ICNS")
SOUNDS = ("WAV", "FLAC", "AIFF", "AU", "W64", "OGG", "MP3", "CAF", "VOC", "RF64", "MAT5", "SDS", "SVX", "IRCAM", "NIST")
TARS = (archives.tarred(("a.png", archives.PNG, {}), ("dataset.json", archives.LABELS, {})),)
FOLDERS: dict[str, tuple[str, Callable[[Path], Path], str, Callable[[], st.SearchStrategy[bytes]]]] = {
    "denoiser": ("denoiser", seeds.denoiser, "config.json",
                 lambda: altered(document(seeds.denoiser, "config.json")).map(as_json)),
    "first_stage": ("saved_first_stage", seeds.first_stage, "config.json",
                    lambda: altered(document(seeds.first_stage, "config.json")).map(as_json)),
    "weights": ("denoiser", seeds.denoiser, "model.safetensors", lambda: edited(read(seeds.safetensors))),
    "meta": ("packed", seeds.pictures, "meta.json", lambda: altered(json.loads(seeds.meta())).map(as_json)),
    "meta_of_sound": ("packed", seeds.clips, "meta.json",
                      lambda: altered(document(seeds.clips, "meta.json")).map(as_json)),
    "walk": ("walk", seeds.walk, "walk.json", lambda: altered(document(seeds.walk, "walk.json")).map(as_json)),
    "array": ("packed", seeds.pictures, "data.npy",
              lambda: edited(seeds.npy(b"{'descr': '|u1', 'fortran_order': False, 'shape': (4, 8, 8, 3), }\n"))),
    "lengths": ("packed", seeds.clips, "lengths.npy",
                lambda: edited(seeds.npy(b"{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n", bytes(16)))),
    "captions": ("packed", seeds.pictures, "captions.txt", lambda: edited(b"a\nb\nc\nd\n")),
    "run": ("run", seeds.run, "config.yaml", lambda: st.one_of(
        edited(b"network: {type: UNet}\ndata: {train: train, test: !!null x}\nprovenance: {command: &a mmspec}\n"),
        altered({"network": {"type": "UNet"}, "data": {"train": "a"}, "provenance": {"versions": {"a": "1"}}}).map(
            as_yaml))),
    "evaluation": ("run", seeds.run, "evaluation.json", lambda: altered(seeds.EVALUATION).map(as_json)),
    "sample": ("run", seeds.run, "samples/final/sample.json", lambda: altered(
        {"command": "x", "sampler": {"type": "Heun"}, "steps": 4, "guidance": None, "files": []}).map(as_json)),
    "log": ("run", seeds.run, "metrics.jsonl", lambda: edited(b'{"step": 1, "loss": 0.5}\n{"step": 2}\n')),
    "exported": ("exported", lambda path: (path.mkdir(exist_ok=True), path)[1], "config.json",
                 lambda: altered(EXPORTED).map(as_json)),
    "scheduler": ("scheduler", lambda path: ((path / "scheduler").mkdir(parents=True, exist_ok=True), path)[1],
                  "scheduler/scheduler_config.json", lambda: altered(SCHEDULER).map(as_json)),
    "unet": ("unet", lambda path: (path.mkdir(exist_ok=True), path)[1], "config.json",
             lambda: altered(UNET).map(as_json)),
    "model": ("diffusers", lambda path: (path.mkdir(exist_ok=True), path)[1], "config.json",
              lambda: altered(UNET).map(as_json)),
}  # fmt: skip
FILES: dict[str, tuple[str, str, Callable[[], st.SearchStrategy[bytes]]]] = {
    "edm_pickle": ("edm_pickle", "a.pkl", lambda: edited(read(pickles.bare(NETWORK)))),
    "edm_program": ("edm_pickle", "a.pkl", lambda: PROGRAMS.map(lambda program: read(pickles.bare(program)))),
    "old_file": ("torch", "a.pt", lambda: edited(read(seeds.old_file))),
    "torch_program": ("torch", "a.pt", lambda: PROGRAMS.map(
        lambda program: read(pickles.in_archive(pickles.mapping(a=program), {"0": bytes(32)})))),
    "old_program": ("weights", "a.pt", lambda: PROGRAMS.map(
        lambda program: read(pickles.in_old_file(pickles.mapping(a=program))))),
    "torch_archive": ("diffwave", "a.pt", lambda: edited(read(seeds.diffwave))),
    "edm_weights": ("edm", "a.pt", lambda: edited(read(seeds.edm))),
    "first_stage_weights": ("first_stage", "a.pt", lambda: edited(read(seeds.old_file))),
    "safetensors": ("weights", "a.safetensors", lambda: edited(read(seeds.safetensors))),
    "safetensors_header": ("weights", "a.safetensors", lambda: altered(
        {"a": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}, "__metadata__": {}}).map(as_safetensors)),
    "zip": ("archive", "a.zip", lambda: edited(picture_zip())),
    "tar": ("archive", "a.tar", lambda: edited(read(TARS[0]))),
    "npz": ("npz", "a.npz", lambda: edited(npz())),
    "labels": ("labels", "dataset.json", lambda: altered({"labels": [["a.png", 0], ["b/c.png", 1]]}).map(as_json)),
    "layout": ("layout", "a.yaml", lambda: altered(yaml.safe_load(seeds.LAYOUT)).map(as_yaml)),
    "table": ("table", "a.json", lambda: altered(document(seeds.table)).map(as_json)),
    "correction": ("correction", "a.json", lambda: altered(document(seeds.correction)).map(as_json)),
    "compvis": ("compvis", "a.yaml", lambda: altered(COMPVIS).map(as_yaml)),
    "drawing": ("figure", "a.svg", lambda: edited(read(seeds.figure, ".svg"))),
    "marked_up": ("figure", "a.svg", lambda: edited(media.svg('<g style="fill: #000"><use xlink:href="#a"/></g>'))),
    **{f"picture_{form}": ("picture", "a", lambda form=form: edited(seeds.image(form, (16, 16), "RGB")))
       for form in PICTURES},
    **{f"sound_{form}": ("recording", "a", lambda form=form: edited(seeds.encoded(form, samples=400)))
       for form in SOUNDS},
}  # fmt: skip


def fuzz(reader: str, path: Path, place: Path, contents: st.SearchStrategy[bytes]) -> None:
    """Read what the strategy makes, written at a place, until time is over."""

    def refuse_or_read(content: bytes) -> None:
        place.write_bytes(content)
        sentence_of(READERS[reader], path, writes=reader == "npz")

    options = {
        "max_examples": EXAMPLES,
        "deadline": None,
        "database": None,
        "suppress_health_check": list(HealthCheck),
        "phases": [Phase.generate],  # to make a failing one simpler could take hours of hangs
    }
    if not SECONDS:
        settings(derandomize=True, **options)(given(contents)(refuse_or_read))()
        return
    end, number = time.monotonic() + SECONDS / (len(FILES) + len(FOLDERS)), 0
    while time.monotonic() < end:
        seed(number := number + 1)(settings(**options)(given(contents)(refuse_or_read)))()


@pytest.mark.parametrize("name", FILES)
def test_fuzzed_file(name: str, tmp_path: Path) -> None:
    reader, file, contents = FILES[name]
    fuzz(reader, tmp_path / file, tmp_path / file, contents())


@pytest.mark.parametrize("name", FOLDERS)
def test_fuzzed_file_of_a_folder(name: str, tmp_path: Path) -> None:
    reader, make, file, contents = FOLDERS[name]
    folder = make(tmp_path / "folder")
    place = folder / file
    fuzz(reader, place if reader == "scheduler" else folder, place, contents())
