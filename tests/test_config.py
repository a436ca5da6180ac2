"""What a configuration is composed of, and what counts where two say something."""

import pytest

from mmspec.config import compose, plain

TRAIN = ["run_dir=exp", "data.train=data"]


@pytest.mark.parametrize(
    ("experiment", "part"),
    [
        ("edm_small", "network=small_unet"),
        ("photographs", "network=UNet"),
        ("afhq", "process=vp"),
        ("diffwave", "conditioner=none"),
    ],
)
def test_a_part_of_the_command_line_is_not_mixed_with_an_experiments(experiment: str, part: str) -> None:
    group = part.partition("=")[0]
    mixed = plain(compose("train", [*TRAIN, f"experiment={experiment}", part, "seed=3"]))
    assert mixed[group] == plain(compose("train", [*TRAIN, part]))[group]
    whole = plain(compose("train", [*TRAIN, f"experiment={experiment}", "seed=3"]))
    assert {key: mixed[key] for key in mixed if key != group} == {key: whole[key] for key in whole if key != group}


def test_a_key_of_the_part_counts_beside_it() -> None:
    words = ["experiment=edm_small", "network=small_unet", "network.dropout=0.5", "process.sigma_data=0.4"]
    network = plain(compose("train", [*TRAIN, *words]))["network"]
    assert network["dropout"] == 0.5 and network["model_channels"] == 4
