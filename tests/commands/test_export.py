"""`mmspec export`, and `mmspec sample` of what it wrote, without torch."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch

from mmspec.cli import main
from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.data.mel import LogMel
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM, LDM
from mmspec.errors import InputError
from mmspec.exported.model import FORMAT
from mmspec.exported.quantization import quantize
from mmspec.networks import AutoencoderKL, DiffWave, EDMUNet, UNet
from tests.tiny_clip import save_tiny_clip

ROOT = Path(__file__).parents[2]
SMALL = {"model_channels": 8, "channel_mult": (1, 1), "num_blocks": 1, "attention_levels": ()}
ABSENT = [
    "accelerate",
    "auraloss",
    "jinja2",
    "librosa",
    "pywt",
    "safetensors",
    "scipy",
    "sklearn",
    "torch",
    "torchaudio",
]
WITHOUT_TORCH = f"""
import sys
sys.modules.update(dict.fromkeys({ABSENT}))
from mmspec.cli import main
sys.exit(main(sys.argv[1:]))
"""


def save(denoiser, folder):
    torch.manual_seed(0)
    for module in filter(None, (denoiser.network, denoiser.first_stage)):
        for parameter in module.parameters():
            torch.nn.init.normal_(parameter, std=0.1)
    denoiser.save_pretrained(folder)
    return str(folder)


def pictures(folder):
    gated = UNet(2, 3, **SMALL, num_classes=3, resample="wavelet")
    return save(Denoiser(gated, EDM(), (3, 8, 8), classes=["a", "b", "c"]), folder)


def sounds(folder):
    return save(Denoiser(UNet(1, 1, **SMALL), EDM(), (1, 800), sample_rate=8000), folder)


def latents(folder):
    stage = AutoencoderKL(channels=32, channel_mult=(1, 1), num_blocks=1, middle_attention=False)
    return save(Denoiser(UNet(2, 4, **SMALL), LDM(ends_clean=False), (3, 16, 16), first_stage=stage), folder)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder in each format is exported once, and read by many tests."""
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    pytest.importorskip("onnxruntime", reason="graphs run in onnxruntime (the extra export)")
    folder = tmp_path_factory.mktemp("exported")
    assert (
        main(["export", f"from={pictures(folder / 'saved')}", f"out={folder / 'onnx'}", "steps=2", "guidance=2"]) == 0
    )
    return folder


def refusal(capfd, *words):
    assert main(list(words)) == 2
    said = capfd.readouterr().err.strip()
    assert said.startswith(f"mmspec {words[0]}: ") and "\n" not in said
    return said


CASES = {
    "pictures": (pictures, ["guidance=2"], ["labels=b"]),
    "sounds": (sounds, ["sampler=unipc"], []),
    "latents": (latents, ["sampler=ddpm"], []),
}


@pytest.mark.parametrize("case", CASES)
def test_samples_without_torch_are_those_of_torch(case, tmp_path):
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    pytest.importorskip("onnxruntime", reason="graphs run in onnxruntime (the extra export)")
    make, fixed, free = CASES[case]
    source, out = make(tmp_path / "saved"), tmp_path / "exported"
    assert main(["export", f"from={source}", f"out={out}", "steps=2", *fixed]) == 0
    ours, theirs = tmp_path / "torch", tmp_path / "onnxruntime"
    assert main(["sample", f"from={source}", f"out={ours}", "num=3", "seed=7", "steps=2", *fixed, *free]) == 0
    words = ["sample", f"from={out}", f"out={theirs}", "num=3", "seed=7", "batch_size=2", *free]
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    wanted, found = PackedDataset(ours), PackedDataset(theirs)
    one = 1 if wanted.meta.sample_rate is None else 33  # 1e-3 of full scale, as it is stored
    assert np.abs(found.data.astype(int) - wanted.data.astype(int)).max() <= one
    assert wanted.data.std() > 0
    if wanted.labels is not None:
        np.testing.assert_array_equal(found.labels, wanted.labels)
    assert (found.meta.shape, found.meta.sample_rate) == (wanted.meta.shape, wanted.meta.sample_rate)
    assert {path.name for path in theirs.iterdir()} == {path.name for path in ours.iterdir()}
    record = json.loads((theirs / "sample.json").read_text())
    assert (record["num"], record["steps"], record["seed"]) == (3, 2, 7)


