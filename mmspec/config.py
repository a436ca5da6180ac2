"""From a verb and its overrides to a resolved configuration, or to those of a multirun."""

import re
from collections.abc import Mapping, Sequence
from itertools import product, takewhile
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from mmspec.components import choices
from mmspec.errors import InputError
from mmspec.keys import BY_CLASS, refuse_unknown_keys
from mmspec.overrides import readable, unquoted
from mmspec.training.run import refuse_missing_plugins
from mmspec.typed import nearest

CONF = Path(__file__).parent / "conf"
PARTS = ("network", "process", "conditioner")  # of a denoiser, which weights of init_from bring
STRENGTH = ("weight", "sigma_weight", "ramp_steps", "balance")  # of a regularizer, from the group of that name


def compose(verb: str, overrides: Sequence[str] = ()) -> DictConfig:
    """The configuration of a verb: ``conf/<verb>.yaml``, its groups, and overrides such as ``trainer.max_steps=5``.

    Raises:
        InputError: for an unknown key, group or value, or a mandatory key that is not given.
    """
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra_compose(verb, by_class(overrides))
            _choose_parts(cfg, verb, overrides)
        OmegaConf.resolve(cfg)
        if "treatments" not in cfg:  # whose regularizers take their values from it later
            with open_dict(cfg):
                cfg.pop("strength", None)
        if cfg.get("init_from") is not None:
            for group in PARTS:
                cfg[group] = _typed(cfg[group], group, overrides)
        missing = sorted(OmegaConf.missing_keys(cfg))
    except (HydraException, OmegaConfBaseException) as error:
        refuse_unknown_keys(verb, overrides)
        raise InputError(_one_sentence(error)) from None
    if missing:
        raise InputError(f"{missing[0]} must be given: add {missing[0]}=VALUE (mmspec {verb} --help says what it is).")
    return cfg


def _choose_parts(cfg: DictConfig, verb: str, overrides: Sequence[str]) -> None:
    """Of a part that the command line chooses, what an experiment says of its own choice does not count."""
    keys = {word.partition("=")[0].lstrip("+") for word in overrides}
    if "experiment" not in keys or not (parts := keys & set(PARTS)):
        return
    of_parts = [word for word in overrides if re.split(r"[.=]", word.lstrip("+~"))[0] in parts]
    chosen = hydra_compose(verb, by_class(of_parts))
    with open_dict(cfg):
        cfg.update({part: chosen[part] for part in parts if part in chosen})


def _typed(part: DictConfig | None, group: str, overrides: Sequence[str]) -> DictConfig | None:
    """What a command line says, and no preset, of a part that weights bring: of type "auto" where it is not said."""
    keys = [word.partition("=")[0].lstrip("+") for word in overrides]
    if part is None or group in keys:
        return part
    typed = {str(name): part[name] for name in part if f"{group}.{name!s}" in keys}
    return OmegaConf.create({"type": "auto", **typed})


def by_class(words: Sequence[str]) -> list[str]:
    """Overrides in which a group may name a class in place of a preset: ``network=MyNetwork network.width=8``.

    Raises:
        InputError: for a name that is neither.
    """
    named = (re.fullmatch(rf"({'|'.join(BY_CLASS)})=([A-Za-z]\w*)", word) for word in words)
    chosen = {match[1]: match[2] for match in named if match}
    classes = {group: name for group, name in chosen.items() if not (CONF / group / f"{name}.yaml").is_file()}
    for group, name in classes.items():
        _refuse_unknown(group, name, words)
    overrides = []
    for word in words:
        group, _, name = word.partition("=")
        if classes.get(group) == name:
            overrides += _of_class(group, name)
        else:
            overrides.append(f"++{word}" if group.split(".")[0] in classes else word)
    return overrides


def _of_class(group: str, name: str) -> list[str]:
    if group == "regularizer":
        strength = ", ".join(f"{key}: ${{strength.{key}}}" for key in STRENGTH)
        return ["regularizer=none", f"+regularizer.{name}={{loss: {{type: {name}}}, {strength}}}"]
    emptied = f"{group}=none" if (CONF / group / "none.yaml").is_file() else f"~{group}"
    return [emptied, f"+{group}.type={name}"]


