"""Latent diffusion through the commands: latents ahead or on the fly, pixels outside."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data_prep.latents import main as make_latents
from mmspec.cli import main
from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.diffusion import Denoiser
from mmspec.networks import AutoencoderKL, AutoencoderTiny, VQModel
from tests.packed import write_clips, write_pictures

LEVELS = {"channels": 32, "channel_mult": (1, 1), "num_blocks": 1}
FIRST_STAGES = {
    "kl": lambda: AutoencoderKL(**LEVELS),
    "vq": lambda: VQModel(**LEVELS),
    "tiny": lambda: AutoencoderTiny(channels=8, num_blocks=(1, 1), pooled=True),
}
SMALL = [
    "network.model_channels=8",
    "network.channel_mult=[1,2]",
    "network.num_blocks=1",
    "network.attention_levels=[]",
    "trainer.batch_size=4",
    "trainer.max_steps=3",
    "trainer.sample_every=3",
    "trainer.device=cpu",
    "preview.num=2",
    "preview.steps=2",
]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Pictures, and a first stage of each kind as a checkpoint."""
    folder = tmp_path_factory.mktemp("latent")
    rng = np.random.default_rng(0)
    for side in ("train", "test"):
        pixels = rng.integers(0, 255, (10, 16, 24, 3)).astype(np.uint8)
        statistics = {"mean": 0.0, "std": 0.5, "sigma_data": 0.5}
        meta = DatasetMeta(modality="image", source="noise", classes=("even", "odd"), statistics=statistics)
        write_packed(folder / side, pixels, np.arange(10) % 2, meta=meta)
    torch.manual_seed(0)
    for name, made in FIRST_STAGES.items():
        stage = made()
        torch.save({"state_dict": stage.state_dict()}, folder / f"{name}.ckpt")
        assert make_latents([str(folder / "train"), str(folder / f"latents-{name}"), "--first-stage",
                             str(folder / f"{name}.ckpt")]) == 0  # fmt: skip
    return folder


def train(home, run, kind, *overrides, latents=False):
    first = [] if kind is None else [f"first_stage.from={home / kind}.ckpt"]
    if latents:
        first.append(f"data.latents={home / f'latents-{kind}'}")
    data = [f"data.train={home / 'train'}", f"data.test={home / 'test'}"]
    return main(["train", f"run_dir={home / run}", *data, *SMALL, *first, *overrides])


@pytest.fixture(scope="module", params=FIRST_STAGES)
def runs(home, request):
    """A run that encodes as it goes, and one on latents that were made before."""
    kind = request.param
    assert train(home, f"fly-{kind}", kind, "process=ldm", "regularizer=amplitude_phase") == 0
    assert train(home, f"packed-{kind}", kind, "process=ldm", "regularizer=amplitude_phase", latents=True) == 0
    return home / f"fly-{kind}", home / f"packed-{kind}"


def test_latents_made_before_train_the_same_network(runs):
    fly, packed = (load_file(run / "checkpoints/step_00000003/ema/model.safetensors") for run in runs)
    for name, weight in fly.items():
        torch.testing.assert_close(weight, packed[name], rtol=1e-4, atol=2e-5)


def test_outside_there_are_pixels(runs, home):
    run = runs[0]
    assert (run / "samples/step_00000003.png").is_file()
    assert main(["sample", f"from={run}", "num=3", "steps=2", "device=cpu", "guidance=2"]) == 0
    drawn = PackedDataset(run / "samples/final")
    assert drawn.meta.shape == (3, 16, 24) and drawn.data.dtype == np.uint8
    one_by_one = ["batch_size=1", f"out={home / run.name}-one"]
    assert main(["sample", f"from={run}", "num=3", "steps=2", "device=cpu", "guidance=2", *one_by_one]) == 0
    alone = PackedDataset(home / f"{run.name}-one")
    assert np.abs(alone.data.astype(int) - drawn.data).max() <= 1  # rounding
    assert main(["evaluate", f"samples={run}", "device=cpu"]) == 0
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert evaluation["spectrum"]["unit"] == "cycles/image"
    assert main(["report", f"runs=[{run}]", f"out={home / run.name}.html"]) == 0


def test_a_run_knows_its_first_stage(runs, home):
    denoiser = Denoiser.from_pretrained(runs[0] / "checkpoints/step_00000003/ema")
    assert denoiser.signal_shape == (3, 16, 24) and denoiser.network.in_channels == denoiser.latent_shape[0]
    kind = runs[0].name.removeprefix("fly-")
    assert denoiser.first_stage.sha256() == PackedDataset(home / f"latents-{kind}").meta.first_stage
    assert all("first_stage" not in name for name, _ in denoiser.named_parameters())


