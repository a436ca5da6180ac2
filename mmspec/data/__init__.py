"""Data sets on disk: packed, or in tar shards; pictures and sound alike."""

from mmspec.data.meta import DatasetMeta
from mmspec.data.opening import open_dataset
from mmspec.data.packed import PackedDataset, write_packed
from mmspec.data.stored import StoredDataset

__all__ = ["DatasetMeta", "PackedDataset", "StoredDataset", "open_dataset", "write_packed"]
