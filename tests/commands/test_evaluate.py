import hashlib
import json

import numpy as np
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from mmspec.commands import evaluate
from mmspec.config import CONF
from mmspec.data import DatasetMeta, write_packed
from mmspec.errors import InputError
from mmspec.metrics.measure import Measure, Metric
from mmspec.metrics.speech import PairMeasure

RATE = 4000


def pictures(folder, count, seed, size=16, blur=0.0):
    x = np.random.default_rng(seed).normal(128, 40, (count, size, size, 3))
    x = (1 - blur) * x + blur * (np.roll(x, 1, 1) + np.roll(x, -1, 1)) / 2
    write_packed(folder, x.clip(0, 255).astype(np.uint8), meta=DatasetMeta(modality="image", source="noise"))
    return folder


def clips(folder, count, seed, length=2000, rate=RATE, gain=1.0):
    x = np.random.default_rng(seed).normal(0, 3000 * gain, (count, length)).astype(np.int16)
    write_packed(folder, x, meta=DatasetMeta(modality="audio", source="noise", sample_rate=rate))
    return folder


def config(**keys):
    defaults = OmegaConf.load(CONF / "evaluate.yaml")
    return OmegaConf.merge(defaults, {key: str(v) if key in ("samples", "reference") else v for key, v in keys.items()})


def evaluated(tmp_path, **keys):
    evaluate.run(config(out=str(tmp_path / "evaluation.json"), **keys))
    return json.loads((tmp_path / "evaluation.json").read_text())


def test_pictures(tmp_path, capsys):
    reference = pictures(tmp_path / "real", 100, 0)
    samples = pictures(tmp_path / "fake", 90, 1, blur=0.5)
    result = evaluated(tmp_path, samples=samples, reference=reference)
    assert (
        set(result["metrics"])
        == set(result["definitions"])
        == {
            "log_spectral_distance",
            "frequency_error_low",
            "frequency_error_high",
            "frequency_bias_low",
            "frequency_bias_high",
            "octave_error",
            *(f"octave_bias_{octave}" for octave in (1, 2, 3)),
            "frechet_random_projection",
        }
    )
    checksum = hashlib.sha256((samples / "data.npy").read_bytes()).hexdigest()
    assert result["samples"] == {"path": str(samples), "count": 90, "sha256": checksum}
    assert result["reference"] == {"path": str(reference), "count": 100}
    assert result["metrics"]["frequency_bias_high"] < -0.5
    assert all("90 generated, 100 real" in sentence for sentence in result["definitions"].values())
    assert "up to 1.75 cycles/image" in result["definitions"]["frequency_error_low"]
    assert result["warnings"] == []
    spectrum = result["spectrum"]
    assert spectrum["unit"] == "cycles/image"
    assert len(spectrum["frequency"]) == len(spectrum["real"]) == len(spectrum["generated"])
    shown = capsys.readouterr().out
    assert f"{result['metrics']['frechet_random_projection']:.4g}" in shown


def test_one_set_against_itself_is_perfect(tmp_path):
    real = clips(tmp_path / "real", 70, 0)
    metrics = evaluated(tmp_path, samples=real, reference=real)["metrics"]
    assert "mr_stft_between_sets" in metrics and "frechet_log_mel" in metrics
    assert all(abs(value) < 1e-5 for value in metrics.values())


def test_a_gain_of_6_db_is_found_in_audio(tmp_path):
    reference, samples = clips(tmp_path / "real", 80, 0), clips(tmp_path / "fake", 80, 1, gain=2.0)
    metrics = evaluated(tmp_path, samples=samples, reference=reference, cutoff=500)["metrics"]
    assert metrics["frequency_bias_low"] == pytest.approx(6.02, abs=0.3)
    assert metrics["log_spectral_distance"] == pytest.approx(6.02, abs=0.3)
    assert metrics["mr_stft_between_sets"] == pytest.approx(1 + np.log(2), abs=0.1)


@pytest.mark.parametrize("make", [pictures, clips])
def test_batches_do_not_change_metrics(tmp_path, make):
    keys = {"samples": make(tmp_path / "fake", 30, 1), "reference": make(tmp_path / "real", 40, 0)}
    one, other = (evaluated(tmp_path, batch_size=n, **keys)["metrics"] for n in (7, 64))
    assert one == pytest.approx(other, rel=1e-4, abs=1e-6)


