"""``mmspec gallery``: runs to page through in a browser, for this machine alone."""

from importlib.util import find_spec

from omegaconf import DictConfig

from mmspec.config import plain
from mmspec.errors import InputError
from mmspec.experiment.gallery import GalleryOptions
from mmspec.gallery.shown import shown
from mmspec.typed import read

OPTIONS = (GalleryOptions,)


def run(cfg: DictConfig) -> None:
    """Print the address, and answer until interrupted.

    Raises:
        InputError: if a path is not the folder of a run, the port is taken, or the server is not installed.
    """
    options = read(GalleryOptions, plain(cfg))
    runs = shown(options.folders)
    if find_spec("starlette") is None or find_spec("uvicorn") is None:
        raise InputError("mmspec gallery needs a server that is not installed: pip install 'mmspec[gallery]'.")
    from mmspec.gallery.server import serve

    serve(runs, options.port, started=lambda address: print(f"{address} (Ctrl-C ends it)", flush=True))
