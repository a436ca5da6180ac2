"""A vocoder is trained, fine-tuned and sampled by the commands that serve every denoiser."""

import json

import numpy as np
import pytest
import torch
import yaml

from mmspec import from_pretrained
from mmspec.cli import main
from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.pretrained import save_diffwave

LENGTHS = np.array([6000, 6000, 3000, 4500, 1200, 6000])
SMALL = [
    "experiment=diffwave",
    "network.residual_channels=8",
    "network.residual_layers=3",
    "network.dilation_cycle_length=2",
    "data.crop=1024",
    "trainer.batch_size=4",
    "trainer.max_steps=4",
    "trainer.checkpoint_every=2",
    "trainer.device=cpu",
    "trainer.tensorboard=false",
]


def recordings(folder, rate=22050):
    rng = np.random.default_rng(0)
    data = (rng.standard_normal((6, 6000)) * 3000).astype(np.int16)
    data[np.arange(6000) >= LENGTHS[:, None]] = 0
    statistics = {"mean": 0.0, "std": 0.1, "sigma_data": 0.1}
    meta = DatasetMeta(modality="audio", source="noise", sample_rate=rate, statistics=statistics)
    write_packed(folder, data, lengths=LENGTHS, meta=meta)
    return folder


def train(folder, data, *overrides):
    return main(["train", f"run_dir={folder}", f"data.train={data}", *SMALL, *overrides])


def weights(run):
    return (run / "checkpoints/step_00000004/model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return recordings(tmp_path_factory.mktemp("recordings") / "set")


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("vocoder") / "run"
    overrides = [f"data.test={data}", "regularizer=amplitude_phase", "trainer.sample_every=4", "preview.num=2"]
    assert train(folder, data, *overrides) == 0
    return folder


def test_a_run_learns_from_crops_and_says_what_it_is_made_of(run):
    line = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])
    assert line["step"] == 4 and line["train/grad_share/amplitude_phase"] == pytest.approx(0.1, rel=1e-2)
    assert (run / "samples/step_00000004.png").is_file()
    denoiser = from_pretrained(run)
    assert denoiser.signal_shape == (1, 1024) and denoiser.conditioner.sample_rate == 22050
    assert yaml.safe_load((run / "config.yaml").read_text())["objective"]["distance"] == "l1"


def test_crops_are_the_same_after_a_resume(tmp_path, data):
    assert train(tmp_path / "whole", data) == 0
    assert train(tmp_path / "parts", data, "trainer.max_steps=2") == 0
    assert train(tmp_path / "parts", data) == 0
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")


def test_held_out_recordings_are_resynthesized_each_as_long_as_it_was(run):
    assert main(["sample", f"from={run}", "sampler=diffwave", "steps=6", "num=5", "batch_size=2", "device=cpu"]) == 0
    samples = PackedDataset(run / "samples/final")
    assert samples.meta.shape == (1, 6000) and samples.lengths.tolist() == LENGTHS[:5].tolist()
    for row, length in zip(samples.data, samples.lengths, strict=True):
        assert row[:length].any() and not row[length:].any()
    assert json.loads((run / "samples/final/sample.json").read_text())["recordings"].endswith("set")


def test_resynthesized_recordings_are_judged_in_pairs_and_by_stretches_as_in_training(run, tmp_path):
    assert main(["sample", f"from={run}", "sampler=diffwave", "steps=2", "num=5", "device=cpu"]) == 0
    assert main(["evaluate", f"samples={run}", "device=cpu", f"extractors.cache={tmp_path}"]) == 0
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert "5 pairs of a generated and a real clip" in evaluation["definitions"]["mr_stft"]
    stretches = sum(max(1, length // 1024) for length in LENGTHS.tolist())
    assert f"{stretches} real" in evaluation["definitions"]["frechet_log_mel"]
    assert "stretches of 1,024 samples" in evaluation["definitions"]["frechet_log_mel"]


def test_resynthesis_does_not_depend_on_the_batch_size_or_on_how_many_there_are(run, tmp_path):
    drawn = {}
    for num, size in ((3, 1), ("all", 3)):
        out = tmp_path / str(num)
        arguments = ["sampler=diffwave", "steps=3", f"num={num}", f"batch_size={size}", "device=cpu"]
        assert main(["sample", f"from={run}", f"out={out}", *arguments]) == 0
        drawn[num] = PackedDataset(out).data
    assert len(drawn["all"]) == len(LENGTHS)
    np.testing.assert_array_equal(drawn[3], drawn["all"][:3])


def test_lmnts_weights_are_converted_fine_tuned_and_written_back(tmp_path, data, references):
    file = references.file("lmnt/tiny_weights.pt")
    assert main(["convert", "diffwave", str(file), str(tmp_path / "base")]) == 0
    tuned = tmp_path / "tuned"
    longer = recordings(tmp_path / "set")
    overrides = [word for word in SMALL if not word.startswith("network.")]
    overrides += ["data.crop=15872", "trainer.max_steps=1", "regularizer=amplitude", f"init_from={tmp_path / 'base'}"]
    assert main(["train", f"run_dir={tuned}", f"data.train={longer}", *overrides]) == 0
    config = yaml.safe_load((tuned / "config.yaml").read_text())
    assert config["network"]["residual_layers"] == 4 and config["conditioner"]["n_mels"] == 80
    assert config["process"]["timesteps"] == 50  # training draws from the levels of the base denoiser
    save_diffwave(from_pretrained(tuned), tmp_path / "tuned.pt", step=1)
    before, after = (torch.load(path, weights_only=True)["model"] for path in (file, tmp_path / "tuned.pt"))
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert all(torch.allclose(before[name], after[name], atol=1e-2) for name in before)


def test_an_unconditional_model_needs_no_spectrogram(tmp_path, data, capsys):
    run = tmp_path / "run"
    overrides = ["experiment=diffwave_unconditional", "data.crop=1000", "trainer.max_steps=1"]
    assert train(run, data, *overrides) == 0
    assert main(["sample", f"from={run}", "num=2", "sampler=diffwave", "steps=2", "device=cpu"]) == 0
    assert PackedDataset(run / "samples/final").meta.shape == (1, 1000)
    assert main(["sample", f"from={run}", f"recordings={data}", "num=2"]) == 2
    assert "needs no recordings" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["conditioner=none"], "network=DiffWave with these options needs one: set conditioner=log_mel"),
        (["network.unconditional=true"], "network=DiffWave with these options takes no conditioner"),
        (["data.crop=300"], "a crop of 300 samples is too short"),
        (["+conditioner.sample_rate=8000"], "conditioner.sample_rate follows from the data"),
        (["+network.width=3"], "network.width is no option of DiffWave"),
    ],
)
def test_training_mistakes_get_one_sentence(tmp_path, data, capsys, overrides, message):
    assert train(tmp_path / "run", data, *overrides) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1


def test_sound_at_another_rate_gets_one_sentence(tmp_path, run, capsys):
    other = recordings(tmp_path / "set", rate=8000)
    assert main(["sample", f"from={run}", f"out={tmp_path / 'out'}", f"recordings={other}", "num=2"]) == 2
    assert "holds sound at 8000 Hz, the denoiser is for sound at 22050 Hz" in capsys.readouterr().err
    assert train(tmp_path / "run", other, f"init_from={run}") == 2
    assert "holds sound at 8000 Hz, the denoiser is for sound at 22050 Hz" in capsys.readouterr().err
    assert main(["sample", f"from={run}", f"out={tmp_path / 'out'}", "num=7"]) == 2
    assert "holds 6 recordings: take fewer" in capsys.readouterr().err
