"""The placebo of spectral regularizers: a squared error, which knows no frequency."""

from torch import Tensor

from mmspec.losses.base import SpectralLoss


class SquaredError(SpectralLoss):
    """``||x - x_hat||_2^2``: what an L2 distance is in any unitary domain (Parseval), Fourier or Haar.

    With the gate in sigma and the share of the gradient of a spectral term it changes the weighting of noise levels as
    that term does, and nothing else: what the term does beyond it is owed to the spectrum.

    Args:
        reduction: "mean" over all elements; "sum" over them; "none" for the mean of each sample, ``[B]``.

    Shape:
        input and target ``[B, C, T]`` or ``[B, C, H, W]``; result ``[]``, or ``[B]`` with ``reduction="none"``.
    """

    def distance(self, input: Tensor, target: Tensor) -> Tensor:
        square = (input - target).square().flatten(1)
        return square.sum(1) if self.reduction == "sum" else square.mean(1)
