"""``mmspec train`` and ``mmspec sample`` on small packed sets of both modalities."""

import json

import numpy as np
import pytest
import soundfile
import torch
import yaml
from PIL import Image

from mmspec import from_pretrained
from mmspec.analysis.trajectory import recorded
from mmspec.cli import main
from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.data.walk import Walk
from mmspec.diffusion import sample, seeded

SMALL = [
    "network.model_channels=8",
    "network.channel_mult=[1,2]",
    "network.num_blocks=1",
    "network.attention_levels=[]",
    "trainer.batch_size=4",
    "trainer.max_steps=3",
    "trainer.sample_every=3",
    "trainer.device=cpu",
    "preview.num=4",
    "preview.steps=2",
]


def packed(folder, modality, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(12) % 2
    if modality == "image":
        data = rng.integers(0, 255, (12, 9, 7, 3)).astype(np.uint8)
    else:
        data = (rng.standard_normal((12, 300)) * 5000).astype(np.int16)
    meta = DatasetMeta(
        modality=modality,
        source="noise",
        sample_rate=8000 if modality == "audio" else None,
        classes=("even", "odd"),
        statistics={"mean": 0.0, "std": 0.4, "sigma_data": 0.4},
    )
    write_packed(folder, data, labels, meta=meta)
    return folder


def train(folder, data, *overrides):
    return main(["train", f"run_dir={folder}", f"data.train={data}", *SMALL, *overrides])


@pytest.fixture(scope="module", params=["image", "audio"])
def run(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    data = packed(folder / "data", request.param)
    network = "wavelet_unet" if request.param == "image" else "wavelet_unet_1d"
    assert train(folder / "run", data, f"network={network}", "regularizer=amplitude_phase") == 0
    return folder / "run"


def test_a_run_leaves_everything_a_reader_needs(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["process"]["sigma_data"] == 0.4 and config["objective"]["weighting"] is None
    assert config["provenance"]["versions"]["torch"]
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["step"] == 3 and line["train/grad_share/amplitude_phase"] == pytest.approx(0.1, rel=1e-3)
    assert (run / "samples/step_00000003.png").is_file() and any((run / "tensorboard").iterdir())


def test_training_says_what_it_does_and_what_to_type_next(run, tmp_path, capsys):
    words = ["network.patch_size=1", "trainer.max_steps=1", "trainer.sample_every=null", "trainer.tensorboard=true"]
    assert train(tmp_path / "my run", run.parent / "data", *words) == 0
    out, err = capsys.readouterr()
    signals = f"{len(PackedDataset(run.parent / 'data'))} signals of "
    for words in (" parameters and ", " MACs on cpu (", signals, f"into {tmp_path / 'my run'}"):
        assert words in err
    assert out.splitlines()[1] == f"  mmspec sample 'from={tmp_path / 'my run'}'"
    assert out.splitlines()[2] == f"  mmspec evaluate 'samples={tmp_path / 'my run'}' reference=FOLDER"


def test_sampling_tells_each_step_of_the_sampler(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mmspec.experiment.sampling_progress.SECONDS_A_LINE", 0.0)
    assert main(["sample", f"from={run}", f"out={tmp_path / 'out'}", "num=3", "steps=2", "batch_size=2"]) == 0
    lines = [line.partition(", about")[0] for line in capsys.readouterr().err.splitlines()]
    assert list(dict.fromkeys(lines)) == [f"sampling: {step} of 4 steps of 2 batches" for step in (1, 2, 3, 4)]


def test_the_same_command_again_does_nothing_and_more_steps_go_on(run, capsys):
    data = run.parent / "data"
    network = yaml.safe_load((run / "config.yaml").read_text())["network"]
    name = "wavelet_unet" if network["patch_size"] == 1 else "wavelet_unet_1d"
    same = [f"network={name}", "regularizer=amplitude_phase"]
    weights = (run / "checkpoints/step_00000003/model.safetensors").read_bytes()
    assert train(run, data, *same) == 0
    assert (run / "checkpoints/step_00000003/model.safetensors").read_bytes() == weights
    assert train(run, data, *same, "trainer.max_steps=4") == 0
    assert (run / "checkpoints/latest").read_text() == "step_00000004\n"
    assert train(run, data, *same, "trainer.learning_rate=1") == 2
    assert "trainer.learning_rate was 0.0002, is 1" in capsys.readouterr().err
    other = packed(run.parent / "other", PackedDataset(data).meta.modality, seed=1)
    assert train(run, other, *same) == 2
    assert "data.sha256 was" in capsys.readouterr().err


def test_samples_are_a_packed_set_and_files_for_people(run):
    assert main(["sample", f"from={run}", "num=5", "steps=2", "batch_size=2", "device=cpu", "guidance=2"]) == 0
    final = run / "samples/final"
    samples = PackedDataset(final)
    assert len(samples) == 5 and samples.labels.tolist() == [0, 1, 0, 1, 0]
    facts = json.loads((final / "sample.json").read_text())
    assert facts["steps"] == 2 and facts["seed"] == 0 and facts["command"].startswith("mmspec")
    assert Image.open(final / "grid.png").size[0] > 50
    if samples.meta.modality == "audio":
        clip, rate = soundfile.read(final / "000.wav")
        assert rate == 8000 and len(clip) == 300


def test_walks_of_the_first_samples_are_kept(run, tmp_path):
    out = tmp_path / "drawn"
    assert main(["sample", f"from={run}", f"out={out}", "num=3", "steps=3", "walk=2", "device=cpu"]) == 0
    samples, walk, denoiser = PackedDataset(out), Walk(out / "walk"), from_pretrained(run).eval()
    assert walk.samples == 2 and walk.dataset.labels.tolist() == [0, 0, 0, 1, 1, 1]
    np.testing.assert_allclose(walk.sigmas, denoiser.process.sampling_sigmas(3), rtol=1e-6)
    predicted = walk.dataset.data.astype(int)
    np.testing.assert_allclose(predicted[2::3], samples.data[:2].astype(int), atol=1)  # the last step ends there
    assert (predicted[0::3] != predicted[2::3]).any()
    with recorded(denoiser, predictions=False) as heard:
        labels = torch.eye(2)
        sample(denoiser, (2, *samples.meta.shape), sampler="heun", steps=3, labels=labels, generator=seeded([0, 1]))
    assert {f"network.{name}" for name in walk.gates} == heard.gates.keys() != set()
    for name, gates in walk.gates.items():  # heun calls twice a step
        mean = heard.mean_gates()[f"network.{name}"][::2]
        np.testing.assert_allclose(gates, mean, atol=1e-5)
    assert "walk" in json.loads((out / "sample.json").read_text())["files"]
    assert main(["sample", f"from={run}", f"out={out}", "num=3", "steps=3", "device=cpu"]) == 0
    assert not (out / "walk").exists()


def test_samples_do_not_depend_on_the_batch_size(run, tmp_path):
    def drawn(name, *overrides):
        out = tmp_path / name
        assert main(["sample", f"from={run}", f"out={out}", "steps=2", "device=cpu", *overrides]) == 0
        return PackedDataset(out).data.astype(int)

    whole = drawn("whole", "num=4")
    np.testing.assert_allclose(drawn("parts", "num=4", "batch_size=3"), whole, atol=1)
    np.testing.assert_allclose(drawn("later", "num=2", "seed=2"), whole[2:], atol=1)


def test_a_saved_denoiser_samples_and_fine_tunes_without_retyping_the_model(run, tmp_path, capsys):
    denoiser = from_pretrained(run)
    denoiser.save_pretrained(tmp_path / "saved")
    assert main(["info", f"from={tmp_path / 'saved'}", "format=json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["parameters"] == sum(p.numel() for p in denoiser.parameters())
    assert train(tmp_path / "tuned", run.parent / "data", f"init_from={tmp_path / 'saved'}", "trainer.max_steps=1") == 0
    tuned = yaml.safe_load((tmp_path / "tuned/config.yaml").read_text())
    assert tuned["network"] == {"type": "UNet", **denoiser.network.config}
    assert main(["sample", f"from={tmp_path / 'saved'}", "num=1", "steps=1", "device=cpu"]) == 2
    assert "out=FOLDER" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("labels=three", "is no class: expected balanced, none, a number from 0 to 1, or one of even, odd"),
        ("num=0", "num, steps and batch_size must be 1 or more, not 0, "),
        (
            "sampler.type=rk4",
            "sampler.type=rk4 is unknown: expected one of DDIM, DDPM, DPMpp2M, Euler, Heun, UniPC",
        ),
        ("walk=-1", "walk must be 0 or more samples, not -1."),
        ("from=.", "holds no denoiser"),
    ],
)
def test_sampling_mistakes_get_one_sentence(run, tmp_path, capsys, override, message):
    assert main(["sample", f"from={run}", f"out={tmp_path / 'out'}", "steps=1", "device=cpu", override]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("network.resample=fold", 'network: resample must be "conv", "residual" or "wavelet"'),
        ("+network.in_channels=4", "network.in_channels follows from the data"),
        ("+network.depth=4", "network.depth is no option of UNet"),
        ("regularizer=haar regularizer.haar.loss.wavelet=hair", "regularizer.haar.loss: "),
        ("regularizer=haar regularizer.haar.weight=-1", "regularizer.haar: weight and ramp_steps must be 0 or more"),
        (
            "process.noise={type:Normal}",
            "process.noise.type=Normal is unknown: did you mean LogNormal? Expected one",
        ),
        ("trainer.batch_size=0", "trainer: batch_size must be 1 or more, not 0"),
        ("trainer.mixed_precision=fp8", "trainer.mixed_precision takes 'no' or 'bf16', not 'fp8'"),
        ("objective.distance=l3", "objective: distance must be one of l2, l1"),
        ("resume=/nowhere", "resume=/nowhere is not a complete checkpoint"),
        ("init_from=/nowhere", "/nowhere is not there"),
    ],
)
def test_training_mistakes_get_one_sentence_before_anything_is_written(tmp_path, capsys, override, message):
    data = packed(tmp_path / "data", "image")
    assert train(tmp_path / "run", data, *override.split()) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "run/checkpoints").exists()
