"""``mmspec train``: a packed data set and a configuration in, a run out."""

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.experiment.experiment import Experiment
from mmspec.experiment.training import train
from mmspec.typed import read

OPTIONS = (Experiment,)


def run(cfg: DictConfig) -> None:
    """Train, or go on with, the run that conf/train.yaml describes, and print what to type next.

    Raises:
        InputError: for a key that cannot be used, or a folder that holds another run.
        Interrupted: after a signal to stop, once the state is saved.
    """
    said = train(read(Experiment, plain(cfg)))
    if said:
        print(said)
