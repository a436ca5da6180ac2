"""Training in the shape of a LightningModule, without the package.

``python examples/lightning_module.py 20`` trains for 20 steps.
The lines marked mmspec are what it adds. In Lightning, derive from ``lightning.LightningModule`` and leave the loop to
its trainer.
"""

import sys

import torch
import torch.nn.functional as F
from torch import nn

from mmspec.losses import FourierAmplitudeLoss, InverseSigmaGate, Regularizer, clean_and_sigma  # mmspec


def squares(count: int, size: int) -> torch.Tensor:
    """Pictures ``[count, 1, size, size]`` in [-1, 1], in place of your data."""
    left, top = torch.randint(size // 2, (2, count, 1, 1, 1))
    x, y = torch.arange(size).view(1, 1, 1, -1), torch.arange(size).view(1, 1, -1, 1)
    inside = (x >= left) & (x < left + size // 2) & (y >= top) & (y < top + size // 2)
    return 2.0 * inside - 1


class Diffusion(nn.Module):
    """Flow matching: the network predicts ``noise - clean``."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(2, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 1, 3, padding=1))
        amplitude = FourierAmplitudeLoss(reduction="none")  # mmspec
        self.term = Regularizer(amplitude, 0.1, InverseSigmaGate(), balance="gradient")  # mmspec

    def training_step(self, batch: torch.Tensor, batch_index: int) -> torch.Tensor:
        """The loss ``[]`` of a batch of pictures ``[B, 1, H, W]``."""
        t, noise = torch.rand(len(batch), 1, 1, 1, device=batch.device), torch.randn_like(batch)
        noisy = (1 - t) * batch + t * noise
        predicted = self.network(torch.cat([noisy, t.expand_as(noisy)], dim=1))
        loss = F.mse_loss(predicted, noise - batch)
        x0_hat, sigma = clean_and_sigma(noisy, predicted, "flow_prediction", t=t)  # mmspec
        loss = loss + self.term(x0_hat, batch, sigma, denoising=loss, through=predicted).weighted.mean()  # mmspec
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """What updates the weights."""
        return torch.optim.AdamW(self.parameters(), lr=1e-3)


def train(steps: int = 1000, size: int = 32, width: int = 64) -> nn.Module:
    """The trained module; these lines are Lightning's ``Trainer(max_steps=steps).fit(module, loader)``."""
    module = Diffusion(width)
    optimizer = module.configure_optimizers()
    for step in range(steps):
        loss = module.training_step(squares(8, size), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return module


if __name__ == "__main__":
    train(*map(int, sys.argv[1:2]))
