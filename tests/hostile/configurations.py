"""Configurations, run files and arrays that promise what no memory holds, or are of other types than they should be."""

import json
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.hostile import seeds
from tests.hostile.hostile import Hostile, content

LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 64))


def changed(seed: Callable[[Path], Path], file: str, change: Callable[[Any], Any]) -> Callable[[Path], object]:
    """Writes a seed with something changed in a JSON file of it."""

    def write(path: Path) -> None:
        seed(path)
        place = path / file if file else path
        place.write_text(json.dumps(change(json.loads(place.read_text()))))

    return write


def at(keys: str, value: object) -> Callable[[Any], Any]:
    """Changes the value at keys that are joined by dots."""

    def change(whole: Any) -> Any:
        *path, last = keys.split(".")
        inner = whole
        for key in path:
            inner = inner[key]
        inner[last] = value
        return whole

    return change


def replaced(seed: Callable[[Path], Path], file: str, data: bytes) -> Callable[[Path], object]:
    """Writes a seed with another file in place of one."""
    return lambda path: (seed(path) / file).write_bytes(data)


def pipe(seed: Callable[[Path], Path], file: str) -> Callable[[Path], object]:
    """Writes a seed with a pipe in place of a file, that nobody writes into."""

    def write(path: Path) -> None:
        place = seed(path) / file if file else path
        place.unlink(missing_ok=True)
        os.mkfifo(place)

    return write


def folder(seed: Callable[[Path], Path], file: str) -> Callable[[Path], object]:
    """Writes a seed with a folder in place of a file."""

    def write(path: Path) -> None:
        (seed(path) / file).unlink()
        (path / file).mkdir()

    return write


def nothing(path: Path) -> Path:
    return path


