"""``mmspec analyze``: the figures of "Diffusion Probabilistic Model Made Slim", of a denoiser of yours."""

from omegaconf import DictConfig

from mmspec.commands import frequency_bias
from mmspec.config import plain

FIGURES = {"frequency_bias": frequency_bias.run}


def run(cfg: DictConfig) -> None:
    """Draw the figure that conf/figure/<name>.yaml describes, and print where it is.

    Raises:
        InputError: if a source cannot be read or a key cannot be used.
    """
    config = plain(cfg)
    print(FIGURES[config["figure"]](config))
