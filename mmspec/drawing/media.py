"""Signals as a page can hold them: data URIs of pictures and sound, outlines of waveforms."""

import base64
import io

from PIL import Image
from torch import Tensor
from torch.nn.functional import pad

from mmspec.data.media import write_wav


def image(picture: Image.Image, exact: bool = True) -> str:
    """Data URI of a picture, as WebP: pixel by pixel, or where that is not needed much smaller."""
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", lossless=exact, quality=80)
    return _data_uri(buffer, "image/webp")


def wav(x: Tensor, sample_rate: int) -> str:
    """Data URI of a clip, ``[C, T]`` in [-1, 1], as a 16-bit WAV file."""
    buffer = io.BytesIO()
    write_wav(buffer, x, sample_rate)
    return _data_uri(buffer, "audio/wav")


def outline(x: Tensor, points: int = 240) -> str:
    """SVG path of a waveform's extremes, ``[C, T]``, in a view box of ``points`` x 2 with -1 at the bottom."""
    clip = x.mean(0).float().cpu()
    width = -(-len(clip) // points)
    columns = pad(clip, (0, width * points - len(clip))).reshape(points, width)
    tops, bottoms = (1 - columns.amax(1)).tolist(), (1.01 - columns.amin(1)).tolist()
    corners = [*enumerate(tops), *reversed(list(enumerate(bottoms)))]
    return "M" + "L".join(f"{i},{value:.3f}" for i, value in corners) + "Z"


def _data_uri(buffer: io.BytesIO, media_type: str) -> str:
    return f"data:{media_type};base64,{base64.b64encode(buffer.getvalue()).decode()}"