@pytest.mark.parametrize("words", [["info"], ["train", "run_dir=x", "data.train=tests"]])
def test_what_needs_a_package_that_is_not_there_says_so(words):
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 2 and "which is not installed: pip install it, or mmspec" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_no_graph_says_where_the_code_lay_that_made_it(exported):
    assert b"exported/graphs.py" not in (exported / "onnx" / "model.onnx").read_bytes()


def test_the_folder_says_what_it_is_and_how_near_to_torch(exported):
    config = json.loads((exported / "onnx" / "config.json").read_text())
    assert config["signal"] == {"shape": [3, 8, 8], "sample_rate": None, "classes": ["a", "b", "c"]}
    assert (config["sigma_min"], config["sigma_max"], config["conditions"]) == (0.002, 80.0, {"labels": 3})
    assert (config["steps"], config["guidance"], config["sampler"]["type"]) == (2, 2, "heun")
    assert "Infinity" not in (exported / "onnx" / "config.json").read_text()  # of which JSON knows nothing
    assert config["parity"]["model.onnx"] < 1e-4 and config["parity"]["samples"] < 1e-3
    assert {path.name for path in (exported / "onnx").iterdir()} == {"config.json", "samples.png", *config["files"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["steps=3"], "steps=3 is not what"),
        (["sampler=euler"], "sampler=euler is not what"),
        (["guidance=1"], "guidance=1 is not what"),
        (["text=a"], "is told nothing of the kind; leave text out"),
        (["mixed_precision=bf16"], "mixed_precision is not of an exported denoiser"),
        (["num=all"], "num=all is of a vocoder"),
        (["labels=none"], "guidance=2, which needs classes"),
        (["labels=d"], "labels=d is no class"),
    ],
)
def test_what_was_fixed_at_export_is_not_ignored(exported, tmp_path, capfd, words, said):
    assert said in refusal(capfd, "sample", f"from={exported / 'onnx'}", f"out={tmp_path / 'out'}", *words)
    assert not (tmp_path / "out").exists()


def damaged(exported, folder, name, change):
    folder.mkdir()
    for path in (exported / "onnx").iterdir():
        content = change(path.read_bytes()) if path.name == name else path.read_bytes()
        if content is not None:
            (folder / path.name).write_bytes(content)
    return f"from={folder}"


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("model.onnx", lambda content: content[:1000], "model.onnx is missing, changed or cut short: export it again"),
        ("walk.json", lambda content: content[:-9], "walk.json is missing, changed or cut short"),
        ("walk.json", lambda content: None, "walk.json is missing, changed or cut short"),
        ("config.json", lambda content: content[:-9], "config.json is not JSON"),
        ("config.json", lambda content: content.replace(b'"steps": 2', b'"steps": 3'), "config.json was changed since"),
        (
            "config.json",
            lambda content: content.replace(b"ported-2", b"ported-9"),
            "has format 'mmspec-exported-9', this",
        ),
    ],
)
def test_a_file_cut_short_or_of_another_version_is_refused(exported, tmp_path, capfd, name, change, said):
    source = damaged(exported, tmp_path / "copy", name, change)
    assert said in refusal(capfd, "sample", source, f"out={tmp_path / 'out'}")
    assert not (tmp_path / "out").exists()


def test_torchs_format_is_written_whole_and_is_not_sampled_from(tmp_path, capfd):
    source, out = sounds(tmp_path / "saved"), tmp_path / "exported"
    again = ["export", f"from={source}", f"out={out}", "format=torch", "steps=2"]
    assert main(again) == 0
    assert {path.name for path in out.iterdir()} == {"config.json", "walk.json", "model.pt2"}
    assert json.loads((out / "config.json").read_text())["parity"]["model.pt2"] < 1e-4
    said = refusal(capfd, "sample", f"from={out}", f"out={tmp_path / 'samples'}")
    assert "was exported for torch, which torch.export.load runs" in said
    (out / "config.json").write_text('{"format": "mmspec-exported-1"}')
    assert "export it again" in refusal(capfd, "sample", f"from={out}", f"out={tmp_path / 'samples'}")
    (out / "notes.txt").write_text("mine")
    assert "out holds notes.txt" in refusal(capfd, *again).replace(str(out), "out")
    (out / "notes.txt").unlink()
    assert main(again) == 0
    assert json.loads((out / "config.json").read_text())["format"] == FORMAT


