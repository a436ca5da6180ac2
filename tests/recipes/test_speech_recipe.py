"""The speech recipe on recordings made here in LJSpeech's layout, with tiny networks."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from mmspec.cli import main
from mmspec.data import PackedDataset
from mmspec.report.table import read_table
from tests.recipe_runs import run

LOOK = ["trainer.batch_size=2", "trainer.max_steps=2", "trainer.tensorboard=false", "sample.steps=2"]
ONE_CELL = ["--regularizers", "haar", "--strengths", "lambda_1e-4"]


@pytest.fixture(scope="module")
def speech(tmp_path_factory):
    """Ten sentences of one to three words of noise, at 22,050 Hz, five of them in LJ001 and LJ002."""
    folder = tmp_path_factory.mktemp("source") / "LJSpeech-1.1"
    (folder / "wavs").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(10):
        words = [0.1 * rng.standard_normal(rng.integers(6000, 12000)) for _ in range(1 + index % 3)]
        sentence = np.concatenate([word * np.hanning(len(word)) for word in words])
        soundfile.write(folder / f"wavs/LJ{1 + index * 4 // 10:03}-{index:04}.wav", sentence, 22050)
    (folder / "metadata.csv").write_text("LJ001-0000|zero|zero\n")
    return folder


def test_it_ends_with_the_vocoders_table_and_a_second_time_all_is_done(tmp_path, speech, references):
    weights = references.file("lmnt/tiny_weights.pt")
    arguments = ["--data", speech, "--weights", weights, *ONE_CELL, *LOOK, "evaluate.ndb_bins=2"]
    code, out, error = run("speech", *arguments, cwd=tmp_path)
    assert code == 0, error[-3000:]
    assert "not the official ones." not in out
    assert (tmp_path / "exp/speech/base/diffwave/model.safetensors").is_file()

    train, test = (PackedDataset(tmp_path / f"exp/data/speech/{side}") for side in ("train", "test"))
    assert (len(train), len(test), test.meta.sample_rate) == (5, 5, 22050)
    seconds = [soundfile.info(file).frames for file in sorted((speech / "wavs").glob("LJ00[12]*.wav"))]
    assert test.lengths.tolist() == seconds  # whole, and in order
    table = read_table(tmp_path / "exp/speech/table.json")
    measured = {name: dict(zip(table.columns, cells, strict=True)) for name, cells in table.rows.items()}
    assert measured["Baseline"]["FAD"].paper == 1.994 and measured["Haar, 1e-4"]["MR-STFT"].paper == 1.1708
    rows = {"Base weights as they are": "diffwave-base-0", "Haar, 1e-4": "diffwave-haar-lambda_1e-4-0"}
    assert {name for name, row in measured.items() if row["MR-STFT"].mean is not None} == set(rows)
    for name, folder in rows.items():
        evaluation = json.loads((tmp_path / "exp/speech/runs" / folder / "evaluation.json").read_text())
        assert measured[name]["MR-STFT"].mean == evaluation["metrics"]["mr_stft"]
        assert "5 pairs" in evaluation["definitions"]["mr_stft"]
        assert "stretches of 15,872 samples" in evaluation["definitions"]["ndb"]
    drawn = PackedDataset(tmp_path / "exp/speech/runs/diffwave-haar-lambda_1e-4-0/samples/final")
    assert drawn.lengths.tolist() == test.lengths.tolist()
    assert "not run here" in (tmp_path / "exp/speech/report.html").read_text()
    code, out, _ = run("speech", *arguments, cwd=tmp_path)
    assert code == 0 and out.count("done before, skipped") == 3 + 2 * 2


def test_speech_out_of_nothing_is_compared_with_stretches_as_long(tmp_path, speech, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["network.model_channels=8", "network.num_blocks=1", "network.attention_levels=[]", "data.crop=2048"]
    arguments = ["--model", "waveform", "--data", speech, "--num", 4, *small, *LOOK, "evaluate.ndb_bins=2"]
    code, _, error = run("speech", *arguments, "--stop-stage", 2, cwd=tmp_path)
    assert code == 0, error[-3000:]
    base = Path("exp/speech-waveform/base")
    for command in (["sample", f"from={base}", "num=4", "steps=2"], ["evaluate", f"samples={base}", "ndb_bins=2"]):
        assert main([*command, "device=cpu"]) == 0
    assert PackedDataset(base / "samples/final").meta.shape == (1, 2048)
    evaluation = json.loads((base / "evaluation.json").read_text())
    stretches = sum(length // 2048 for length in PackedDataset(tmp_path / "exp/data/speech/test").lengths)
    assert f"4 generated, {stretches} real" in evaluation["definitions"]["log_spectral_distance"]
    assert "mr_stft" not in evaluation["metrics"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "singer"], "--model must be vocoder or waveform, not 'singer'."),
        (["--weights", "nowhere.pt"], "--weights nowhere.pt: no such file or folder."),
        (["--num", "some"], "--num must be a whole number, not 'some'."),
    ],
)
def test_a_mistake_gets_one_sentence(tmp_path, arguments, message):
    code, _, error = run("speech", *arguments, cwd=tmp_path)
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1
