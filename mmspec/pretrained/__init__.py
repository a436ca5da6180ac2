"""Other people's weights as denoisers, and ours for other people."""

from mmspec.pretrained.diffusers_models import load_diffusers, save_diffusers
from mmspec.pretrained.diffwave import load_diffwave, save_diffwave
from mmspec.pretrained.edm import load_edm
from mmspec.pretrained.first_stage import load_first_stage
from mmspec.pretrained.hub import push_to_hub
from mmspec.pretrained.ldm import load_ldm

__all__ = [
    "load_diffusers",
    "load_diffwave",
    "load_edm",
    "load_first_stage",
    "load_ldm",
    "push_to_hub",
    "save_diffusers",
    "save_diffwave",
]