def test_bad_options_of_export_are_one_sentence_and_write_nothing(tmp_path, capfd):
    source, out = sounds(tmp_path / "saved"), tmp_path / "exported"
    words = ("export", f"from={source}", f"out={out}", "format=torch")
    for opset in (17, 99):
        assert f"opset={opset} is too old or too new: torch" in refusal(capfd, *words, f"opset={opset}")
    assert "steps must be 1 or more" in refusal(capfd, *words, "steps=0")
    assert "this denoiser is told nothing" in refusal(capfd, *words, "guidance=2")
    others = np.zeros((2, 4, 4, 3), np.uint8)
    write_packed(tmp_path / "data", others, meta=DatasetMeta(modality="image", source="test"))
    assert "holds pictures, the denoiser is for sound" in refusal(capfd, *words, f"data={tmp_path / 'data'}")
    assert not out.exists()
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    assert "holds something that `mmspec export` did not make" in refusal(capfd, *words)
    assert [path.name for path in out.iterdir()] == ["mine.txt"]


def test_real_signals_are_compared_too_and_what_differs_is_not_written(tmp_path, capfd, monkeypatch):
    source, out = sounds(tmp_path / "saved"), tmp_path / "exported"
    clips = np.random.default_rng(0).integers(-9000, 9000, (3, 800), dtype=np.int16)
    write_packed(tmp_path / "data", clips, meta=DatasetMeta(modality="audio", source="test", sample_rate=8000))
    seen = []
    wrong = lambda file: lambda inputs: seen.append(inputs["x"]) or inputs["x"]  # noqa: E731
    monkeypatch.setattr("mmspec.experiment.export.reader", wrong)
    words = ["export", f"from={source}", f"out={out}", "format=torch", f"data={tmp_path / 'data'}"]
    assert "model.pt2 differs from torch by" in refusal(capfd, *words)
    assert not out.exists()
    torch.testing.assert_close(seen[1][0, 0], torch.from_numpy(clips[0]) / 32768, atol=0.02, rtol=0)  # sigma_min on it


def vocoder(folder):
    network = DiffWave(residual_channels=8, residual_layers=2, n_mels=5)
    mel = LogMel(sample_rate=8000, n_mels=5)
    return save(Denoiser(network, EDM(), (1, 512), sample_rate=8000, conditioner=mel), folder)


def recordings(folder):
    clips = np.random.default_rng(0).integers(-9000, 9000, (2, 1400), dtype=np.int16)
    clips[1, 777:] = 0
    meta = DatasetMeta(modality="audio", source="test", sample_rate=8000)
    write_packed(folder, clips, lengths=np.array([1400, 777]), meta=meta)
    return str(folder)


def sampled_by_both(source, out, *words, folder):
    """Two folders of samples, by torch and without it."""
    ours, theirs = folder / "torch", folder / "onnxruntime"
    assert main(["sample", f"from={source}", f"out={ours}", "seed=7", *words]) == 0
    free = [word for word in words if not word.startswith(("steps", "guidance", "text_encoder"))]
    words = ["sample", f"from={out}", f"out={theirs}", "seed=7", *free]
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return PackedDataset(ours), PackedDataset(theirs)


def test_a_vocoder_makes_its_spectrograms_without_torch(tmp_path, capfd):
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    source, out, data = vocoder(tmp_path / "saved"), tmp_path / "exported", recordings(tmp_path / "data")
    assert main(["export", f"from={source}", f"out={out}", "steps=2", "guidance=2"]) == 0
    assert "give recordings=, a packed data set of sound" in refusal(
        capfd, "sample", f"from={out}", f"out={tmp_path / 'no'}"
    )
    words = ["num=all", "steps=2", "guidance=2", f"recordings={data}"]
    wanted, found = sampled_by_both(source, out, *words, folder=tmp_path)
    assert np.abs(found.data.astype(int) - wanted.data.astype(int)).max() <= 33 and wanted.data.std() > 0
    np.testing.assert_array_equal(found.lengths, [1400, 777])
    assert not found.data[1, 777:].any()
    assert {path.name for path in found.folder.iterdir()} == {path.name for path in wanted.folder.iterdir()}


