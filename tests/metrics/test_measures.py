"""What every measure promises, over all of them; and what a set of signals is."""

import inspect

import numpy as np
import pytest
import torch

import mmspec.experiment.measures  # all of ours  # noqa: F401
from mmspec.components import choices
from mmspec.data import PackedDataset
from mmspec.data.crops import Crops
from mmspec.data.recordings import Recordings
from mmspec.errors import InputError
from mmspec.metrics.comparison import compare
from mmspec.metrics.feature_distance import FeatureDistance
from mmspec.metrics.features import LogMelStatistics
from mmspec.metrics.inception import InceptionDistance
from mmspec.metrics.measure import Measure, Metric, Verdict
from mmspec.metrics.signals import SignalSet
from mmspec.metrics.spectrogram import SpectrogramDistance
from mmspec.metrics.spectrum import SpectralDistance, mean_spectrum
from tests.packed import write_clips, write_pictures

RATE = 8000
OURS = [measure for measure in choices(Measure).values() if measure.__module__.startswith("mmspec.")]


class Network(torch.nn.Module):
    """2048 features of a picture; of a clip a score, which falls as it gets louder."""

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        if x.dtype == torch.uint8:
            x = x.flatten(1).float() / 255
            return torch.nn.functional.pad(x, [0, 2048 - x.shape[1]])
        return 5 - x.square().mean(1).sqrt()


def syllables(count, length, seed):
    """Noise that comes and goes: speech enough for PESQ and STOI."""
    noise = np.random.default_rng(seed).normal(0, 0.1, (count, length))
    noise[:, 1:] += noise[:, :-1]
    return noise * np.clip(np.sin(np.arange(length) / RATE * 2 * np.pi * 4), 0.05, 1)


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """Of clips and of pictures: real ones, and the same with noise on them, or brighter."""
    folder = tmp_path_factory.mktemp("sets")
    clips, rng = syllables(16, 9600, 0) * np.repeat([0.1, 1], 8)[:, None], np.random.default_rng(1)
    write_clips(folder / "clips/real", clips, RATE)
    write_clips(folder / "clips/worse", clips + rng.normal(0, 0.1, clips.shape), RATE)
    pictures = rng.integers(60, 190, (16, 8, 8, 3))
    write_pictures(folder / "pictures/real", pictures)
    write_pictures(folder / "pictures/worse", pictures + 65)
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(Network()), folder / "network.pt")
    return folder


@pytest.mark.parametrize("made", OURS, ids=lambda made: made.__name__)
def test_every_measure_says_what_its_numbers_mean(made, sets):
    if made.__name__ in ("PESQ", "STOI"):
        pytest.importorskip("pesq", reason="the extra eval-speech is not installed")
    options = {"path": sets / "network.pt", "sample_rate": RATE, "bins": 2, "extractor": LogMelStatistics(RATE)}
    measure = made(**{name: options[name] for name in inspect.signature(made).parameters if name in options})
    kind = sets / ("pictures" if made is InceptionDistance else "clips")
    real, same, worse = (SignalSet(PackedDataset(kind / name)) for name in ("real", "real", "worse"))
    best, found = measure.verdict(real, same), measure.verdict(real, worse)
    assert [metric.name for metric in best.metrics] == [metric.name for metric in found.metrics] != []
    for ours, theirs in zip(best.metrics, found.metrics, strict=True):
        assert ours.name.isidentifier() and ours.unit in ("", "dB") and ours.better == theirs.better
        assert ours.definition.endswith(".") and " is better" not in ours.definition and "16" in ours.definition
        if ours.better is None:
            assert ours.value == pytest.approx(0, abs=1e-9) != theirs.value
        else:
            assert ours.value < theirs.value if ours.better == "lower" else ours.value > theirs.value


def test_measures_of_one_data_set_need_one_pass_over_it(sets, monkeypatch):
    read = []
    batch = PackedDataset.batch
    monkeypatch.setattr(PackedDataset, "batch", lambda self, rows: read.extend(rows) or batch(self, rows))
    real, generated = (SignalSet(PackedDataset(sets / "clips" / name), batch_size=5) for name in ("real", "worse"))
    measures = [SpectralDistance(), SpectrogramDistance(), FeatureDistance(LogMelStatistics(RATE))]
    for _ in range(2):
        compare(measures, {"stretches": real}, {"stretches": generated})
    assert sorted(read) == sorted([*range(16)] * 2)


