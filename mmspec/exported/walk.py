"""A sampler's walk as a list of instructions: what it does to signals, with every noise level as a number.

An instruction is an operation and its operands; a text such as ``"3"`` is the result of the instruction of that number,
a number is itself. What the last one gives are the samples.
"""

import operator
from collections.abc import Callable, Sequence

import numpy as np

Operand = str | float
Instruction = Sequence[Operand]

DRAW, DENOISE = "draw", "denoise"
ARITHMETIC: dict[str, Callable[..., np.ndarray]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "clamp": np.clip,
}


def run(
    instructions: Sequence[Instruction],
    draw: Callable[[], np.ndarray],
    denoise: Callable[[np.ndarray, float], np.ndarray],
) -> np.ndarray:
    """The samples at a walk's end.

    Args:
        instructions: of the walk.
        draw: new standard normal noise, ``[B, C, *spatial]`` float64.
        denoise: ``denoise(x, sigma) -> x0_hat``, ``[B, C, *spatial]`` float64 both.

    Returns:
        ``[B, C, *spatial]`` float64.
    """
    operations: dict[str, Callable[..., np.ndarray]] = {DRAW: draw, DENOISE: denoise, **ARITHMETIC}
    last_use = {name: at for at, (_, *operands) in enumerate(instructions) for name in operands}
    results: dict[str, np.ndarray] = {}
    for at, (operation, *operands) in enumerate(instructions):
        values = [results[each] if isinstance(each, str) else each for each in operands]
        results[str(at)] = operations[str(operation)](*values)
        for name in {each for each in operands if isinstance(each, str) and last_use[each] == at}:
            del results[name]  # or memory would grow with the steps
    return results[str(len(instructions) - 1)]
