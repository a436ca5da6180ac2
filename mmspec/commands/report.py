"""``mmspec report``: one self-contained HTML page of samples, spectra and metrics."""

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.drawing.pages import check_page
from mmspec.drawing.pictures import read_picture
from mmspec.experiment.report import ReportOptions
from mmspec.report.page import build
from mmspec.report.runs import read_runs
from mmspec.report.table import read_table
from mmspec.report.verifications import read_verifications
from mmspec.typed import read

OPTIONS = (ReportOptions,)


def run(cfg: DictConfig) -> None:
    """Write the page that conf/report.yaml describes, and print its path.

    Raises:
        InputError: if a path is not the folder of a run, a run's files cannot be read, or the page would replace a file
            that mmspec did not make.
    """
    options = read(ReportOptions, plain(cfg))
    check_page(options.page)
    runs = read_runs(options.folders, options.names)
    build(
        runs,
        options.page,
        options.heading,
        max_samples=options.max_samples,
        lead=options.lead,
        verifications=read_verifications(options.verifications),
        table=read_table(options.table) if options.table else None,
        figures=[read_picture(file) for file in options.figures],
    )
    for shown in runs:
        for part, command in shown.missing.items():
            print(f"{shown.name} has no {part} yet, which this makes: {command}")
    print(options.page)
