"""``mmspec prescribe`` on models that are sick on purpose, whose best denoiser is known: Gaussian pictures."""

import json

import pytest
import scipy.fft
import torch
import yaml
from torch import Tensor, nn

from mmspec.cli import main
from mmspec.data import DatasetMeta, write_packed
from mmspec.data.values import encode
from mmspec.experiment import prescription, verification
from mmspec.networks import Network
from mmspec.networks.first_stage import FirstStage
from tests.stationary import octave, power, signals

SIZE, SIGMA_DATA = (16, 16), 0.25
OCTAVES = 3
SCALE = SIGMA_DATA / power(SIZE).mean().sqrt().item()
COSINES = torch.from_numpy(scipy.fft.dct(torch.eye(16).double().numpy(), axis=0, norm="ortho")).float()
NAMES = ("amplitude_phase", "distillation")
WRITTEN = ("prescription.json", "verification.json", "trial.json")  # of all arms that are there, each time anew
SHORT = ["num=128", "seeds=0..2", "sampling.steps=30", "device=cpu", "format=json"]


def by_octave(values: Tensor) -> Tensor:
    """``[octaves]`` -> ``[16, 16]``; the lowest cosine is the mean value's."""
    numbers = sum((octave(SIZE, k - OCTAVES) * k for k in range(OCTAVES)), torch.zeros(SIZE))
    return values[numbers.long()]


def filtered(x: Tensor, gain: Tensor) -> Tensor:
    return COSINES.T @ (gain * (COSINES @ x @ COSINES.T)) @ COSINES


class GaussianUNet(Network):
    """The best denoiser of Gaussian pictures, ``[B, 1, 16, 16]``, but for what it has yet to learn by octave.

    Args:
        guess: logarithm of how much too much power it believes in the highest octave.
        damped: gain of its output there.
    """

    dims, in_channels, out_channels = 2, 1, 1

    def __init__(self, guess: float = 0.0, damped: float = 1.0) -> None:
        super().__init__()
        highest = torch.eye(OCTAVES)[-1]
        self.guess, self.gain = nn.Parameter(guess * highest), nn.Parameter(1 + (damped - 1) * highest)
        self.register_buffer("power", (SCALE**2 * power(SIZE)).float(), persistent=False)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        """What EDM's scalings make ``D`` of."""
        sigma = (4 * c_noise).exp()[:, None, None, None]
        deviation = (sigma**2 + SIGMA_DATA**2).sqrt()
        believed = self.power * by_octave(self.guess.exp())
        denoised = filtered(x * deviation, by_octave(self.gain) * believed / (believed + sigma**2))
        return (denoised - SIGMA_DATA**2 / deviation * x) * deviation / (sigma * SIGMA_DATA)


class BlurringStage(FirstStage):
    """Latents are the pictures, ``[B, 1, 16, 16]``; half of the highest octave's amplitude does not come back."""

    def __init__(self) -> None:
        super().__init__(dims=2, in_channels=1, embed_channels=1, moment_channels=1, factor=1, scale_factor=1.0)
        self.gain = nn.Parameter(torch.tensor(0.5))

    def _moments(self, x: Tensor) -> Tensor:
        return x

    def draw(self, moments: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return moments

    def decode(self, z: Tensor) -> Tensor:
        return filtered(z, torch.where(octave(SIZE, -1), self.gain, 1))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    home = tmp_path_factory.mktemp("data")
    meta = DatasetMeta(modality="image", source="test", statistics={"sigma_data": SIGMA_DATA})
    for seed, (part, count) in enumerate({"train": 64, "test": 256}.items(), 1):
        write_packed(home / part, encode(SCALE * signals(count, SIZE, seed)), meta=meta)
    return home


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory):
    """Runs by the words that make them, which one step hardly changes where the rate is low."""

    def run(*words, rate=1e-6):
        folder = tmp_path_factory.mktemp("runs") / "run"
        place = [f"run_dir={folder}", f"data.train={data / 'train'}", f"data.test={data / 'test'}"]
        how = ["trainer.max_steps=1", "trainer.batch_size=32", f"trainer.learning_rate={rate}"]
        quiet = ["trainer.device=cpu", "trainer.tensorboard=false", f"process.sigma_data={SIGMA_DATA}"]
        assert main(["train", "network=GaussianUNet", *place, *how, *quiet, *words]) == 0
        return folder

    return run


@pytest.fixture(scope="module")
def healthy(trained):
    return trained()


@pytest.fixture(scope="module")
def damped(trained):
    return trained("network.damped=0.6")


def prescribe(capsys, run, out, *words):
    capsys.readouterr()
    assert main(["prescribe", f"from={run}", f"out={out}", *SHORT, *words]) == 0
    return json.loads(capsys.readouterr().out)


def only(found, name):
    chosen = [each for each in found["prescriptions"] if each["name"] == name]
    assert len(chosen) == 1, found
    return chosen[0]


def test_the_healthy_is_left_alone(healthy, tmp_path, capsys):
    found = prescribe(capsys, healthy, tmp_path / "out")
    assert found["diagnosis"].startswith("Nothing to mend: the denoiser is right within ")
    assert found["prescriptions"] == []
    assert found["sentences"] == ["Nothing is prescribed, and nothing was trained."]
    assert not (tmp_path / "out/verification").exists() and (tmp_path / "out/prescription.html").is_file()


