"""Training on captions, with a tiny CLIP text encoder: from pictures with texts to samples of a text."""

import numpy as np
import pytest
import torch

from mmspec import from_pretrained
from mmspec.cli import main
from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.data.packed import complete
from mmspec.diffusion import Objective
from mmspec.diffusion.processes import EDM
from mmspec.pretrained.clip import TextEncoder
from tests.tiny_clip import save_tiny_clip

LEVELS = {"a": 230, "b": 30}
SMALL = ["network.model_channels=8", "network.channel_mult=[1]", "network.num_blocks=1"]
SMALL += ["network.attention_levels=[0]", "network.context_channels=16"]
SMALL += ["trainer.batch_size=8", "trainer.device=cpu", "trainer.tensorboard=false"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return save_tiny_clip(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Bright pictures that are called a, dark ones that are called b."""
    folder = tmp_path_factory.mktemp("data") / "packed"
    captions = ["a", "b"] * 16
    pixels = np.stack([np.full((4, 4, 1), LEVELS[caption], np.uint8) for caption in captions])
    statistics = {"mean": 0.0, "std": 0.8, "sigma_data": 0.8}
    meta = DatasetMeta(modality="image", source="greys", classes=("grey",), statistics=statistics)
    labels = np.zeros(32, int)
    complete(folder, labels, captions=captions, meta=write_packed(folder, pixels, labels, meta=meta))
    return folder


def train(folder, data, clip, *overrides):
    encoder = [] if clip is None else [f"text_encoder={clip}"]
    return main(["train", f"run_dir={folder}", f"data.train={data}", f"data.test={data}", *SMALL, *encoder, *overrides])


@pytest.fixture(scope="module")
def run(tmp_path_factory, data, clip):
    folder = tmp_path_factory.mktemp("runs") / "run"
    fast = ["trainer.max_steps=200", "trainer.learning_rate=5e-3", "trainer.ema_halflife_nimg=100"]
    fast += ["objective.label_dropout=0.3", "process.mean=1.5"]  # at high noise, where the captions say most
    assert train(folder, data, clip, *fast, "trainer.sample_every=200", "preview.num=2", "preview.steps=2") == 0
    return folder


def test_a_denoiser_learns_what_the_captions_mean(run, clip):
    denoiser, encoder = from_pretrained(run), TextEncoder(clip)
    noise = 3 * torch.randn(4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    noise = torch.cat([noise, -noise])  # as dark as bright
    found = {}
    for text in ("a", "b", ""):
        labels = torch.full((8, 1), float(text != ""))  # class and caption are dropped together
        found[text] = denoiser(noise, 3.0, labels=labels, context=encoder([text]).expand(8, -1, -1)).mean().item()
    assert found["b"] < -0.3 < found[""] < 0.3 < found["a"]  # without a caption, the mean of all pictures
    assert (run / "samples/step_00000200.png").is_file()


def test_samples_show_the_text_or_the_held_out_captions_in_turn(run):
    for text, options in (("b", ["text=b"]), (None, [])):
        assert main(["sample", f"from={run}", "num=6", "steps=6", "device=cpu", "guidance=1.5", *options]) == 0
        samples = PackedDataset(run / "samples/final")
        assert samples.captions == [text or caption for caption in ["a", "b"] * 3]
        bright = samples.data.mean((1, 2, 3)) > 127
        assert bright.tolist() == [caption == "a" for caption in samples.captions]


def test_a_saved_denoiser_is_told_whose_captions_to_draw(run, data, clip, tmp_path):
    saved = [f"from={run / 'checkpoints/step_00000200/ema'}", f"out={tmp_path / 'drawn'}", "num=3", "steps=2"]
    assert main(["sample", *saved, f"captions={data}", f"text_encoder={clip}", "device=cpu"]) == 0
    assert PackedDataset(tmp_path / "drawn").captions == ["a", "b", "a"]


@pytest.mark.parametrize("figure", [["filters", "num=4"], ["predictions", "num=2", "steps=2"]])
def test_figures_are_drawn_of_captions(run, tmp_path, figure):
    assert main(["analyze", *figure, f"from={run}", f"out={tmp_path / 'figure.svg'}", "device=cpu"]) == 0
    assert (tmp_path / "figure.svg").is_file()


def test_accumulated_micro_batches_see_their_own_captions(tmp_path, data, clip):
    weights = []
    for parts in (1, 4):
        options = ["trainer.max_steps=2", f"trainer.accumulation={parts}", "network.dropout=0"]
        assert train(tmp_path / str(parts), data, clip, *options) == 0
        weights.append(from_pretrained(tmp_path / str(parts)).state_dict())
    for name, expected in weights[0].items():
        torch.testing.assert_close(weights[1][name], expected, rtol=1e-4, atol=1e-5)


def test_a_student_is_told_the_captions_as_its_teacher_is(tmp_path, data, clip, run, capsys):
    student = ["distillation=both", f"distillation.teacher={run}", "trainer.max_steps=1"]
    assert train(tmp_path / "student", data, clip, *student) == 0
    assert train(tmp_path / "deaf", data, None, *student, "network.context_channels=0") == 2
    assert "the teacher has embeddings of texts of width 16, the student 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["network.context_channels=0"], "this network does not look at texts; leave it out"),
        (["network.context_channels=12"], "embeds words in 16 numbers, this denoiser looks at 12"),
        (["text_encoder=null"], "give text_encoder=, the folder of a CLIP model"),
    ],
)
def test_what_does_not_fit_is_one_sentence(tmp_path, data, clip, capsys, overrides, message):
    assert train(tmp_path / "run", data, clip, *overrides) == 2
    assert message in capsys.readouterr().err


def test_data_without_captions_say_how_to_get_them(tmp_path, data, clip, capsys):
    bare = tmp_path / "bare"
    write_packed(bare, np.array(PackedDataset(data).data), np.zeros(32, int), meta=PackedDataset(data).meta)
    assert train(tmp_path / "run", bare, clip) == 2
    assert f"{bare} has no captions: prepare the data with --captions" in capsys.readouterr().err


def test_dropped_texts_are_the_empty_one():
    objective = Objective(EDM(), label_dropout=0.5, weighting=torch.ones_like)
    seen = {}

    def denoiser(x, sigma, context):
        seen["context"] = context
        return x

    draw = objective.draw((64, 1, 4), torch.Generator().manual_seed(0))
    context, empty = torch.randn(64, 3, 5), torch.zeros(1, 3, 5)
    objective(denoiser, torch.randn(64, 1, 4), draw=draw, context=context, null_context=empty)
    kept = draw.keep > 0
    assert 16 < kept.sum() < 48
    torch.testing.assert_close(seen["context"][kept], context[kept])
    assert not seen["context"][~kept].any()
