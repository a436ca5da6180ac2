"""``mmspec info``: the machine, or what a network or denoiser is made of."""

import json
from collections.abc import Mapping, Sequence

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.drawing.tables import columns, markdown, turned
from mmspec.errors import InputError
from mmspec.experiment.info import InfoOptions, facts
from mmspec.experiment.side_by_side import each_facts, side_by_side
from mmspec.typed import read

OPTIONS = (InfoOptions,)
WIDE = 8  # columns, more than which a terminal has no place for


def run(cfg: DictConfig) -> None:
    """Print the facts that conf/info.yaml describes, as text or JSON; one alone has no table.

    Raises:
        InputError: if there is no such denoiser, or a key cannot be used.
    """
    options = read(InfoOptions, plain(cfg))
    if options.format == "markdown":
        raise InputError("format=markdown is a table of several, such as network=A,B: give text or json.")
    found = facts(options)
    print(json.dumps(found, indent=2) if options.format == "json" else _text(found))


def run_all(cfgs: Sequence[DictConfig]) -> None:
    """Print the facts of several networks, denoisers or runs side by side, as text, Markdown or JSON.

    Raises:
        InputError: if one of them is not there, or a key cannot be used.
    """
    options = [read(InfoOptions, plain(cfg)) for cfg in cfgs]
    found = each_facts(options)
    if options[0].format == "json":
        print(json.dumps(found, indent=2))
    else:
        table = side_by_side(found)
        if len(table.headings) > max(WIDE, len(table.rows)):  # with metrics, a line a fact
            table = turned(table)
        print({"text": columns, "markdown": markdown}[options[0].format](table), end="")


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
