import json

import numpy as np
import pytest
import scipy.linalg
import torch
from omegaconf import OmegaConf

from mmspec.commands import evaluate
from mmspec.config import CONF
from mmspec.errors import InputError
from mmspec.metrics import inception
from mmspec.metrics.frechet import kernel_distance, kernel_distance_in_blocks
from mmspec.metrics.inception import Inception
from tests.packed import write_clips, write_pictures


class Pixels(torch.nn.Module):
    """Stands in for the Inception network: its features are the picture's bytes, then zeros."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.dimensions = dimensions

    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        assert x.dtype == torch.uint8 and x.shape[1] == 3 and return_features
        x = x.flatten(1).float() / 255
        return torch.nn.functional.pad(x, [0, self.dimensions - x.shape[1]])


def save_script(module, path):
    with pytest.warns(DeprecationWarning):
        torch.jit.save(torch.jit.script(module), path)
    return str(path)


@pytest.fixture
def network(tmp_path, monkeypatch):
    monkeypatch.setattr(inception, "DIMENSIONS", 48)
    return save_script(Pixels(48), tmp_path / "inception.pt")


def pixels(count, seed, channels=3, gain=1.0):
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(count, 16 * channels)) @ np.random.default_rng(9).normal(size=(16 * channels,) * 2)
    return (128 + 12 * gain * mixed).clip(0, 255).astype(np.uint8).reshape(count, 4, 4, channels)


def config(tmp_path, **keys):
    keys["extractors"] = {"cache": str(tmp_path / "cache"), **keys.get("extractors", {})}
    defaults = OmegaConf.load(CONF / "evaluate.yaml")
    return OmegaConf.merge(defaults, {"out": str(tmp_path / "evaluation.json"), "cutoff": 1.5, **keys})


def evaluated(tmp_path, **keys):
    evaluate.run(config(tmp_path, **keys))
    return json.loads((tmp_path / "evaluation.json").read_text())


def by_scipy(a, b):
    a, b = (x.transpose(0, 3, 1, 2).reshape(len(x), -1).astype(np.float32) / np.float32(255) for x in (a, b))
    a, b = a.astype(np.float64), b.astype(np.float64)
    covariances = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    return np.square(a.mean(0) - b.mean(0)).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)


def test_fid_of_2048_features_equals_scipys(tmp_path):
    path = save_script(Pixels(2048), tmp_path / "inception-2015-12-05.pt")
    real, generated = pixels(400, 0), pixels(300, 1, gain=1.3)
    result = evaluated(
        tmp_path,
        reference=str(write_pictures(tmp_path / "real", real)),
        samples=str(write_pictures(tmp_path / "fake", generated)),
        extractors={"inception": path},
    )
    assert result["metrics"]["fid"] == pytest.approx(by_scipy(real, generated), rel=1e-6)
    definition = result["definitions"]["fid"]
    for part in ("2048", "inception-2015-12-05.pt (sha256 ", "uint8", "resizes", "300 generated, 400 real"):
        assert part in definition
    better = {name: result["better"][name] for name in ("fid", "kid", "precision", "recall")}
    assert better == {"fid": "lower", "kid": "lower", "precision": "higher", "recall": "higher"}
    (warning,) = result["warnings"]
    assert "300 generated, 400 real pictures are too few for fid over 2,048 dimensions" in warning and "kid" in warning
    assert {"fid", "kid", "precision", "recall"} <= set(result["metrics"]) == set(result["definitions"])


def test_enough_samples_give_no_warning_and_train_data_a_row(tmp_path, network):
    real, generated, train = pixels(100, 0), pixels(90, 1, gain=0.7), pixels(120, 2)
    result = evaluated(
        tmp_path,
        reference=str(write_pictures(tmp_path / "real", real)),
        samples=str(write_pictures(tmp_path / "fake", generated)),
        train=str(write_pictures(tmp_path / "train", train)),
        extractors={"inception": network},
        batch_size=32,
    )
    assert not any("fid" in warning for warning in result["warnings"])
    assert result["metrics"]["fid"] == pytest.approx(by_scipy(real, generated), rel=1e-6)
    chosen = torch.randperm(120, generator=torch.Generator().manual_seed(0))[:90].numpy()
    assert result["real_vs_real"]["metrics"]["fid"] == pytest.approx(by_scipy(real, train[chosen]), rel=1e-6)


def test_one_set_against_itself_is_perfect(tmp_path, network):
    folder = str(write_pictures(tmp_path / "real", pixels(100, 0)))
    metrics = evaluated(tmp_path, reference=folder, samples=folder, extractors={"inception": network})["metrics"]
    assert metrics["fid"] == pytest.approx(0, abs=1e-9)
    assert metrics["precision"] == metrics["recall"] == 1


def test_grey_pictures_become_three_channels(tmp_path, network):
    grey = pixels(60, 0, channels=1)
    x = torch.from_numpy(grey).permute(0, 3, 1, 2) / 127.5 - 1
    features = Inception(network)(x)
    assert torch.equal(features, Inception(network)(x.expand(-1, 3, -1, -1)))
    assert np.allclose(features[:, :16] * 255, grey.reshape(60, 16))  # the stored bytes themselves


def test_features_of_the_reference_are_computed_once(tmp_path, network, monkeypatch):
    keys = {
        "reference": str(write_pictures(tmp_path / "real", pixels(100, 0))),
        "samples": str(write_pictures(tmp_path / "fake", pixels(80, 1))),
        "extractors": {"inception": network},
    }
    seen = []
    forward = Inception.forward
    monkeypatch.setattr(Inception, "forward", lambda self, x: seen.append(len(x)) or forward(self, x))
    first = evaluated(tmp_path, **keys)
    second = evaluated(tmp_path, **keys)
    assert first["metrics"] == second["metrics"]
    assert sum(seen) == 100 + 80 + 80
    (file,) = (tmp_path / "cache").iterdir()
    file.write_bytes(file.read_bytes()[:500])  # damaged: made again
    assert evaluated(tmp_path, **keys)["metrics"] == first["metrics"]
    assert sum(seen) == 2 * (100 + 80) + 80


def test_other_data_and_other_networks_have_other_keys(tmp_path, network):
    other = save_script(torch.nn.Sequential(Pixels48()), tmp_path / "other.pt")
    keys = {"samples": str(write_pictures(tmp_path / "fake", pixels(80, 1)))}
    for seed in (0, 1):
        keys["reference"] = str(write_pictures(tmp_path / f"real{seed}", pixels(100, seed)))
        evaluated(tmp_path, extractors={"inception": network}, **keys)
    assert len(list((tmp_path / "cache").iterdir())) == 2
    with pytest.raises(InputError, match="inception"):
        evaluated(tmp_path, extractors={"inception": other}, **keys)


class Pixels48(torch.nn.Module):
    def forward(self, x):
        return x.flatten(1).float()


class Narrow(torch.nn.Module):
    def forward(self, x: torch.Tensor, return_features: bool = False) -> torch.Tensor:
        return x.flatten(1).float()[:, :10]


def test_a_file_that_is_not_the_inception_network_is_refused(tmp_path, network):
    real = str(write_pictures(tmp_path / "real", pixels(60, 0)))
    text = tmp_path / "notes.pt"
    text.write_text("hello")
    onnx = tmp_path / "notes.onnx"
    onnx.write_text("hello")
    files = {
        str(tmp_path / "none.pt"): "none.pt is no file: expected NVIDIA's inception-2015-12-05.pt",
        str(text): "notes.pt is not a TorchScript module",
        save_script(Pixels48(), tmp_path / "no_option.pt"): r"no_option.pt failed on .*expected NVIDIA's",
        save_script(Narrow(), tmp_path / "narrow.pt"): r"narrow.pt is another network, it returned \[60, 10\]",
    }
    if pytest.importorskip("onnxruntime", reason="ONNX needs onnxruntime (the extra eval-image)"):
        files[str(onnx)] = "notes.onnx is not an ONNX network"
    for path, message in files.items():
        with pytest.raises(InputError, match=message) as caught:
            evaluated(tmp_path, reference=real, samples=real, extractors={"inception": path})
        assert "extractors.inception=" in str(caught.value) and "\n" not in str(caught.value)


def test_inception_is_for_pictures(tmp_path, network):
    real = str(write_clips(tmp_path / "real", np.zeros((70, 800)) + 0.1, 8000))
    with pytest.raises(InputError, match=r"extractors.inception is for pictures, .*real holds audio"):
        evaluated(tmp_path, reference=real, samples=real, extractors={"inception": network})


def test_onnx_gives_the_features_of_torchscript(tmp_path, network):
    pytest.importorskip("onnxruntime", reason="ONNX needs onnxruntime (the extra eval-image)")
    onnx = pytest.importorskip("onnx", reason="the test makes an ONNX file")
    make, kinds = onnx.helper, onnx.TensorProto
    steps = [
        make.make_node("Cast", ["pixels"], ["float"], to=kinds.FLOAT),
        make.make_node("Flatten", ["float"], ["flat"]),
        make.make_node("Div", ["flat", "range"], ["features"]),
    ]
    ends = [
        [make.make_tensor_value_info("pixels", kinds.UINT8, ["n", 3, 4, 4])],
        [make.make_tensor_value_info("features", kinds.FLOAT, ["n", 48])],
    ]
    graph = make.make_graph(steps, "pixels", *ends, [make.make_tensor("range", kinds.FLOAT, [], [255.0])])
    path = tmp_path / "inception.onnx"
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 18)], ir_version=10), path)
    x = torch.from_numpy(pixels(10, 0)).permute(0, 3, 1, 2) / 127.5 - 1
    torch.testing.assert_close(Inception(path)(x), Inception(network)(x))


def test_kernel_distance_in_blocks_is_unbiased_and_uses_every_vector():
    generator = torch.Generator().manual_seed(0)
    real, generated = (torch.randn(n, 6, generator=generator) + shift for n, shift in ((1500, 0.0), (1230, 0.5)))
    whole = kernel_distance(real, generated)
    assert kernel_distance_in_blocks(real, generated, block=2000) == pytest.approx(whole, rel=1e-12)
    assert kernel_distance_in_blocks(real, generated, block=100) == pytest.approx(whole, rel=0.05)
    # Sets sorted by class: blocks of neighbours would compare class with class.
    by_class = torch.cat([real - 3, real + 3])
    shuffled = by_class[torch.randperm(3000, generator=generator)]
    assert abs(kernel_distance_in_blocks(by_class, shuffled, block=300)) < 20  # of some 1,000
