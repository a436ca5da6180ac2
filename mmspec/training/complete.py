"""Which checkpoints of a run are complete; nothing of what is in them is read."""

import shutil
from pathlib import Path

MARKER = "COMPLETE"  # the file that is written last


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was written to its end."""
    return (checkpoint / MARKER).is_file()


def complete_checkpoints(folder: Path) -> list[Path]:
    """The complete checkpoints in a run's ``checkpoints`` folder, oldest first."""
    return sorted(path.parent for path in folder.glob(f"step_*/{MARKER}"))


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint in a run's ``checkpoints`` folder."""
    complete = complete_checkpoints(folder)
    return complete[-1] if complete else None


def prune_checkpoints(folder: Path, keep_last: int, keep_every: int | None) -> None:
    """Remove all but the newest ``keep_last`` checkpoints and those at multiples of ``keep_every`` steps."""
    for path in complete_checkpoints(folder)[:-keep_last]:
        step = int(path.name.removeprefix("step_"))
        if not keep_every or step % keep_every:
            (path / MARKER).unlink()
            shutil.rmtree(path)
