import numpy as np
import pytest
import torch

from mmspec.metrics.spectrogram import MeanSpectrograms, mr_stft_between_sets


def noise(*shape, seed=0, scale=0.1):
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def summary(x, batch_size=None):
    mean = MeanSpectrograms()
    for batch in x.split(batch_size or len(x)):
        mean.update(batch)
    return mean.result()


def test_sets_of_one_clip_have_the_usual_distance():
    auraloss = pytest.importorskip("auraloss")
    real, generated = noise(1, 1, 6000, scale=1), noise(1, 1, 6000, seed=1, scale=2)
    usual = auraloss.freq.MultiResolutionSTFTLoss()(generated, real).item()
    assert mr_stft_between_sets(summary(real), summary(generated)) == pytest.approx(usual, rel=1e-4)


def test_a_gain_has_a_closed_form():
    x = noise(3, 2, 5000)
    distance = mr_stft_between_sets(summary(x), summary(3 * x))
    assert distance == pytest.approx(2 + np.log(3), rel=1e-3)


def test_the_order_of_clips_and_batches_does_not_matter():
    x, y = noise(5, 1, 3000), noise(5, 1, 3000, seed=1)
    distance = mr_stft_between_sets(summary(x), summary(y))
    assert mr_stft_between_sets(summary(x.flip(0), 2), summary(y, 3)) == pytest.approx(distance, rel=1e-6)
    assert mr_stft_between_sets(summary(x), summary(x.flip(0))) == pytest.approx(0, abs=1e-6)


def test_time_counts():
    early = noise(20, 1, 8000)
    early[..., 4000:] = 0
    assert mr_stft_between_sets(summary(early), summary(early.flip(-1))) > 1


def test_silence_equals_inaudible_noise():
    distance = mr_stft_between_sets(summary(torch.zeros(2, 1, 3000)), summary(noise(2, 1, 3000, scale=1e-5)))
    assert distance == pytest.approx(0, abs=1e-6)


def test_resolutions_that_do_not_fit_are_left_out():
    assert [r.n_fft for r in summary(noise(1, 1, 600))] == [1024, 512]
    assert [r.n_fft for r in summary(noise(1, 1, 257))] == [512]
    assert summary(noise(1, 1, 256)) == {}


def test_clips_that_cannot_be_compared_are_refused():
    with pytest.raises(ValueError, match="too short"):
        mr_stft_between_sets(summary(noise(1, 1, 100)), summary(noise(1, 1, 100)))
    with pytest.raises(ValueError, match="one length"):
        mr_stft_between_sets(summary(noise(1, 1, 3000)), summary(noise(1, 1, 4000)))