def test_a_set_is_gone_through_in_batches(sets):
    dataset = PackedDataset(sets / "clips/real")
    signals = SignalSet(dataset, torch.tensor([3, 1, 7]), batch_size=2)
    assert [len(x) for x in signals] == [2, 1] and len(signals) == 3
    torch.testing.assert_close(torch.cat(list(signals)), dataset.batch([3, 1, 7])[0])
    assert (signals.sample_rate, signals.shape, signals.lengths, signals.note) == (RATE, (1, 9600), None, "")
    assert (signals.folder, signals.sha256) == (dataset.folder, dataset.meta.sha256)


def test_recordings_come_as_long_as_they_are(tmp_path):
    lengths = np.array([700, 900, 400])
    dataset = PackedDataset(write_clips(tmp_path / "clips", np.full((3, 900), 0.5), RATE, lengths))
    assert [x.shape for x in SignalSet(Recordings(dataset))] == [(1, 1, 700), (1, 1, 900), (1, 1, 400)]
    assert SignalSet(dataset, torch.tensor([2, 0])).lengths.tolist() == [400, 700]
    stretches = SignalSet(Crops(dataset, 300, hop=300))
    assert [x.shape for x in stretches] == [(6, 1, 300)] and stretches.lengths is None
    assert stretches.note == "These are stretches of 300 samples, side by side in the recordings."


def test_features_are_extracted_once_and_kept_of_whole_sets_alone(sets, tmp_path):
    class _Peaks(torch.nn.Module):
        key, calls = "peaks", 0

        def forward(self, x):
            self.calls += 1
            return x.amax(2)

    peaks, dataset = _Peaks(), PackedDataset(sets / "clips/real")
    whole = SignalSet(dataset, cache=tmp_path)
    assert torch.equal(whole.features(peaks), whole.features(peaks)) and peaks.calls == 1
    assert torch.equal(SignalSet(dataset, cache=tmp_path).features(peaks), whole.features(peaks)) and peaks.calls == 1
    part = SignalSet(dataset, torch.tensor([4, 2]), cache=tmp_path)
    assert torch.equal(part.features(peaks), whole.features(peaks)[[4, 2]]) and peaks.calls == 2
    assert len(list(tmp_path.iterdir())) == 1


def test_what_two_measures_call_alike_is_refused(sets):
    signals = {"stretches": SignalSet(PackedDataset(sets / "clips/real"))}
    with pytest.raises(InputError, match="SpectralDistance gives a metric log_spectral_distance, as SpectralDistance"):
        compare([SpectralDistance(), SpectralDistance(500)], signals, signals)


def test_metrics_and_verdicts_are_held_to_what_they_say(sets):
    class _Bare(Measure):
        def compare(self, real, generated):
            return 1.0

    signals = SignalSet(PackedDataset(sets / "clips/real"))
    with pytest.raises(InputError, match=r"_Bare.compare must return a Metric or a Verdict, it returned float"):
        _Bare().verdict(signals, signals)
    with pytest.raises(InputError, match="peak: better='low' is unknown: expected 'lower', 'higher' or None"):
        Metric("peak", 1.0, "A peak.", better="low")
    with pytest.raises(InputError, match="peak: value takes a number, not list"):
        Metric("peak", [1.0], "A peak.")
    assert type(Metric("peak", torch.tensor(0.5), "A peak.").value) is float
    assert Verdict([], ["a"]) + Verdict([], ["b"]) == Verdict([], ["a", "b"])


def test_statistics_are_those_of_all_signals(sets):
    signals = SignalSet(PackedDataset(sets / "clips/real"), batch_size=3)
    by_hand = mean_spectrum(signals)
    by_hand.update(torch.cat(list(signals)))
    torch.testing.assert_close(signals.statistic(mean_spectrum).power, by_hand.result().power, rtol=1e-6, atol=0)
