"""``mmspec report``: one self-contained HTML page of samples, spectra and metrics."""

import os
from pathlib import Path

from omegaconf import DictConfig, ListConfig

from mmspec.errors import InputError
from mmspec.provenance import provenance
from mmspec.report.page import build
from mmspec.report.pictures import read_picture
from mmspec.report.runs import read_runs
from mmspec.report.table import read_json


def run(cfg: DictConfig) -> None:
    """Write the page that conf/report.yaml describes, and print its path.

    Raises:
        InputError: if a path is not the folder of a run, or a run's files cannot be read.
    """
    folders = [Path(path) for path in (cfg.runs if isinstance(cfg.runs, ListConfig) else [cfg.runs])]
    if not folders:
        raise InputError("runs=[] names no run: give runs=[FOLDER,FOLDER].")
    if cfg.max_samples is not None and cfg.max_samples < 1:
        raise InputError(f"max_samples must be 1 or more, not {cfg.max_samples}.")
    runs = read_runs(folders)
    home = folders[0] if len(folders) == 1 else Path(os.path.commonpath([folder.resolve() for folder in folders]))
    out = Path(cfg.out) if cfg.out else home / "report.html"
    made_by = provenance()
    build(
        runs,
        out,
        cfg.title or home.resolve().name,
        command=made_by["command"],
        machine=made_by["machine"],
        version=made_by["versions"]["mmspec"],
        max_samples=cfg.max_samples,
        table=read_json(Path(cfg.table)) if cfg.table else None,
        figures=[read_picture(Path(file)) for file in cfg.figures],
    )
    for shown in runs:
        for part, command in shown.missing.items():
            print(f"{shown.name} has no {part} yet, which this makes: {command}")
    print(out)
