"""``mmspec calibrate``: the correction of a denoiser, by which ``mmspec sample`` multiplies what it predicts."""

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.experiment.calibration import CalibrateOptions, write_correction
from mmspec.typed import read

OPTIONS = (CalibrateOptions,)


def run(cfg: DictConfig) -> None:
    """Calibrate as conf/calibrate.yaml describes, and print what the correction does and where it is.

    Raises:
        InputError: for a key that cannot be used, signals that do not serve, or if nothing is to be corrected.
    """
    print(write_correction(read(CalibrateOptions, plain(cfg))))
