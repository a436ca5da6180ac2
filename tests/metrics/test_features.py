import numpy as np
import pytest
import torch

from mmspec.errors import InputError
from mmspec.metrics.features import LogMelStatistics, RandomProjection, TorchScript, extractor
from mmspec.metrics.frechet import frechet_distance, moments


def noise(*shape, seed=0, scale=0.3):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def save_module(module, path):
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(module), path)
    return str(path)


class ChannelMeans(torch.nn.Module):
    def forward(self, x):
        return x.flatten(2).mean(2)


class Unchanged(torch.nn.Module):
    def forward(self, x):
        return x


@pytest.mark.parametrize("rate", [8000, 22050])
def test_log_mel_is_of_librosas_filters_and_scipys_spectrogram(rate):
    from librosa.filters import mel
    from scipy.signal import stft

    x = noise(2, 1, rate // 2)
    n_fft, hop = round(0.032 * rate), round(0.008 * rate)
    filters = mel(sr=rate, n_fft=n_fft, n_mels=32, htk=True, norm=None)
    window = np.hanning(n_fft + 1)[:-1]
    for clip, features in zip(x[:, 0].numpy(), LogMelStatistics(rate)(x).numpy(), strict=True):
        spectrogram = stft(clip, window=window, nperseg=n_fft, noverlap=n_fft - hop, padded=False)[2]
        bands = np.log(np.maximum(filters @ np.abs(spectrogram) ** 2, 1e-8))
        assert features == pytest.approx(np.concatenate([bands.mean(1), bands.std(1)]), abs=2e-3)


def test_log_mel_of_a_sine_and_of_silence():
    t = torch.arange(8000) / 8000
    features = LogMelStatistics(8000)(torch.sin(2 * torch.pi * 1000 * t).expand(1, 2, -1))
    assert features.shape == (1, 64)
    assert features[0, :32].max() < np.log(0.5)
    silence = LogMelStatistics(8000)(torch.zeros(1, 1, 8000))
    assert silence[0, :32].numpy() == pytest.approx(np.log(1e-8)) and silence[0, 32:].abs().max() < 1e-4


@pytest.mark.parametrize("length", [1, 100, 8001])
def test_log_mel_takes_clips_of_any_length(length):
    assert LogMelStatistics(8000)(noise(2, 1, length)).isfinite().all()


@pytest.mark.parametrize("shape", [(4, 1, 8, 8), (4, 3, 32, 32), (4, 3, 17, 5), (4, 3, 2, 2)])
def test_random_projection_takes_pictures_of_any_size(shape):
    features = RandomProjection(shape[1])(noise(*shape))
    assert features.shape == (4, shape[1] + 60) and features.isfinite().all()


def test_random_projection_is_fixed_and_each_picture_its_own():
    x = noise(6, 3, 32, 32)
    features = RandomProjection(3)(x)
    assert torch.equal(features, RandomProjection(3)(x))
    assert torch.allclose(features[4:5], RandomProjection(3)(x[4:5]), atol=1e-6)


def test_random_projection_sees_means_apart_from_structure():
    x = noise(3, 3, 16, 16)
    moved = RandomProjection(3)(x + 0.2) - RandomProjection(3)(x)
    assert moved[:, :3].numpy() == pytest.approx(0.2, abs=1e-6)
    assert moved[:, 3:].abs().max() < 1e-4


@pytest.mark.parametrize("features", ["log_mel", "random_projection"])
def test_worse_signals_are_farther(features):
    audio = features == "log_mel"
    shape = (200, 1, 2000) if audio else (200, 3, 16, 16)
    extract = extractor(features, shape[1], 8000 if audio else None)

    def smooth(x, a):
        return (1 - 2 * a) * x + a * (x.roll(1, -1) + x.roll(-1, -1))

    real = moments(extract(smooth(noise(*shape), 0.1)))
    same, blurred, more = (
        frechet_distance(real, moments(extract(smooth(noise(*shape, seed=1), a)))) for a in (0.1, 0.2, 0.3)
    )
    assert 3 * same < blurred < more


def test_auto_follows_the_modality():
    assert extractor("auto", 3, None).name == "random_projection"
    assert extractor("auto", 1, 8000).name == "log_mel"


def test_a_torchscript_file_is_used_and_named(tmp_path):
    path = save_module(ChannelMeans(), tmp_path / "means.pt")
    extract = extractor(path, 3, None)
    x = noise(4, 3, 8, 8)
    assert torch.allclose(extract(x), x.mean((2, 3)), atol=1e-6)
    assert extract.name == "torchscript" and "means.pt" in extract.definition


def test_files_that_cannot_be_used_are_refused(tmp_path):
    with pytest.raises(InputError, match="is no file"):
        TorchScript(tmp_path / "absent.pt")
    (tmp_path / "text.pt").write_text("hello")
    torch.save({"a": 1}, tmp_path / "weights.pt")
    for name in ("text.pt", "weights.pt"):
        with pytest.raises(InputError, match="not a TorchScript module"):
            TorchScript(tmp_path / name)
    path = save_module(Unchanged(), tmp_path / "unchanged.pt")
    with pytest.raises(InputError, match=r"must return \[B, D\]"):
        TorchScript(path)(noise(2, 3, 8, 8))
    path = save_module(torch.nn.Linear(5, 2), tmp_path / "linear.pt")
    with pytest.raises(InputError, match="failed on a batch"):
        TorchScript(path)(noise(2, 3, 8, 8))


def test_features_of_the_other_modality_are_refused():
    with pytest.raises(InputError, match="is for audio"):
        extractor("log_mel", 3, None)
    with pytest.raises(InputError, match="is for pictures"):
        extractor("random_projection", 1, 8000)
