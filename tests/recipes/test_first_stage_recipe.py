"""The recipe of first stages from pictures to tables, on small ones made here, and what its tables say."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.losses import FourierAmplitudePhaseLoss
from mmspec.networks import AutoencoderTiny
from mmspec.pretrained import load_first_stage
from recipes.first_stage import tables
from recipes.first_stage.finetune import Settings, SquaredError, crops, tuned
from recipes.first_stage.round_trip import level, round_trip
from tests.recipe_runs import run

LOOK = ["--size", 32, "--pictures", 2, "--seeds", "0,1", "--steps", "1,2", "--crop", 16, "--results", "results"]


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Pictures, and a first stage as one file."""
    folder = tmp_path_factory.mktemp("source")
    rng = np.random.default_rng(0)
    (folder / "pictures").mkdir()
    for index in range(24):
        Image.fromarray(rng.integers(0, 256, (40, 36, 3), dtype=np.uint8)).save(folder / f"pictures/{index}.png")
    torch.manual_seed(0)
    save_file(AutoencoderTiny(channels=8, num_blocks=(1, 1, 1)).state_dict(), folder / "tiny.safetensors")
    return folder


def arguments(source):
    return ["--data", source / "pictures", "--first-stage", source / "tiny.safetensors", *LOOK]


def test_it_goes_on_where_it_stopped_and_ends_with_its_tables(source, tmp_path):
    code, out, error = run("first_stage", *arguments(source), "--arms", "l1,haar", cwd=tmp_path)
    assert code == 0, error[-3000:]
    results = tmp_path / "results"
    made = {"transfer", "untreated", "l1-0", "l1-1", "haar-0", "haar-1"}
    assert {file.stem for file in results.glob("*.json")} == made
    times = {file: file.stat().st_mtime_ns for file in results.glob("*.json")}
    (results / "haar-1.json").unlink()
    code, out, error = run("first_stage", *arguments(source), cwd=tmp_path)
    assert code == 0, error[-3000:]
    assert "done before" in out and len(list(results.glob("*.json"))) == 10
    assert all(file.stat().st_mtime_ns == time for file, time in times.items() if file.stem != "haar-1")
    shown = (results / "results.md").read_text()
    for table in ("From an octave of the latents", "untreated decoder", "After 1 steps", "After 2 steps: paired"):
        assert f"## {table}" in shown or table in shown
    assert "| L1 + amplitude and phase | 2 " in shown and "could have been seen" in shown

    held_out = PackedDataset(tmp_path / "exp/data/first_stage/test").batch(np.arange(2))[0]
    stage = load_first_stage(source / "tiny.safetensors")
    error = (stage.decode(stage.encode(held_out)).clamp(-1, 1) - held_out).double().square().mean((1, 2, 3))
    untreated = json.loads((results / "untreated.json").read_text())["after"]["0"]
    np.testing.assert_allclose(untreated["psnr"], 10 * (4 / error).log10(), atol=1e-3)


def test_results_of_other_settings_are_not_mixed(source, tmp_path):
    few = [*arguments(source), "--arms", "l1", "--seeds", "0", "--stage", 1, "--stop-stage", 3]
    assert run("first_stage", *few, cwd=tmp_path)[0] == 0
    code, _, error = run("first_stage", *few, "--crop", 24, cwd=tmp_path)
    assert code == 2 and "was made with another crop: give another --results FOLDER." in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--crop", 10], "--crop 10: give a multiple of 4 up to 32"),
        (["--arms", "l2"], "--arms l2: there are l1, placebo, amplitude_phase, haar."),
        (["--steps", "3,2"], "--steps [3, 2]: give ascending numbers"),
        (["--pictures", "many"], "--pictures must be a whole number, not 'many'."),
        (["--first-stage", "nowhere.pth"], "--first-stage nowhere.pth: no such file or folder."),
        (["batch=2"], "batch=2: key=value is for no stage of this recipe"),
        (["--pictures", 1000], "pictures, 24 are to be measured"),
    ],
)
def test_a_mistake_gets_one_sentence(source, tmp_path, words, message):
    code, _, error = run("first_stage", *arguments(source), *words, "--stop-stage", 3, cwd=tmp_path)
    assert code == 2 and message in error and len(error.strip().splitlines()) == 1


