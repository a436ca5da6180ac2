"""Plain DistributedDataParallel: ``torchrun --nproc-per-node 2 examples/ddp.py 20``, for 20 steps.

The lines marked mmspec are what it adds. Gradient balancing takes the norms of all ranks' gradients, so the weight is
that of one process with the whole batch.
"""

import os
import sys

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from mmspec.losses import FourierAmplitudeLoss, InverseSigmaGate, Regularizer, clean_and_sigma  # mmspec


def squares(count: int, size: int) -> torch.Tensor:
    """Pictures ``[count, 1, size, size]`` in [-1, 1], in place of your data."""
    left, top = torch.randint(size // 2, (2, count, 1, 1, 1))
    x, y = torch.arange(size).view(1, 1, 1, -1), torch.arange(size).view(1, 1, -1, 1)
    inside = (x >= left) & (x < left + size // 2) & (y >= top) & (y < top + size // 2)
    return 2.0 * inside - 1


def train(steps: int = 1000, size: int = 32, width: int = 64, batch: int = 8) -> nn.Module:
    """The trained network, which predicts ``noise - clean`` of a flow; to be called in each process of a group."""
    rank, ranks = dist.get_rank(), dist.get_world_size()
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Conv2d(2, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 1, 3, padding=1))
    network = DistributedDataParallel(layers)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    term = Regularizer(FourierAmplitudeLoss(reduction="none"), 0.1, InverseSigmaGate(), balance="gradient")  # mmspec
    for step in range(steps):
        clean, t = squares(batch, size)[rank::ranks], torch.rand(batch, 1, 1, 1)[rank::ranks]
        noise = torch.randn(batch, 1, size, size)[rank::ranks]
        noisy = (1 - t) * clean + t * noise
        predicted = network(torch.cat([noisy, t.expand_as(noisy)], dim=1))
        loss = F.mse_loss(predicted, noise - clean)
        x0_hat, sigma = clean_and_sigma(noisy, predicted, "flow_prediction", t=t)  # mmspec
        loss = loss + term(x0_hat, clean, sigma, denoising=loss, through=predicted).weighted.mean()  # mmspec
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if rank == 0 and step % 100 == 0:
            print(f"step {step}: loss {loss.item():.3f}", flush=True)
    return layers


if __name__ == "__main__":
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    trained = train(*map(int, sys.argv[1:2]))
    if dist.get_rank() == 0:
        torch.save(trained.state_dict(), os.environ.get("OUT", "ddp.pt"))
    dist.barrier()  # until it is saved
    dist.destroy_process_group()
