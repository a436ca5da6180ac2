"""Short-time Fourier transforms: the spectra of overlapping windowed pieces of a signal, in 1D and 2D.

Piece i is centred on sample ``i * hop_length`` of each axis; at the ends the signal is continued by reflection.
Transforms are not scaled. In 1D this is what librosa and `torch.stft` compute; in 2D a piece is a square patch, its
window the outer product of the 1D window with itself, and its last frequency axis the half that a real signal needs.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from mmspec.spectral.constants import constant
from mmspec.spectral.derivatives import first_only, transformed
from mmspec.spectral.signals import as_signal

WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window, "blackman": torch.blackman_window}


def stft(x: Tensor, n_fft: int, hop_length: int, window: str = "hann", win_length: int | None = None) -> Tensor:
    """Short-time Fourier transform.

    Args:
        x: ``[B, C, T]`` or ``[B, C, H, W]``.
        n_fft: samples of a piece along each axis.
        hop_length: samples from one piece to the next along each axis.
        window: "hann", "hamming" or "blackman", periodic.
        win_length: samples of the window, centred in the piece with zeros on both sides; None for n_fft.

    Returns:
        Complex ``[B, C, bins, frames]`` with ``bins = n_fft // 2 + 1`` and, for an even n_fft,
        ``frames = T // hop_length + 1``; in 2D ``[B, C, n_fft, bins, frames_y, frames_x]``.

    Raises:
        TypeError: if x is not floating point.
        ValueError: if x has not one or two spatial axes or n_fft does not fit it, for an unknown window, and for
            lengths that are not ``1 <= win_length <= n_fft`` and ``1 <= hop_length``.
    """
    x = as_signal(x)
    pieces = _pieces(x, n_fft, hop_length, window, win_length)
    before = (n_fft - pieces.shape[-1]) // 2
    after = n_fft - pieces.shape[-1] - before
    dims = x.ndim - 2
    pieces = F.pad(pieces, (before, after) * dims)
    return _frequencies_first(torch.fft.rfftn(pieces, dim=tuple(range(-dims, 0))))


def spectrogram(
    x: Tensor,
    n_fft: int,
    hop_length: int,
    window: str = "hann",
    win_length: int | None = None,
    floor: float = 0.0,
) -> Tensor:
    """Magnitude of the short-time Fourier transform, several times faster than `stft` and ``abs()`` in training.

    Args:
        x, n_fft, hop_length, window, win_length: as for `stft`.
        floor: magnitudes below are raised to it, and receive no gradient.

    Returns:
        Real, in the shape of `stft`. Its gradient at 0 is 0; second derivatives are those of `torch.func` alone.

    Raises:
        TypeError, ValueError: as `stft` does.
    """
    x = as_signal(x)
    pieces = _pieces(x, n_fft, hop_length, window, win_length)
    measure = _magnitude if transformed() else _Magnitude.apply
    return _frequencies_first(measure(pieces, (n_fft,) * (x.ndim - 2), floor))


def fits(n_fft: int, size: Sequence[int]) -> bool:
    """Whether pieces of n_fft samples fit a signal of this spatial size: reflection needs more than half a piece."""
    return n_fft // 2 < min(size)


def check_window(name: str) -> None:
    """ValueError for a window that is not in `WINDOWS`."""
    if name not in WINDOWS:
        raise ValueError(f"window must be one of {', '.join(WINDOWS)}, not {name!r}.")


class _Pieces(torch.autograd.Function):
    """Signals ``[B, C, *spatial]`` -> overlapping pieces ``[B, C, *frames, *window]``, times the window.

    The adjoint adds the pieces up in runs that do not overlap, which is faster than the adjoint of `Tensor.unfold`. It
    is made of torch's own functions, so derivatives of any order are right.
    """

    @staticmethod
    def forward(ctx: Any, signal: Tensor, window: Tensor, hop_length: int) -> Tensor:
        ctx.size, ctx.window, ctx.hop_length = signal.shape[2:], window, hop_length
        return cut_pieces(signal, window, hop_length)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return add_pieces(grad, ctx.window, ctx.hop_length, ctx.size), None, None


class _Magnitude(torch.autograd.Function):
    """Real pieces ``[B, C, *frames, *window]`` -> magnitudes of their half spectra ``[B, C, *frames, *bins]``."""

    @staticmethod
    def forward(ctx: Any, pieces: Tensor, size: tuple[int, ...], floor: float) -> Tensor:
        """The pieces are filled up with zeros to ``size`` at their end, which magnitudes do not notice."""
        ctx.size, ctx.floor, ctx.window = size, floor, pieces.shape[-len(size) :]
        spectrum = half_spectra(pieces, size)
        magnitude = magnitudes(spectrum, floor)
        ctx.save_for_backward(spectrum, magnitude)
        return magnitude

    @staticmethod
    @first_only
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        spectrum, magnitude = ctx.saved_tensors
        # Dividing by infinity leaves no gradient at the floor.
        spectrum = spectrum * (0.5 * grad / F.threshold(magnitude, ctx.floor, math.inf))
        return twice_adjoint(spectrum, ctx.size, ctx.window), None, None


def _magnitude(pieces: Tensor, size: tuple[int, ...], floor: float) -> Tensor:
    """The same as a function of torch's own."""
    magnitude = torch.fft.rfftn(pieces, size, tuple(range(-len(size), 0))).abs()
    return torch.where(magnitude > floor, magnitude, floor)


def _pieces(x: Tensor, n_fft: int, hop_length: int, window: str, win_length: int | None) -> Tensor:
    """Signals ``[B, C, *spatial]`` -> windowed pieces ``[B, C, *frames, *window]``, without the zeros around them."""
    padded, values = framing(x, n_fft, hop_length, window, win_length)
    if transformed():
        return _unfolded(padded, len(values), hop_length) * values
    pieces: Tensor = _Pieces.apply(padded, values, hop_length)  # type: ignore[no-untyped-call]
    return pieces


