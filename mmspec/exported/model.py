"""An exported denoiser as it is run: by ONNX Runtime and NumPy, without torch."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mmspec.components import Component
from mmspec.documents import parse_json, read_json
from mmspec.errors import InputError
from mmspec.exported import walk
from mmspec.exported.noise import NormalNoise
from mmspec.exported.session import AGAIN, call, session
from mmspec.exported.spectrogram import SpectrogramFacts
from mmspec.exported.text import TEXT_ENCODER, ExportedTextEncoder
from mmspec.files import sha256
from mmspec.strangers import read_document, shown
from mmspec.typed import checked, read

FORMAT = "mmspec-exported-2"
CONFIG, WALK, DENOISER, DECODER = "config.json", "walk.json", "model", "decoder"


@dataclass(frozen=True)
class SignalFacts:
    """What the denoiser's signals are: shape ``(C, *spatial)``, Hz of sound, names of classes."""

    shape: tuple[int, ...]
    sample_rate: int | None
    classes: list[str] | None


@dataclass(frozen=True)
class Int8Facts:
    """What 8-bit integers change.

    Attributes:
        operators: that are of 8 bits.
        calibrated_on: so many signals.
        samples: that were drawn, each way.
        log_spectral_distance: of the mean spectra of float32's and int8's samples of the same seeds, in dB.
        between_seeds: the same of float32's samples of other seeds.
    """

    operators: int
    calibrated_on: int
    samples: int
    log_spectral_distance: float
    between_seeds: float


@dataclass(frozen=True)
class ExportedFacts:
    """config.json of an exported denoiser.

    Attributes:
        format: `FORMAT`.
        mmspec: version that exported it.
        graph: of what the files are.
        opset: of ONNX; None of torch's.
        files: name -> SHA-256.
        signal: see `SignalFacts`.
        latent_shape: ``(C, *spatial)`` of what the denoiser works on.
        process: which it was trained with.
        sigma_min, sigma_max: noise levels between which it was trained.
        conditions: what it is told: keyword -> width.
        sampler, steps, guidance: of the walk.
        parity: by file, the largest difference from torch, of the largest value, or of 1 where that is less; of
            ``samples``, drawn by both.
        conditioner: of a vocoder, what makes its spectrograms.
        int8: of a denoiser in 8-bit integers, which was held against torch in float32 before.
        checksum: of all the others, as the graphs were made for these and no others.
    """

    format: str
    mmspec: str
    graph: Literal["onnx", "torch"]
    opset: int | None
    files: dict[str, str]
    signal: SignalFacts
    latent_shape: tuple[int, ...]
    process: Component
    sigma_min: float
    sigma_max: float
    conditions: dict[str, int]
    sampler: Component
    steps: int
    guidance: float | None
    parity: dict[str, float]
    conditioner: SpectrogramFacts | None = None
    int8: Int8Facts | None = None
    checksum: str = ""


def is_exported(folder: str | Path) -> bool:
    """Whether a folder is of ``mmspec export``, whole or not."""
    return any((Path(folder) / name).is_file() for name in (WALK, f"{DENOISER}.onnx", f"{DENOISER}.pt2"))


