"""Masks follow from the sample and the layer, and not from who stands beside in the batch."""

import pytest
import torch

from mmspec.networks import EDMUNet
from mmspec.networks.dropout import Dropout, seed_dropout

SEEDS = [3, 1 << 62, 5, 2**63 - 1]


def dropped(seeds: list[int], layers: int = 1, **how: torch.memory_format) -> list[torch.Tensor]:
    network = torch.nn.ModuleList(Dropout(0.25) for _ in range(layers))
    seed_dropout(network, seeds)
    return [layer(torch.ones(len(seeds), 8, 32, 32).to(**how)) for layer in network]


def test_a_batch_is_its_parts() -> None:
    (whole,) = dropped(SEEDS)
    assert torch.equal(whole, torch.cat([dropped(SEEDS[:1])[0], dropped(SEEDS[1:])[0]]))


def test_as_many_values_as_stated_are_zero_and_the_others_make_up_for_them() -> None:
    first, second = dropped(SEEDS, layers=2)
    for each in (first, second):
        assert each.unique().tolist() == pytest.approx([0, 4 / 3])
        # 32,768 values: a standard deviation of 0.0024
        assert (each == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    for one, other in ((first, second), (first[0], first[1])):
        both = ((one == 0) & (other == 0)).float().mean().item()
        assert both == pytest.approx(0.25**2, abs=0.01)


def test_the_layout_in_memory_stays() -> None:
    (mask,) = dropped(SEEDS, memory_format=torch.channels_last)
    assert mask.is_contiguous(memory_format=torch.channels_last) and torch.equal(mask, dropped(SEEDS)[0])


def test_in_evaluation_and_without_a_probability_nothing_is_dropped() -> None:
    x = torch.randn(2, 3)
    assert torch.equal(Dropout(0.5).eval()(x), x) and torch.equal(Dropout(0.0)(x), x)
    layer = Dropout(1.0)
    seed_dropout(layer, [1, 2])
    assert torch.equal(layer(x), torch.zeros(2, 3))


def test_edms_networks_hide_classes_and_drop_values_by_sample() -> None:
    torch.manual_seed(0)
    network = EDMUNet(8, label_dim=3, model_channels=8, channel_mult=(1,), num_blocks=1, attn_resolutions=(),
                      dropout=0.5, label_dropout=0.5)  # fmt: skip
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    x, labels = torch.randn(4, 3, 8, 8), torch.eye(3)[[0, 1, 2, 0]]
    seed_dropout(network, SEEDS)
    whole = network(x, torch.zeros(4), labels)
    for i, seed in enumerate(SEEDS):
        seed_dropout(network, [seed])
        torch.testing.assert_close(network(x[i : i + 1], torch.zeros(1), labels[i : i + 1]), whole[i : i + 1])