def test_texts_are_read_without_torch(tmp_path, capfd):
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    clip = save_tiny_clip(tmp_path)
    attentive = SMALL | {"attention_levels": (1,)}
    source = save(Denoiser(UNet(2, 3, **attentive, context_channels=16), EDM(), (3, 8, 8)), tmp_path / "saved")
    blind, out = tmp_path / "blind", tmp_path / "exported"
    export = ["export", f"from={source}", "steps=2", "guidance=3"]
    assert main([*export, f"out={blind}"]) == 0
    capfd.readouterr()
    said = refusal(capfd, "sample", f"from={blind}", f"out={tmp_path / 'no'}", "text='a b'")
    assert "exported without an encoder of texts: export it again with text_encoder=" in said
    assert main([*export, f"out={out}", f"text_encoder={clip}"]) == 0
    capfd.readouterr()
    assert "give text=" in refusal(capfd, "sample", f"from={out}", f"out={tmp_path / 'no'}")
    words = ["num=2", "steps=2", "guidance=3", "text='a b'", f"text_encoder={clip}"]
    wanted, found = sampled_by_both(source, out, *words, folder=tmp_path)
    assert np.abs(found.data.astype(int) - wanted.data.astype(int)).max() <= 1 and wanted.data.std() > 0
    assert found.captions == wanted.captions == ["a b", "a b"]


def test_an_encoder_of_texts_is_not_taken_along_for_nothing(tmp_path, capfd):
    source = sounds(tmp_path / "saved")
    said = refusal(capfd, "export", f"from={source}", f"out={tmp_path / 'out'}", f"text_encoder={tmp_path}")
    assert "does not look at texts; leave text_encoder out" in said


def test_what_is_told_of_augmentation_is_exported_too(tmp_path):
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    small = {"model_channels": 8, "channel_mult": (1, 2), "num_blocks": 1, "attn_resolutions": (4,)}
    source = save(Denoiser(EDMUNet(8, 3, None, 0, 9, **small), EDM(), (3, 8, 8)), tmp_path / "saved")
    out = tmp_path / "exported"
    assert main(["export", f"from={source}", f"out={out}", "steps=2"]) == 0
    wanted, found = sampled_by_both(source, out, "num=2", "steps=2", folder=tmp_path)
    assert np.abs(found.data.astype(int) - wanted.data.astype(int)).max() <= 1


def many_sounds(folder, count):
    clips = np.random.default_rng(0).integers(-9000, 9000, (count, 800), dtype=np.int16)
    write_packed(folder, clips, meta=DatasetMeta(modality="audio", source="test", sample_rate=8000))
    return f"data={folder}"


def test_int8_is_calibrated_measured_and_drawn_from(tmp_path, capfd):
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (the extra export)")
    source, out, data = sounds(tmp_path / "saved"), tmp_path / "exported", many_sounds(tmp_path / "data", 20)
    words = ["export", f"from={source}", "steps=2", "precision=int8", data]
    assert main([*words, f"out={out}"]) == 0
    assert "int8 moves the spectrum of 16 samples by" in capfd.readouterr().out
    config = json.loads((out / "config.json").read_text())
    found = config["int8"]
    assert found["operators"] > 3 and found["calibrated_on"] == 20
    assert 0 < found["log_spectral_distance"] < 20 and found["between_seeds"] > 0
    assert config["parity"]["model.onnx"] < 1e-4  # of float32, before
    kinds = Counter(node.op_type for node in onnx.load(out / "model.onnx").graph.node)
    assert kinds["QuantizeLinear"] and kinds["DequantizeLinear"] > found["operators"]
    words = ["sample", f"from={out}", f"out={tmp_path / 'samples'}", "num=2"]
    done = subprocess.run([sys.executable, "-c", WITHOUT_TORCH, *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert PackedDataset(tmp_path / "samples").data.std() > 0


def test_what_int8_lacks_is_one_sentence_and_nothing_is_written(tmp_path, capfd):
    source, out = sounds(tmp_path / "saved"), tmp_path / "exported"
    words = ("export", f"from={source}", f"out={out}", "steps=2", "precision=int8")
    assert "calibrated on signals: give data=" in refusal(capfd, *words)
    few = many_sounds(tmp_path / "few", 15)
    assert "holds 15 signals, precision=int8 is calibrated on 16 or more" in refusal(capfd, *words, few)
    assert "precision=int8 is of format=onnx" in refusal(capfd, *words, few, "format=torch")
    assert not out.exists()


def test_a_graph_without_anything_to_quantize_is_refused(tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="graphs run in onnxruntime (the extra export)")
    onnx = pytest.importorskip("onnx", reason="onnx is not installed (the extra export)")
    helper, file = onnx.helper, tmp_path / "model.onnx"
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 2]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="relu")], "graph", [x], [y])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), file)
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"model.onnx has no convolution or linear layer for int8"):
        quantize(file, [{"x": np.ones((1, 2), np.float32)}])
    assert file.read_bytes() == before and list(tmp_path.iterdir()) == [file]
    assert onnxruntime.InferenceSession(file).run(None, {"x": -np.ones((1, 2), np.float32)})[0].max() == 0
