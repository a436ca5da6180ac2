"""How a denoiser is called fastest here: its memory layout, compiled or not, measured where that is asked for."""

import copy
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch

from mmspec.diffusion import Denoiser
from mmspec.errors import InputError

# One graph for all noise levels, with weights in the order that the kernels want.
COMPILE: dict[str, Any] = {"dynamic": False, "options": {"freezing": True}}
TIMED, BY_CHANCE = 3, 1.03  # calls; what is less faster may be so by chance
WORTH_COMPILING = 120.0  # seconds of sampling; compiling takes about as long


@dataclass(frozen=True)
class Way:
    """One way to call a denoiser.

    Attributes:
        channels_last: the memory layout of its weights, and with them of its features.
        compile: whether torch.compile makes a graph of its network, for batches of one size.
    """

    channels_last: bool = False
    compile: bool = False

    def __str__(self) -> str:
        return " ".join(f"{name}=true" for name in ("channels_last", "compile") if getattr(self, name)) or "eager"

    def of(self, denoiser: Denoiser) -> Denoiser:
        """A denoiser of the same weights that is called so."""
        if not (self.channels_last or self.compile):
            return denoiser
        made = copy.deepcopy(denoiser)
        if self.channels_last:
            made.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compile:
            made.network.compile(**COMPILE)
        return made


EAGER = Way()


@dataclass(frozen=True)
class Fastest:
    """What was measured.

    Attributes:
        way: the fastest.
        denoiser: which is called so.
        gain: how many times faster it is than the first way.
    """

    way: Way
    denoiser: Denoiser
    gain: float


def fastest(
    denoiser: Denoiser, call: Callable[[Denoiser], object], ways: Iterable[Way], calls: float = float("inf")
) -> Fastest:
    """Measure ways to call a denoiser, the first of which is the one to beat.

    Args:
        denoiser: as it is.
        call: what will be done again and again, to a denoiser.
        ways: to be tried; those that compile only where ``calls`` of them take long, and where a compiler is found.
        calls: so many are to come, at least.
    """
    first: float | None = None
    best = Fastest(EAGER, denoiser, 1.0)
    for way in ways:
        if way.compile and first is not None and calls * first < WORTH_COMPILING:
            continue
        made = way.of(denoiser)
        try:
            seconds = _seconds(call, made)
        except RuntimeError:  # no compiler, or one that does not know an operator
            if not way.compile:
                raise
            continue
        first = seconds if first is None else first
        if first / seconds > max(best.gain, BY_CHANCE) or first is seconds:
            best = Fastest(way, made, first / seconds)
    return best


def compiled(call: Callable[[Denoiser], object], denoiser: Denoiser) -> None:
    """Compile a denoiser by its first call.

    Raises:
        InputError: if torch cannot.
    """
    try:
        with torch.no_grad():
            call(denoiser)
    except RuntimeError as error:
        said = str(error).strip().splitlines()[0]
        raise InputError(f"compile=true failed ({said}): it needs a C++ compiler; or leave it out.") from error


def _seconds(call: Callable[[Denoiser], object], denoiser: Denoiser) -> float:
    """Of one call, the least of some, after one that compiles."""
    wait: Callable[[], None] = torch.cuda.synchronize if next(denoiser.parameters()).is_cuda else lambda: None
    seconds = []
    with torch.no_grad():
        for _ in range(TIMED + 1):
            wait()
            start = time.perf_counter()
            call(denoiser)
            wait()
            seconds.append(time.perf_counter() - start)
    return min(seconds[1:])
