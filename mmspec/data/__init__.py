"""Data sets on disk, in one packed format for pictures and sound."""

from mmspec.data.meta import DatasetMeta
from mmspec.data.packed import PackedDataset, write_packed

__all__ = ["DatasetMeta", "PackedDataset", "write_packed"]
