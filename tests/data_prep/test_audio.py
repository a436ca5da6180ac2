"""Recordings: rates, channels, lengths and levels come out as the options say."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from data_prep import audio
from data_prep.audio import RecordingDecoder, read_sound
from data_prep.labels import LabelRule
from data_prep.samples import Rejected
from mmspec.data import PackedDataset
from mmspec.experiment.signals import deviation


def wav(sound: np.ndarray, rate: int = 8000, format: str = "WAV", subtype: str | None = "PCM_16") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=format, subtype=subtype)
    return file.getvalue()


def tone(hz: float, seconds: float = 1.0, rate: int = 8000, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def decoder(samples: int = 8000, rate: int = 8000, rule: str = "mono", peak: float | None = None) -> RecordingDecoder:
    return RecordingDecoder(rate, samples, rule, LabelRule("none"), peak)


@pytest.mark.parametrize("format", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_formats(format):
    sound, rate = read_sound(wav(tone(440), format=format, subtype=None))
    assert rate == 8000 and sound.dtype == np.float32
    middle = slice(1000, 7000)  # lossy codecs need a moment
    np.testing.assert_allclose(sound[middle, 0], tone(440)[middle], atol=0.08)


def test_sound_at_the_right_rate_and_length_is_stored_within_one_step():
    stored = np.random.default_rng(0).integers(-32768, 32768, 8000).astype(np.int16)
    sample = decoder()("x.wav", wav(stored))
    assert sample.data.shape == (8000, 1) and sample.length == 8000 and sample.converted == ()
    assert np.abs(sample.data[:, 0].astype(int) - stored).max() <= 1


@pytest.mark.parametrize("rate", [4000, 16000, 22050, 44100])
def test_resampling_keeps_a_tone(rate):
    sample = decoder()("x.wav", wav(tone(440, rate=rate), rate))
    assert sample.converted == (f"resampled from {rate} Hz",)
    np.testing.assert_allclose(sample.data[200:-200, 0] / 32767, tone(440)[200:-200], atol=0.005)


def test_resampling_removes_what_the_new_rate_cannot_hold():
    sample = decoder()("x.wav", wav(tone(6000, rate=16000), 16000))
    assert np.abs(sample.data[200:-200]).max() < 0.01 * 32767


@pytest.mark.parametrize(
    ("seconds", "length", "converted"), [(0.5, 4000, "padded at the end"), (1.5, 8000, "cut at the end")]
)
def test_length(seconds, length, converted):
    sample = decoder()("x.wav", wav(tone(440, seconds)))
    assert (sample.length, sample.converted, len(sample.data)) == (length, (converted,), 8000)
    np.testing.assert_allclose(sample.data[:length, 0], np.rint(tone(440)[:length] * 32767), atol=1)
    assert not sample.data[length:].any()


def test_channel_rules():
    left, right = tone(300), tone(500, level=0.2)
    both = wav(np.stack([left, right], 1))
    mono = decoder()("x.wav", both)
    np.testing.assert_allclose(mono.data[:, 0] / 32767, (left + right) / 2, atol=1e-4)
    assert mono.converted == ("2 channels to mono",)
    for rule in ("keep", "stereo"):
        assert decoder(rule=rule)("x.wav", both).data.shape == (8000, 2)
    doubled = decoder(rule="stereo")("x.wav", wav(left))
    assert doubled.converted == ("mono to stereo",)
    np.testing.assert_array_equal(doubled.data[:, 0], doubled.data[:, 1])
    with pytest.raises(Rejected, match="more than two channels"):
        decoder(rule="stereo")("x.wav", wav(np.zeros((8000, 3))))


def test_peak_scales_every_recording_but_silence():
    loud, quiet, none = (decoder(peak=0.9)("x.wav", wav(tone(440, level=level))) for level in (0.7, 0.01, 0.0))
    assert np.abs(loud.data).max() == np.abs(quiet.data).max() == round(0.9 * 32768)
    assert not none.data.any() and none.converted == ("silence, kept",)


def test_a_folder_becomes_a_set_with_labels_lengths_and_the_spectrum_in_hz(tmp_path: Path):
    source = tmp_path / "recordings"
    source.mkdir()
    for digit in range(3):
        for index in range(4):
            (source / f"{digit}_someone_{index}.wav").write_bytes(wav(tone(1000, 0.2 + 0.1 * digit)))
    options = ["--sample-rate", "8000", "--seconds", "0.25", "--label", "name:0", "--holdout-pattern", "*_3.wav"]
    assert audio.main([str(source), str(tmp_path / "out"), *options]) == 0
    train, test = PackedDataset(tmp_path / "out" / "train"), PackedDataset(tmp_path / "out" / "test")
    assert (train.meta.classes, train.meta.sample_rate, train.meta.shape) == (("0", "1", "2"), 8000, (1, 2000))
    assert train.labels.tolist() == [0] * 3 + [1] * 3 + [2] * 3 and test.labels.tolist() == [0, 1, 2]
    assert test.lengths.tolist() == [1600, 2000, 2000]
    spectrum = train.meta.statistics["power_spectrum"]
    assert spectrum["unit"] == "Hz" and len(spectrum["power"]) == len(spectrum["frequency"]) <= 256
    assert spectrum["frequency"][int(np.argmax(spectrum["power"]))] == pytest.approx(1000, abs=16)


def test_recordings_of_any_length_are_kept_whole(tmp_path: Path):
    source = tmp_path / "recordings"
    source.mkdir()
    noise = 0.1 * np.random.default_rng(0).standard_normal((3, 9000))
    for index, length in enumerate((700, 9000, 4000)):
        (source / f"{index}.wav").write_bytes(wav(noise[index, :length]))
    options = [str(source), str(tmp_path / "out"), "--sample-rate", "8000", "--holdout-pattern", "2*"]
    assert audio.main(options) == 0 == audio.main(options)
    train, test = PackedDataset(tmp_path / "out" / "train"), PackedDataset(tmp_path / "out" / "test")
    assert train.meta.shape == test.meta.shape == (1, 9000)  # the longest of both
    assert train.lengths.tolist() == [700, 9000] and test.lengths.tolist() == [4000]
    for stored, length, sound in zip([*train.data, *test.data], (700, 9000, 4000), noise, strict=True):
        np.testing.assert_allclose(stored[:length], 32768 * sound[:length], atol=1)
        assert not stored[length:].any()
    whole = deviation(train, None)
    assert whole == pytest.approx(train.data.std() / 32768, rel=1e-4)
    sound = np.concatenate([train.data[0, :700], train.data[1]])
    assert deviation(train, crop=512) == pytest.approx(sound.std() / 32768, rel=1e-4) != whole


def test_real_recordings(shared, tmp_path):
    options = ["--sample-rate", "8000", "--seconds", "1.024", "--label", "name:0", "--holdout-pattern", "*_[0-4].wav"]
    source = shared / "data" / "free-spoken-digit-dataset.tar.gz"
    assert audio.main([str(source), str(tmp_path / "out"), *options]) == 0
    train, test = PackedDataset(tmp_path / "out" / "train"), PackedDataset(tmp_path / "out" / "test")
    assert (len(train), len(test), train.meta.shape) == (1800, 200, (1, 8192))
    assert train.meta.rejected == {"not a recording": 1}  # its README
    assert np.bincount(test.labels).tolist() == [20] * 10
