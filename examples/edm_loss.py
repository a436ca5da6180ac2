"""EDM's loss (Karras et al. 2022), of a network that is a denoiser already.

``python examples/edm_loss.py 20`` trains for 20 steps.
The lines marked mmspec are what it adds.
"""

import sys

import torch
from torch import nn

from mmspec.losses import FourierAmplitudeLoss, InverseSigmaGate, Regularizer  # mmspec


def squares(count: int, size: int) -> torch.Tensor:
    """Pictures ``[count, 1, size, size]`` in [-1, 1], in place of your data."""
    left, top = torch.randint(size // 2, (2, count, 1, 1, 1))
    x, y = torch.arange(size).view(1, 1, 1, -1), torch.arange(size).view(1, 1, -1, 1)
    inside = (x >= left) & (x < left + size // 2) & (y >= top) & (y < top + size // 2)
    return 2.0 * inside - 1


class Denoiser(nn.Module):
    """``D(x; sigma)`` around a few convolutions: Karras et al. 2022, Eq. 7."""

    def __init__(self, width: int, sigma_data: float) -> None:
        super().__init__()
        self.sigma_data = sigma_data
        self.layers = nn.Sequential(nn.Conv2d(2, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 1, 3, padding=1))

    def forward(self, x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """Noisy pictures ``[B, 1, H, W]`` and sigma ``[B, 1, 1, 1]`` -> clean ones."""
        variance = sigma**2 + self.sigma_data**2
        raw = self.layers(torch.cat([x / variance.sqrt(), (sigma.log() / 4).expand_as(x)], dim=1))
        return self.sigma_data**2 / variance * x + sigma * self.sigma_data / variance.sqrt() * raw


def train(steps: int = 1000, size: int = 32, width: int = 64, sigma_data: float = 0.5) -> nn.Module:
    """The trained denoiser."""
    denoiser = Denoiser(width, sigma_data)
    optimizer = torch.optim.AdamW(denoiser.parameters(), lr=1e-3)
    term = Regularizer(FourierAmplitudeLoss(reduction="none"), 0.1, InverseSigmaGate(), balance="gradient")  # mmspec
    for step in range(steps):
        clean = squares(8, size)
        sigma = (1.2 * torch.randn(len(clean), 1, 1, 1) - 1.2).exp()
        weight = (sigma**2 + sigma_data**2) / (sigma * sigma_data) ** 2
        x0_hat = denoiser(clean + sigma * torch.randn_like(clean), sigma)
        loss = (weight * (x0_hat - clean) ** 2).mean()
        loss = loss + term(x0_hat, clean, sigma, denoising=loss).weighted.mean()  # mmspec
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return denoiser


if __name__ == "__main__":
    train(*map(int, sys.argv[1:2]))
