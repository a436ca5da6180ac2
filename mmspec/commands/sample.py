"""``mmspec sample``: signals from a trained denoiser, as a packed data set and as files to look at or listen to."""

from importlib.util import find_spec

from omegaconf import DictConfig

from mmspec.config import compose, plain
from mmspec.errors import InputError
from mmspec.experiment.sample_folder import SampleOptions
from mmspec.exported.model import is_exported
from mmspec.typed import read

OPTIONS = (SampleOptions,)


def run(cfg: DictConfig) -> None:
    """Draw the samples that conf/sample.yaml describes, and print where they are; without torch, of what was exported.

    Raises:
        InputError: for a key that cannot be used, or a folder that holds something else.
    """
    options = read(SampleOptions, plain(cfg))
    if is_exported(options.from_):
        from mmspec.experiment.exported_sampling import write_exported_draws

        said: str | None = write_exported_draws(options, read(SampleOptions, plain(compose("sample", ["from=x"]))))
    elif find_spec("torch") is None:
        raise InputError(
            f"from={options.from_} was not exported, and needs torch: install it, or give an exported one."
        )
    else:
        from mmspec.experiment.sampling import write_draws

        said = write_draws(options)
    if said:
        print(said)
