"""``mmspec diagnose``: what is wrong with the spectra of a denoiser, its first stage and its samples, in words."""

import json

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.experiment.diagnosis import DiagnoseOptions, diagnose
from mmspec.typed import read

OPTIONS = (DiagnoseOptions,)


def run(cfg: DictConfig) -> None:
    """Diagnose what conf/diagnose.yaml describes, and print the verdict and where the page is.

    Raises:
        InputError: if there is no denoiser or no fitting held-out data, or a key cannot be used.
    """
    options = read(DiagnoseOptions, plain(cfg))
    found = diagnose(options)
    if options.format == "json":
        print(json.dumps(found.write(), indent=1))
    else:
        print(found.verdict)
        print(options.page)
