"""Spectral operators: pure functions of tensors ``[B, C, T]`` or ``[B, C, H, W]``, and of nothing else in mmspec."""

from mmspec.spectral.fourier import band_energy, frequencies_per_bin, radial_power_spectrum, spectrum
from mmspec.spectral.octaves import (
    frequencies_per_octave,
    mirrored,
    octave_edges,
    octave_energy,
    octave_part,
    octave_product,
    oriented_octave_energy,
    tapered,
)
from mmspec.spectral.stft import spectrogram, stft
from mmspec.spectral.wavelet import dwt, idwt, wavedec, waverec

__all__ = [
    "band_energy",
    "dwt",
    "frequencies_per_bin",
    "frequencies_per_octave",
    "idwt",
    "mirrored",
    "octave_edges",
    "octave_energy",
    "octave_part",
    "octave_product",
    "oriented_octave_energy",
    "radial_power_spectrum",
    "spectrogram",
    "spectrum",
    "stft",
    "tapered",
    "wavedec",
    "waverec",
]
