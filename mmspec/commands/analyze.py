"""``mmspec analyze``: figures of denoisers, data and regularizers, some those of "Diffusion Probabilistic Model Made
Slim".
"""

from omegaconf import DictConfig

from mmspec.components import choices, named
from mmspec.config import plain
from mmspec.experiment.figures import FigureOptions

OPTIONS = tuple(choices(FigureOptions).values())


def run(cfg: DictConfig) -> None:
    """Draw the figure that conf/figure/<name>.yaml describes, and print where it is.

    Raises:
        InputError: if a source cannot be read, a key cannot be used, or the figure would replace a file that mmspec did
            not make.
    """
    config = plain(cfg)
    options = named(config["figure"], FigureOptions, "figure")
    print(options.read(config).draw())
