"""Other people's subclasses, in files of their own: ``plugins=[my_losses.py]`` makes their names known everywhere.

A plug-in is code, so it is imported for the command line or for ``MMSPEC_PLUGINS`` alone, never because a run, a
checkpoint or a file of the hub says so.
"""

import gc
import hashlib
import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType

from mmspec.components import choices
from mmspec.errors import InputError
from mmspec.files import sha256

VARIABLE = "MMSPEC_PLUGINS"


@dataclass(frozen=True)
class Plugin:
    """A module of somebody's own.

    Attributes:
        name: of its file, or of the module.
        sha256: of its source, or of all files of a package.
    """

    name: str
    sha256: str


_loaded: dict[str, Plugin] = {}  # by SHA-256


def load(sources: Sequence[str | Path]) -> None:
    """Import plug-ins, and those that the environment variable names before them; each once.

    Args:
        sources: files, or names of modules that can be imported.

    Raises:
        InputError: if one is missing, cannot be imported, or has a class whose name is taken.
    """
    for source in (*filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)), *map(str, sources)):
        path = _file(source)
        digest = _package_sha256(path.parent) if path.name == "__init__.py" else sha256(path)
        plugin = Plugin(path.name if source.endswith(".py") else source, digest)
        if plugin.sha256 not in _loaded:
            _import(source, path, plugin)
            _loaded[plugin.sha256] = plugin


def loaded() -> dict[str, str]:
    """Name -> SHA-256 of the plug-ins of this process."""
    return {plugin.name: plugin.sha256 for plugin in _loaded.values()}


def _file(source: str) -> Path:
    if f"{source}.".startswith("mmspec."):
        raise InputError(f"plugins={source} is mmspec's own, whose names are known: leave it out.")
    if source.endswith(".py"):
        path = Path(source)
        if not path.is_file():
            raise InputError(f"plugins={source} is no file: give the path of a Python file, or a module's name.")
        return path
    try:
        spec = importlib.util.find_spec(source)
    except (ImportError, ValueError):
        spec = None
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise InputError(f"plugins={source} is no module that can be imported, nor a file that ends with .py.")
    return Path(spec.origin)


def _package_sha256(folder: Path) -> str:
    lines = (f"{path.relative_to(folder).as_posix()} {sha256(path)}\n" for path in sorted(folder.rglob("*.py")))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _import(source: str, path: Path, plugin: Plugin) -> None:
    name = f"{path.stem}-{plugin.sha256[:12]}" if source.endswith(".py") else source
    try:
        module = _run(name, path) if source.endswith(".py") else importlib.import_module(source)
        for key in _modules(name):
            sys.modules[key].__plugin__ = asdict(plugin)  # type: ignore[attr-defined]
        problem = _taken(module)
    except (Exception, SystemExit) as error:  # whatever is wrong with somebody's code
        problem = f"failed as it was imported ({type(error).__name__}: {' '.join(str(error).split())})"
    if problem:
        for key in _modules(name):
            del sys.modules[key]
        module = None  # type: ignore[assignment]
        gc.collect()  # a class that nobody holds is known no more
        raise InputError(f"plugins={source} {problem}: mend it.")


def _modules(name: str) -> list[str]:
    """A module, and what a package has imported of itself."""
    return [each for each in sys.modules if f"{each}.".startswith(f"{name}.")]


def _run(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def _taken(module: ModuleType) -> str | None:
    """What is wrong where a class of the module has a name that is known already."""
    for cls in [value for value in vars(module).values() if isinstance(value, type)]:
        if not f"{cls.__module__}.".startswith(f"{module.__name__}."):
            continue
        for base in cls.__mro__[1:]:
            if base.__module__.startswith("mmspec.") and inspect.isabstract(base):
                try:
                    choices(base)
                except InputError as error:
                    return f"cannot be used ({str(error).rstrip('.')})"
    return None
