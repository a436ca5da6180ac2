import math

import pytest

from mmspec.commands.auto import fill_auto


def test_auto_is_the_papers_constant_at_half_and_scales_with_the_data():
    edm = {"sigma_data": "auto", "sigma_max": "auto"}
    config = {
        "process": {"noise": {"mean": "auto", "std": 1.2}, "preconditioning": edm},
        "regularizer": {"haar": {"sigma_weight": {"sigma_gate": "auto"}}},
        "trainer": {"device": "auto"},
    }
    half = fill_auto(config, 0.5)
    assert half["process"]["noise"] == {"mean": -1.2, "std": 1.2}
    assert half["process"]["preconditioning"] == {"sigma_data": 0.5, "sigma_max": 80}
    assert half["trainer"] == {"device": "auto"}
    quiet = fill_auto(config, 0.05)
    assert quiet["process"]["noise"]["mean"] == pytest.approx(-1.2 + math.log(0.1))
    assert quiet["regularizer"]["haar"]["sigma_weight"]["sigma_gate"] == pytest.approx(0.1)
    assert config["process"]["noise"]["mean"] == "auto"
