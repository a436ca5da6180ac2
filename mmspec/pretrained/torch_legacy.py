"""What torch.save wrote before it wrote zip archives: a row of pickles, then the numbers of all storages.

The magic number, the version, the machine, the content, the keys of the storages, and of each its length and numbers.
"""

import pickle
import struct
from typing import Any

from torch import Tensor

from mmspec.pretrained.inert_pickle import Stream, Table, read
from mmspec.pretrained.torch_pickle import Load, Storage, described, numbers

MAGIC = 0x1950A86A20F9469CFC6C
STARTS = tuple(pickle.dumps(MAGIC, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1))  # of a file


def read_legacy(stream: Stream, table: Table, inert: bool = False) -> tuple[Any, Load]:
    """The content, with windows for tensors, and what gives the numbers of its storages.

    Args:
        stream: a mapped file or `io.BytesIO`.
        table, inert: of the content, see `mmspec.pretrained.inert_pickle.read`.

    Raises:
        Refused: as `mmspec.pretrained.inert_pickle.read`.
        ValueError: if it is of another format, or storages have other lengths than it says.
    """
    if read(stream, {}) != MAGIC:
        raise ValueError("a file that torch.save did not write in its old format")
    _version, _machine = read(stream, {}), read(stream, {})
    storages: dict[str, Storage] = {}

    def found(identity: Any) -> Any:
        if inert and identity[0] == "module":  # a class, beside which its source text stands
            return identity[1]
        storage = described(identity)
        return storages.setdefault(storage.key, storage)

    content = read(stream, table, found, inert)
    tensors: dict[str, Tensor] = {}
    for key in read(stream, {}):
        storage = storages[str(key)]
        (count,) = struct.unpack("<q", stream.read(8))
        data = stream.read(max(count, 0) * storage.dtype.itemsize)
        if count != storage.numbers:
            raise ValueError(f"a storage of {len(data)} bytes for {storage.numbers} numbers, which says {count}")
        tensors[storage.key] = numbers(data, storage)
    return content, lambda storage: tensors[storage.key]