def test_steps_that_are_too_coarse_are_doubled_and_that_helps_also_after_a_kill(healthy, tmp_path, capsys, monkeypatch):
    def killed(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(verification, "write_draws", killed)
        assert main(["prescribe", f"from={healthy}", f"out={tmp_path / 'out'}", *SHORT, "sampling.steps=9"]) == 75
    with monkeypatch.context() as patch:
        patch.setattr(prescription, "diagnose", killed)
        found = prescribe(capsys, healthy, tmp_path / "out", "sampling.steps=9")
    assert found["diagnosis"].startswith("Samples have too much energy at all frequencies (+")
    seen = only(found, "more_steps")
    assert (len(found["prescriptions"]), seen["verdict"], seen["against"]) == (1, "helps", "before")
    assert seen["interval"][1] < 0
    assert json.loads((tmp_path / "out/verification/more_steps/seed_0/sample.json").read_text())["steps"] == 18
    assert not (tmp_path / "out/verification/none").exists()


def test_the_under_trained_is_trained_on_and_that_helps(trained, tmp_path, capsys):
    run = trained("network.guess=4.0", rate=0.1)
    found = prescribe(capsys, run, tmp_path / "out", "steps=40")
    assert found["diagnosis"].startswith("Too noisy: not trained enough, it keeps noise above 4 cycles per image")
    assert {each["name"] for each in found["prescriptions"]} == {"train_on", "correction"}
    seen = only(found, "train_on")
    assert (seen["verdict"], seen["against"]) == ("helps", "before")
    assert seen["interval"][1] < 0


def test_the_damped_is_corrected_while_sampling_and_that_helps(damped, tmp_path, capsys):
    found = prescribe(capsys, damped, tmp_path / "out", "steps=2")
    assert found["diagnosis"].startswith("Dull above 4 cycles per image")
    assert "(-4." in found["diagnosis"]  # 20 log10(0.6) is -4.4
    assert {each["name"] for each in found["prescriptions"]} == {"correction", "amplitude_phase"}
    seen = only(found, "correction")
    assert (seen["verdict"], seen["against"]) == ("helps", "before")
    assert seen["interval"][1] < 0
    term = only(found, "amplitude_phase")
    config = yaml.safe_load((tmp_path / "out/verification/amplitude_phase/seed_0/config.yaml").read_text())
    gate = config["regularizer"]["amplitude_phase"]["sigma_weight"]
    assert gate == {"type": "InverseSigmaGate", "sigma_gate": term["gate"]}
    assert (term["verdict"], term["against"]) == ("not shown", "none")  # two steps at a rate of 1e-6
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "out").rglob("*.json") if file.name not in WRITTEN}
    again = prescribe(capsys, damped, tmp_path / "out", "steps=2")
    assert again["sentences"] == found["sentences"]
    assert {file: file.stat().st_mtime_ns for file in files} == files


def test_the_first_stage_that_blurs_is_named_and_no_denoiser_is_treated(trained, tmp_path, capsys):
    BlurringStage().save_pretrained(tmp_path / "stage")
    found = prescribe(capsys, trained(f"first_stage.from={tmp_path / 'stage'}"), tmp_path / "out")
    assert found["diagnosis"].startswith(
        "The first stage loses it, not the denoiser: its round trip lacks energy above"
    )
    assert [(each["name"], each["verdict"]) for each in found["prescriptions"]] == [("first_stage", None)]
    assert not (tmp_path / "out/verification").exists()


def test_a_teacher_is_prescribed_where_it_errs_less_and_this_one_is_dull(
    damped, healthy, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(verification, "_finish", lambda *arguments: None)
    found = prescribe(capsys, damped, tmp_path / "out", f"teacher={healthy}")
    taught = only(found, "distillation")
    assert (taught["octaves"], taught["verdict"]) == ([1], None)
    assert "errs less above 4 cycles per image" in taught["reason"]
    arms = json.loads((tmp_path / "out/verification/trial.json").read_text())["arms"]
    assert list(arms) == ["before", "none", "placebo", "placebo_of_distillation", "correction", *NAMES]
    distillation, placebo = (arms[name]["distillation"] for name in ("distillation", "placebo_of_distillation"))
    assert (distillation["teacher"], distillation["features"]) == (str(healthy), False)
    assert [(each["octaves"], each["alpha"]) for each in (distillation, placebo)] == [([1], -1.0), ([], 0.0)]


def test_mistakes_get_one_sentence(damped, healthy, data, tmp_path, capsys):
    few = write_packed(tmp_path / "few", encode(signals(59, SIZE)), meta=DatasetMeta(modality="image", source="test"))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "notes.txt").touch()
    for run, words, message in (
        (healthy, [f"teacher={damped}"], f"teacher={damped} knows no more than {healthy}"),
        (tmp_path, [], "is no run and no checkpoint of one"),
        (healthy, ["seeds=[3]"], "too few for an interval"),
        (healthy, [f"data.test={tmp_path / 'few'}"], f"holds {few.count} signals, of which half are diagnosed"),
        (healthy, [f"data.test={data / 'train'}"], "was trained on"),
        (healthy, [f"out={mine}"], "holds notes.txt and no diagnosis.json"),
    ):
        words = [f"from={run}", *(words if "out=" in str(words) else [f"out={tmp_path / 'out'}", *words])]
        assert main(["prescribe", *SHORT[1:], *words]) == 2
        error = capsys.readouterr().err
        assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out/diagnosis.json").exists()


def test_a_folder_of_another_prescription_is_refused(damped, healthy, tmp_path, capsys):
    prescribe(capsys, healthy, tmp_path / "out")
    assert main(["prescribe", f"from={damped}", f"out={tmp_path / 'out'}", *SHORT]) == 2
    assert "belongs to another prescription (weights was" in capsys.readouterr().err
