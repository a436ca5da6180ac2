"""Geometric augmentation of pictures that a network is told about, so that it learns of it without imitating it."""

import math
from collections.abc import Sequence
from functools import lru_cache

import pywt
import torch
from torch import Generator, Tensor
from torch.nn import functional

# Strengths of Karras et al. 2022, Table 6: octaves of scaling and stretching, and share of the picture's size.
SCALE, STRETCH, SHIFT = 0.2, 0.2, 1 / 8
# An orthogonal filter: what it upsamples, it downsamples to the same. Results need RIM samples more on every side.
FILTER = pywt.Wavelet("sym6").dec_lo
RIM = len(FILTER) // 2 - 1


class EDMAugment:
    """EDM's augmentation pipeline (Karras et al. 2022, appendix F.2, Table 6).

    Half of the pictures are mirrored left to right. Mirroring top to bottom, scaling, rotation, stretching and
    translation each happen with the given probability. Around a picture lies its own reflection, up to a border of
    one picture, and zero beyond. Pictures are sampled at twice their resolution between up- and downsampling by an
    orthogonal wavelet (Karras et al. 2020, appendix B), so that one which is not moved comes back unchanged.

    Args:
        probability: of each transformation but the first, above 0 and at most 1. The paper takes 0.12 for CIFAR-10
            and 0.15 for AFHQv2 and FFHQ.

    Raises:
        ValueError: for another probability.
    """

    label_dim = 9

    def __init__(self, probability: float = 0.12) -> None:
        if not 0 < probability <= 1:
            raise ValueError(f"probability must be above 0 and at most 1, not {probability}.")
        self.probability = probability

    def __call__(self, images: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Augment a batch at random.

        Args:
            images: ``[B, C, H, W]``, floating point.
            generator: of the random numbers, on the device of the pictures.

        Returns:
            The pictures ``[B, C, H, W]`` and what the network is told of each, ``[B, 9]``.
        """
        parameters = self.draw(len(images), generator, images.device)
        return self.apply(images, parameters), self.labels(parameters)

    def draw(self, count: int, generator: Generator | None = None, device: torch.device | None = None) -> Tensor:
        """The parameters a0 to a7 of Table 6, ``[count, 8]``, 0 where nothing happens.

        Mirrored left to right and top to bottom (0 or 1); scaling; rotation in radians; direction (radians) and
        strength of stretching; translation along x and y. Half of all stretching is along the axes.
        """

        def coin() -> Tensor:
            return torch.randint(2, (count,), generator=generator, device=device).float()

        def normal(*parts: int) -> Tensor:
            return torch.randn(*parts, count, generator=generator, device=device)

        def uniform() -> Tensor:
            return torch.rand(count, generator=generator, device=device)

        def angle() -> Tensor:
            return (uniform() * 2 - 1) * math.pi

        def happens(probability: float) -> Tensor:
            return (uniform() < probability).float()

        # The order of the draws is that of EDM, so one seed gives the same augmentation.
        left_right = coin() * happens(1)
        top_bottom = coin() * happens(self.probability)
        scaling = normal() * happens(self.probability)
        rotation = angle() * happens(self.probability)
        stretching, direction = normal(), angle()
        stretching, direction = stretching * happens(self.probability), direction * happens(0.5)
        translation = normal(2) * happens(self.probability)
        return torch.stack([left_right, top_bottom, scaling, rotation, direction, stretching, *translation], dim=1)

    def labels(self, parameters: Tensor) -> Tensor:
        """What the network is told: a0, a1, a2, cos a3 - 1, sin a3, a5 cos a4, a5 sin a4, a6, a7, ``[B, 9]``."""
        left_right, top_bottom, scaling, rotation, direction, stretching, x, y = parameters.unbind(1)
        turn = (rotation.cos() - 1, rotation.sin())
        stretch = (stretching * direction.cos(), stretching * direction.sin())
        return torch.stack([left_right, top_bottom, scaling, *turn, *stretch, x, y], dim=1)

    def apply(self, images: Tensor, parameters: Tensor) -> Tensor:
        """Transform pictures ``[B, C, H, W]`` by ``parameters`` from `draw`, ``[B, 8]``."""
        height, width = images.shape[2:]
        left_right, top_bottom = (parameters[:, i].bool().reshape(-1, 1, 1, 1) for i in (0, 1))
        images = torch.where(left_right, images.flip(3), images)
        images = torch.where(top_bottom, images.flip(2), images)
        fine = _upsampling(height, images) @ images @ _upsampling(width, images).T
        wanted = (2 * (height + RIM), 2 * (width + RIM))
        where = functional.affine_grid(
            _backward(parameters, (width, height), fine.shape[:1:-1], wanted[::-1]),
            [len(images), 1, *wanted],
            align_corners=False,
        )
        fine = functional.grid_sample(fine, where.to(fine.dtype), align_corners=False)
        return _downsampling(height, images) @ fine @ _downsampling(width, images).T


def _backward(parameters: Tensor, size: Sequence[int], available: Sequence[int], wanted: Sequence[int]) -> Tensor:
    """Affine maps ``[B, 2, 3]`` from places in the result to places in the upsampled picture, each from -1 to 1.

    Args:
        parameters: ``[B, 8]``.
        size: width and height of the picture.
        available: of the upsampled picture with its surroundings.
        wanted: of the samples to take, which are as dense.
    """
    _, _, scaling, rotation, direction, stretching, *translation = parameters.unbind(1)
    narrower = torch.exp2(-STRETCH * stretching)
    stretch = _rotation(-direction) @ torch.diag_embed(torch.stack([narrower, 1 / narrower], -1)) @ _rotation(direction)
    linear = torch.exp2(-SCALE * scaling)[:, None, None] * _rotation(rotation) @ stretch
    scale = torch.tensor([[*size], [*available], [*wanted]], device=parameters.device)
    shift = torch.stack(translation, -1) * (2 * SHIFT) * scale[0]
    # In samples from the centre. The wavelet is not quite symmetric: upsampled pictures lie half a sample off.
    offset = (linear @ (0.5 - shift)[:, :, None]) - 0.5
    return torch.cat([linear * (scale[2] / 2), offset], dim=2) * (2 / scale[1])[:, None]


def _rotation(angle: Tensor) -> Tensor:
    """Rotations of the plane, ``[B]`` -> ``[B, 2, 2]``."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)


def _upsampling(size: int, like: Tensor) -> Tensor:
    """Matrix ``[2 (3 size - 2), size]`` that reflects a signal at both ends and upsamples it by 2."""
    return _resampling(size, like.device, like.dtype)[0]


def _downsampling(size: int, like: Tensor) -> Tensor:
    """Matrix ``[size, 2 (size + RIM)]`` that downsamples a signal by 2."""
    return _resampling(size, like.device, like.dtype)[1]


@lru_cache(maxsize=8)
def _resampling(size: int, device: torch.device, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    taps = torch.tensor([[FILTER]], dtype=dtype, device=device)
    unit = torch.eye(size, dtype=dtype, device=device).unsqueeze(1)
    reflected = functional.pad(unit, (size - 1, size - 1), mode="reflect")
    up = functional.conv_transpose1d(reflected, taps, stride=2, padding=RIM)
    unit = torch.eye(2 * (size + RIM), dtype=dtype, device=device).unsqueeze(1)
    down = functional.conv1d(unit, taps, stride=2)
    return up.squeeze(1).T, down.squeeze(1).T
