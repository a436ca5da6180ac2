"""A data set by its folder, however its samples lie there."""

from pathlib import Path

from mmspec.data.locations import PIPE, is_stream
from mmspec.data.meta import FILE, SHARDS
from mmspec.data.packed import PackedDataset
from mmspec.data.shards import ShardedDataset
from mmspec.data.stored import StoredDataset
from mmspec.errors import InputError


def open_dataset(folder: str | Path, shards: str | None = None) -> StoredDataset:
    """Open a packed data set, or one in tar shards.

    Args:
        folder: of the data set, or of the index of the shards.
        shards: where these lie, as for `ShardedDataset`; None for where the index says. A command is run: give only
            what the user gave.

    Raises:
        InputError: if there is none, it is damaged, or shards are named that have no index.
    """
    if (Path(folder) / SHARDS).is_file():
        return ShardedDataset(folder, shards)
    if shards is not None:
        raise InputError(
            f"{folder} holds no {SHARDS}, by which data.shards={shards} could be read: write one with `mmspec "
            f"prepare shards '{shards}' INDEX`, and give data.train=INDEX."
        )
    if _names_shards(str(folder)):
        raise InputError(
            f"{folder} names tar shards without their index: write one with `mmspec prepare shards '{folder}' "
            "INDEX`, then give INDEX."
        )
    return PackedDataset(folder)


def _names_shards(text: str) -> bool:
    folder = Path(text)
    unindexed = folder.is_dir() and not (folder / FILE).exists() and any(folder.glob("*.tar"))
    return unindexed or is_stream(text) or text.startswith(PIPE) or text.endswith(".tar")
