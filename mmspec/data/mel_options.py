"""Which log-mel spectrograms there can be, whether torch makes them or not."""

MOST_MELS, MOST_FFT = 1024, 2**16  # beyond it the bands of the file of a stranger fill the memory


def check_mel_options(sample_rate: int, n_fft: int, hop_samples: int, n_mels: int) -> None:
    """Raise ValueError for what `mmspec.data.mel.LogMel` cannot be made with."""
    if not (1 <= n_mels <= MOST_MELS and 1 <= n_fft <= MOST_FFT and sample_rate >= 1):
        raise ValueError(
            f"n_mels must be from 1 to {MOST_MELS}, n_fft to {MOST_FFT}, and sample_rate 1 Hz or more, not "
            f"{n_mels}, {n_fft} and {sample_rate}."
        )
    if not 0 < 4 * hop_samples <= n_fft:
        raise ValueError(f"hop_samples={hop_samples} must be 1 or more and at most a quarter of n_fft={n_fft}.")
