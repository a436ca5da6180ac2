"""The weights in a folder of diffusers': in one file or several, in full or half precision."""

from pathlib import Path

from torch import Tensor

from mmspec.errors import InputError
from mmspec.pretrained.diffusers_config import read_config
from mmspec.pretrained.weights import read_weights
from mmspec.strangers import clipped

NAME = "diffusion_pytorch_model"
VARIANTS = ("", ".fp16", ".bf16")  # the first that is there
FORMATS = ("safetensors", "bin")


def read_folder(folder: Path) -> dict[str, Tensor]:
    """The state dict in a folder, in the precision of its files.

    Raises:
        InputError: if there is none, a part of it is missing, or it cannot be read.
    """
    for variant in VARIANTS:
        for kind in FORMATS:
            whole, index = folder / f"{NAME}{variant}.{kind}", folder / f"{NAME}.{kind}.index{variant}.json"
            if whole.is_file():
                return read_weights(whole)
            if index.is_file():
                return _shards(index)
    raise InputError(
        f"{folder} lacks its weights: expected {NAME}.safetensors, a variant such as {NAME}.fp16.safetensors, or "
        f"{NAME}.safetensors.index.json with its parts."
    )


def _shards(index: Path) -> dict[str, Tensor]:
    """All that an index names."""
    places = read_config(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(file, str) for file in places.values()):
        raise InputError(f"{index} has no weight_map of names and files: fetch or copy it again.")
    weights: dict[str, Tensor] = {}
    for file in sorted(set(places.values())):
        if Path(file).name != file:
            raise InputError(
                f"{index} names {clipped(file)}: the parts of weights stand beside their index, so move it there."
            )
        weights |= read_weights(index.with_name(file))
    for name, file in places.items():
        if name not in weights:
            raise InputError(
                f"{index.with_name(file)} lacks {clipped(name)}, which {index.name} promises: fetch it again."
            )
    return weights