DENOISER = [
    Hostile(f"denoiser_{name}", "denoiser", changed(seeds.denoiser, "config.json", at(key, value)))
    for name, key, value in (
        ("model_channels_40000", "network.model_channels", 40_000),
        ("model_channels_1e18", "network.model_channels", 10**18),
        ("num_blocks_1e9", "network.num_blocks", 10**9),
        ("num_blocks_1000", "network.num_blocks", 1000),
        ("a_million_levels", "network.channel_mult", [1] * 100_000),
        ("classes_1e6", "network.num_classes", 10**6),
        ("context_1e6", "network.context_channels", 10**6),
        ("transformer_depth_1000", "network.transformer_depth", 1000),
        ("dims_1e9", "network.dims", 10**9),
        ("channels_of_text", "network.model_channels", "32"),
        ("channels_of_null", "network.model_channels", None),
        ("channels_of_float", "network.model_channels", 32.5),
        ("channels_of_lists", "network.model_channels", [[]]),
        ("negative_channels", "network.model_channels", -32),
        ("path_for_a_class", "network.type", "os.system"),
        ("private_class", "network.type", "__class__"),
        ("base_class", "network.type", "Module"),
        ("number_for_a_class", "network.type", 3),
        ("network_of_text", "network", "UNet"),
        ("network_of_list", "network", [1]),
        ("plugin_elsewhere", "network.plugin", {"name": "/tmp/evil.py", "sha256": "0" * 64}),
        ("plugin_of_numbers", "network.plugin", [1]),
        ("timesteps_1e12", "process", {"type": "DDPM", "timesteps": 10**12}),
        ("timesteps_of_iddpm_1e9", "process", {"type": "IDDPM", "timesteps": 10**9}),
        ("timesteps_of_ldm_1e12", "process", {"type": "LDM", "timesteps": 10**12}),
        ("timesteps_of_diffwave_1e12", "process", {"type": "DiffWave", "timesteps": 10**12}),
        ("timesteps_of_vp_1e400", "process", {"type": "VP", "timesteps": 10**400}),
        ("schedule_of_texts", "process", {"type": "DDPM", "schedule": ["x"]}),
        ("schedule_of_zeros", "process", {"type": "DDPM", "schedule": [0.0]}),
        ("sigma_of_1e999", "process", {"type": "EDM", "sigma_data": 1e999}),
        ("process_unknown", "process", {"type": "Eval"}),
        ("fft_1e12", "conditioner", {"type": "LogMel", "n_fft": 1 << 40, "hop_samples": 1}),
        ("mels_1e9", "conditioner", {"type": "LogMel", "n_mels": 10**9}),
        ("rate_of_0", "conditioner", {"type": "LogMel", "sample_rate": 0}),
        ("shape_of_text", "signal.shape", "3x8x8"),
        ("shape_of_1e400", "signal.shape", [3, 10**400, 8]),
        ("classes_of_numbers", "signal.classes", [1, 2]),
        ("other_format", "format", "mmspec-denoiser-9"),
        ("format_of_lists", "format", [[[]]]),
        ("first_stage_without_weights", "first_stage", {"type": "AutoencoderKL"}),
        ("unknown_key", "\x1b[2J\u202e", 1),
        ("key_of_a_megabyte", "k" * 1_000_000, 1),
    )
]
FILES_OF_RUNS = [
    Hostile("config_of_brackets", "denoiser", replaced(seeds.denoiser, "config.json", b"[" * 1_000_000)),
    Hostile("config_of_objects", "denoiser", replaced(seeds.denoiser, "config.json", b'{"a":' * 200_000)),
    Hostile("config_of_10_million_lists", "denoiser", replaced(seeds.denoiser, "config.json",
            b'{"a":[' + b"[]," * 10_000_000 + b"[]]}")),
    Hostile("config_of_5000_digits", "denoiser", replaced(seeds.denoiser, "config.json",
            b'{"format": ' + b"9" * 5000 + b"}")),
    Hostile("config_of_nan", "denoiser", changed(seeds.denoiser, "config.json", at("format", float("nan")))),
    Hostile("config_twice", "denoiser", replaced(seeds.denoiser, "config.json", b'{"format":1,"format":2}')),
    Hostile("config_in_latin_1", "denoiser", replaced(seeds.denoiser, "config.json", b'{"a": "\xe9"}')),
    Hostile("config_of_half_a_pair", "denoiser", replaced(seeds.denoiser, "config.json", b'{"a": "\\ud800"}')),
    Hostile("config_of_nul", "denoiser", replaced(seeds.denoiser, "config.json", b'{"a": "\\u0000"}')),
    Hostile("config_of_text", "denoiser", replaced(seeds.denoiser, "config.json", b'"text"')),
    Hostile("config_empty", "denoiser", replaced(seeds.denoiser, "config.json", b"")),
    Hostile("config_a_pipe", "denoiser", pipe(seeds.denoiser, "config.json")),
    Hostile("weights_a_pipe", "denoiser", pipe(seeds.denoiser, "model.safetensors")),
    Hostile("weights_a_folder", "denoiser", folder(seeds.denoiser, "model.safetensors")),
    Hostile("weights_empty", "denoiser", replaced(seeds.denoiser, "model.safetensors", b"")),
    Hostile("weights_of_pickle", "denoiser", replaced(seeds.denoiser, "model.safetensors", b"cos\nsystem\n.")),
    Hostile("weights_of_an_other_network", "denoiser", lambda path: seeds.safetensors(
            seeds.denoiser(path) / "model.safetensors")),
    Hostile("run_of_laughs", "run", replaced(seeds.run, "config.yaml", LAUGHS.encode())),
    Hostile("run_of_itself", "run", replaced(seeds.run, "config.yaml", b"a: &a [*a]\n")),
    Hostile("run_with_code", "run", replaced(seeds.run, "config.yaml", b"a: !!python/object/apply:os.system [ls]\n")),
    Hostile("run_with_a_class", "run", replaced(seeds.run, "config.yaml", b"a: !!python/name:os.system\n")),
    Hostile("run_with_binary", "run", replaced(seeds.run, "config.yaml", b"a: !!binary |\n  AAAA\n")),
    Hostile("run_with_a_date", "run", replaced(seeds.run, "config.yaml", b"a: 9999-99-99\n")),
    Hostile("run_of_brackets", "run", replaced(seeds.run, "config.yaml", b"[" * 100_000)),
    Hostile("run_of_a_megabyte", "run", replaced(seeds.run, "config.yaml", b"[" + b"[], " * 300_000 + b"]")),
    Hostile("run_of_5000_keys", "run", replaced(seeds.run, "config.yaml",
            b"".join(b"k%05d: 1\n" % i for i in range(5_000)))),
    Hostile("run_of_tabs", "run", replaced(seeds.run, "config.yaml", b"a:\n\t- 1\n")),
    Hostile("run_of_nul", "run", replaced(seeds.run, "config.yaml", b"a: \0\n")),
    Hostile("run_of_sixty", "run", replaced(seeds.run, "config.yaml", b"a: " + b"9:" * 5000 + b"9\n")),
    Hostile("run_of_digits", "run", replaced(seeds.run, "config.yaml", b"a: " + b"9" * 5000 + b"\n")),
    Hostile("run_of_list_keys", "run", replaced(seeds.run, "config.yaml", b"? [a, b]\n: c\n")),
    Hostile("run_of_wrong_types", "run", replaced(seeds.run, "config.yaml", b"data: 3\nplugins: [1]\n")),
    Hostile("run_a_pipe", "run", pipe(seeds.run, "config.yaml")),
    Hostile("log_a_pipe", "run", pipe(seeds.run, "metrics.jsonl")),
    Hostile("log_of_texts", "run", replaced(seeds.run, "metrics.jsonl", b'{"step": 1, "loss": "x"}\n{"step": {}}\n')),
    Hostile("log_of_brackets", "run", replaced(seeds.run, "metrics.jsonl", b"[" * 100_000 + b"\n")),
    *(Hostile(f"evaluation_{name}", "run", changed(seeds.run, "evaluation.json", at(key, value)))
      for name, key, value in (
          ("without_signals", "samples.count", 0),
          ("metrics_of_text", "metrics", "x"),
          ("metric_of_text", "metrics.fid", "x"),
          ("spectrum_of_lists", "spectrum.real", [[1.0]]),
          ("spectrum_of_1e7", "spectrum.real", [1.0] * 1000),
          ("command_of_numbers", "command", 3),
          ("better_of_text", "better.fid", "best"),
          ("path_of_null", "reference.path", None))),
    *(Hostile(f"table_{name}", "table", changed(seeds.table, "", at(key, value)))
      for name, key, value in (
          ("digits_1e9", "digits", [10**9]),
          ("rows_of_text", "rows", "x"),
          ("rows_too_long", "rows.ours", [{}, {}]),
          ("mean_of_1e999", "rows.ours", [{"mean": 1e999, "runs": 1}]))),
    Hostile("layout_of_laughs", "layout", content(LAUGHS.encode())),
    Hostile("layout_of_digits", "layout", content(seeds.LAYOUT.replace("digits: 2", "digits: 1000000000").encode())),
    Hostile("correction_of_texts", "correction", changed(seeds.correction, "", at("correction.gains", "x"))),
    Hostile("correction_of_1e999", "correction", changed(seeds.correction, "", at("correction.gains", [[1e999], [1]]))),
    Hostile("walk_of_1e999", "walk", changed(seeds.walk, "walk.json", at("sigmas", [2.0, 1e999]))),
    Hostile("walk_of_no_step", "walk", changed(seeds.walk, "walk.json", at("sigmas", []))),
    Hostile("walk_of_torn_gates", "walk", changed(seeds.walk, "walk.json", at("gates.down", [[0.1], []]))),
    Hostile("correction_a_pipe", "correction", pipe(nothing, "")),
]  # fmt: skip
HEADER = "{{'descr': {}, 'fortran_order': False, 'shape': {}, }}\n"


