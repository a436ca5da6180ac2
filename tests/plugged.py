"""Plug-ins, forgotten as a new process would never have known them."""

import gc
import sys

from mmspec import plugins


def forget() -> None:
    """Make the names of all plug-ins unknown again."""
    if not plugins.loaded():
        return
    plugins._loaded.clear()
    for name in [name for name, module in sys.modules.items() if "__plugin__" in getattr(module, "__dict__", {})]:
        del sys.modules[name]
    gc.collect()  # a class that nobody holds is known no more
