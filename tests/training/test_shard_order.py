"""The order in which samples of shards are trained on."""

from functools import cache

import numpy as np
import pytest

from mmspec.training.batches import ShardOrder


def seen(order, steps):
    return np.concatenate([order.indices(step) for step in range(steps)])


@pytest.mark.parametrize(
    ("counts", "batch_size"), [([5, 3, 7], 4), ([1], 3), ([400] * 5 + [17], 48), ([100, 1, 50], 64), ([33] * 3, 6)]
)
def test_every_sample_is_seen_once_an_epoch_by_all_processes_together(counts, batch_size):
    counts = np.array(counts)
    count, order = int(counts.sum()), ShardOrder(counts, batch_size, seed=3)
    indices = seen(order, -(-4 * count // batch_size))
    for epoch in range(4):
        assert sorted(indices[epoch * count : (epoch + 1) * count]) == list(range(count))
    assert len({tuple(indices[epoch * count : (epoch + 1) * count]) for epoch in range(4)}) == (1 if count == 1 else 4)


def test_the_order_follows_from_seed_and_position_alone():
    counts = np.full(40, 100)
    order, later = ShardOrder(counts, 16, seed=1), ShardOrder(counts, 16, seed=1)
    assert (later.indices(777) == [order.indices(step) for step in range(778)][-1]).all()
    assert (ShardOrder(counts, 16, seed=2).indices(777) != later.indices(777)).any()


@cache
def an_epoch():
    """Of 64 shards with 500 samples each, in batches of 32."""
    order = ShardOrder(np.full(64, 500), 32, seed=0)
    return np.stack([order.indices(step) for step in range(1000)])


@pytest.mark.parametrize("processes", [1, 2, 4])
def test_processes_read_shards_of_their_own_nearly_from_front_to_back(processes):
    """But for those that lie where two stretches meet; of each, one window and its neighbour at a time."""
    batches = an_epoch()
    for share in np.split(batches, processes, axis=1):
        shards = share // 500
        assert len(np.unique(shards)) <= 64 / processes + 8 / processes
        for shard in np.unique(shards):
            places = share[shards == shard] % 500  # in the order in which they are read
            behind = np.maximum.accumulate(places) - places
            assert np.quantile(behind, 0.9) < 2 * ShardOrder.WINDOW


def test_neighbours_are_torn_apart():
    batches = np.stack([ShardOrder(np.full(100, 1000), 64, seed=0).indices(step) for step in range(50)])
    assert all(len(np.unique(batch // 1000)) >= 8 for batch in batches)
    assert (np.abs(np.diff(batches, axis=1)) == 1).mean() < 0.02
