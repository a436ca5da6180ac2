"""``mmspec prescribe``: what is wrong with a run, what is to be done about it, and whether that helped."""

import json

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.experiment.prescription import PrescribeOptions, prescribe
from mmspec.interruption import kept
from mmspec.typed import read

OPTIONS = (PrescribeOptions,)


def run(cfg: DictConfig) -> None:
    """Diagnose, prescribe and verify as conf/prescribe.yaml describes, and print what was found.

    Raises:
        InputError: for a key that cannot be used, or if a stage refuses.
        Interrupted: after a signal to stop; stages that are finished stay, and a training saves its state.
    """
    options = read(PrescribeOptions, plain(cfg))
    with kept(options.folder, "what is finished"):
        found = prescribe(options)
    if options.format == "json":
        print(json.dumps(found.write(), indent=1))
    else:
        print("\n".join([found.diagnosis, *(f"- {sentence}" for sentence in found.sentences), str(found.page)]))
