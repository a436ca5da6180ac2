"""Any sampler's walk, written down as it works on a signal that notes what is done to it."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from mmspec.diffusion import Denoiser
from mmspec.diffusion.sampling import noise_levels, walked
from mmspec.errors import InputError
from mmspec.exported.walk import DENOISE, DRAW, Instruction, Operand


def recorded(sampler: Callable[..., Tensor], denoiser: Denoiser, steps: int) -> list[Instruction]:
    """The instructions of a walk, for `mmspec.exported.walk.run`.

    Args:
        sampler: a `mmspec.diffusion.samplers.Sampler`.
        denoiser: which says the noise levels.
        steps: of the sampler.

    Raises:
        InputError: if the sampler does more with signals than sums, products and clamping.
    """
    tape = _Tape(denoiser)
    levels = noise_levels(denoiser, steps, None)
    try:
        walk: Any = walked  # which a signal of tensors and one that is recorded take alike
        walk(sampler, denoiser.process, tape, tape.draw(), levels, tape.draw, lambda *_: None)
    except (AttributeError, TypeError) as error:
        raise InputError(
            f"sampler={type(sampler).__name__} does something with signals that an exported walk lacks ({error}): it "
            "has sums, products and clamp."
        ) from None
    return tape.instructions


class _Tape:
    """Looks like a `ConditionedDenoiser`, and notes what is asked of it."""

    def __init__(self, denoiser: Denoiser) -> None:
        self.instructions: list[Instruction] = []
        self._denoiser = denoiser

    def __call__(self, x: "_Noted", sigma: float) -> "_Noted":
        return self.note(DENOISE, x, sigma)

    def draw(self) -> "_Noted":
        return self.note(DRAW)

    def round_sigma(self, sigma: float) -> float:
        return noise_levels(self._denoiser, 1, [sigma])[0]

    def note(self, operation: str, *operands: "_Noted | float") -> "_Noted":
        if any(not isinstance(each, _Noted | float | int) for each in operands):
            raise TypeError(f"{operation} of {' and '.join(type(each).__name__ for each in operands)}")
        written: Sequence[Operand] = [each.name if isinstance(each, _Noted) else float(each) for each in operands]
        self.instructions.append([operation, *written])
        return _Noted(self, str(len(self.instructions) - 1))


class _Noted:
    """The result of an instruction."""

    def __init__(self, tape: _Tape, name: str) -> None:
        self.tape, self.name = tape, name

    def __add__(self, other: Any) -> "_Noted":
        return self.tape.note("add", self, other)

    def __sub__(self, other: Any) -> "_Noted":
        return self.tape.note("sub", self, other)

    def __rsub__(self, other: Any) -> "_Noted":
        return self.tape.note("sub", other, self)

    def __mul__(self, other: Any) -> "_Noted":
        return self.tape.note("mul", self, other)

    def __truediv__(self, other: Any) -> "_Noted":
        return self.tape.note("div", self, other)

    def __neg__(self) -> "_Noted":
        return self * -1.0

    def clamp(self, low: float, high: float) -> "_Noted":
        return self.tape.note("clamp", self, low, high)

    __radd__, __rmul__ = __add__, __mul__
