"""``mmspec convert``: other people's weights into a folder that every command here can read."""

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.experiment.conversion import ConvertOptions, convert
from mmspec.typed import read

OPTIONS = (ConvertOptions,)


def run(cfg: DictConfig) -> None:
    """Convert what conf/convert.yaml describes, and print what it is.

    Raises:
        InputError: if the weights cannot be read, or a key cannot be used.
    """
    options = read(ConvertOptions, plain(cfg))
    made = convert(options)
    parameters = sum(parameter.numel() for parameter in made.parameters())
    print(f"{type(made).__name__} of {parameters:,} parameters in {options.out}")
