"""Checkpoints are written on a thread beside training, one at a time, and training hears later what became of them."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from mmspec.training.checkpoint import Snapshot, save_checkpoint
from mmspec.training.complete import prune_checkpoints


class CheckpointWriter:
    """Writes checkpoints into a folder, and removes old ones once a newer one is whole.

    Args:
        folder: of the checkpoints.
        keep_last, keep_every: as for `mmspec.training.complete.prune_checkpoints`.
    """

    def __init__(self, folder: Path, keep_last: int, keep_every: int | None) -> None:
        self.folder, self._kept = folder, (keep_last, keep_every)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoints")
        self._work: Future[None] | None = None

    def begin(self, snapshot: Snapshot) -> None:
        """Write a checkpoint, once the one before was settled."""
        self._work = self._thread.submit(self._write, snapshot)

    def settle(self, wait: bool = True) -> None:
        """Hear what became of the checkpoint at work; nothing, if it is not done and is not waited for.

        Raises:
            InputError: if what it was to hold is not finite.
            OSError: if the disk refused it.
        """
        if self._work is not None and (wait or self._work.done()):
            work, self._work = self._work, None
            work.result()

    def close(self) -> None:
        """Wait for the checkpoint at work, and hear no more of it."""
        self._thread.shutdown(wait=True)

    def _write(self, snapshot: Snapshot) -> None:
        save_checkpoint(self.folder, snapshot)
        prune_checkpoints(self.folder, *self._kept)