def test_a_cut_run_goes_on_where_it_was(home):
    assert train(home, "whole", "kl", "process=ldm") == 0
    assert train(home, "cut", "kl", "process=ldm", "trainer.max_steps=2") == 0
    assert train(home, "cut", "kl", "process=ldm") == 0
    whole, cut = (load_file(home / run / "checkpoints/step_00000003/model.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_sigma_data_is_that_of_latents(home):
    stage = FIRST_STAGES["vq"]()
    stage.load_state_dict(torch.load(home / "vq.ckpt", weights_only=True)["state_dict"])
    with torch.no_grad():
        deviation = stage.encode(PackedDataset(home / "train").batch(range(10))[0]).std(correction=0).item()
    assert PackedDataset(home / "latents-vq").meta.statistics["sigma_data"] == pytest.approx(deviation, abs=2e-6)
    assert train(home, "edm", "vq", "process=edm", latents=True) == 0
    denoiser = Denoiser.from_pretrained(home / "edm/checkpoints/step_00000003/ema")
    assert denoiser.process.sigma_data == pytest.approx(deviation, abs=2e-6)


def test_classes_by_embedding_and_cross_attention(home):
    options = ["network.type=ClassContextUNet", "network.context_channels=8", "objective.label_dropout=0.5"]
    assert train(home, "classes", "vq", "process=ldm", *options, latents=True) == 0
    denoiser = Denoiser.from_pretrained(home / "classes/checkpoints/step_00000003/ema")
    assert denoiser.network.embed_class.weight.shape == (3, 8) and denoiser.classes == ["even", "odd"]
    drawn = ["num=2", "steps=2", "guidance=3", "labels=odd", "device=cpu"]
    assert main(["sample", f"from={home / 'classes'}", *drawn]) == 0


def test_waveforms_have_latents_too(home):
    rng = np.random.default_rng(0)
    clips = write_clips(home / "clips", 0.1 * rng.standard_normal((6, 200)), 8000)
    torch.manual_seed(0)
    stage = AutoencoderKL(dims=1, in_channels=1, channels=32, channel_mult=(1, 1), num_blocks=1)
    torch.save(stage.state_dict(), home / "sound.ckpt")
    first = [f"first_stage.from={home / 'sound.ckpt'}", "process=edm", "regularizer=amplitude"]
    arguments = [f"run_dir={home / 'sound'}", f"data.train={clips}", "data.crop=64", *SMALL, *first]
    assert main(["train", *arguments]) == 0
    assert main(["sample", f"from={home / 'sound'}", "num=2", "steps=2", "device=cpu"]) == 0
    assert PackedDataset(home / "sound/samples/final").data.shape == (2, 64)


def test_weights_go_on_with_their_first_stage_and_their_classes_alone(home, capsys):
    assert train(home, "first", "vq", "process=ldm", latents=True) == 0
    again = [f"init_from={home / 'first'}", f"data.latents={home / 'latents-vq'}", "process=ldm"]
    assert train(home, "second", None, *again) == 0
    capsys.readouterr()
    denoiser = Denoiser.from_pretrained(home / "second/checkpoints/step_00000003/ema")
    assert denoiser.first_stage.sha256() == PackedDataset(home / "latents-vq").meta.first_stage
    assert "exclude each other" in one_sentence(capsys, train(home, "third", "vq", *again))
    meta = DatasetMeta(modality="image", source="noise", classes=("a", "b", "c"), statistics={"sigma_data": 0.5})
    write_packed(home / "three", np.zeros((3, 16, 24, 3), np.uint8), np.arange(3), meta=meta)
    others = [again[0], again[2], f"data.train={home / 'three'}"]
    assert "knows 2 classes" in one_sentence(capsys, train(home, "third", None, *others))


def test_making_latents_again_does_nothing(home, capsys):
    again = [str(home / "train"), str(home / "latents-vq"), "--first-stage", str(home / "vq.ckpt")]
    assert make_latents(again) == 0 and "is up to date" in capsys.readouterr().out
    latents = PackedDataset(home / "latents-vq")
    assert latents.meta.shape == (3, 8, 12) and latents.data.dtype == np.float32
    assert np.array_equal(latents.labels, PackedDataset(home / "train").labels)
    latents.verify()


def one_sentence(capsys, code):
    error = capsys.readouterr().err.strip()
    assert code == 2 and len(error.splitlines()) == 1, error
    return error


def test_what_does_not_fit_gets_one_sentence(home, capsys, tmp_path):
    other = [f"data.latents={home / 'latents-vq'}"]
    assert "latents of another first stage" in one_sentence(capsys, train(home, "no", "kl", *other))
    scaled = [*other, "first_stage.scale_factor=0.5"]
    assert "another first stage (or of another scale)" in one_sentence(capsys, train(home, "no", "vq", *scaled))
    assert "set first_stage.from, too" in one_sentence(capsys, train(home, "no", None, *other))
    pictures = [f"data.latents={home / 'test'}"]
    assert "holds no latents but image samples" in one_sentence(capsys, train(home, "no", "vq", *pictures))
    held_out = [*other, f"data.train={home / 'test'}"]
    assert "latents of other data than" in one_sentence(capsys, train(home, "no", "vq", *held_out))
    augment = ["data.augment={type: EDMAugment}"]
    assert "data.augment is of pictures" in one_sentence(capsys, train(home, "no", "vq", *augment))
    odd = [f"data.train={write_pictures(tmp_path / 'odd', np.zeros((2, 9, 8, 3)))}"]
    assert "that 2 divides, not [3, 9, 8]" in one_sentence(capsys, train(home, "no", "vq", *odd))
    texts = ["network.context_channels=8"]
    assert "the network looks at texts" in one_sentence(capsys, train(home, "no", "vq", *texts))
    assert "nowhere.ckpt is not there" in one_sentence(capsys, train(home, "no", None, "first_stage.from=nowhere.ckpt"))
    twice = [str(home / "latents-vq"), str(tmp_path / "twice"), "--first-stage", str(home / "vq.ckpt")]
    assert "holds latents already" in one_sentence(capsys, make_latents(twice))
    assert not (home / "no").exists()


def test_teacher_and_student_share_a_first_stage(home, capsys):
    assert train(home, "teacher", "vq", "process=ldm", latents=True) == 0
    capsys.readouterr()
    distil = ["process=ldm", "distillation.spatial=1", f"distillation.teacher={home / 'teacher'}"]
    assert "the teacher has a first stage of SHA-256" in one_sentence(capsys, train(home, "student", "kl", *distil))
    assert train(home, "student", "vq", *distil, latents=True) == 0
