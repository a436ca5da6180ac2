"""Contents of samples from streams, a block of neighbours at a time."""

import threading
import time
from collections import OrderedDict
from collections.abc import Sequence

from mmspec.data.members import Damaged
from mmspec.data.shard_index import ShardIndex
from mmspec.data.streams import ShardStream, Unreachable, open_stream
from mmspec.errors import InputError

BLOCK = 256  # samples
BLOCKS, STREAMS = 32, 16  # kept at a time
TRIES, PAUSE = 3, 1.0  # seconds, longer after each
Outcome = bytes | Damaged


class ShardBlocks:
    """Each block is read when a sample of it is due, and kept until all have been; the stream stays open for the next.

    So memory holds what lies between the first and the last sample that are due at a time, as long as they are due
    nearly in the order in which they lie in their shards; any other order gives the same bytes, more slowly.

    Args:
        index: of the shards.
        locations: as `mmspec.data.locations.locations` gives them.
    """

    def __init__(self, index: ShardIndex, locations: Sequence[str]) -> None:
        self._index, self._locations = index, locations
        self._blocks: OrderedDict[int, dict[int, Outcome]] = OrderedDict()  # first row -> row -> outcome
        self._streams: OrderedDict[int, ShardStream] = OrderedDict()  # first row of what it gives next -> stream
        self._lock = threading.Lock()

    def content(self, row: int) -> bytes:
        """All bytes of a sample, or as many as there are.

        Raises:
            Damaged: if the shard is missing or ends before.
            InputError: if it does not come, three times.
        """
        start = self._index.starts[self._index.shard(row)]
        first = start + (row - start) // BLOCK * BLOCK
        with self._lock:
            block = self._blocks.pop(first, {})
            if row not in block:
                block = self._read(first)
            outcome = block.pop(row)
            if block:
                self._blocks[first] = block
            if len(self._blocks) > BLOCKS:
                self._blocks.popitem(last=False)
        if isinstance(outcome, Damaged):
            raise outcome
        return outcome

    def _read(self, first: int) -> dict[int, Outcome]:
        """A block, by whichever stream has come to its beginning."""
        shard = self._index.shard(first)
        end = min(first + BLOCK, self._index.starts[shard + 1])
        block: dict[int, Outcome] = {}
        stream = self._streams.pop(first, None)
        for tried in range(TRIES):
            time.sleep(tried * PAUSE)
            try:
                stream = stream or open_stream(self._locations[shard], self._index.place(first + len(block))[0])
                for row in range(first + len(block), end):
                    block[row] = stream.at(*self._index.place(row)[:2])
                break
            except Damaged as damaged:
                block |= dict.fromkeys(range(first + len(block), end), damaged)
                break
            except Unreachable as error:
                if stream is not None:
                    stream.close()
                stream, why = None, str(error)
        else:
            raise InputError(
                f"{self._locations[shard]} {why}, {TRIES} times in a row: see that it can be read, then run the same "
                "command again."
            )
        self._keep(stream, end if end < self._index.starts[shard + 1] else None)
        return block

    def _keep(self, stream: ShardStream | None, ahead: int | None) -> None:
        """A stream for the block that begins with the row ``ahead``, if there is one."""
        if stream is None:
            return
        if ahead is None:
            stream.close()
            return
        if ahead in self._streams:
            self._streams.pop(ahead).close()
        self._streams[ahead] = stream
        if len(self._streams) > STREAMS:
            self._streams.popitem(last=False)[1].close()
