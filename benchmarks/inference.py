"""Ways to call a slim network that `mmspec sample channels_last=auto compile=auto` tries, beside the large one called
eagerly: batch 1, float32. Compiling takes minutes before the first round.
"""

from collections.abc import Callable
from functools import partial

import torch

from benchmarks.gating import build
from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import interleave
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import LDM
from mmspec.experiment.inference import EAGER, Way

LARGE, SLIM = "ldm_ffhq", "sd_ffhq"
SHAPE = (3, 64, 64)  # of the latents of a picture of 256 pixels
WAYS = [Way(channels_last, compile) for compile in (False, True) for channels_last in (False, True)]


@torch.no_grad()
def main(rounds: int = 3) -> Findings:
    torch.manual_seed(0)
    x, sigma = torch.randn(1, *SHAPE), torch.ones(1)
    large, slim = (Denoiser(build(name), LDM(), SHAPE).eval() for name in (LARGE, SLIM))
    wanted = slim(x, sigma)
    cases: dict[str, Callable[[], object]] = {LARGE: partial(large, x, sigma)}
    for way in WAYS:
        made = way.of(slim)
        torch.testing.assert_close(made(x, sigma), wanted, atol=1e-4, rtol=1e-4)
        cases[str(way)] = partial(made, x, sigma)
    times = interleave(cases, rounds=rounds)
    best = min(map(str, WAYS), key=times.median)
    figures: Figures = {
        f"{SLIM} auto: {LARGE}": times.ratios(LARGE, best),
        f"{SLIM} auto: itself": times.ratios(str(EAGER), best),
    }
    rows = [[f"{LARGE}, eager", f"{1e3 * times.median(LARGE):.0f} ms", "", ""]]
    for way in map(str, WAYS):
        ratios = f"{times.ratio(str(EAGER), way):.2f}x", f"{times.ratio(LARGE, way):.1f}x"
        rows.append([f"{SLIM}, {way}", f"{1e3 * times.median(way):.0f} ms", *ratios])
    return Findings([Table(["denoiser", "a call", "faster than eager", f"faster than {LARGE}"], rows)], figures)
