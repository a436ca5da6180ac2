import json
import pickle

import numpy as np
import pytest
import torch

from mmspec import from_pretrained
from mmspec.cli import main
from mmspec.diffusion import Denoiser
from mmspec.diffusion.conditions import Batch, tell
from mmspec.diffusion.processes import EDM, DiffWave
from mmspec.errors import InputError
from mmspec.networks import DiffWave as DiffWaveNetwork
from mmspec.pretrained import load_diffwave, save_diffwave


@pytest.fixture(scope="module")
def lmnt(references):
    return references.file("lmnt/tiny_weights.pt")


@pytest.fixture
def checkpoint(lmnt):
    return torch.load(lmnt, weights_only=True)


def saved(tmp_path, content):
    torch.save(content, tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def check_forward(denoiser, references):
    golden = references.arrays("lmnt/tiny")
    spectrogram = torch.from_numpy(golden["spectrogram"])
    output = denoiser.network(torch.from_numpy(golden["audio"])[:, None], torch.tensor([17.375]), spectrogram)
    np.testing.assert_allclose(output.detach().numpy(), golden["out_step_float_frac"], atol=1e-5)


def test_a_checkpoint_of_lmnts_is_a_denoiser(lmnt, references):
    denoiser = load_diffwave(lmnt)
    check_forward(denoiser, references)
    assert denoiser.signal_shape == (1, 62 * 256) and denoiser.sample_rate == 22050
    assert isinstance(denoiser.process, DiffWave) and denoiser.process.config["schedule"] == "linear"
    assert denoiser.conditioner.config == {"sample_rate": 22050, "n_fft": 1024, "hop_samples": 256, "n_mels": 80}
    clips = torch.randn(2, 1, 2048 + 1024, generator=torch.Generator().manual_seed(0)) / 4
    x0, cond = denoiser.clean(clips), tell(denoiser.conditions, Batch(clips))
    assert denoiser(x0, 0.5, **cond).shape == (2, 1, 2048)


def test_a_state_dict_needs_only_what_its_shapes_do_not_tell(checkpoint, references):
    check_forward(load_diffwave(checkpoint["model"], dilation_cycle_length=3), references)
    named = {"residual_channels": 8, "residual_layers": 4, "dilation_cycle_length": 3, "n_mels": 80}
    check_forward(load_diffwave(checkpoint["model"], **named, unconditional=False), references)


def test_older_checkpoints_lack_params(tmp_path, checkpoint, references):
    for name in ("unconditional", "inference_noise_schedule", "audio_len"):
        del checkpoint["params"][name]
    denoiser = load_diffwave(saved(tmp_path, checkpoint))
    check_forward(denoiser, references)
    assert denoiser.process.config["inference_noise_schedule"] == [1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.5]


def test_unconditional_weights_and_other_noise_levels(tmp_path):
    betas = [1e-4, 0.01, 0.2]
    network = DiffWaveNetwork(8, 2, 2, unconditional=True, max_steps=3)
    denoiser = Denoiser(network, DiffWave(betas), (1, 5000), 16000)
    save_diffwave(denoiser, tmp_path / "weights.pt", step=7)
    content = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert content["step"] == 7 and content["params"]["noise_schedule"] == betas
    assert content["params"]["audio_len"] == 5000 and content["params"]["unconditional"] is True
    again = load_diffwave(tmp_path / "weights.pt")
    assert again.conditioner is None and again.signal_shape == (1, 5000) and again.sample_rate == 16000
    torch.testing.assert_close(again.process.sigmas, denoiser.process.sigmas)
    assert all(torch.equal(again.network.state_dict()[name], tensor) for name, tensor in network.state_dict().items())


def test_a_checkpoint_survives_the_way_there_and_back(tmp_path, checkpoint, lmnt):
    save_diffwave(load_diffwave(lmnt), tmp_path / "weights.pt", step=checkpoint["step"])
    again = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert list(again) == list(checkpoint)
    assert all(torch.equal(again["model"][name], tensor) for name, tensor in checkpoint["model"].items())
    assert list(again["model"]) == list(checkpoint["model"])
    assert list(again["params"]) == list(checkpoint["params"])
    for name, value in checkpoint["params"].items():
        assert again["params"][name] == (value if name != "noise_schedule" else pytest.approx(value, rel=1e-12)), name
    assert again["optimizer"] == checkpoint["optimizer"]
    assert again["scaler"] == checkpoint["scaler"] and again["step"] == checkpoint["step"]
    assert [path.name for path in tmp_path.iterdir()] == ["weights.pt"]
    with pytest.raises(InputError, match=r"only a DiffWave with DiffWave's noise levels .* not DiffWave with EDM"):
        save_diffwave(Denoiser(DiffWaveNetwork(8, 2), EDM()), tmp_path / "other.pt")


def test_converted_it_is_a_folder_like_any_other(tmp_path, capsys, lmnt, references):
    assert main(["convert", "diffwave", str(lmnt), str(tmp_path / "out")]) == 0
    denoiser = from_pretrained(tmp_path / "out")
    check_forward(denoiser, references)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["conditioner"]["type"] == "LogMel" and config["network"]["residual_layers"] == 4
    assert denoiser.conditioner.sample_rate == 22050


class Hostile:
    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return open, (str(self.file), "w")


def test_a_hostile_pickle_is_refused_by_name_and_does_nothing(tmp_path, capsys, checkpoint):
    victim = tmp_path / "victim"
    file = saved(tmp_path, {**checkpoint, "params": Hostile(victim)})
    for path in (file, tmp_path / "bare.pt"):
        if path != file:
            path.write_bytes(pickle.dumps(Hostile(victim), protocol=2))
        assert main(["convert", "diffwave", str(path), str(tmp_path / "out")]) == 2
        err = capsys.readouterr().err
        assert "io.open" in err and "nothing in it was run" in err and len(err.splitlines()) == 1
    assert not victim.exists() and not (tmp_path / "out").exists()


def first_release(model):
    key = "diffusion_embedding.projection1.weight"
    return {**model, key: model[key][..., None]}


@pytest.mark.parametrize(
    ("change", "params", "message"),
    [
        (lambda model: {k: v for k, v in model.items() if "layers.3.output" not in k}, {}, "2 weights are missing"),
        (lambda model: {k: v for k, v in model.items() if "layers.3" not in k}, {}, "8 weights are missing"),
        (lambda model: {**model, "extra.weight": torch.zeros(1)}, {}, r"1 unknown \['extra.weight'\]"),
        (lambda model: model, {"residual_channels": 16}, r"another shape \['input_projection.weight \[8, 1, 1\] for"),
        (lambda model: model, {"unconditional": True}, "unknown"),
        (lambda model: model, {"residual_layer": 4}, "residual_layer is no option of Params"),
        (lambda model: model, {"hop_samples": 300}, "hop_samples=300: DiffWave makes 256"),
        (lambda model: model, {"noise_schedule": [0.1, 2.0]}, "betas must lie between 0 and 1"),
        (first_release, {}, "very first release"),
    ],
)
def test_weights_that_do_not_fit_get_one_sentence(tmp_path, checkpoint, change, params, message):
    file = saved(tmp_path, {**checkpoint, "model": change(checkpoint["model"])})
    with pytest.raises(InputError, match=message) as caught:
        load_diffwave(file, **params)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)


def test_files_that_are_no_checkpoints_get_one_sentence(tmp_path, lmnt):
    whole = lmnt.read_bytes()
    damaged = {"cut.pt": whole[:-5000], "start.pt": whole[:700], "text.pt": b"hello", "empty.pt": b""}
    for name, content in damaged.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name} is (no whole file of torch.save|an empty file)"):
            load_diffwave(tmp_path / name)
    with pytest.raises(InputError, match=r"nowhere\.pt is no file"):
        load_diffwave(tmp_path / "nowhere.pt")
    with pytest.raises(InputError, match="holds a list, no weights by their names"):
        load_diffwave(saved(tmp_path, [1, 2]))
