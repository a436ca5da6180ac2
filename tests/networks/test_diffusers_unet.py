"""What stands in for the library diffusers where it is absent: a sentence."""

import sys

import pytest

from mmspec.errors import InputError
from mmspec.networks import DiffusersUNet


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(InputError, match=r"not installed: pip install 'mmspec\[diffusers\]'"):
        DiffusersUNet("UNet2DModel", {})


def test_other_models_are_refused():
    with pytest.raises(InputError, match="one of UNet2DModel, UNet1DModel, not 'UNet3DConditionModel'"):
        DiffusersUNet("UNet3DConditionModel", {})
