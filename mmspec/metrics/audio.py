"""Judges of sound by networks from files: FAD and UTMOS."""

from pathlib import Path

from torch import Tensor

from mmspec.errors import InputError
from mmspec.metrics.evaluation import Metric
from mmspec.metrics.features import Extractor
from mmspec.metrics.judge import Judge, Verdict, gaussian_and_kernel
from mmspec.metrics.network_file import TorchScriptFile


def mono_at(x: Tensor, sample_rate: int, wanted: int) -> Tensor:
    """Clips ``[B, C, T]`` as a network hears them, ``[B, T']``: channels averaged, resampled by a windowed sinc."""
    x = x.mean(1)
    if sample_rate == wanted:
        return x
    from torchaudio.functional import resample

    return resample(x, sample_rate, wanted)


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

    any_length = True

    def __init__(self, name: str, path: str | Path, sample_rate: int, wanted: int) -> None:
        super().__init__()
        self.name = name
        self.network = TorchScriptFile(f"extractors.{name}", path)
        self.sample_rate, self.wanted = sample_rate, wanted
        self.definition = f"{self.network.name}, which hears clips in mono {at_rate(sample_rate, wanted)}"
        self.key = f"{name}-{self.network.sha256[:16]}-{sample_rate}-{wanted}"

    def forward(self, x: Tensor) -> Tensor:
        """``[B, D]`` or ``[B, frames, D]`` of the network as ``[n, D]``; scores ``[B]`` as ``[B, 1]``."""
        result = self.network(mono_at(x, self.sample_rate, self.wanted))
        if not 1 <= result.ndim <= 3 or len(result) != len(x):
            raise InputError(
                f"{self.network} must return [B], [B, D] or [B, frames, D] for {len(x)} clips, it returned "
                f"{list(result.shape)}."
            )
        return result.reshape(-1, result.shape[-1]) if result.ndim > 1 else result.unsqueeze(1)


class FrechetAudioJudge(Judge):
    """Fréchet audio distance (Kilgour et al. 2019) and its kernel sibling, by any embedding.

    Args:
        extractor: the embedder; frames of a clip count as vectors of their own.
    """

    def __init__(self, extractor: Listener) -> None:
        self.extractor = extractor
        self.key = extractor.key

    def compare(self, real: Tensor, generated: Tensor) -> Verdict:
        """``fad`` and ``kad``."""
        definition = f"the {real.shape[1]}-dimensional embeddings by {self.extractor.definition}"
        return gaussian_and_kernel(("fad", "kad"), real, generated, definition, "embeddings")


class OpinionJudge(Judge):
    """Mean opinion score as a network predicts it (UTMOS: Saeki et al. 2022).

    Args:
        extractor: the predictor, a score a clip.
    """

    def __init__(self, extractor: Listener) -> None:
        self.extractor = extractor
        self.key = extractor.key

    def compare(self, real: Tensor, generated: Tensor) -> Verdict:
        """``utmos`` of the generated clips; the definition tells the score of the real ones."""
        if generated.shape[1] != 1:
            returned = generated.shape[1]
            raise InputError(f"{self.extractor.network} must return one score a clip, it returned {returned}.")
        text = (
            f"Mean opinion score (1 to 5) predicted by {self.extractor.definition}; mean of {len(generated):,} "
            f"generated clips, {len(real):,} real ones score {real.mean().item():.2f}; higher is better."
        )
        return Verdict([Metric("utmos", generated.double().mean().item(), text)], [])
