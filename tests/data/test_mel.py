import numpy as np
import pytest
import torch

from mmspec.data.mel import LogMel
from mmspec.errors import InputError


@pytest.mark.parametrize("name", ["mel_frontend", "mel_quiet", "mel_silence"])
def test_spectrograms_are_lmnts(references, name):
    golden = references.arrays(f"lmnt/{name}")
    spectrogram = LogMel()(torch.from_numpy(golden["wav"])[None, None])
    np.testing.assert_allclose(spectrogram[0].numpy(), golden["spec"], atol=1e-5)
    assert spectrogram.shape == (1, 80, 1 + len(golden["wav"]) // 256)


def test_a_sine_lights_the_band_that_numpy_finds():
    rate, hertz = 16000, 1000
    x = 0.5 * np.sin(2 * np.pi * hertz * np.arange(8192) / rate)
    spectrogram = LogMel(rate, n_fft=512, hop_samples=128, n_mels=40)(torch.from_numpy(x)[None, None].float())
    window = np.hanning(513)[:512]
    mel = lambda hz: 2595 * np.log10(1 + hz / 700)  # noqa: E731
    edges = 700 * (10 ** (np.linspace(mel(20), mel(rate / 2), 42) / 2595) - 1)
    magnitude = np.abs(np.fft.rfft(window * x[2048 - 256 : 2048 + 256])) / np.sqrt((window**2).sum())
    frequency = np.arange(257) * rate / 512
    rising = (frequency[:, None] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequency[:, None]) / np.diff(edges)[1:]
    bands = magnitude @ np.clip(np.minimum(rising, falling), 0, None)
    expected = np.clip((20 * np.log10(np.maximum(bands, 1e-5)) + 80) / 100, 0, 1)
    np.testing.assert_allclose(spectrogram[0, :, 16].numpy(), expected, atol=1e-4)


def test_only_the_first_channel_counts_and_loud_samples_are_clipped():
    x = 2 * torch.randn(2, 2, 2000, generator=torch.Generator().manual_seed(0))
    front_end = LogMel()
    torch.testing.assert_close(front_end(x), front_end(x[:, :1].clamp(-1, 1)))


@pytest.mark.parametrize("samples", [1024, 1500])
def test_frames_of_a_stretch_are_those_of_the_whole_recording(samples):
    recording = torch.randn(1, 1, 8000, generator=torch.Generator().manual_seed(0)) / 4
    front_end = LogMel()
    start, margin = 5 * 256, front_end.margin
    assert margin == 512
    clips = recording[..., start - margin : start + samples + margin]
    assert torch.equal(front_end.inner(clips), recording[..., start : start + samples])
    frames = -(-samples // 256)
    torch.testing.assert_close(front_end.frames(clips), front_end(recording)[..., 5 : 5 + frames])


def test_it_is_float32_under_autocast_and_has_no_weights():
    front_end = LogMel()
    x = torch.randn(1, 1, 2000, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        spectrogram = front_end(x)
    assert torch.equal(spectrogram, front_end(x)) and spectrogram.dtype == torch.float32
    assert not list(front_end.parameters())


def test_another_rate_and_short_recordings_get_one_sentence():
    with pytest.raises(InputError, match="16000 Hz, the model's spectrograms are for 22050 Hz: resample"):
        LogMel()(torch.zeros(1, 1, 4000), sample_rate=16000)
    with pytest.raises(ValueError, match="512 samples is too short for a spectrogram: more than 512"):
        LogMel()(torch.zeros(1, 1, 512))
    with pytest.raises(ValueError, match="hop_samples=512 must be"):
        LogMel(hop_samples=512)