def stage_and_batches(count=3):
    torch.manual_seed(0)
    stage = AutoencoderTiny(channels=8, num_blocks=(1, 1)).requires_grad_(False)
    x = torch.rand(count, 2, 3, 16, 16) * 2 - 1
    return stage, [(part, stage.encode(part)) for part in x]


def settings(**options):
    plain = {"first_stage": "", "train": "", "test": "", "steps": [1], "pictures": 1, "crop": 16, "batch": 2}
    return Settings(**{**plain, "learning_rate": 1e-3, "share": 0.5, **options})


def test_a_seed_is_its_crops(source, tmp_path):
    x = np.arange(5 * 8 * 8 * 3, dtype=np.uint8).reshape(5, 8, 8, 3)
    write_packed(tmp_path / "data", x, meta=DatasetMeta(modality="image", source="test"))
    dataset, chosen = PackedDataset(tmp_path / "data"), settings(steps=[2], crop=4, batch=3)
    first, again, other = (torch.stack(list(crops(dataset, chosen, seed))) for seed in (0, 0, 1))
    assert first.shape == (2, 3, 3, 4, 4) and torch.equal(first, again) and not torch.equal(first, other)
    whole = dataset.batch(np.arange(5))[0]
    windows = torch.cat([whole, whole.flip(-1)]).unfold(2, 4, 1).unfold(3, 4, 1).movedim(1, 3).flatten(0, 2)
    assert all((window == windows).flatten(1).all(1).any() for window in first.flatten(0, 1))


def test_the_first_step_is_adams_along_the_sum_of_two_gradients():
    """The term's gradient at the picture is scaled to half the length of the L1 error's, whatever its own scale."""
    stage, batches = stage_and_batches(count=1)
    theirs, _ = stage_and_batches(count=1)
    (x, z), loss = batches[0], FourierAmplitudePhaseLoss(reduction="none")
    list(tuned(stage, batches, loss, settings()))

    theirs.decoder.requires_grad_(True)
    back = theirs.decode(z)
    parts = [
        torch.autograd.grad(value, back, retain_graph=True)[0]
        for value in ((back - x).abs().mean(), loss(back, x).mean())
    ]
    whole = parts[0] + 0.5 * parts[1] * parts[0].norm() / parts[1].norm()
    back.backward(whole)
    for ours, parameter in zip(stage.decoder.parameters(), theirs.decoder.parameters(), strict=True):
        expected = parameter - 1e-3 * parameter.grad / (parameter.grad.abs() + 1e-8)
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-6)


def test_the_encoder_stays_and_the_placebo_knows_no_frequency():
    stage, batches = stage_and_batches()
    before = {name: weight.clone() for name, weight in stage.state_dict().items()}
    assert list(tuned(stage, batches, SquaredError(), settings())) == [1, 2, 3]
    changed = {
        name.partition(".")[0] for name, weight in stage.state_dict().items() if not torch.equal(weight, before[name])
    }
    assert changed == {"decoder"}
    x, y = torch.randn(2, 4, 3, 8, 8)
    torch.testing.assert_close(SquaredError()(x, y), (x - y).square().mean((1, 2, 3)))


class Dimmed:
    """A stage whose decoder gives back half of each amplitude."""

    def decode(self, z):
        return z / 2


def test_half_the_amplitude_is_six_decibels_in_every_octave():
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    found = round_trip(Dimmed(), x, x)
    torch.testing.assert_close(found.bias, torch.full((2, 4), -6.0206, dtype=torch.float64), atol=1e-4, rtol=0)
    rings = 45  # of the mirrored pictures; nothing is at the last, the corner of the frequency plane
    distance = torch.full((2,), 6.0206 * (1 - 1 / rings) ** 0.5, dtype=torch.float64)
    torch.testing.assert_close(found.log_spectral_distance, distance, atol=1e-3, rtol=0)
    expected = 10 * (4 / (x / 2).double().square().mean((1, 2, 3))).log10()
    torch.testing.assert_close(found.psnr, expected)
    assert level(x).shape == (2, 4)


def test_octaves_are_named_in_cycles_per_pixel():
    assert tables.octave_names(3) == ["to 1/8", "1/8 to 1/4", "1/4 to 1/2"]
    assert tables.octave_names(2, coarser=3) == ["to 1/32", "1/32 to 1/16"]