def array(descr: str = "'|u1'", shape: str = "(4, 8, 8, 3)", **other: Any) -> Callable[[Path], object]:
    """Writes a packed folder whose data.npy has another header."""
    return replaced(seeds.pictures, "data.npy", seeds.npy(HEADER.format(descr, shape).encode(), **other))


def of_meta(**changes: object) -> Callable[[Path], object]:
    """Writes a packed folder whose meta.json says something else."""
    return replaced(seeds.pictures, "meta.json", seeds.meta(**changes))


ARRAYS = [
    Hostile("array_of_objects", "packed", array("'|O'")),
    Hostile("array_of_code", "packed", replaced(seeds.pictures, "data.npy",
            seeds.npy(b"__import__('os').system('touch CANARY')\n"))),
    Hostile("array_of_a_pickle", "packed", array("'|O'", data=b"cos\nsystem\n(S'touch CANARY'\ntR.")),
    Hostile("array_of_terabytes", "packed", array(shape="(4, 1000000, 1000000, 3)")),
    Hostile("array_of_1e400", "packed", array(shape=f"({10**400},)")),
    Hostile("array_of_negative_shape", "packed", array(shape="(-4, 8, 8, 3)")),
    Hostile("array_of_minus_ones", "packed", array(shape="(-1, -8, -8, 3)")),
    Hostile("array_of_a_shape_of_texts", "packed", array(shape="('4',)")),
    Hostile("array_of_a_shape_of_floats", "packed", array(shape="(4.0, 8)")),
    Hostile("array_of_no_shape", "packed", array(shape="None")),
    Hostile("array_of_no_axes", "packed", array(shape="()")),
    Hostile("array_of_another_type", "packed", array("'<f8'")),
    Hostile("array_of_records", "packed", array("[('a', '|u1'), ('b', '|u1')]")),
    Hostile("array_of_nested_records", "packed", array("[('a', " * 30 + "'|u1'" + ")]" * 30)),
    Hostile("array_of_an_unknown_type", "packed", array("'|Z9'")),
    Hostile("array_of_wide_texts", "packed", array("'<U1000000000'")),
    Hostile("array_of_a_type_of_numbers", "packed", array("3")),
    Hostile("array_of_a_type_of_lists", "packed", array("[[[[]]]]")),
    Hostile("array_of_brackets", "packed", array("[" * 5000, "")),
    Hostile("array_of_signs", "packed", array("-" * 5000 + "1")),
    Hostile("array_of_a_long_header", "packed", array("'|u1'" + " " * 60_000)),
    Hostile("array_of_a_header_of_4_gigabytes", "packed", replaced(seeds.pictures, "data.npy",
            b"\x93NUMPY\x02\x00" + struct.pack("<I", 0xFFFFFFFF) + b"{}")),
    Hostile("array_of_version_9", "packed", array(version=(9, 0))),
    Hostile("array_of_bytes_that_are_no_text", "packed", replaced(seeds.pictures, "data.npy",
            seeds.npy(b"\xff\xfe\x80", version=(3, 0)))),
    Hostile("array_without_keys", "packed", replaced(seeds.pictures, "data.npy", seeds.npy(b"{}\n"))),
    Hostile("array_cut", "packed", array(data=bytes(100))),
    Hostile("array_longer", "packed", array(data=bytes(1000))),
    Hostile("array_empty", "packed", replaced(seeds.pictures, "data.npy", b"")),
    Hostile("array_a_pipe", "packed", pipe(seeds.pictures, "data.npy")),
    Hostile("array_a_folder", "packed", folder(seeds.pictures, "data.npy")),
    Hostile("array_a_device", "packed", lambda path: ((seeds.pictures(path) / "data.npy").unlink(),
            (path / "data.npy").symlink_to("/dev/zero"))),
    Hostile("lengths_a_pipe", "packed", pipe(seeds.clips, "lengths.npy")),
    Hostile("lengths_beyond", "packed", lambda path: np.save(seeds.clips(path) / "lengths.npy", np.array([1, 101]))),
    Hostile("captions_a_pipe", "packed", pipe(seeds.pictures, "captions.txt")),
    Hostile("captions_in_latin_1", "packed", replaced(seeds.pictures, "captions.txt", b"\xe9\n" * 4)),
    Hostile("captions_too_few", "packed", replaced(seeds.pictures, "captions.txt", b"a\n")),
    Hostile("meta_a_pipe", "packed", pipe(seeds.pictures, "meta.json")),
    *(Hostile(f"meta_{name}", "packed", of_meta(**changes))
      for name, changes in (
          ("count_1e18", {"count": 10**18}), ("count_1e400", {"count": 10**400}), ("count_0", {"count": 0}),
          ("count_of_text", {"count": "4"}), ("count_true", {"count": True}), ("shape_of_text", {"shape": "388"}),
          ("shape_of_lists", {"shape": [[3], 8, 8]}), ("shape_of_10000_axes", {"shape": [1] * 10_000}),
          ("shape_of_1e18", {"shape": [3, 10**18, 10**18]}), ("modality_of_list", {"modality": ["image"]}),
          ("rate_1e400", {"modality": "audio", "sample_rate": 10**400, "shape": [1, 8]}),
          ("100000_classes_alike", {"classes": ["a"] * 100_000}),
          ("100000_classes", {"classes": [str(i) for i in range(100_000)]}),
          ("statistics_of_numbers", {"statistics": 3}), ("rejected_of_texts", {"rejected": {"a": "b"}}),
          ("first_stage_of_numbers", {"modality": "latent", "first_stage": 3, "encoded": 4}),
      )),
    *(Hostile(f"npz_{name}.npz", "npz", write) for name, write in (
        ("of_a_zip_of_nothing", content(b"PK\5\6" + bytes(18))),
        ("that_is_none", content(b"PK\3\4" + bytes(50))),
    )),
]  # fmt: skip


