"""What a spectral term costs: alone, forward and backward, against a plain training step in the same run."""

import torch
from torch import Tensor, nn

from benchmarks.input_pipeline import training_step
from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import interleave
from mmspec.losses import (
    FourierAmplitudeLoss,
    FourierAmplitudePhaseLoss,
    MultiResolutionSTFTLoss,
    WaveletLoss,
)
from mmspec.losses.base import SpectralLoss
from mmspec.networks import DiffWave, EDMUNet, UNet

TERMS: dict[str, SpectralLoss] = {
    "amplitude": FourierAmplitudeLoss(),
    "amplitude and phase": FourierAmplitudePhaseLoss(),
    "amplitude and phase, norms": FourierAmplitudePhaseLoss(coupling="norm"),
    "Haar, 3 levels": WaveletLoss(),
    "bior1.3, 3 levels": WaveletLoss(wavelet="bior1.3"),
    "stft": MultiResolutionSTFTLoss(),
}


def rows_of(
    title: str, network: nn.Module, clean: Tensor, rounds: int, figures: Figures, **cond: Tensor
) -> list[list[str]]:
    prediction = torch.randn_like(clean).requires_grad_()

    def alone(loss: SpectralLoss):
        return lambda: torch.autograd.grad(loss(prediction, clean), prediction)

    cases = {"step": training_step(network, clean, **cond), **{name: alone(loss) for name, loss in TERMS.items()}}
    times = interleave(cases, rounds=rounds)
    for name in TERMS:
        figures[f"{title}: {name}"] = times.ratios(name, "step")
    parameters = sum(parameter.numel() for parameter in network.parameters())
    return [
        [f"{title}, {parameters / 1e6:.1f}M", "plain step", f"{1e3 * times.median('step'):.0f} ms", ""],
        *(["", name, f"{1e3 * times.median(name):.2f} ms", f"{times.ratio(name, 'step'):.2%}"] for name in TERMS),
    ]


def main(rounds: int = 3) -> Findings:
    figures: Figures = {}
    wide = {"model_channels": 96, "channel_mult": (1, 2, 2)}
    crop, spectrogram = torch.randn(2, 1, 62 * 256), torch.rand(2, 80, 62)
    rows = [
        *rows_of("8 images of 64x64, UNet", UNet(**wide), torch.randn(8, 3, 64, 64), rounds, figures),
        *rows_of("4 images of 64x64, DDPM++", EDMUNet(64), torch.randn(4, 3, 64, 64), rounds, figures),
        *rows_of(
            "8 recordings of 8192, UNet", UNet(1, 1, patch_size=8, **wide), torch.randn(8, 1, 8192), rounds, figures
        ),
        *rows_of("2 crops of 62 frames, DiffWave", DiffWave(), crop, rounds, figures, spectrogram=spectrogram),
    ]
    return Findings([Table(["training", "term", "forward + backward", "of the step"], rows)], figures)
