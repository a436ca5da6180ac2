"""Packed data sets for tests."""

import numpy as np

from mmspec.data import DatasetMeta, write_packed


def write_pictures(folder, pixels):
    """uint8 ``[N, H, W, C]``; returns the folder."""
    write_packed(folder, np.asarray(pixels, np.uint8), meta=DatasetMeta(modality="image", source="test"))
    return folder


def write_clips(folder, samples, rate, lengths=None):
    """Floats in [-1, 1], ``[N, T]``; returns the folder."""
    data = np.rint(np.asarray(samples) * 32767).astype(np.int16)
    write_packed(folder, data, lengths=lengths, meta=DatasetMeta(modality="audio", source="test", sample_rate=rate))
    return folder
