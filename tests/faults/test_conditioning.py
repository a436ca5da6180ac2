"""Silence, ends, means, loudness and lengths, for those who ask."""

import re
import subprocess

import numpy as np
import pytest

from data_prep import audio
from data_prep.audio import RecordingDecoder
from data_prep.conditioning import Conditioning, gain, trimmed
from data_prep.labels import LabelRule
from data_prep.loudness import loudness
from data_prep.samples import Rejected, Sample
from mmspec.data import PackedDataset
from tests.faults.sounds import has_ffmpeg, recorded

RATE = 16000
TIME = np.arange(RATE)[:, None] / RATE
TONE = (0.25 * np.sin(2 * np.pi * 440 * TIME)).astype(np.float32)
SILENCE = np.zeros((RATE // 2, 1), np.float32)


def stored(sound: np.ndarray, samples: int | None = None, **options: float | bool) -> Sample:
    decoder = RecordingDecoder(RATE, samples, "mono", LabelRule("none"), conditioning=Conditioning(**options))
    return decoder("x", recorded(sound, "WAV", "FLOAT"))


def test_the_mean_is_removed():
    sample = stored(TONE + np.float32(0.3), remove_dc=True)
    np.testing.assert_allclose(sample.data / 32768, TONE, atol=1e-4)


def test_silence_is_left_out_by_its_level():
    for sound in (SILENCE, SILENCE + np.float32(0.0009), 0.0039 * TONE):
        with pytest.raises(Rejected, match="silence"):
            stored(sound, drop_silence=True)
    with pytest.raises(Rejected, match="silence"):
        stored(SILENCE + np.float32(0.3), drop_silence=True, remove_dc=True)
    assert stored(0.0041 * TONE, drop_silence=True).length == RATE
    assert stored(SILENCE).converted == ("silence, kept",)


@pytest.mark.parametrize(("decibels", "steps"), [(30, 0), (50, 1), (70, 2)])
def test_ends_are_trimmed_by_their_level_below_the_peak(decibels, steps):
    quiet = [np.full((100, 1), 0.25 * 10 ** (-level / 20), np.float32) for level in (60, 40)]
    flat = np.full((1000, 1), 0.25, np.float32)
    sound = np.concatenate([SILENCE, *quiet, flat, *quiet[::-1], SILENCE])
    sample = stored(sound, trim=decibels)
    assert sample.length == 1000 + 200 * steps and sample.converted == ("trimmed",)
    assert stored(flat, trim=decibels).converted == ()
    assert len(trimmed(SILENCE, decibels)) == len(SILENCE)


def test_trimming_comes_before_the_cut_to_a_length():
    sample = stored(np.concatenate([SILENCE, TONE]), samples=4000, trim=40)
    assert sample.length == 4000 and np.abs(sample.data[:100]).max() > 100
    assert sample.converted == ("trimmed", "cut at the end")


def test_lengths_are_bounded_once_trimmed():
    assert stored(TONE, shortest=1.0, longest=1.0).length == RATE
    with pytest.raises(Rejected, match=r"too short .1.000 s, and 1.1 are wanted"):
        stored(TONE, shortest=1.1)
    with pytest.raises(Rejected, match=r"too long .1.000 s, and at most 0.9 are wanted"):
        stored(TONE, longest=0.9)
    assert stored(np.concatenate([SILENCE, TONE]), longest=1.1, trim=60).length <= RATE


def test_loudness_is_that_of_the_standard():
    """A sine of 997 Hz at full scale has -3.01 LUFS (ITU-R BS.1770-4, annex 1)."""
    rate = 48000
    sine = np.sin(2 * np.pi * 997 * np.arange(2 * rate)[:, None] / rate).astype(np.float32)
    for level in (1.0, 0.1):
        assert 20 * np.log10(gain(level * sine, rate, -23.0) * level) == pytest.approx(-23 + 3.01, abs=0.01)
    assert gain(0 * sine, rate, -23.0) == 1
    with pytest.raises(Rejected, match="too short"):
        gain(sine[:1000], rate, -23.0)


@pytest.mark.parametrize("rate", [48000, 44100, 16000])
def test_loudness_is_that_of_ffmpeg(rate, tmp_path):
    """Of noise that pauses, so that both gates matter."""
    if not has_ffmpeg():
        pytest.skip("ffmpeg is not installed")
    draw = np.random.default_rng(0).standard_normal((4 * rate, 2))
    sound = (draw * np.repeat([[0.1, 0.001], [0.0, 0.0], [0.2, 0.1], [0.005, 0.01]], rate, 0)).astype(np.float32)
    (tmp_path / "x.wav").write_bytes(recorded(sound, "WAV", "FLOAT", rate=rate))
    command = ["ffmpeg", "-nostdin", "-i", str(tmp_path / "x.wav"), "-af", "ebur128", "-f", "null", "-"]
    said = subprocess.run(command, capture_output=True, text=True).stderr
    expected = float(re.findall(r"I: +(-[\d.]+) LUFS", said)[-1])
    assert loudness(sound, rate) == pytest.approx(expected, abs=0.1)


def test_quiet_and_loud_recordings_get_one_loudness():
    quiet, loud = (stored(level * TONE, loudness=-23.0).data for level in (0.01, 2.0))
    np.testing.assert_allclose(quiet, loud, atol=1)
    assert 1000 < np.abs(quiet).max() < 10000


def test_options_are_kept_with_the_set_and_its_report(tmp_path, capsys):
    (tmp_path / "source").mkdir()
    for name, sound in (("tone", np.concatenate([SILENCE, TONE])), ("silence", SILENCE), ("click", TONE[:100])):
        (tmp_path / "source" / f"{name}.wav").write_bytes(recorded(sound))
    arguments = [str(tmp_path / "source"), str(tmp_path / "out"), "--sample-rate", str(RATE)]
    options = ["--drop-silence", "--trim", "60", "--shortest", "0.5", "--longest", "9", "--loudness", "-23"]
    assert audio.main([*arguments, *options, "--remove-dc"]) == 0
    meta = PackedDataset(tmp_path / "out").meta
    assert meta.rejected == {"silence": 1, "too short": 1} and meta.converted == {"trimmed": 1}
    kept = {"--drop-silence": True, "--trim": 60.0, "--shortest": 0.5, "--longest": 9.0, "--loudness": -23.0}
    assert kept.items() <= meta.preparation.items() and meta.preparation["--remove-dc"] is True
    assert audio.main([*arguments, *options]) == 2
    assert "was made with --remove-dc True, not None" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        audio.main([*arguments, "--peak", "0.5", "--loudness", "-23"])
