"""Signals in pages."""

import base64
import io

import numpy as np
from PIL import Image

from mmspec.data.media import spectrogram
from mmspec.drawing.media import image


def opened(uri):
    content = base64.b64decode(uri.removeprefix("data:image/webp;base64,"), validate=True)
    return Image.open(io.BytesIO(content)), len(content)


def as_png(picture):
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return len(buffer.getvalue())


def test_pictures_are_exact_with_their_gaps_and_smaller_than_png():
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 256, (40, 40, 4)).cumsum(0).cumsum(1) // 900 % 256
    smooth[..., 3] = np.where(smooth[..., 3] > 128, 255, 0)
    picture = Image.fromarray(smooth.astype(np.uint8))
    found, size = opened(image(picture))
    alike, seen = np.asarray(found), smooth[..., 3] > 0
    np.testing.assert_array_equal(alike[..., 3], smooth[..., 3])
    np.testing.assert_array_equal(alike[seen], smooth[seen])
    assert size < as_png(picture)


def test_spectrograms_look_alike_and_are_much_smaller():
    clip = 0.1 * np.random.default_rng(0).standard_normal((1, 8192)).astype(np.float32)
    picture = spectrogram(clip, 8000)
    found, size = opened(image(picture, exact=False))
    error = np.asarray(found.convert("RGB"), float) - np.asarray(picture, float)
    assert found.size == picture.size and np.abs(error).mean() < 16 and size < as_png(picture) / 4
