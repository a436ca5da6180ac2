"""Noise without torch, against torch's own."""

import numpy as np
import pytest
import torch

from mmspec.exported.noise import NormalNoise


@pytest.mark.parametrize("seed", [0, 5, 2**32 + 7, 2**63 - 1])
@pytest.mark.parametrize("shape", [(16,), (17,), (1, 301), (2, 21), (3, 7, 9), (4, 32, 32)])
def test_one_seed_draws_what_torch_draws_call_by_call(shape, seed):
    generator, noise = torch.Generator().manual_seed(seed), NormalNoise(seed)
    for _ in range(3):
        np.testing.assert_allclose(noise.draw(shape), torch.randn(shape, generator=generator).numpy(), atol=2e-6)


def test_what_torch_draws_by_another_rule_is_refused():
    with pytest.raises(ValueError, match=r"noise of 15 numbers .*: give 16 or more"):
        NormalNoise(0).draw((3, 5))
