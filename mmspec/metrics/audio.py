"""Measures of sound by networks from files: FAD and UTMOS."""

from pathlib import Path

from torch import Tensor

from mmspec.errors import InputError
from mmspec.metrics.feature_distance import gaussian_and_kernel
from mmspec.metrics.features import Extractor
from mmspec.metrics.measure import Measure, Metric, Verdict
from mmspec.metrics.network_file import TorchScriptFile
from mmspec.metrics.signals import SignalSet


def mono_at(x: Tensor, sample_rate: int, wanted: int) -> Tensor:
    """Clips ``[B, C, T]`` as a network hears them, ``[B, T']``: channels averaged, resampled by a windowed sinc."""
    x = x.mean(1)
    if sample_rate == wanted:
        return x
    from torchaudio.functional import resample

    resampled: Tensor = resample(x, sample_rate, wanted)
    return resampled


def at_rate(sample_rate: int, wanted: int) -> str:
    """What `mono_at` does to the rate, for definitions."""
    return f"at {wanted} Hz" if sample_rate == wanted else f"resampled from {sample_rate} to {wanted} Hz"


class Listener(Extractor):
    """A TorchScript network that takes mono clips ``[B, T]`` in [-1, 1] at a rate of its own.

    Args:
        name: the key below ``extractors`` in conf/evaluate.yaml.
        path: of the file.
        sample_rate: of the clips, in Hz.
        wanted: by the network, in Hz.

    Raises:
        InputError: if the file is missing or no TorchScript; on use, if it returns something else than
            vectors or scores.
    """

    def __init__(self, name: str, path: str | Path, sample_rate: int, wanted: int) -> None:
        super().__init__()
        self.name = name
        self.network = TorchScriptFile(f"extractors.{name}", path)
        self.sample_rate, self.wanted = sample_rate, wanted
        self.definition = f"{self.network.name}, which hears clips in mono {at_rate(sample_rate, wanted)}"
        self.key = f"{name}-{self.network.sha256[:16]}-{sample_rate}-{wanted}"

    def forward(self, x: Tensor) -> Tensor:
        """``[B, D]`` or ``[B, frames, D]`` of the network as ``[n, D]``; scores ``[B]`` as ``[B, 1]``."""
        result: Tensor = self.network(mono_at(x, self.sample_rate, self.wanted))
        if not 1 <= result.ndim <= 3 or len(result) != len(x):
            raise InputError(
                f"{self.network} must return [B], [B, D] or [B, frames, D] for {len(x)} clips, it returned "
                f"{list(result.shape)}."
            )
        return result.reshape(-1, result.shape[-1]) if result.ndim > 1 else result.unsqueeze(1)


class FrechetAudioDistance(Measure):
    """Fréchet audio distance (Kilgour et al. 2019) and its kernel sibling, by any embedding.

    Args:
        path: of the embedder, see `Listener`; frames of a clip count as vectors of their own.
        sample_rate: of the clips, in Hz.
        wanted: by the network, in Hz.

    Raises:
        InputError: as `Listener`.
    """

    takes = "recordings"

    def __init__(self, path: str | Path, sample_rate: int, wanted: int = 16000) -> None:
        self.extractor = Listener("fad", path, sample_rate, wanted)

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """``fad`` and ``kad``."""
        features = real.features(self.extractor), generated.features(self.extractor)
        definition = f"the {features[0].shape[1]}-dimensional embeddings by {self.extractor.definition}"
        return gaussian_and_kernel(("fad", "kad"), *features, definition, "embeddings")


class MeanOpinionScore(Measure):
    """Mean opinion score as a network predicts it (UTMOS: Saeki et al. 2022).

    Args:
        path: of the predictor, a score a clip, see `Listener`.
        sample_rate: of the clips, in Hz.
        wanted: by the network, in Hz.

    Raises:
        InputError: as `Listener`; on use, if the network returns more than one score a clip.
    """

    takes = "recordings"

    def __init__(self, path: str | Path, sample_rate: int, wanted: int = 16000) -> None:
        self.extractor = Listener("utmos", path, sample_rate, wanted)

    def compare(self, real: SignalSet, generated: SignalSet) -> Metric:
        """``utmos`` of the generated clips; the definition tells the score of the real ones."""
        theirs, ours = real.features(self.extractor), generated.features(self.extractor)
        if (returned := ours.shape[1]) != 1:
            raise InputError(f"{self.extractor.network} must return one score a clip, it returned {returned}.")
        text = (
            f"Mean opinion score (1 to 5) predicted by {self.extractor.definition}; mean of {len(ours):,} generated "
            f"clips, {len(theirs):,} real ones score {theirs.mean().item():.2f}."
        )
        return Metric("utmos", ours.double().mean().item(), text, better="higher")
