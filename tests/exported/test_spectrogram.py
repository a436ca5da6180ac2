"""Spectrograms without torch, against those that networks are trained on."""

import numpy as np
import pytest
import torch

from mmspec.data.mel import LogMel
from mmspec.exported.spectrogram import SpectrogramFacts

OPTIONS = [
    {},
    {"sample_rate": 8000, "n_mels": 5},
    {"sample_rate": 11025, "n_fft": 600, "hop_samples": 100, "n_mels": 20},
]


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("length", [1, 256, 3001])
def test_frames_are_those_of_training(options, length):
    log_mel = LogMel(**options)
    facts = SpectrogramFacts(**log_mel.config)
    assert facts.margin == log_mel.margin
    clip = torch.randn(1, 2, length + 2 * log_mel.margin, generator=torch.Generator().manual_seed(0)) * 0.3
    wanted, found = log_mel.frames(clip).numpy(), facts.frames(clip.numpy())
    assert wanted.shape == found.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-4)
