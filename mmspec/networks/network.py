"""What every network says of itself, and how one is made for the data at hand."""

import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from mmspec.components import Component, Configured, construct
from mmspec.errors import InputError

MENDS = {"dims": ", or state dims in the class", "num_classes": ", or set data.labels=false"}


class Network(Configured, nn.Module, ABC):
    """A denoising network, ``network(x, c_noise, **cond)``; a subclass is known by its name, its constructor's
    arguments are its ``config``.

    Args:
        conditions: what it is told besides the noise level, keyword of `forward` -> width; those of width 0 are not
            taken. mmspec knows ``labels`` (classes), ``context`` (channels), ``spectrogram`` (mel bands) and
            ``augment_labels`` (numbers).

    Attributes:
        dims: 1 for waveforms ``[B, C, T]``, 2 for images ``[B, C, H, W]``.
        in_channels, out_channels: of the signal, and of the output.
        multiple: sizes that it divides need no padding.
        conditions: as above.
    """

    dims: int
    in_channels: int
    out_channels: int
    multiple: int = 1

    def __init__(self, **conditions: int) -> None:
        super().__init__()
        self.conditions = {name: width for name, width in conditions.items() if width}

    @classmethod
    def facts(cls, shape: Sequence[int], num_classes: int) -> dict[str, int]:
        """What the data decide, under the names of the constructor's arguments.

        Args:
            shape: ``(C, *spatial)`` of a signal.
            num_classes: 0 where there are no labels.
        """
        return {"dims": len(shape) - 1, "in_channels": shape[0], "num_classes": num_classes}

    @abstractmethod
    def forward(self, x: Tensor, c_noise: Tensor, *args: Any, **cond: Any) -> Tensor:
        """The raw output for x ``[B, in_channels, *spatial]``, already scaled by c_in, at noise labels c_noise
        ``[B]``: ``[B, out_channels, *spatial]``.
        """

    def blocks(self) -> list[nn.Module]:
        """The parts that are called one after another and hold most of the weights, none within another: what can be
        put together from shards, or computed twice, a part at a time. Unless a network says otherwise, the modules in
        its own lists.
        """
        return [block for child in self.children() if isinstance(child, nn.ModuleList) for block in child]

    def level_ends(self) -> list[nn.Module]:
        """The modules that put out the last features of each level, ``[B, channels, *size]``, in the order they run:
        the features at which networks of different widths and depths can be compared.

        Of a UNet that is the last block of each level on the way up, before the change of size: it has seen the levels
        below it and the skip connections, so it holds all that the network knows at that scale, whatever the number of
        blocks.

        Raises:
            ValueError: unless the network knows its levels.
        """
        raise ValueError(f"where the levels of a {type(self).__name__} end is not known: compare outputs alone.")


def make_network(component: Component, shape: Sequence[int], num_classes: int, where: str = "network") -> Network:
    """A new network for signals of a shape.

    Its class takes each of its `Network.facts` as an argument, or states it as an attribute. The configuration sets
    none of them; it may state ``dims``, as presets for waveforms do.

    Args:
        component: the class and its options.
        shape: ``(C, *spatial)`` of a signal.
        num_classes: 0 where there are no labels.
        where: what errors call it: a key or a file.

    Raises:
        InputError: for an unknown name, an unknown, missing or fixed option, a value that the class refuses, data that
            it is not for, or a class that is not what `Network` promises.
    """
    made: type[Network] = component.of_class(Network, where)
    options = dict(component.arguments)
    _agree(f"{where}.dims", options.pop("dims", len(shape) - 1), len(shape) - 1)
    facts = _taken(made, made.facts(shape, num_classes), where)
    try:
        network = construct(made, options, where, **facts)
    except (AttributeError, RuntimeError, MemoryError, OverflowError) as error:
        raise InputError(f"{where}: {made.__name__} {_why(error)}.") from error
    _check_promises(network, f"{where}: {made.__name__}")
    return network


def _why(error: Exception) -> str:
    """What is wrong with a class or its options that torch could not make a network of; others are raised again."""
    text = str(error)
    if isinstance(error, AttributeError) and "Module.__init__()" in text:
        return "must call super().__init__() first in its __init__, before it has layers"
    if isinstance(error, AttributeError) or not re.search(
        "alloc|overflow|too large", text + type(error).__name__, re.I
    ):
        raise error
    return "of these options is larger than memory: make it narrower"


def _check_promises(made: Network, what: str) -> None:
    """InputError for the first thing that a new network of anybody's lacks."""
    if "conditions" not in vars(made):
        raise InputError(f"{what} must call super().__init__() in its __init__, with the conditions that it takes.")
    for name in ("dims", "in_channels", "out_channels", "multiple"):
        value = getattr(made, name, None)
        if type(value) is not int or value < 1:
            raise InputError(f"{what}.{name} is {value}: its __init__ or its class must set it, to 1 or more.")


def _taken(made: type[Network], facts: Mapping[str, int], where: str) -> dict[str, int]:
    """The facts that the class takes as arguments; the others it states."""
    arguments = inspect.signature(made).parameters
    for name, value in facts.items():
        if name in arguments or (name == "num_classes" and not value):
            continue
        if not hasattr(made, name):
            raise InputError(
                f"{where}: {made.__name__} takes no {name}, which is {value} here: give its __init__ an argument of "
                f"that name{MENDS.get(name, '')}."
            )
        _agree(f"{where}: {made.__name__}.{name}", getattr(made, name), value)
    return {name: value for name, value in facts.items() if name in arguments}


def _agree(what: str, stated: object, value: int) -> None:
    if stated != value:
        raise InputError(f"{what}={stated} does not fit the data, where it is {value}: choose another network.")