def _refuse_unknown(group: str, name: str, words: Sequence[str]) -> None:
    from mmspec.diffusion.processes import Process
    from mmspec.diffusion.samplers import Sampler
    from mmspec.losses import SpectralLoss
    from mmspec.networks import Network

    bases: dict[str, type] = {
        "network": Network,
        "process": Process,
        "sampler": Sampler,
        "regularizer": SpectralLoss,
    }
    known = [*sorted(file.stem for file in (CONF / group).glob("*.yaml")), *choices(bases[group])]
    if name not in known:
        for key, _, folder in (word.partition("=") for word in words):
            if key in ("run_dir", "from"):
                refuse_missing_plugins(unquoted(folder))
        raise InputError(
            f"{group}={name} is unknown: {nearest(name, known)}{', '.join(known)}; a class of your own comes with "
            "plugins=[FILE.py]."
        )


def sweep(verb: str, overrides: Sequence[str]) -> list[DictConfig]:
    """The configurations of a multirun: all combinations of overrides with several values, as ``seed=0,1,2``.

    Where there is a ``run_dir``, or samples have an ``out``, each gets a folder in it that is named after its values:
    ``vp-amplitude-weighted-0``.
    Without a regularizer its strength is left out, and so are the combinations that differ in it alone.

    Raises:
        InputError: as for `compose`; if no override has several values (``seed=choice(0)`` counts as several), or two
            combinations would get the same folder.
    """
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise InputError(_one_sentence(error)) from None
    swept = [override for override in parsed if override.is_sweep_override()]
    if not swept:
        raise InputError("a multirun needs an override with several values, as seed=0,1,2: give one, or leave out -m.")
    fixed = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
    cfgs: list[DictConfig] = []
    for values in product(*(list(override.sweep_string_iterator()) for override in swept)):
        chosen = dict(zip((override.get_key_element() for override in swept), values, strict=True))
        cfg = compose(verb, [*fixed, *(f"{key}={value}" for key, value in chosen.items())])
        if verb == "info":
            cfg.name = ", ".join(map(unquoted, chosen.values()))
        folder = "out" if verb == "sample" else "run_dir"
        if cfg.get(folder) is not None and folder not in chosen:
            cfg[folder] = f"{cfg[folder]}/{_name(chosen, cfg)}"
        if cfg not in cfgs:
            cfgs.append(cfg)
    _refuse_one_folder(verb, cfgs)
    return cfgs


def _refuse_one_folder(verb: str, cfgs: Sequence[DictConfig]) -> None:
    """Refuse a multirun in which one would take the place of another."""
    folders = [cfg.get("run_dir") for cfg in cfgs]
    if verb == "sample":
        folders = [cfg.out or f"samples/final of {cfg['from']}" for cfg in cfgs]
    for folder in folders:
        if folder and folders.count(folder) > 1:
            mend = "out=FOLDER" if verb == "sample" else "paths whose last parts differ"
            raise InputError(f"two runs would be {folder}: give {mend}.")


def plain(cfg: DictConfig) -> dict[str, Any]:
    """A configuration as plain dicts and lists."""
    container = readable(OmegaConf.to_container(cfg, resolve=True))
    if not isinstance(container, dict):
        raise TypeError(f"a configuration is a mapping, not {type(container).__name__}")
    return {str(key): value for key, value in container.items()}


def _name(chosen: Mapping[str, str], cfg: DictConfig) -> str:
    """The values that matter, joined; of a path its last part."""
    strong = bool(cfg.get("regularizer"))
    values = [value for key, value in chosen.items() if strong or key.partition(".")[0] != "strength"]
    return "-".join(unquoted(value).rstrip("/").rpartition("/")[2] for value in values)


def _one_sentence(error: Exception) -> str:
    first, *others = [line.strip() for line in str(error).splitlines() if line.strip()]
    if first.startswith("Ambiguous value"):
        return f"{first.split(None, 4)[-1]} names several values: give one, a list [A,B], or add -m to do each."
    if others and others[0].startswith("Available options"):
        options = takewhile(lambda line: not line.startswith("Config search path"), others[1:])
        first = re.sub(r"You must specify '(\w+)'.*", r"\1= must be given", first)
        return f"{first.split(': ', 1)[-1]}: expected one of {', '.join(options)}."
    return " ".join([first, *others[:1]])
