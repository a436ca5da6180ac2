"""A `UNet` as a ``UNet2DModel`` of the diffusers library: the reading of theirs, run backwards."""

from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn

from mmspec.errors import InputError
from mmspec.networks import UNet
from mmspec.pretrained import diffusers_config as known
from mmspec.pretrained.compvis import unet_weights
from mmspec.pretrained.diffusers import unet_names

GROUPS = 32  # of every norm there


def as_unet2d(network: UNet, sample_size: list[int] | None) -> Any:
    """A ``UNet2DModel`` that computes the same.

    Args:
        network: of pictures, without a context, patches or wavelets, with heads of equal width and 32 groups a norm.
        sample_size: height and width of its signals.

    Raises:
        InputError: for one that diffusers has no model for; the sentence says why.
    """
    from diffusers import UNet2DModel

    reason = next((reason for reason, holds in _obstacles(network) if holds), None)
    if reason:
        raise InputError(f"diffusers has no UNet2DModel for this UNet: {reason}.")
    options = network.config
    levels = {**options, "out_channels": network.out_channels}
    told = {key: values[0] for key, values in known.unet_shapes(levels, text=False).items()}
    if options["resample"] == "residual":  # where there is no attention, the block's name says so
        names = {plain: residual for residual, plain in known.BLOCKS.items()}
        told |= {key: [names.get(each, each) for each in told[key]] for key in ("down_block_types", "up_block_types")}
    model = UNet2DModel(
        **told,
        sample_size=sample_size,
        dropout=options["dropout"],
        attention_head_dim=options["head_channels"],
        norm_num_groups=GROUPS,
        attn_norm_num_groups=GROUPS,
    )
    model.load_state_dict(_renamed(network.state_dict(), model))
    return model.eval()


def _obstacles(network: UNet) -> list[tuple[str, bool]]:
    options = network.config
    widths = [options["model_channels"] * mult for mult in options["channel_mult"]]
    attend = {widths[-1], *(widths[level] for level in options["attention_levels"])}
    groups = {module.num_groups for module in network.modules() if isinstance(module, nn.GroupNorm)}
    return [
        ("it is of sound", options["dims"] != 2),
        ("it looks at a context", bool(options["context_channels"])),
        ("it folds patches", options["patch_size"] != 1),
        (f"resample={options['resample']}", options["resample"] not in ("conv", "residual")),
        (f"factors={options['factors']}", network.multiple != 2 ** (len(widths) - 1)),
        ("num_heads is fixed", bool(options["num_heads"])),
        (f"heads of {options['head_channels']} do not divide", any(w % options["head_channels"] for w in attend)),
        (f"norms have {sorted(groups)} groups, not {GROUPS} (group_channels=1)", groups != {GROUPS}),
    ]


def _renamed(ours: dict[str, Tensor], model: Any) -> dict[str, Tensor]:
    """Weights ``{name: any shape}`` under diffusers' names.

    Numbers in their places, read as its folders are, tell where each of ours goes.
    """
    theirs: dict[str, Tensor] = model.state_dict()
    ends = list(accumulate(tensor.numel() for tensor in theirs.values()))
    places = {
        name: torch.arange(end - tensor.numel(), end).view(tensor.shape)
        for (name, tensor), end in zip(theirs.items(), ends, strict=True)
    }
    read = unet_weights(unet_names(places, model.config))
    values = torch.empty(ends[-1])
    for name, place in read.items():
        values[place.flatten()] = ours[name].detach().float().cpu().flatten()
    return {name: values[place] for name, place in places.items()}
