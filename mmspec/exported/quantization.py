"""Weights and features of a graph as 8-bit integers, where that costs little."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from mmspec.errors import InputError
from mmspec.files import replacing

INTEGER = ("Conv", "MatMul")  # operators; of noise levels' embeddings and gates, which are Gemm, there is too little


def quantize(file: Path, inputs: Sequence[Mapping[str, np.ndarray]]) -> int:
    """Put a graph with 8-bit convolutions and linear layers in the place of one in float32.

    Weights have a scale an output channel, features one a tensor, from the least and the greatest value that ``inputs``
    lead to. The first and the last convolution, which see and make the signal itself, stay as they are, and so do
    products of two features, as in attention.

    Args:
        file: of ONNX.
        inputs: of the graph, to calibrate by: what a sampler will ask, ``[B, ...]`` each.

    Returns:
        How many operators are of 8 bits.

    Raises:
        InputError: if a package is missing, or none of the operators can be.
    """
    try:
        import onnx
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    except ImportError as error:
        raise InputError(f"precision=int8 needs {error.name}: pip install 'mmspec[export]'.") from None
    names = [node.name for node in onnx.load(file).graph.node if node.op_type == "Conv"]
    with replacing(file) as beside:
        try:
            with _without_remarks():
                quantize_static(
                    file,
                    beside,
                    _Reader(inputs),
                    quant_format=QuantFormat.QDQ,
                    op_types_to_quantize=list(INTEGER),
                    per_channel=True,
                    activation_type=QuantType.QUInt8,
                    weight_type=QuantType.QInt8,
                    nodes_to_exclude=[*names[:1], *names[-1:]],
                    extra_options={"MatMulConstBOnly": True},
                )
        except Exception as error:  # of many classes, from deep within
            reason = " ".join(str(error).split())[:200]
            raise InputError(f"{file.name} cannot be made int8 ({reason}): export it in float32.") from error
        if not (count := _integers(onnx.load(beside).graph.node)):
            raise InputError(f"{file.name} has no convolution or linear layer for int8: export it in float32.")
    return count


def _integers(nodes: Sequence[Any]) -> int:
    """How many operators have features and weights of 8 bits."""
    small = {name for node in nodes if node.op_type == "DequantizeLinear" for name in node.output}
    return sum(node.op_type in INTEGER and set(node.input[:2]) <= small for node in nodes)


@contextmanager
def _without_remarks() -> Iterator[None]:
    """No advice of the quantizer's on its own use."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


class _Reader:
    """Inputs one after the other, as onnxruntime's calibration asks for them."""

    def __init__(self, inputs: Sequence[Mapping[str, np.ndarray]]) -> None:
        self._inputs: Iterator[Mapping[str, np.ndarray]] = iter(inputs)

    def get_next(self) -> Mapping[str, np.ndarray] | None:
        """The next ones, ``[B, ...]`` each; None at the end."""
        return next(self._inputs, None)
