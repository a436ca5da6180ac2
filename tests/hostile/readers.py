"""Everything in mmspec that reads what strangers wrote, by the kind of file: functions of its path."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # which makes a folder of its own as it is imported, by torch at some first use

from data_prep.audio import RecordingDecoder
from data_prep.dataset_json import DatasetJsonDecoder, read_labels
from data_prep.decoding import decode_members
from data_prep.images import PictureDecoder
from data_prep.labels import LabelRule
from data_prep.samples import Rejected
from data_prep.sources import open_source
from mmspec.data import PackedDataset
from mmspec.data.walk import Walk
from mmspec.diffusion import Denoiser
from mmspec.drawing.pictures import read_picture
from mmspec.experiment.correction_file import CalibratedFor, read_correction
from mmspec.experiment.signal_files import _pack_array
from mmspec.exported.model import ExportedDenoiser
from mmspec.networks import FirstStage
from mmspec.pretrained import load_diffusers, load_diffwave, load_edm, load_first_stage, load_ldm
from mmspec.pretrained.diffusers import unet
from mmspec.pretrained.diffusers_scheduler import levels as load_scheduler
from mmspec.pretrained.weights import read_torch_file, read_weights
from mmspec.report.runs import read_runs
from mmspec.report.table import gather, read_layout, read_table

PICTURE = PictureDecoder((8, 8), 3, LabelRule("none"), "lanczos", "white")
RECORDING = RecordingDecoder(8000, 8192, "mono", LabelRule("none"))


def packed(path: Path) -> None:
    """All that is read of a packed folder before a training begins."""
    dataset = PackedDataset(path)
    assert dataset.captions is None or len(dataset.captions) == len(dataset)
    dataset.batch([0, len(dataset) - 1])


def archive(path: Path) -> None:
    """The pictures of an archive; what is rejected is raised together."""
    rejected = []
    for member, outcome in decode_members(open_source(path).members(), DatasetJsonDecoder(PICTURE, path.name), 1):
        if isinstance(outcome, Rejected):
            rejected.append(f"{member.name}: {outcome}")
    if rejected:
        raise Rejected("; ".join(rejected[:3]))


def recordings(path: Path) -> None:
    """As `archive`, of recordings."""
    outcomes = decode_members(open_source(path).members(), RECORDING, 1)
    if rejected := [f"{member.name}: {outcome}" for member, outcome in outcomes if isinstance(outcome, Rejected)]:
        raise Rejected("; ".join(rejected[:3]))


def run(path: Path) -> None:
    """A run's folder, as the report and tables read it."""
    (reported,) = read_runs([path])
    assert reported.commands is not None and reported.missing is not None


def layout(path: Path) -> None:
    """A table's layout, over the runs beside it."""
    gather(read_layout(path), path.parent)


def figure(path: Path) -> None:
    """A drawing, in which nothing is left that a page would run or fetch."""
    svg = str(read_picture(path).svg)
    tags = " ".join(re.findall("<[^>]*>", svg))
    assert not re.search(r"<\W*(script|foreignObject|iframe|a|set|animate)\b|\son\w+\s*=|javascript:", tags, re.I), tags
    assert not re.search(r"""(href|src)\s*=\s*["'](?!#|data:image/png)""", tags, re.I), tags


def correction(path: Path) -> None:
    """A correction of a denoiser of pictures."""
    read_correction(path, CalibratedFor("0" * 64, (3, 8, 8), None, None))


READERS: dict[str, Callable[[Path], Any]] = {
    "edm": lambda path: load_edm(path, img_resolution=8, model_channels=16, channel_mult=[1], num_blocks=1),
    "edm_pickle": load_edm,
    "ldm": lambda path: load_ldm(path, num_heads=1, image_size=8),
    "diffwave": load_diffwave,
    "diffusers": load_diffusers,
    "first_stage": load_first_stage,
    "torch": read_torch_file,
    "weights": read_weights,
    "denoiser": Denoiser.from_pretrained,
    "saved_first_stage": FirstStage.from_pretrained,
    "compvis": lambda path: load_ldm({"a": torch.zeros(1)}, path),
    "unet": unet,
    "scheduler": lambda path: load_scheduler(path.parent.parent),
    "labels": lambda path: read_labels("dataset.json", path.read_bytes(), "source"),
    "exported": ExportedDenoiser,
    "correction": correction,
    "packed": packed,
    "walk": Walk,
    "npz": lambda path: _pack_array(path, path.with_name("packed")),
    "picture": lambda path: PICTURE(path.name, path.read_bytes()),
    "recording": lambda path: RECORDING(path.name, path.read_bytes()),
    "archive": archive,
    "recordings": recordings,
    "run": run,
    "layout": layout,
    "table": read_table,
    "figure": figure,
}
