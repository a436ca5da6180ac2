"""``mmspec table``: the metrics of an experiment's runs in one table, beside a paper's figures."""

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.experiment.table import TableOptions
from mmspec.report.table import gather, markdown, read_layout, write
from mmspec.typed import read

OPTIONS = (TableOptions,)


def run(cfg: DictConfig) -> None:
    """Print the table that conf/table.yaml describes, and write it as Markdown and JSON.

    Raises:
        InputError: if there are no runs, the layout or an evaluation cannot be read, or the table would replace a file
            that mmspec did not make.
    """
    options = read(TableOptions, plain(cfg))
    table = gather(read_layout(options.layout), options.runs, str(options.note or ""))
    write(table, options.file)
    print(markdown(table))
    print(options.file)
