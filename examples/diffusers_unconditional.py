"""Diffusers' unconditional training: noise or v-prediction on DDPM's table.

``python examples/diffusers_unconditional.py 20`` trains for 20 steps. It needs ``mmspec[diffusers]``.
The lines marked mmspec are what it adds.
"""

import sys

import torch
import torch.nn.functional as F
from diffusers import DDPMScheduler, UNet2DModel

from mmspec.losses import FourierAmplitudeLoss, InverseSigmaGate, Regularizer, clean_and_sigma  # mmspec


def squares(count: int, size: int) -> torch.Tensor:
    """Pictures ``[count, 1, size, size]`` in [-1, 1], in place of your data."""
    left, top = torch.randint(size // 2, (2, count, 1, 1, 1))
    x, y = torch.arange(size).view(1, 1, 1, -1), torch.arange(size).view(1, 1, -1, 1)
    inside = (x >= left) & (x < left + size // 2) & (y >= top) & (y < top + size // 2)
    return 2.0 * inside - 1


def train(steps: int = 1000, prediction_type: str = "epsilon", size: int = 32, width: int = 64) -> torch.nn.Module:
    """The trained UNet; prediction_type is "epsilon", "v_prediction" or "sample"."""
    blocks = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    unet = UNet2DModel(size, 1, 1, block_out_channels=(width, width), norm_num_groups=8, **blocks)
    scheduler = DDPMScheduler(prediction_type=prediction_type)
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-4)
    term = Regularizer(FourierAmplitudeLoss(reduction="none"), 0.1, InverseSigmaGate(), balance="gradient")  # mmspec
    for step in range(steps):
        clean = squares(8, size)
        noise, timesteps = torch.randn_like(clean), torch.randint(len(scheduler), (len(clean),))
        noisy = scheduler.add_noise(clean, noise, timesteps)
        targets = {"epsilon": noise, "v_prediction": scheduler.get_velocity(clean, noise, timesteps), "sample": clean}
        predicted = unet(noisy, timesteps).sample
        loss = F.mse_loss(predicted, targets[prediction_type])
        told = {"alphas_cumprod": scheduler.alphas_cumprod, "timesteps": timesteps}  # mmspec
        x0_hat, sigma = clean_and_sigma(noisy, predicted, prediction_type, **told)  # mmspec
        loss = loss + term(x0_hat, clean, sigma, denoising=loss, through=predicted).weighted.mean()  # mmspec
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return unet


if __name__ == "__main__":
    train(*map(int, sys.argv[1:2]))
