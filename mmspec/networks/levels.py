"""Where the levels of a network end: the features at which networks of different widths and depths can be compared."""

from torch import nn

from mmspec.networks.diffwave import DiffWave
from mmspec.networks.edm_levels import role
from mmspec.networks.edm_unet import EDMUNet
from mmspec.networks.unet import UNet


def level_ends(network: nn.Module) -> list[nn.Module]:
    """The modules that put out the last features of each level, ``[B, channels, *size]``, in the order they run.

    Of a UNet that is the last block of each level on the way up, before the change of size: it has seen the levels
    below it and the skip connections, so it holds all that the network knows at that scale, whatever the number of
    blocks. DiffWave has one level, which ends where the skip connections of all layers come together.

    Raises:
        ValueError: for a network of another kind.
    """
    if isinstance(network, UNet):
        return [level.blocks[-1] for level in network.decoder]  # type: ignore[misc, index]
    if isinstance(network, EDMUNet):
        blocks = [name for name in network.dec if role(name).startswith("block")]
        last = {name.partition("_")[0]: name for name in blocks}
        return [network.dec[name] for name in last.values()]
    if isinstance(network, DiffWave):
        return [network.skip_projection]
    raise ValueError(f"where the levels of a {type(network).__name__} end is not known: compare outputs alone.")
