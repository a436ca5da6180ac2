"""Loudness by ITU-R BS.1770-4: mean power behind a filter like an ear, of what is not silence."""

import math

import numpy as np

BLOCK_SECONDS, OVERLAP = 0.4, 4  # blocks begin every 0.1 s
AT_ONCE = 600  # tenths of a second
OFFSET = -0.691  # dB, so that a sine of 997 Hz at full scale has -3.01
SILENCE, RELATIVE = -70.0, -10.0  # LUFS below which blocks never count; LU below the mean of the others
SHELF = (1681.974450955533, 0.7071752369554196, 3.999843853973347)  # Hz, quality, dB: of annex 1 at any rate
HIGH_PASS = (38.13547087602444, 0.5003270373238773)


def loudness(sound: np.ndarray, rate: int) -> float:
    """Of ``[T, C]`` at full scale 1 and a rate in Hz, in LUFS; minus infinity for silence. All channels count alike.

    Raises:
        ValueError: if it is shorter than a block of 0.4 s.
    """
    step = round(BLOCK_SECONDS * rate) // OVERLAP
    if len(sound) < OVERLAP * step or not step:
        raise ValueError(f"loudness is measured over {BLOCK_SECONDS} s, got {len(sound)} samples at {rate} Hz.")
    parts = _power(sound, rate, step)
    blocks = np.lib.stride_tricks.sliding_window_view(parts, OVERLAP).mean(1)
    kept = blocks[blocks > _power_of(SILENCE)]
    kept = kept[kept > np.mean(kept) * 10 ** (RELATIVE / 10)] if len(kept) else kept
    return OFFSET + 10 * math.log10(float(np.mean(kept))) if len(kept) else -math.inf


def _power(sound: np.ndarray, rate: int, step: int) -> np.ndarray:
    """Mean power of every 0.1 s, summed over the channels; a few of them at a time, as filters work in float64."""
    from scipy.signal import lfilter

    power = np.zeros(len(sound) // step)
    for channel in sound.T:
        first, second = np.zeros(2), np.zeros(2)
        for start in range(0, len(power), AT_ONCE):
            end = min(start + AT_ONCE, len(power))
            heard, first = lfilter(*_shelf(rate), channel[start * step : end * step].astype(np.float64), zi=first)
            heard, second = lfilter(*_high_pass(rate), heard, zi=second)
            power[start:end] += np.square(heard).reshape(-1, step).mean(1)
    return power


def _power_of(lufs: float) -> float:
    return float(10 ** ((lufs - OFFSET) / 10))


def _shelf(rate: int) -> tuple[list[float], list[float]]:
    hertz, quality, decibels = SHELF
    k, high = math.tan(math.pi * hertz / rate), 10 ** (decibels / 20)
    band = high**0.4996667741545416
    norm = 1 + k / quality + k * k
    numerator = [high + band * k / quality + k * k, 2 * (k * k - high), high - band * k / quality + k * k]
    return [value / norm for value in numerator], _denominator(k, quality)


def _high_pass(rate: int) -> tuple[list[float], list[float]]:
    hertz, quality = HIGH_PASS
    return [1.0, -2.0, 1.0], _denominator(math.tan(math.pi * hertz / rate), quality)


def _denominator(k: float, quality: float) -> list[float]:
    norm = 1 + k / quality + k * k
    return [1.0, 2 * (k * k - 1) / norm, (1 - k / quality + k * k) / norm]
