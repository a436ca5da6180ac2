"""A loop with Hugging Face's accelerate: noise prediction on a cosine schedule.

``python examples/accelerate_loop.py 20`` trains for 20 steps.
The lines marked mmspec are what it adds.
"""

import sys

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import nn
from torch.utils.data import DataLoader

from mmspec.losses import FourierAmplitudeLoss, InverseSigmaGate, Regularizer, clean_and_sigma  # mmspec


def squares(count: int, size: int) -> torch.Tensor:
    """Pictures ``[count, 1, size, size]`` in [-1, 1], in place of your data."""
    left, top = torch.randint(size // 2, (2, count, 1, 1, 1))
    x, y = torch.arange(size).view(1, 1, 1, -1), torch.arange(size).view(1, 1, -1, 1)
    inside = (x >= left) & (x < left + size // 2) & (y >= top) & (y < top + size // 2)
    return 2.0 * inside - 1


def train(steps: int = 1000, size: int = 32, width: int = 64) -> nn.Module:
    """The trained network, which predicts the noise."""
    accelerator = Accelerator(cpu=True)  # leave cpu= out where there is a GPU
    network = nn.Sequential(nn.Conv2d(2, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 1, 3, padding=1))
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network, optimizer, loader = accelerator.prepare(network, optimizer, DataLoader(squares(8 * steps, size), 8))
    term = Regularizer(FourierAmplitudeLoss(reduction="none"), 0.1, InverseSigmaGate(), balance="gradient")  # mmspec
    for step, clean in enumerate(loader):
        kept = torch.cos(torch.rand(len(clean), device=clean.device) * torch.pi / 2) ** 2
        signal, noise_share = (share.view(-1, 1, 1, 1) for share in (kept.sqrt(), (1 - kept).sqrt()))
        noise = torch.randn_like(clean)
        noisy = signal * clean + noise_share * noise
        predicted = network(torch.cat([noisy, signal.expand_as(noisy)], dim=1))
        loss = F.mse_loss(predicted, noise)
        x0_hat, sigma = clean_and_sigma(noisy, predicted, alphas_cumprod=kept)  # mmspec
        loss = loss + term(x0_hat, clean, sigma, denoising=loss, through=predicted).weighted.mean()  # mmspec
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return accelerator.unwrap_model(network)


if __name__ == "__main__":
    train(*map(int, sys.argv[1:2]))