def checksum(config: Mapping[str, object]) -> str:
    """SHA-256 of what config.json says besides its checksum."""
    rest = {key: value for key, value in config.items() if key != "checksum"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


class ExportedDenoiser:
    """What ``mmspec export format=onnx`` wrote; nothing in it is executed but its graphs, by ONNX Runtime.

    Args:
        folder: of the export.
        device: "cpu", or "auto" for what onnxruntime finds.

    Attributes:
        facts: what the folder says of itself.

    Raises:
        InputError: if it is of another version or of torch's graphs, a file is missing, changed or cut short, or
            onnxruntime is missing or refuses a graph.
    """

    def __init__(self, folder: str | Path, device: str = "cpu") -> None:
        self.folder, self._device = Path(folder), device
        self.facts = read_facts(self.folder)
        if self.facts.graph != "onnx":
            raise InputError(
                f"{self.folder} was exported for torch, which torch.export.load runs: export it with format=onnx to "
                "sample from it."
            )
        if missing := [name for name in (WALK, f"{DENOISER}.onnx") if name not in self.facts.files]:
            raise InputError(f"{self.folder / CONFIG} names no {missing[0]} among its files: {AGAIN}.")
        for name, digest in self.facts.files.items():
            if not (self.folder / name).is_file() or sha256(self.folder / name) != digest:
                raise InputError(f"{self.folder / name} is missing, changed or cut short: {AGAIN}, or copy it again.")
        self._instructions = _read_walk(self.folder / WALK)
        self._denoiser = self._session(f"{DENOISER}.onnx")
        self._decoder = self._session(f"{DECODER}.onnx") if f"{DECODER}.onnx" in self.facts.files else None

    def _session(self, name: str) -> Any:
        return session(self.folder / name, self._device)

    def text_encoder(self) -> ExportedTextEncoder:
        """What makes ``context`` of texts.

        Raises:
            InputError: if it was not exported along, or cannot be used.
        """
        if f"{TEXT_ENCODER}.onnx" not in self.facts.files:
            raise InputError(
                f"{self.folder} was exported without an encoder of texts: export it again with text_encoder=, the "
                "folder of a CLIP model."
            )
        return ExportedTextEncoder(self.folder, self._device)

    def __call__(self, x: np.ndarray, sigma: np.ndarray, **told: np.ndarray) -> np.ndarray:
        """Of x ``[B, *latent_shape]``, sigma ``[B]``, conditions ``[B, ...]`` -> x0_hat like x, float32."""
        return call(self._denoiser, {"x": x, "sigma": sigma, **told})

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Signals ``[B, C, *spatial]`` of latents ``[B, *latent_shape]``, one by one: a decoder needs much memory."""
        if self._decoder is None:
            return z
        return np.concatenate([call(self._decoder, {"z": z[i : i + 1]}) for i in range(len(z))])

    def sample(
        self,
        seeds: Sequence[int],
        told: Mapping[str, np.ndarray],
        nothing: Mapping[str, np.ndarray] | None = None,
        length: int | None = None,
    ) -> np.ndarray:
        """Samples, each by its seed alone, equal to torch's of these seeds to 1e-3.

        Args:
            seeds: one a sample.
            told: conditions ``[B, ...]``.
            nothing: what guidance puts in their place, ``[1, ...]``; zeros where that is not said.
            length: of a recording in samples, where a vocoder makes one of another length than it was trained on.

        Returns:
            ``[B, C, *spatial]`` float32.
        """
        sources, shape = [NormalNoise(seed) for seed in seeds], self.facts.latent_shape
        shape = shape if length is None else (*shape[:-1], length)

        def draw() -> np.ndarray:
            return np.stack([source.draw(shape) for source in sources]).astype(np.float64)

        def denoise(x: np.ndarray, sigma: float) -> np.ndarray:
            return np.asarray(self._guided(x, np.full(len(x), sigma), told, nothing or {}), np.float64)

        return self.decode(walk.run(self._instructions, draw, denoise).astype(np.float32))

    def _guided(
        self, x: np.ndarray, sigma: np.ndarray, told: Mapping[str, np.ndarray], nothing: Mapping[str, np.ndarray]
    ) -> np.ndarray:
        scale = self.facts.guidance
        if scale is None:
            return self(x, sigma, **told)
        hidden = {name: nothing.get(name, np.float32(0)) + np.zeros_like(value) for name, value in told.items()}
        both = {name: np.concatenate([hidden[name], value]) for name, value in told.items()}
        without, conditional = np.split(self(np.tile(x, (2,) + (1,) * (x.ndim - 1)), np.tile(sigma, 2), **both), 2)
        guided: np.ndarray = without + np.float32(scale) * (conditional - without)
        return guided


def _read_walk(file: Path) -> list[walk.Instruction]:
    try:
        instructions: list[walk.Instruction] = checked(
            parse_json(read_document(file)), list[Sequence[str | float]], f"{file}: a walk"
        )
    except ValueError as error:
        raise InputError(f"{file} is no walk of a sampler ({str(error).removesuffix('.')}): {AGAIN}.") from None
    return instructions


def read_facts(folder: Path) -> ExportedFacts:
    """What an exported folder says of itself.

    Raises:
        InputError: if it is of another version, or not whole.
    """
    config = read_json(folder / CONFIG, mend=AGAIN)
    if (found := config.get("format")) != FORMAT:
        raise InputError(f"{folder / CONFIG} has format {shown(found)}, this mmspec reads {FORMAT!r}: {AGAIN}.")
    facts = read(ExportedFacts, config, f"{folder / CONFIG}:")
    if facts.checksum != checksum(config):
        raise InputError(f"{folder / CONFIG} was changed since, which its graphs were not: {AGAIN}.")
    return facts
