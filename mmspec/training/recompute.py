"""Activation checkpointing: what a block computed is forgotten, and computed again when gradients come back to it.

Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
"""

from functools import partial

from torch.utils.checkpoint import checkpoint

from mmspec.networks import Network


def recompute_blocks(network: Network) -> None:
    """Have a network keep the inputs of its blocks alone: memory for about a third more time."""
    for block in network.blocks():
        block.forward = partial(checkpoint, block.forward, use_reentrant=False)
