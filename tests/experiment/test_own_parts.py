"""Parts of somebody's own that keep no contract are one sentence with their name, not a fault further on."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from mmspec.diffusion import Denoiser, Objective
from mmspec.diffusion.processes import EDM
from mmspec.losses import SpectralLoss
from mmspec.networks import Network
from mmspec.plugins import load, loaded


class _Cropped(Network):
    def __init__(self) -> None:
        super().__init__()
        self.dims, self.in_channels, self.out_channels = 2, 1, 1
        self.layer = nn.Conv2d(1, 1, 3)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        output: Tensor = self.layer(x)
        return output


class _Scalar(SpectralLoss):
    def distance(self, input: Tensor, target: Tensor) -> Tensor:
        return (input - target).abs().mean()


class _OneMore(EDM):
    def draw(self, count: int, generator: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
        return torch.ones(count + 1, device=device)


def test_a_network_whose_output_has_another_size() -> None:
    with pytest.raises(ValueError, match=r"_Cropped gave \[2, 1, 6, 6\] for \[2, 1, 8, 8\]"):
        Denoiser(_Cropped(), EDM(), (1, 8, 8))(torch.zeros(2, 1, 8, 8), 1.0)


def test_a_loss_without_a_value_a_sample() -> None:
    x = torch.randn(3, 1, 8)
    assert _Scalar()(x, x).shape == ()
    with pytest.raises(ValueError, match=r"_Scalar.distance must give a value a sample, \[3\], not \[\]"):
        _Scalar(reduction="none")(x, x)
    with pytest.raises(ValueError, match=r"nothing to compare in signals of shape \[0, 1, 8\]"):
        _Scalar()(x[:0], x[:0])


def test_a_draw_of_another_number() -> None:
    with pytest.raises(ValueError, match=r"_OneMore.draw gave \[5\] for \[4\] noise levels"):
        Objective(_OneMore()).draw((4, 1, 8))


def test_a_plug_in_may_be_a_path(tmp_path: Path) -> None:
    file = tmp_path / "empty_of_mine.py"
    file.write_text("")
    load([file])
    assert "empty_of_mine.py" in loaded()
