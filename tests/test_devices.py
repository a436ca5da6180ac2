import pytest
import torch

from mmspec.cli import main
from mmspec.devices import find_device, refuse_missing_on, walk_device
from mmspec.diffusion.samplers.sampler import ConditionedDenoiser
from mmspec.errors import InputError
from tests.commands.test_train_and_sample import packed

MPS = torch.device("mps")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="device=cuda is a GPU of CUDA, which torch does not find here"):
        find_device("cuda")


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is an Apple GPU")
def test_an_apple_gpu_that_is_not_there_is_refused_in_words(tmp_path, capsys):
    data = packed(tmp_path / "data", "image")
    assert main(["train", f"run_dir={tmp_path / 'run'}", f"data.train={data}", "trainer.device=mps"]) == 2
    assert "device=mps is an Apple GPU, which torch does not find here: give auto or cpu." in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_what_an_apple_gpu_lacks_is_refused_in_words(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert find_device("mps") == MPS
    for asked, said in (
        ({"mixed_precision": "bf16"}, "mixed_precision=bf16 is not offered with device=mps"),
        ({"compiled": True}, "compile=true is not offered with device=mps"),
        ({"accumulation": 2}, "accumulation=2 is not offered with device=mps"),
    ):
        with pytest.raises(InputError, match=said):
            refuse_missing_on(MPS, **asked)
        refuse_missing_on(torch.device("cpu"), **asked)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="start one process"):
        find_device("mps")


def test_a_walk_in_float64_stays_where_there_is_float64():
    assert walk_device(MPS) == torch.device("cpu") and walk_device(torch.device("meta")).type == "meta"
    seen = []

    def denoiser(x, sigma):
        seen.append((x.dtype, sigma.dtype, x.device.type))
        return x / 3

    x = torch.full((2, 1, 4), 1 / 7, dtype=torch.float64)
    assert torch.equal(ConditionedDenoiser(denoiser, {}, device=torch.device("cpu"))(x, 0.5), x / 3)
    assert seen == [(torch.float64, torch.float64, "cpu")]
