"""Networks from files that people have, TorchScript and ONNX: both run in interpreters of their own."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mmspec.errors import InputError
from mmspec.files import sha256

_load: Callable[..., nn.Module] = torch.jit.load


class NetworkFile(nn.Module):
    """A network from a file; nothing is unpickled.

    Args:
        key: of the configuration, by which errors call the file.
        path: of the file.
        expected: what the key takes, for the error where there is no file.

    Attributes:
        sha256: of the file, in hexadecimal.

    Raises:
        InputError: if the file is missing or of another kind; on use, if the network fails.
    """

    def __init__(self, key: str, path: str | Path, expected: str) -> None:
        super().__init__()
        self.key, self.path = key, Path(path)
        if not self.path.is_file():
            raise InputError(f"{self} is no file: expected {expected}.")
        self.sha256 = sha256(self.path)

    def __str__(self) -> str:
        return f"{self.key}={self.path}"

    @property
    def name(self) -> str:
        """File name and the start of the checksum, for definitions."""
        return f"{self.path.name} (sha256 {self.sha256[:12]}...)"

    def forward(self, x: Tensor, **options: Any) -> Tensor:
        """What the network returns for ``x``, in float32; shapes are the file's own, ``[B, ...]`` in as a rule."""
        try:
            result = self._run(x, **options)
        except Exception as error:  # both engines raise classes of their own
            reason = str(error).strip().splitlines()[-1]
            raise InputError(f"{self} failed on a batch {list(x.shape)} of {x.dtype}: {reason}") from error
        if not isinstance(result, Tensor):
            raise InputError(f"{self} must return a tensor, it returned {type(result).__name__}.")
        return result.float()

    def _run(self, x: Tensor, **options: Any) -> Any:
        raise NotImplementedError


class TorchScriptFile(NetworkFile):
    """A TorchScript module, on the device that it is moved to."""

    def __init__(self, key: str, path: str | Path, expected: str = "a TorchScript file") -> None:
        super().__init__(key, path, expected)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                self.module = _load(self.path, map_location="cpu").eval()
        except (RuntimeError, ValueError) as error:
            raise InputError(f"{self} is not a TorchScript module: save one with torch.jit.save.") from error

    def _run(self, x: Tensor, **options: Any) -> Any:
        return self.module(x, **options)


class OnnxFile(NetworkFile):
    """An ONNX network with one input, whose first output counts, on the fastest device that onnxruntime finds."""

    def __init__(self, key: str, path: str | Path, expected: str = "an ONNX file") -> None:
        super().__init__(key, path, expected)
        try:
            import onnxruntime
        except ImportError:
            raise InputError(f"{self} needs onnxruntime: pip install 'mmspec[eval-image]'.") from None
        try:
            self.session = onnxruntime.InferenceSession(self.path, providers=onnxruntime.get_available_providers())
        except Exception as error:
            reason = str(error).strip().splitlines()[0]
            raise InputError(f"{self} is not an ONNX network: {reason}") from error

    def _run(self, x: Tensor, **options: Any) -> Tensor:
        return torch.from_numpy(self.session.run(None, {self.session.get_inputs()[0].name: x.cpu().numpy()})[0])
