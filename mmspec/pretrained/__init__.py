"""Other people's weights as denoisers."""

from mmspec.pretrained.diffwave import load_diffwave, save_diffwave
from mmspec.pretrained.edm import load_edm

__all__ = ["load_diffwave", "load_edm", "save_diffwave"]
