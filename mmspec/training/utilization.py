"""What of a GPU's arithmetic a training uses: its model FLOPs utilization (Chowdhery et al. 2022, PaLM, appendix B)."""

import torch

from mmspec.diffusion import Denoiser
from mmspec.metrics.cost import Cost, count

# Operations a second of dense bf16 products, of the makers' data sheets; the first name that is in a device's.
PEAKS = {
    "B200": 2250e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "H200": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L4": 121e12,
    "A10": 125e12,
    "4090": 165e12,
    "3090": 71e12,
}
TRAINING = 3  # times a forward pass: the backward pass has two products for each of its


def peak_of(device: torch.device) -> float | None:
    """Operations a second that a device does at most, in bf16 whatever it computes in; None where that is not known."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def cost_per_signal(denoiser: Denoiser) -> Cost | None:
    """Of the network, a text counting as one word; None where the shape of signals is not known, or for a network that
    cannot be followed without its values.
    """
    if denoiser.latent_shape is None:
        return None
    network, trains = denoiser.network, denoiser.network.training
    try:
        return count(network.eval(), denoiser.latent_shape)  # without dropout, which has seeds
    except Exception:  # whatever a network of one's own may raise: it is trained without the figure
        return None
    finally:
        network.train(trains)


def flops_of(cost: Cost) -> float:
    """Operations of a training step for each signal, two a multiply-accumulate, without what is computed twice."""
    return 2.0 * TRAINING * cost.macs_with_attention
