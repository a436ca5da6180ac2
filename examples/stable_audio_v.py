"""v-prediction on sound as stable-audio-tools trains it: ``alpha = cos(t pi / 2)``.

``python examples/stable_audio_v.py 20`` trains for 20 steps.
The lines marked mmspec are what it adds.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

from mmspec.losses import InverseSigmaGate, MultiResolutionSTFTLoss, Regularizer, clean_and_sigma  # mmspec


def tones(count: int, length: int) -> torch.Tensor:
    """Stereo ``[count, 2, length]`` in [-1, 1] at 8 kHz, in place of your data."""
    return torch.sin(2 * torch.pi * torch.randint(100, 3000, (count, 2, 1)) * torch.arange(length) / 8000)


def train(steps: int = 1000, length: int = 8192, width: int = 64) -> nn.Module:
    """The trained network, which predicts ``alpha noise - sigma clean``."""
    layers = nn.Conv1d(3, width, 33, padding=16), nn.SiLU(), nn.Conv1d(width, 2, 33, padding=16)
    network = nn.Sequential(*layers)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    stft = MultiResolutionSTFTLoss(reduction="none", loudness=0.7)  # mmspec
    term = Regularizer(stft, 0.1, InverseSigmaGate(), balance="gradient")  # mmspec
    for step in range(steps):
        clean = tones(4, length)
        t, noise = torch.rand(len(clean)), torch.randn_like(clean)
        alphas, sigmas = torch.cos(t * torch.pi / 2)[:, None, None], torch.sin(t * torch.pi / 2)[:, None, None]
        noisy, target = alphas * clean + sigmas * noise, alphas * noise - sigmas * clean
        predicted = network(torch.cat([noisy, t[:, None, None].expand(-1, 1, length)], dim=1))
        loss = F.mse_loss(predicted, target)
        x0_hat, sigma = clean_and_sigma(noisy, predicted, "v_prediction", alphas_cumprod=alphas**2)  # mmspec
        loss = loss + term(x0_hat, clean, sigma, denoising=loss, through=predicted).weighted.mean()  # mmspec
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return network


if __name__ == "__main__":
    train(*map(int, sys.argv[1:2]))
