"""A graph of ONNX, run by ONNX Runtime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmspec.errors import InputError

AGAIN = "export it again"


def session(file: Path, device: str = "cpu") -> Any:
    """A graph, ready to be run.

    Args:
        file: of ONNX.
        device: "cpu", or "auto" for what onnxruntime finds.

    Raises:
        InputError: if onnxruntime is missing, or refuses it.
    """
    try:
        import onnxruntime
    except ImportError:
        raise InputError(f"{file} needs onnxruntime: pip install 'mmspec[export]'.") from None
    providers = ["CPUExecutionProvider"] if device == "cpu" else onnxruntime.get_available_providers()
    try:
        return onnxruntime.InferenceSession(file, providers=providers)
    except Exception as error:  # its classes are its own
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{file} is refused by onnxruntime {onnxruntime.__version__} ({reason}): {AGAIN}.") from None


def call(graph: Any, inputs: Mapping[str, np.ndarray]) -> np.ndarray:
    """What a session puts out for inputs ``[B, ...]``, float32 like all inputs but whole numbers."""
    floats = {name: value.astype(np.float32) for name, value in inputs.items() if value.dtype.kind == "f"}
    out: np.ndarray = graph.run(None, {**inputs, **floats})[0]
    return out
