"""Few steps, which a network was taught to do with: it is to be sampled and exported with these."""

import sys

from mmspec.components import Component
from mmspec.training.run import Run

SAMPLER = "euler"


def words(steps: int | None) -> list[str]:
    """Of a command line: what samples as the network was taught to; nothing where it was not."""
    return [] if steps is None else [f"sampler={SAMPLER}", f"steps={steps}"]


def remark(source: str, sampler: Component, steps: int) -> None:
    """Say on standard error where a run that was taught to do with few steps is used with others."""
    run = Run.at(source)
    taught = None if run is None else (run.config.get("distillation") or {}).get("steps")
    if taught is not None and (sampler.name.lower(), steps) != (SAMPLER, taught):
        sys.stderr.write(f"{source} was taught to do with few steps: sample it with {' '.join(words(taught))}\n")
