"""FID, KID, precision and recall by the Inception network: NVIDIA's file, or one with its interface."""

from pathlib import Path

import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.metrics.diversity import precision_recall
from mmspec.metrics.feature_distance import gaussian_and_kernel
from mmspec.metrics.features import Extractor
from mmspec.metrics.measure import Measure, Metric, Verdict
from mmspec.metrics.network_file import NetworkFile, OnnxFile, TorchScriptFile
from mmspec.metrics.signals import SignalSet

KEY = "extractors.inception"
DIMENSIONS = 2048
EXPECTED = (
    "NVIDIA's inception-2015-12-05.pt, or a TorchScript or ONNX file that takes uint8 [B, 3, H, W] and returns "
    f"[B, {DIMENSIONS}]"
)


class Inception(Extractor):
    """Pictures ``[B, C, H, W]`` in [-1, 1], C = 1 or 3 -> features ``[B, 2048]``.

    Pictures go to the network as uint8 ``[B, 3, H, W]`` at their own size, and it resizes them itself, so that no
    resizing of ours gets into the numbers. NVIDIA's TorchScript file, published with StyleGAN2-ADA, is called with
    ``return_features=True``; of an ONNX file (``.onnx``) the first output counts.

    Args:
        path: of the file.

    Raises:
        InputError: if the file is missing or neither; on use, if it is another network.
    """

    name = "inception"

    def __init__(self, path: str | Path) -> None:
        super().__init__()
        onnx = Path(path).suffix == ".onnx"
        self.network: NetworkFile = (OnnxFile if onnx else TorchScriptFile)(KEY, path, EXPECTED)
        self.options = {} if onnx else {"return_features": True}
        self.key = f"{self.name}-{self.network.sha256[:16]}"
        self.definition = (
            f"the {DIMENSIONS} features of the Inception network {self.network.name}, to which pictures go as uint8 at "
            "their own size and which resizes them itself"
        )

    def forward(self, x: Tensor) -> Tensor:
        pixels = (x * 127.5 + 128).clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1)
        try:
            features: Tensor = self.network(pixels, **self.options)
        except InputError as error:
            raise InputError(f"{error} (expected {EXPECTED})") from error
        if features.shape != (len(x), DIMENSIONS):
            found = list(features.shape)
            raise InputError(f"{self.network} is another network, it returned {found}: expected {EXPECTED}.")
        return features


class InceptionDistance(Measure):
    """FID and KID (by EDM's protocol, but for the count of samples, which is theirs), precision and recall.

    Args:
        path: of the network's file, see `Inception`.

    Raises:
        InputError: as `Inception`.
    """

    neighbours = 3

    def __init__(self, path: str | Path) -> None:
        self.extractor = Inception(path)

    def compare(self, real: SignalSet, generated: SignalSet) -> Verdict:
        """``fid``, ``kid`` and, where the sets have enough neighbours, ``precision`` and ``recall``."""
        definition = self.extractor.definition
        features = real.features(self.extractor), generated.features(self.extractor)
        verdict = gaussian_and_kernel(("fid", "kid"), *features, definition, "pictures")
        if min(len(real), len(generated)) > self.neighbours:
            theirs, ours = (vectors.to(real.device) for vectors in features)
            shares = precision_recall(theirs, ours, self.neighbours)
            what = ("generated pictures among the real", "real pictures among the generated")
            for name, value, which in zip(("precision", "recall"), shares, what, strict=True):
                text = (
                    f"Share of {which} ones: nearer to one than its {self.neighbours}rd nearest neighbour "
                    f"(Kynkäänniemi et al. 2019) by {definition}; {len(generated):,} generated, {len(real):,} real "
                    "pictures."
                )
                verdict.metrics.append(Metric(name, value, text, better="higher"))
        return verdict
