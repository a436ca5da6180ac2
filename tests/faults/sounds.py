"""Recordings that tests make, in formats and states of all kinds."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

RATE = 16000


def tone(seconds: float = 1.0, rate: int = RATE, channels: int = 1) -> np.ndarray:
    """A chord that swells, so that every piece of it differs from all others: float32 ``[T, C]``."""
    time = np.arange(round(seconds * rate)) / rate
    sound = (0.1 + 0.3 * time / max(seconds, 1e-9)) * np.sin(2 * np.pi * (300 + 100 * time) * time)
    return np.stack([sound / (channel + 1) for channel in range(channels)], 1).astype(np.float32)


def recorded(sound: np.ndarray, format: str = "WAV", subtype: str | None = None, rate: int = RATE, **how) -> bytes:
    """By libsndfile."""
    file = io.BytesIO()
    soundfile.write(file, sound, rate, format=format, subtype=subtype, **how)
    return file.getvalue()


def converted(content: bytes, *options: str) -> bytes:
    """By ffmpeg, into a pipe, which gets no lengths; skips where it is not installed or lacks the encoder."""
    return _ffmpeg(content, "-i", "pipe:0", *options, "pipe:1")


def converted_file(content: bytes, folder: Path, name: str, *options: str) -> bytes:
    """By ffmpeg, into a file, in which it goes back to write lengths."""
    _ffmpeg(content, "-i", "pipe:0", *options, str(folder / name))
    return (folder / name).read_bytes()


def decoded_by_ffmpeg(content: bytes, folder: Path, channels: int) -> np.ndarray:
    """ffmpeg's own decoding, float32 ``[T, C]``."""
    (folder / "recording").write_bytes(content)
    samples = _ffmpeg(b"", "-i", str(folder / "recording"), "-map", "0:a:0", "-f", "f32le", "pipe:1")
    return np.frombuffer(samples, "<f4").reshape(-1, channels)


def has_ffmpeg() -> bool:
    """Whether it is installed."""
    return shutil.which("ffmpeg") is not None


def _ffmpeg(content: bytes, *options: str) -> bytes:
    if not has_ffmpeg():
        pytest.skip("ffmpeg is not installed")
    command = ["ffmpeg", "-v", "error", "-y", "-bitexact", *options]
    result = subprocess.run(command, input=content, capture_output=True, timeout=60)
    if result.returncode:
        pytest.skip(f"ffmpeg makes no such file: {result.stderr.decode(errors='replace')[:200]}")
    return result.stdout
