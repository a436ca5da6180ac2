import math

import pytest

from mmspec.config import compose, plain
from mmspec.errors import InputError
from mmspec.experiment.experiment import Experiment
from mmspec.losses import SpectralLoss
from mmspec.typed import read


def experiment(*overrides):
    given = ["run_dir=x", "data.train=y", "regularizer=haar", *overrides]
    return read(Experiment, plain(compose("train", given)))


def test_auto_is_the_papers_constant_at_half_and_scales_with_the_data():
    given = experiment()
    half = given.with_auto(0.5)
    expected = {"sigma_data": 0.5, "sigma_min": 0.002, "sigma_max": 80, "mean": -1.2, "std": 1.2}
    assert half.process.process.arguments == expected
    assert half.trainer.device == "auto"
    quiet = given.with_auto(0.05)
    assert quiet.process.process.arguments["mean"] == pytest.approx(-1.2 + math.log(0.1))
    assert quiet.regularizer["haar"].sigma_weight.arguments["sigma_gate"] == pytest.approx(0.1)
    assert given.process.process.arguments["mean"] == "auto"


def test_weights_and_distributions_that_take_the_place_of_the_process_know_auto_too():
    given = experiment("objective.weighting={type: EDMWeight, sigma_data: auto}", "process=flow")
    assert given.with_auto(0.3).objective.weighting.arguments == {"sigma_data": 0.3}


def test_auto_where_nothing_follows_from_the_data_is_a_wrong_value():
    with pytest.raises(InputError, match=r"process.std takes a number, not 'auto'"):
        experiment("process.std=auto").with_auto(0.5).process.build()


def test_the_stft_loss_takes_the_loudness_of_the_data():
    loss = experiment("regularizer=stft").with_auto(0.2).regularizer["stft"].loss
    assert loss.arguments == {"loudness": 0.2}
    assert loss.build(SpectralLoss, "regularizer.stft.loss", reduction="none").loudness == 0.2
