"""Plucked strings: in tune, damped, without aliases, and the same each time."""

import numpy as np
import pytest

from data_prep import plucked_strings
from data_prep.plucked_strings import NOTES, PEAK, pluck
from mmspec.data import PackedDataset


def test_the_packed_set(tmp_path):
    arguments = [str(tmp_path / "out"), "--train", "21", "--test", "14", "--seconds", "0.25"]
    assert plucked_strings.main(arguments) == 0
    train, test = (PackedDataset(tmp_path / "out" / part) for part in ("train", "test"))
    assert (train.meta.shape, train.meta.sample_rate, train.meta.classes) == ((1, 2000), 8000, tuple(NOTES))
    assert np.bincount(train.labels).tolist() == [3] * 7 and np.bincount(test.labels).tolist() == [2] * 7
    assert len(np.unique(np.concatenate([train.data, test.data]), axis=0)) == 35, "no two are equal"
    assert plucked_strings.main([str(tmp_path / "again"), *arguments[1:]]) == 0
    assert PackedDataset(tmp_path / "again" / "train").meta.sha256 == train.meta.sha256


@pytest.mark.parametrize("rate", [8000, 22050])
@pytest.mark.parametrize("note", NOTES)
def test_a_note_is_in_tune_and_dies_away(note, rate):
    sound = pluck(NOTES[note], rate, rate, np.random.default_rng(3))
    assert np.abs(sound).max() == pytest.approx(PEAK)
    tuned = 440 * 2 ** ((NOTES[note] - 69) / 12)  # equal temperament
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(rate)))  # a bin a hertz
    for harmonic in (1, 2):
        near = np.arange(round(0.94 * harmonic * tuned), round(1.06 * harmonic * tuned))
        semitones = 12 * np.log2(near[spectrum[near].argmax()] / (harmonic * tuned))
        assert abs(semitones) < 0.1 + 12 * np.log2(1 + 0.6 / (harmonic * tuned))
    quarters = np.square(sound[: rate // 4 * 4]).reshape(4, -1).sum(1)
    assert (np.diff(quarters) < 0).all()


def test_no_harmonic_is_beyond_half_the_sampling_rate():
    """At eight times the rate, the same string has what the low rate must not fold back."""
    low = pluck(60, 8000, 4000, np.random.default_rng(0))
    spectrum = np.abs(np.fft.rfft(low * np.blackman(4000)))
    fundamental = spectrum[:300].argmax() * 2
    frequencies = np.arange(len(spectrum)) * 2
    apart = np.abs(frequencies / fundamental - np.round(frequencies / fundamental)) > 0.3
    assert spectrum[apart].max() < 0.01 * spectrum.max()
