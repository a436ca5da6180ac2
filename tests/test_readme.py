"""The README's Python runs as it stands, and its first example is as short as it claims."""

import re
from pathlib import Path

import pytest
import torch

from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.networks import UNet

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


def run(block: str) -> dict:
    namespace: dict = {"__name__": "__main__"}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        exec(compile(block, str(README), "exec"), namespace)
    return namespace


def test_the_first_example_adds_a_regularizer_in_15_lines() -> None:
    assert BLOCKS, "README.md has no ```python block"
    assert len(BLOCKS[0].splitlines()) <= 15
    assert "FourierAmplitudePhaseLoss" in BLOCKS[0]
    names = run(BLOCKS[0])
    error = (names["predicted"] - names["clean"]).square().mean()
    unlearned = (names["noisy"] - names["clean"]).square().mean()
    assert error < unlearned / 2


@pytest.mark.parametrize("block", BLOCKS[1:], ids=range(2, len(BLOCKS) + 1))
def test_every_other_example_runs(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an example reads a run, a tiny untrained denoiser stands in for what training leaves there."""
    network = UNet(model_channels=16, channel_mult=(1, 1), attention_levels=())
    for folder in re.findall(r'from_pretrained\("(exp/[^"]+)"\)', block):
        Denoiser(network, EDM(), signal_shape=(3, 64, 64)).save_pretrained(tmp_path / folder)
    monkeypatch.chdir(tmp_path)
    run(block)
