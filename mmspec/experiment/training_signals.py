"""Whether signals that are to judge a denoiser are some that it was trained on, by checksum."""

import hashlib
from pathlib import Path

import numpy as np

from mmspec.data import StoredDataset, open_dataset
from mmspec.errors import InputError
from mmspec.training.run import Run


def refuse_training_signals(
    dataset: StoredDataset, source: str, key: str = "data", train: str | Path | None = None
) -> None:
    """Raise InputError if a set, or one of its signals, is what a denoiser was trained on.

    By checksum: of the sets, where the run recorded that of its own; of each signal, where the training set is here.

    Args:
        dataset: that is to be of others.
        source: of the denoiser: a run, or what lies in one.
        key: by which another set can be given.
        train: what was trained on; None for what the run says, if it is there.
    """
    mend = f"on them a denoiser looks better than it is, so give {key}=FOLDER, of others"
    run = Run.around(Path(source))
    if run is not None and run.data("sha256") == dataset.meta.sha256:
        raise InputError(f"{dataset.folder} holds the signals that {source} was trained on: {mend}.")
    folder = train or (run.data("train") if run is not None else None)
    if folder is None or (train is None and not Path(folder).is_dir()):
        return
    if shared := len(_digests(dataset) & _digests(open_dataset(folder))):
        raise InputError(f"{shared} of the signals in {dataset.folder} are in {folder}, which was trained on: {mend}.")


def _digests(dataset: StoredDataset) -> set[bytes]:
    """Of each signal, without the silence behind it; of none that is one value throughout, as a white sky may be."""
    ends = [None] * len(dataset) if dataset.lengths is None else dataset.lengths.tolist()
    stored = (dataset.stored(np.array([row]))[0] for row in range(len(dataset)))
    signals = (row[:end].reshape(-1, dataset.meta.shape[0]) for row, end in zip(stored, ends, strict=True))
    return {hashlib.sha256(np.ascontiguousarray(x).data).digest() for x in signals if (x != x[0]).any()}