def test_few_samples_are_said_and_a_kernel_distance_offered(tmp_path):
    keys = {"samples": pictures(tmp_path / "fake", 20, 1), "reference": pictures(tmp_path / "real", 100, 0)}
    result = evaluated(tmp_path, **keys)
    assert "kernel_random_projection" in result["metrics"]
    (warning,) = result["warnings"]
    assert "20 generated" in warning and "63 features" in warning and "kernel_random_projection" in warning


def test_short_clips_have_no_spectrogram_distance(tmp_path):
    keys = {"samples": clips(tmp_path / "fake", 70, 1, 200), "reference": clips(tmp_path / "real", 70, 0, 200)}
    result = evaluated(tmp_path, **keys)
    assert "mr_stft_between_sets" not in result["metrics"]
    assert any("too short" in warning for warning in result["warnings"])


def test_a_feature_file_names_its_metric(tmp_path):
    class Means(torch.nn.Module):
        def forward(self, x):
            return x.flatten(2).mean(2)

    path = tmp_path / "means.pt"
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.trace(Means(), torch.zeros(2, 3, 16, 16)), path)
    keys = {"samples": pictures(tmp_path / "fake", 20, 1), "reference": pictures(tmp_path / "real", 20, 0)}
    result = evaluated(tmp_path, features=str(path), **keys)
    assert "means.pt" in result["definitions"]["frechet_torchscript"]


@pytest.fixture
def run_folder(tmp_path):
    folder = tmp_path / "run"
    data = {"train": str(clips(tmp_path / "train", 200, 2)), "test": str(clips(tmp_path / "test", 80, 0))}
    clips(folder / "samples" / "final", 70, 1)
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": data}))
    return folder


def test_a_run_knows_its_data(run_folder):
    evaluate.run(config(samples=run_folder))
    result = json.loads((run_folder / "evaluation.json").read_text())
    assert result["samples"]["path"].endswith("samples/final")
    assert result["reference"]["count"] == 80
    assert result["real_vs_real"]["count"] == 70
    assert set(result["real_vs_real"]["metrics"]) == set(result["metrics"])


def test_against_the_training_data_there_is_no_row_of_training_data(run_folder):
    evaluate.run(config(samples=run_folder, reference=run_folder.parent / "train"))
    result = json.loads((run_folder / "evaluation.json").read_text())
    assert result["reference"]["count"] == 200 and "real_vs_real" not in result


def test_final_samples_know_their_run(run_folder):
    evaluate.run(config(samples=run_folder / "samples" / "final"))
    assert (run_folder / "evaluation.json").exists()


def test_other_samples_do_not_overwrite_the_run_s_evaluation(run_folder):
    clips(run_folder / "samples" / "other", 70, 3)
    evaluate.run(config(samples=run_folder / "samples" / "other"))
    assert not (run_folder / "evaluation.json").exists()
    assert (run_folder / "samples" / "other" / "evaluation.json").exists()


def test_the_seed_chooses_the_training_signals(run_folder):
    values = []
    for seed in (0, 0, 1):
        evaluate.run(config(samples=run_folder, seed=seed))
        result = json.loads((run_folder / "evaluation.json").read_text())
        values.append((result["metrics"], result["real_vs_real"]["metrics"]))
    assert values[0] == values[1]
    assert values[0][0] == values[2][0] and values[0][1] != values[2][1]


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (lambda path: clips(path, 20, 1), "modality audio"),
        (lambda path: pictures(path, 20, 1, size=8), r"shape \(3, 8, 8\)"),
        (lambda path: pictures(path, 1, 1), "at least 2"),
    ],
)
def test_sets_that_do_not_fit_are_refused(tmp_path, samples, message):
    reference = pictures(tmp_path / "real", 20, 0)
    with pytest.raises(InputError, match=message):
        evaluated(tmp_path, samples=samples(tmp_path / "fake"), reference=reference)


def test_another_sample_rate_is_refused(tmp_path):
    keys = {"samples": clips(tmp_path / "fake", 20, 1, rate=8000), "reference": clips(tmp_path / "real", 20, 0)}
    with pytest.raises(InputError, match="sample_rate 8000"):
        evaluated(tmp_path, **keys)


def test_bad_keys_are_refused(tmp_path, run_folder):
    real = pictures(tmp_path / "real", 20, 0)
    with pytest.raises(InputError, match="give reference=FOLDER"):
        evaluated(tmp_path, samples=real)
    with pytest.raises(InputError, match=r"cutoff=99: .*one side empty"):
        evaluated(tmp_path, samples=real, reference=real, cutoff=99)
    with pytest.raises(InputError, match="batch_size must be 1 or more"):
        evaluated(tmp_path, samples=real, reference=real, batch_size=0)
    with pytest.raises(InputError, match="holds 1 signal"):
        evaluated(tmp_path, samples=real, reference=pictures(tmp_path / "one", 1, 0))
    with pytest.raises(InputError, match="absent is not there: make one"):
        evaluated(tmp_path, samples=tmp_path / "absent", reference=real)
    (run_folder / "samples" / "final").rename(run_folder / "elsewhere")
    with pytest.raises(InputError, match="no final samples yet: run `mmspec sample from="):
        evaluated(tmp_path, samples=run_folder)


