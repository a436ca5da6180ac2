"""The figures of ``mmspec analyze``, a file each: importing this package makes their names known."""

from importlib import import_module
from pkgutil import iter_modules

from mmspec.experiment.figures.options import FigureOptions

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["FigureOptions"]
