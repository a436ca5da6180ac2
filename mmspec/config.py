"""From a verb and its overrides to a resolved configuration."""

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from mmspec.errors import InputError

CONF = Path(__file__).parent / "conf"


def compose(verb: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration of a verb: ``conf/<verb>.yaml``, its groups, and overrides such as ``trainer.max_steps=5``.

    Raises:
        InputError: for an unknown key, group or value, or a mandatory key that is not given.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra_compose(verb, list(overrides))
        OmegaConf.resolve(cfg)
        missing = sorted(OmegaConf.missing_keys(cfg))
    except (HydraException, OmegaConfBaseException) as error:
        raise InputError(_one_sentence(error)) from None
    if missing:
        raise InputError(f"{missing[0]} must be given: add {missing[0]}=VALUE (mmspec {verb} --help says what it is).")
    return cfg


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A configuration as plain dicts and lists."""
    container = OmegaConf.to_container(cfg, resolve=True)
    if not isinstance(container, dict):
        raise TypeError(f"a configuration is a mapping, not {type(container).__name__}")
    return {str(key): value for key, value in container.items()}


def _one_sentence(error: Exception) -> str:
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()]
    if others and others[0].startswith("Available options"):
        options = takewhile(lambda line: not line.startswith("Config search path"), others[1:])
        return f"{first.split(': ', 1)[-1]}: expected one of {', '.join(options)}."
    return " ".join([first, *others[:1]])
