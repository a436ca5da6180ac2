"""``mmspec export``: a denoiser as graphs that other engines run."""

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.experiment.export import ExportOptions, export
from mmspec.typed import read

OPTIONS = (ExportOptions,)


def run(cfg: DictConfig) -> None:
    """Export what conf/export.yaml describes, and print how far it is from torch.

    Raises:
        InputError: for a key that cannot be used, a network that a format has no operators for, or one that differs.
    """
    options = read(ExportOptions, plain(cfg))
    facts = export(options)
    parity = ", ".join(f"{name} {difference:.0e}" for name, difference in facts.parity.items())
    in_float32 = "" if facts.int8 is None else "in float32, before, "
    print(f"{options.out} holds the denoiser for {options.format}; {in_float32}it differs from torch by: {parity}")
    if facts.int8 is not None:
        print(
            f"int8 moves the spectrum of {facts.int8.samples} samples by {facts.int8.log_spectral_distance:.2f} dB, "
            f"other seeds do by {facts.int8.between_seeds:.2f} dB (log-spectral distance)"
        )
