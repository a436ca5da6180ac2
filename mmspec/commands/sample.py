"""``mmspec sample``: signals from a trained denoiser, as a packed data set and as files to look at or listen to."""

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.experiment.sampling import SampleOptions, write_draws
from mmspec.typed import read

OPTIONS = (SampleOptions,)


def run(cfg: DictConfig) -> None:
    """Draw the samples that conf/sample.yaml describes, and print where they are.

    Raises:
        InputError: for a key that cannot be used, or a folder that holds something else.
    """
    if said := write_draws(read(SampleOptions, plain(cfg))):
        print(said)
