"""Walks that were written down, against the samplers themselves."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from mmspec.components import choices
from mmspec.diffusion import Denoiser, sample
from mmspec.diffusion.processes import EDM, LDM, DiffWave
from mmspec.diffusion.samplers import Sampler
from mmspec.errors import InputError
from mmspec.exported.recording import recorded
from mmspec.exported.walk import run

OPTIONS = {"Heun": [{}, {"churn": 3.0}], "DDIM": [{}, {"eta": 0.5, "clip": True, "clip_denoised": True}]}
CASES = [
    (name, options)
    for name, made in choices(Sampler).items()
    if made.__module__.startswith("mmspec.")
    for options in OPTIONS.get(name, [{}])
]


class Shrinking(Denoiser):
    """Any plain function of x and sigma."""

    def forward(self, x, sigma, **cond):
        sigma = torch.as_tensor(sigma, dtype=torch.float64).reshape(-1, 1, 1)
        return x / (1 + sigma**2) + 0.1 * torch.sin(x)


@pytest.mark.parametrize("process", [EDM(), LDM(ends_clean=False), DiffWave()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize(("name", "options"), CASES)
def test_any_sampler_walks_as_it_is_written_down(process, name, options):
    sampler, denoiser = choices(Sampler)[name](**options), Shrinking(nn.Identity(), process, (1, 20))
    instructions = json.loads(json.dumps(recorded(sampler, denoiser, 6)))
    generator = torch.Generator().manual_seed(0)
    wanted = sample(denoiser, (2, 1, 20), sampler=sampler, steps=6, generator=generator)
    generator = torch.Generator().manual_seed(0)
    found = run(
        instructions,
        lambda: torch.randn(2, 1, 20, generator=generator).double().numpy(),
        lambda x, sigma: denoiser(torch.from_numpy(x), sigma).numpy(),
    )
    np.testing.assert_allclose(found, wanted.double().numpy(), rtol=1e-6)


class _Jittering(Sampler):
    def __call__(self, denoise, x, sigmas, draw, on_step):
        return x + torch.randn_like(x)


class _Peeking(Sampler):
    def __call__(self, denoise, x, sigmas, draw, on_step):
        return x / x.std()


@pytest.mark.parametrize("sampler", [_Jittering(), _Peeking()])
def test_what_a_walk_cannot_say_is_refused_in_a_sentence(sampler):
    with pytest.raises(InputError, match=f"sampler={type(sampler).__name__} does something .*: it has sums, products"):
        recorded(sampler, Shrinking(nn.Identity(), EDM(), (1, 20)), 3)


def test_results_are_let_go_after_their_last_use():
    x = np.ones((1, 1, 4))
    assert run([["draw"], ["mul", "0", 2.0], ["add", "1", "1"], ["clamp", "2", -3.0, 3.0]], lambda: x, None).max() == 3
