"""Presets that are compared with each other cost the same, so that what differs between them is not their size."""

import pytest

from mmspec.config import compose, plain
from mmspec.experiment.info import InfoOptions, facts
from mmspec.typed import read

KINDS = ("unet", "wavelet_unet", "noise_gated_unet")


@pytest.mark.parametrize(("end", "shape"), [("", "[3,32,32]"), ("", "[1,32,32]"), ("_1d", "[1,8192]")])
def test_small_networks_are_equal_to_two_percent(end, shape):
    asked = [plain(compose("info", [f"network=small_{kind}{end}", f"shape={shape}"])) for kind in KINDS]
    costs = [facts(read(InfoOptions, each)) for each in asked]
    assert [each["config"]["resample"] for each in costs] == ["conv", "wavelet", "wavelet"]
    for fact in ("parameters", "macs", "macs_with_attention"):
        values = [each[fact] for each in costs]
        assert values == pytest.approx([values[0]] * 3, rel=0.02), fact
