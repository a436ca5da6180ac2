"""``mmspec table``: the metrics of an experiment's runs in one table, beside a paper's figures."""

import os
from pathlib import Path

from omegaconf import DictConfig

from mmspec.errors import InputError
from mmspec.report.table import gather, markdown, read_layout, write_json


def run(cfg: DictConfig) -> None:
    """Print the table that conf/table.yaml describes, and write it as Markdown and JSON.

    Raises:
        InputError: if there are no runs, or the layout or an evaluation cannot be read.
    """
    runs = Path(cfg.runs)
    if not runs.is_dir():
        raise InputError(f"runs={runs} is no folder: give the one that holds the runs, such as a multirun's run_dir.")
    table = gather(read_layout(Path(cfg.layout)), runs, cfg.note or "")
    out = Path(cfg.out) if cfg.out else runs / "table.md"
    out.parent.mkdir(parents=True, exist_ok=True)
    beside = out.with_name(f".{out.name}")
    beside.write_text(markdown(table))
    os.replace(beside, out)
    write_json(table, out.with_suffix(".json"))
    print(markdown(table))
    print(out)