def header(size: int, text: bytes = b"{}", body: bytes = b"") -> Callable[[Path], object]:
    """Writes a file of safetensors by hand."""
    return content(struct.pack("<Q", size) + text + body)


def tensors(described: object, body: bytes = bytes(32)) -> Callable[[Path], object]:
    text = json.dumps(described).encode()
    return header(len(text), text, body)


SAFETENSORS = [
    Hostile(f"{name}.safetensors", "weights", write)
    for name, write in (
        ("header_of_exabytes", header(1 << 60)),
        ("header_of_99_megabytes", header(99_000_000)),
        ("header_beyond_the_file", header(3)),
        ("header_of_brackets", header(100_000, b"[" * 100_000)),
        ("header_of_nothing", header(0)),
        ("tensor_beyond_the_file", tensors({"a": {"dtype": "F32", "shape": [8], "data_offsets": [0, 1 << 40]}})),
        ("tensor_of_terabytes", tensors({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 32]}})),
        ("tensor_of_overflow", tensors({"a": {"dtype": "F32", "shape": [1 << 32, 1 << 32], "data_offsets": [0, 32]}})),
        ("tensors_that_overlap", tensors({"a": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]},
                                          "b": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}})),
        ("tensor_of_an_unknown_type", tensors({"a": {"dtype": "OBJ", "shape": [8], "data_offsets": [0, 32]}})),
        ("tensor_of_negative_shape", tensors({"a": {"dtype": "F32", "shape": [-8], "data_offsets": [0, 32]}})),
        ("tensor_of_100000_axes", tensors({"a": {"dtype": "F32", "shape": [1] * 100_000, "data_offsets": [0, 4]}},
                                          bytes(4))),
        ("tensors_20000", tensors({f"a{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
                                   for i in range(20_000)}, b"")),
    )
]  # fmt: skip
FILES = [*DENOISER, *FILES_OF_RUNS, *ARRAYS, *SAFETENSORS]