def test_units_and_directions_are_data(tmp_path):
    keys = {"samples": clips(tmp_path / "fake", 20, 1), "reference": clips(tmp_path / "real", 80, 0)}
    result = evaluated(tmp_path, **keys)
    assert list(result["units"]) == list(result["better"]) == list(result["metrics"])
    assert result["better"]["frequency_bias_high"] is None and result["units"]["frequency_bias_high"] == "dB"
    assert result["better"]["mr_stft_between_sets"] == "lower" and result["units"]["mr_stft_between_sets"] == ""
    assert not any("is better" in text for text in result["definitions"].values())


class LargestSample(Measure):
    """One of somebody's own."""

    def __init__(self, power: int = 1) -> None:
        self.power = power

    def compare(self, real, generated):
        theirs, ours = (max(x.abs().max().item() for x in signals) for signals in (real, generated))
        return Metric("largest_sample", (ours / theirs) ** self.power, "Ratio of the largest samples.")


class LargestOfPairs(PairMeasure):
    name, definition, better = "largest_of_pairs", "Ratio of the largest samples of a pair", "lower"

    def score(self, real, generated):
        return (generated.abs().max() / real.abs().max()).item()


def test_a_measure_of_one_s_own(run_folder):
    paired = {"paired": str(clips(run_folder.parent / "paired", 70, 1, gain=0.5))}
    own = ["LargestSample", "LargestOfPairs"]
    evaluate.run(config(samples=run_folder, measures=own, **paired))
    result = json.loads((run_folder / "evaluation.json").read_text())
    real, fake = (np.load(run_folder / path / "data.npy") for path in ("../test", "samples/final"))
    ratio = np.abs(fake).max() / np.abs(real).max()
    assert result["metrics"]["largest_sample"] == pytest.approx(ratio) and result["better"]["largest_sample"] is None
    assert "largest_sample" in result["real_vs_real"]["metrics"]
    assert result["metrics"]["largest_of_pairs"] == pytest.approx(2, rel=1e-3)
    assert "mean of 70 pairs" in result["definitions"]["largest_of_pairs"]
    evaluate.run(config(samples=run_folder, measures=[{"type": "LargestSample", "power": 2}], crop=500))
    result = json.loads((run_folder / "evaluation.json").read_text())
    assert result["metrics"]["largest_sample"] == pytest.approx(ratio**2)
    assert "stretches of 500 samples" in result["definitions"]["largest_sample"]


def test_measures_that_cannot_be_used_are_refused(tmp_path, run_folder):
    for measures, message in (
        (["LargestSampel"], "measures.0..type=LargestSampel is unknown: did you mean LargestSample?"),
        (
            [{"type": "LargestSample", "powr": 2}],
            r"measures\[0\].powr is no option of LargestSample: did you mean power",
        ),
        ([{"type": "LargestSample", "power": "two"}], r"measures\[0\].power takes a whole number, not 'two'"),
        (["LargestSample", "LargestSample"], "LargestSample gives a metric largest_sample, as LargestSample does"),
        (["LargestSample", "LargestOfPairs"], r"measures\[1\] compares pairs: give paired=FOLDER"),
        ([3], r"measures takes a list of names or {type: NAME, ...} or a name or {type: NAME, ...}, not \[3\]"),
    ):
        with pytest.raises(InputError, match=message):
            evaluated(tmp_path, samples=run_folder, measures=measures)
    assert not (tmp_path / "evaluation.json").exists()


def test_values_of_a_wrong_kind_are_refused(tmp_path, run_folder):
    for keys, message in (
        ({"device": "gpu"}, "device takes 'auto' or 'cpu' or 'cuda', not 'gpu'"),
        ({"crop": "short"}, "crop takes 'auto' or a whole number or null, not 'short'"),
        ({"batch_size": 4.5}, "batch_size takes a whole number, not 4.5"),
        ({"extractors": {"sample_rate": None}}, "extractors.sample_rate takes a whole number, not null"),
    ):
        with pytest.raises(InputError, match=message):
            evaluated(tmp_path, samples=run_folder, **keys)
