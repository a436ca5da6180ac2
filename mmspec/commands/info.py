"""``mmspec info``: the machine, or what a network or denoiser is made of."""

import json
from collections.abc import Mapping

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.experiment.info import InfoOptions, facts
from mmspec.typed import read

OPTIONS = (InfoOptions,)


def run(cfg: DictConfig) -> None:
    """Print the facts that conf/info.yaml describes, as text or JSON.

    Raises:
        InputError: if there is no such denoiser, or a key cannot be used.
    """
    options = read(InfoOptions, plain(cfg))
    found = facts(options)
    print(json.dumps(found, indent=2) if options.format == "json" else _text(found))


def _text(facts: Mapping[str, object], indent: str = "") -> str:
    width = max(len(key) for key in facts)
    lines = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            lines += [f"{indent}{key}", _text(value, indent + "  ")]
        else:
            shown = f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else value
            lines.append(f"{indent}{key:<{width}}  {shown}")
    return "\n".join(lines)