def framing(x: Tensor, n_fft: int, hop_length: int, window: str, win_length: int | None) -> tuple[Tensor, Tensor]:
    """What pieces are cut out of, and their window: signals ``[B, C, *spatial]``, continued by reflection as far as
    windows reach, and ``[win_length]`` or ``[win_length, win_length]``.

    Raises:
        ValueError: as `stft` does.
    """
    check_window(window)
    size, win_length = x.shape[2:], n_fft if win_length is None else win_length
    if not 1 <= win_length <= n_fft or hop_length < 1:
        raise ValueError(
            "expected 1 <= win_length <= n_fft and hop_length >= 1, "
            f"not win_length={win_length}, n_fft={n_fft}, hop_length={hop_length}."
        )
    if not fits(n_fft, size):
        raise ValueError(
            f"n_fft={n_fft} does not fit a signal of size {list(size)}: its continuation by reflection needs more "
            f"than n_fft / 2 samples along each axis; pad the signal or choose a smaller n_fft."
        )
    before = n_fft // 2 - (n_fft - win_length) // 2
    after = n_fft // 2 - (n_fft - win_length + 1) // 2
    padded = F.pad(x, (before, after) * len(size), mode="reflect")
    return padded, _window(window, win_length, len(size), x.dtype, x.device)


def cut_pieces(signal: Tensor, window: Tensor, hop_length: int) -> Tensor:
    """Signals ``[B, C, *spatial]`` -> overlapping pieces ``[B, C, *frames, *window]``, times the window."""
    pieces = _unfolded(signal, len(window), hop_length)
    return torch.mul(pieces, window, out=pieces.new_empty(pieces.shape))  # contiguous, as FFTs like it


def add_pieces(pieces: Tensor, window: Tensor, hop_length: int, size: Sequence[int]) -> Tensor:
    """The adjoint of `cut_pieces`: signals ``[B, C, *size]``, sums of windowed pieces."""
    dims = len(size)
    signal = pieces * window
    for _ in range(dims):  # the last axis first; what is added up moves to the front of the axes left
        signal = _overlap_add(signal.movedim(1 + dims, -2), hop_length).movedim(-1, 2)
    behind_last_piece = [n - m for n, m in zip(size, signal.shape[2:], strict=True)]
    return F.pad(signal, [pad for n in reversed(behind_last_piece) for pad in (0, n)])


def half_spectra(pieces: Tensor, size: tuple[int, ...]) -> Tensor:
    """Real pieces ``[..., *window]``, filled up with zeros to ``size`` -> the half of their spectra that they need."""
    filled = F.pad(pieces, (0, size[-1] - pieces.shape[-1]))  # faster than rfft does it
    spectra: Tensor = torch.fft.rfft(filled)
    if len(size) == 2:  # for many small patches, twice as fast as rfft2
        spectra = torch.fft.fft(spectra, size[0], dim=-2)
    return spectra


def magnitudes(spectra: Tensor, floor: float) -> Tensor:
    """Magnitudes of complex spectra ``[...]``, raised to ``floor``."""
    # Arithmetic on separate real and imaginary parts is several times faster than abs().
    real, imag = spectra.real, spectra.imag.contiguous()
    return real.square().addcmul_(imag, imag).sqrt_().clamp_(min=floor)


def twice_adjoint(spectra: Tensor, size: tuple[int, ...], window: Sequence[int]) -> Tensor:
    """Twice the adjoint of `half_spectra`, pieces ``[..., *window]``; writes into ``spectra``."""
    # The inverse real FFT counts every column twice but the first and, in an even length, the last.
    spectra[..., :: size[-1] if size[-1] % 2 else size[-1] // 2] *= 2
    axes = tuple(range(-len(size), 0))
    pieces: Tensor = torch.fft.irfftn(spectra, s=size, dim=axes, norm="forward")
    for axis, length in zip(axes, window, strict=True):
        pieces = pieces.narrow(axis, 0, length)
    return pieces


def _unfolded(signal: Tensor, length: int, hop_length: int) -> Tensor:
    """Signals ``[B, C, *spatial]`` -> overlapping pieces ``[B, C, *frames, *window]``, a view."""
    for axis in range(2, signal.ndim):
        signal = signal.unfold(axis, length, hop_length)
    return signal


def _overlap_add(pieces: Tensor, hop_length: int) -> Tensor:
    """``[..., frames, n]`` -> ``[..., (frames - 1) * hop_length + n]``."""
    frames, n = pieces.shape[-2:]
    runs = -(-n // hop_length)
    total = pieces.new_zeros(*pieces.shape[:-2], (frames + runs - 1) * hop_length)
    for i in range(runs):
        run = pieces[..., i * hop_length : (i + 1) * hop_length]
        reached = total[..., i * hop_length : (i + frames) * hop_length]
        places = reached.view(*reached.shape[:-1], frames, hop_length)
        places.narrow(-1, 0, run.shape[-1]).add_(run)
    return total[..., : (frames - 1) * hop_length + n]


def _frequencies_first(pieces: Tensor) -> Tensor:
    """``[B, C, *frames, *bins]`` -> ``[B, C, *bins, *frames]``."""
    dims = (pieces.ndim - 2) // 2
    return pieces.movedim(tuple(range(-dims, 0)), tuple(range(2, 2 + dims)))


@constant
def _window(name: str, length: int, dims: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    window = WINDOWS[name](length, dtype=torch.float64)
    return (window if dims == 1 else torch.outer(window, window)).to(device, dtype)
