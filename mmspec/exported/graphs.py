"""What is exported of a denoiser, and how: graphs of torch.export and of ONNX, of any number of samples."""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from mmspec.diffusion import Denoiser
from mmspec.errors import InputError
from mmspec.exported.attention import fused
from mmspec.exported.model import DECODER, DENOISER
from mmspec.exported.session import call, session
from mmspec.exported.text import TEXT_ENCODER, TOKENS
from mmspec.metrics.cost import example

NO_WHOLE_HOPS = 700  # samples of an example with spectrogram: what fits in whole hops is taken to do so always
WORDS = 77  # of a text in examples, as CLIP reads it
ANY_LENGTH = {"spectrogram": {"x": 2, "spectrogram": 2}, "context": {"context": 1}}  # condition -> axes by input
OPSETS = (18, 25)  # of ONNX, that torch's exporter writes
SUFFIX = {"onnx": ".onnx", "torch": ".pt2"}


@dataclass(frozen=True)
class ExportedPart:
    """A function of tensors that becomes a graph.

    Attributes:
        name: of its file, without the suffix.
        module: ``module(inputs)``, a tensor ``[B, ...]``.
        inputs: name -> an example, ``[2, ...]``.
        free: name -> the axis that is of any length, besides the first.
    """

    name: str
    module: nn.Module
    inputs: Mapping[str, Tensor]
    free: Mapping[str, int] = field(default_factory=dict)


class _Called(nn.Module):
    """A method of a module, by the names of its arguments."""

    def __init__(self, module: nn.Module, method: str) -> None:
        super().__init__()
        self.module, self.method = module, method

    def forward(self, inputs: dict[str, Tensor]) -> Any:
        return getattr(self.module, self.method)(**inputs)


class _LastHidden(nn.Module):
    """The embeddings that a model of transformers puts out, ``[B, L, D]``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, inputs: dict[str, Tensor]) -> Any:
        return self.model(**inputs).last_hidden_state


def examples(denoiser: Denoiser, shape: Sequence[int]) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Arguments of a denoiser: x ``[2, *shape]``, sigma ``[2]``, and all that it is told, ``[2, ...]``."""
    (x, sigma), told = example(denoiser.network, shape, 2, "cpu", context_length=WORDS)
    return x, sigma, told


def parts(denoiser: Denoiser) -> list[ExportedPart]:
    """The denoiser ``D(x, sigma, ...)``, and the decoder of its first stage."""
    shape = denoiser.latent_shape or ()
    if "spectrogram" in denoiser.told:
        shape = (*shape[:-1], NO_WHOLE_HOPS)
    x, sigma, told = examples(denoiser, shape)
    free = {name: axis for condition in told for name, axis in ANY_LENGTH.get(condition, {}).items()}
    found = [ExportedPart(DENOISER, _Called(denoiser, "forward"), {"x": x, "sigma": sigma, **told}, free)]
    if denoiser.first_stage is not None:
        found.append(ExportedPart(DECODER, _Called(denoiser.first_stage, "decode"), {"z": x}))
    return found


def text_part(model: nn.Module, length: int) -> ExportedPart:
    """The encoder of texts of ``length`` tokens, ``[B, length]`` int64 -> ``[B, length, D]``.

    Args:
        model: of transformers, such as CLIP's.
    """
    return ExportedPart(TEXT_ENCODER, _LastHidden(model), {TOKENS: torch.arange(2 * length).reshape(2, -1) % 2})


def traced(part: ExportedPart) -> ExportedProgram:
    """A part as torch.export's graph.

    Raises:
        InputError: if its code does what a graph cannot.
    """
    batch = Dim("batch", min=1)
    shapes = ({name: {0: batch, **_of_any_length(part.free.get(name))} for name in part.inputs},)
    try:
        with torch.no_grad(), quiet():
            return torch.export.export(part.module, (dict(part.inputs),), dynamic_shapes=shapes)
    except Exception as error:  # of many classes, from deep within
        raise InputError(_refused(part, "torch.export cannot follow", error)) from error


def _of_any_length(axis: int | None) -> dict[int, Any]:
    return {} if axis is None else {axis: Dim.DYNAMIC}


def write_graph(part: ExportedPart, graph: ExportedProgram, folder: Path, form: str, opset: int) -> Path:
    """Write a graph into a folder.

    Args:
        form: "onnx" or "torch".
        opset: of ONNX.

    Raises:
        InputError: if the exporter is missing, or ONNX lacks an operator.
    """
    file = folder / f"{part.name}{SUFFIX[form]}"
    if form == "torch":
        torch.export.save(graph, file)
        return file
    try:
        with quiet():
            program = torch.onnx.export(
                fused(graph), dynamo=True, opset_version=opset, input_names=list(part.inputs), verbose=False
            )
    except ImportError as error:
        raise InputError(f"format=onnx needs {error.name}: pip install 'mmspec[export]'.") from None
    except Exception as error:
        raise InputError(_refused(part, f"ONNX (opset {opset}) lacks an operator for", error)) from error
    assert program is not None
    for node in program.model.graph.all_nodes():
        node.metadata_props.clear()  # where in whose files each was called from: most of the file
    program.save(file)
    return file


def reader(file: Path) -> Callable[[Mapping[str, Tensor]], Tensor]:
    """A written graph as a function of what its part's module takes; returns ``[B, ...]``."""
    if file.suffix == SUFFIX["torch"]:
        module = torch.export.load(file).module()
        return lambda inputs: module(dict(inputs))
    graph = session(file)
    return lambda inputs: torch.from_numpy(call(graph, {name: value.numpy() for name, value in inputs.items()}))


@contextmanager
def quiet() -> Iterator[None]:
    """No remarks of the exporter's on its own insides."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)


def _refused(part: ExportedPart, what: str, error: Exception) -> str:
    text = str(error)
    operator = re.search(r"OpOverload\(op='([\w.]+)'", text)
    cause = operator[1] if operator else " ".join(text.split())[:200]
    return f"the {part.name} cannot be exported: {what} {cause}; sample from the run itself, or export another network."
