"""A packed data set of pictures -> a zip for EDM and its relatives: PNG files and their labels in dataset.json."""

import argparse
import io
import json
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.dataset_json import NAME
from data_prep.preparation import run
from mmspec.data import StoredDataset, open_dataset
from mmspec.errors import InputError
from mmspec.files import replacing


def write_zip(dataset: StoredDataset, out: Path) -> str:
    """Write the pictures in their order, beside ``out`` and then renamed to it.

    Nothing is compressed, which is what makes such zips fast to read.

    Returns:
        The report to print.

    Raises:
        InputError: if the data set holds sound, or ``out`` exists.
    """
    if dataset.meta.modality != "image":
        raise InputError(f"{dataset.folder} holds sound: expected a data set of pictures.")
    if out.exists():
        raise InputError(f"{out} exists: delete it, or give another OUT.")
    names = [f"{index // 1000:05d}/img{index:08d}.png" for index in range(len(dataset))]
    labels = None if dataset.labels is None else list(zip(names, dataset.labels.tolist(), strict=True))
    with replacing(out) as beside, zipfile.ZipFile(beside, "w", zipfile.ZIP_STORED) as archive:
        for row, name in enumerate(names):
            pixels = dataset.stored(np.array([row]))[0]
            file = io.BytesIO()
            image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
            image.save(file, "PNG", compress_level=0)
            archive.writestr(name, file.getbuffer())
        archive.writestr(NAME, json.dumps({"labels": labels}))
    classes = dataset.meta.classes or ()
    return f"{out}: {len(dataset):,} pictures, " + (f"classes: {len(classes)}" if classes else "without classes")


def main(arguments: list[str] | None = None) -> int:
    """Write a zip; returns the exit status."""
    parser = argparse.ArgumentParser("mmspec prepare edm_zip", description=__doc__)
    parser.add_argument("source", type=Path, metavar="SOURCE", help="a packed data set of pictures")
    parser.add_argument("out", type=Path, metavar="OUT.zip", help="the file to write, which must not exist")
    options = parser.parse_args(arguments)
    return run(lambda: write_zip(open_dataset(options.source), options.out))


if __name__ == "__main__":
    sys.exit(main())
