"""``mmspec verify``: arms of equal beginnings, whatever cuts them off; and what cannot be verified."""

import json

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file

from mmspec.cli import main
from mmspec.config import compose, plain
from mmspec.data import DatasetMeta, write_packed
from mmspec.errors import InputError
from mmspec.experiment import verification
from mmspec.experiment.experiment import Experiment
from mmspec.experiment.held_out import held_out_errors
from mmspec.experiment.verification import VerifyOptions, make_trial, run_arms, seeds_of
from mmspec.overrides import as_typed
from mmspec.training.batches import Batches
from mmspec.training.trainer import Trainer
from mmspec.typed import read

SMALL = [
    "network.model_channels=8",
    "network.channel_mult=[1,2]",
    "network.num_blocks=1",
    "network.attention_levels=[]",
    "trainer.batch_size=4",
    "trainer.max_steps=2",
    "trainer.device=cpu",
    "trainer.tensorboard=false",
]
SHORT = ["steps=2", "num=6", "sampling.steps=2", "device=cpu", "seeds=0..1"]
WEIGHTLESS = "{name: weightless, regularizer: {haar: {loss: {type: WaveletLoss}, weight: 0.0}}}"
OF_SOUND = "{name: sound, regularizer: {haar: {loss: {type: WaveletLoss, band_weights: [1, 2]}}}}"
FEWER = "{name: fewer, sample: {steps: 1}}"


def pictures(folder, seed, count=12):
    pixels = np.random.default_rng(seed).integers(0, 255, (count, 16, 16, 3)).astype(np.uint8)
    statistics = {"mean": 0.0, "std": 0.5, "sigma_data": 0.5}
    write_packed(folder, pixels, meta=DatasetMeta(modality="image", source="noise", statistics=statistics))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verified")
    data = [f"data.{part}={pictures(folder / part, seed)}" for seed, part in enumerate(("train", "test"))]
    assert main(["train", f"run_dir={folder / 'run'}", *data, *SMALL]) == 0
    return folder / "run"


def verify(run, out, *words):
    return main(["verify", f"from={run}", f"out={out}", *SHORT, *words])


@pytest.fixture(scope="module")
def verified(run, tmp_path_factory):
    """A verification, and what each training saw: run folder -> weights at the start, and its batches and noise."""
    seen, steps, signals = {}, Trainer._step, Batches._gather

    def step(self, number, batches):
        weights = torch.cat([p.detach().flatten() for p in self.denoiser.parameters()])
        self.objective.draw = watched(self.objective.draw, seen.setdefault(self.folder, [weights.clone()]))
        steps(self, number, batches)

    def watched(draw, found):
        def drawn(*arguments, **options):
            made = draw(*arguments, **options)
            found.extend(part.clone() for part in made)
            return made

        return getattr(draw, "watched", None) or mark(drawn)

    def mark(function):
        function.watched = function
        return function

    def gather(self, number):
        found = signals(self, number)
        order.setdefault((self.order.indices(number).tobytes(), number), found[0].signals)
        return found

    order, patch = {}, pytest.MonkeyPatch()
    out = tmp_path_factory.mktemp("out") / "verify"
    patch.setattr(Trainer, "_step", step)
    patch.setattr(Batches, "_gather", gather)
    patch.chdir(out.parent)
    assert verify(run, out, f"treatments=[amplitude,{WEIGHTLESS},{FEWER},train_on]") == 0
    patch.undo()
    return out, seen, order


def weights(folder, kind="model.safetensors"):
    return load_file(sorted(folder.glob("checkpoints/step_*"))[-1] / kind)


def equal(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_all_arms_begin_with_equal_weights_batches_and_noise(run, verified):
    out, seen, order = verified
    arms = ["none", "placebo", "placebo_of_weightless", "amplitude", "weightless"]
    assert set(seen) == {out / arm / f"seed_{seed}" for arm in arms for seed in (0, 1)}
    ema = load_file(sorted(run.glob("checkpoints/step_*"))[-1] / "ema/model.safetensors")
    for seed in (0, 1):
        first = seen[out / "none" / f"seed_{seed}"]
        assert len(first) == 1 + 2 * 3  # weights, and sigma, noise and keep of two steps
        assert first[0].norm().item() == pytest.approx(
            torch.cat([w.flatten() for w in ema.values()]).norm().item(), rel=1e-5
        )
        for arm in arms[1:]:
            assert all(map(torch.equal, first, seen[out / arm / f"seed_{seed}"]))
    assert not torch.equal(seen[out / "none/seed_0"][2], seen[out / "none/seed_1"][2])
    assert len(order) == 2 * 3  # of two seeds, the two steps and the one gathered ahead: the same for all arms


def test_none_and_a_treatment_of_weight_0_end_bit_equal_and_others_do_not(verified):
    out, *_ = verified
    for kind in ("model.safetensors", "ema/model.safetensors"):
        none = weights(out / "none/seed_0", kind)
        assert equal(none, weights(out / "weightless/seed_0", kind))
        for arm in ("placebo", "amplitude"):
            assert not equal(none, weights(out / arm / "seed_0", kind))
        assert not equal(none, weights(out / "none/seed_1", kind))
    measured = [json.loads((out / f"arms/{arm}-0.json").read_text())["values"] for arm in ("none", "weightless")]
    assert measured[0] == measured[1]


def test_a_placebo_has_the_gate_and_the_share_of_its_treatment(verified):
    out, *_ = verified
    terms = [
        yaml.safe_load((out / arm / "seed_0/config.yaml").read_text())["regularizer"]
        for arm in ("amplitude", "placebo")
    ]
    (treated,), (placebo,) = (list(each.values()) for each in terms)
    assert placebo.pop("loss") == {"type": "SquaredError"} and treated.pop("loss")["type"] == "FourierAmplitudeLoss"
    assert treated == placebo and treated["balance"] == "gradient"
    lines = [(out / arm / "seed_0/metrics.jsonl").read_text().splitlines()[-1] for arm in ("amplitude", "placebo")]
    shares = [json.loads(lines[0])["train/grad_share/amplitude"], json.loads(lines[1])["train/grad_share/placebo_1"]]
    assert shares == pytest.approx([0.1, 0.1], rel=1e-4)


def test_what_only_samples_otherwise_trains_nothing_and_is_held_against_the_run_as_it_was(run, verified):
    out, *_ = verified
    for arm, steps in (("fewer", 1), ("before", 2)):
        facts = json.loads((out / arm / "seed_1/sample.json").read_text())
        assert (facts["steps"], facts["from"], facts["seed"]) == (steps, str(run), 1_000_000)
        assert not (out / arm / "seed_1/checkpoints").exists()
    assert "denoising_error" not in json.loads((out / "arms/fewer-1.json").read_text())["values"]


def test_to_train_on_is_the_arm_none_against_the_run_as_it_was(run, verified):
    out, *_ = verified
    assert not (out / "train_on").exists()
    values = [json.loads((out / f"arms/{arm}-1.json").read_text())["values"] for arm in ("none", "before")]
    found = json.loads((out / "verification.json").read_text())["treatments"]["train_on"]
    assert (found["none"]["against"], found["placebo"]) == ("before", None)
    others = [json.loads((out / f"arms/{arm}-0.json").read_text())["values"] for arm in ("none", "before")]
    differences = [none["octave_error"] - before["octave_error"] for none, before in (values, others)]
    assert found["none"]["differences"]["octave_error"]["mean"] == pytest.approx(np.mean(differences))
    errors = held_out_errors(read(Experiment, without_provenance(run)), str(run))
    assert values[1]["denoising_error"] == pytest.approx(errors.tolist(), rel=1e-5)


def without_provenance(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    del config["provenance"]
    return config


def test_numbers_are_those_of_separate_commands(run, verified, tmp_path, monkeypatch):
    out, *_ = verified
    monkeypatch.chdir(tmp_path)
    data = [f"data.{part}={run.parent / part}" for part in ("train", "test")]
    alone = [
        "train",
        f"run_dir={tmp_path / 'run'}",
        f"init_from={run}",
        *data,
        *SMALL,
        "regularizer=amplitude",
        "seed=1",
    ]
    assert main(alone) == 0
    assert equal(weights(tmp_path / "run"), weights(out / "amplitude/seed_1"))
    assert main(["sample", f"from={tmp_path / 'run'}", "num=6", "steps=2", "seed=1000000", "device=cpu"]) == 0
    assert main(["evaluate", f"samples={tmp_path / 'run'}", "device=cpu"]) == 0
    metrics = json.loads((tmp_path / "run/evaluation.json").read_text())["metrics"]
    values = json.loads((out / "arms/amplitude-1.json").read_text())["values"]
    errors = values.pop("denoising_error")
    assert metrics == values and len(errors) == 12 and all(error > 0 for error in errors)


def test_table_page_and_json_say_the_same(verified, capsys, run, monkeypatch):
    out, *_ = verified
    monkeypatch.chdir(out.parent)
    assert verify(run, out, f"treatments=[amplitude,{WEIGHTLESS},{FEWER},train_on]") == 0
    shown, content = capsys.readouterr().out, json.loads((out / "verification.json").read_text())
    assert list(content["treatments"]) == ["amplitude", "weightless", "fewer", "train_on"]
    assert content["treatments"]["weightless"]["verdict"] == "not shown"
    assert content["treatments"]["weightless"]["none"]["differences"]["octave_error"]["mean"] == 0
    fewer = content["treatments"]["fewer"]
    assert fewer["placebo"] is None and fewer["none"]["against"] == "before"
    assert content["sentences"][2].startswith("fewer ") and " from before" in content["sentences"][2]
    for sentence in content["sentences"]:
        assert sentence in shown and sentence in (out / "table.md").read_text()
    assert "Bias by octave" in (out / "verification.html").read_text()


def test_what_was_killed_goes_on_and_does_only_the_rest(run, verified, tmp_path, monkeypatch, capsys):
    whole, out, begun = verified[0], tmp_path / "verify", []
    monkeypatch.chdir(tmp_path)
    real, step = verification.train, Trainer._step

    def train(experiment):
        begun.append(f"{experiment.run_dir.parent.name}-{experiment.seed}")
        real(experiment)

    def killed(self, number, batches):
        if self.folder == out / "amplitude/seed_0" and number == 1:
            raise KeyboardInterrupt
        step(self, number, batches)

    monkeypatch.setattr(verification, "train", train)
    monkeypatch.setattr(Trainer, "_step", killed)
    words = ["treatments=[amplitude]", "steps=2"]
    assert verify(run, out, *words) == 75
    assert begun == ["none-0", "placebo-0", "amplitude-0"]
    assert sorted(path.name for path in (out / "arms").glob("*.json")) == ["none-0.json", "placebo-0.json"]
    monkeypatch.setattr(Trainer, "_step", step)
    before = (out / "arms/none-0.json").stat().st_mtime_ns
    assert verify(run, out, *words) == 0
    assert begun[3:] == ["amplitude-0", "none-1", "placebo-1", "amplitude-1"]
    assert (out / "arms/none-0.json").stat().st_mtime_ns == before
    assert equal(weights(out / "amplitude/seed_0"), weights(whole / "amplitude/seed_0"))
    begun.clear()
    assert verify(run, out, *words) == 0 and begun == []


def test_an_arm_that_another_process_is_at_is_left_to_it(run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    trial = trial_of(run, tmp_path / "verify")
    verification._open(trial)
    file = trial.result("placebo", 0)
    with verification.exclusive(file.with_name(f".{file.stem}.lock"), "placebo", "wait"):
        run_arms(trial)
    there = {path.stem for path in file.parent.glob("*.json")}
    assert there == {"none-0", "none-1", "amplitude-0", "amplitude-1", "placebo-1"}
    run_arms(trial)
    assert file.is_file()


def trial_of(run, out, *words):
    given = as_typed([f"from={run}", f"out={out}", *SHORT, "treatments=[amplitude]", *words], (VerifyOptions,))
    return make_trial(read(VerifyOptions, plain(compose("verify", given))))


def test_treatments_may_come_but_not_change(run, verified, tmp_path, capsys):
    out, *_ = verified
    trial = trial_of(run, out, "treatments=[haar]")
    verification._open(trial)
    assert {"amplitude", "haar"} <= json.loads((out / "trial.json").read_text())["arms"].keys()
    assert verify(run, out, "treatments=[amplitude]", "steps=3") == 2
    assert "belongs to another verification (trainer.max_steps was 2, is 3)" in capsys.readouterr().err
    assert verify(run, out, "treatments=[{name: amplitude, regularizer: haar}]") == 2
    assert "amplitude.regularizer.amplitude" in capsys.readouterr().err
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").touch()
    assert verify(run, tmp_path / "mine", "treatments=[amplitude]") == 2
    assert "holds notes.txt and no trial.json, so it is none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            [f"treatments=[{OF_SOUND}]"],
            "treatment sound: regularizer.haar does not fit signals of the shape [3, 16, 16]",
        ),
        (["treatments=[haer]"], "regularizer=haer is unknown: did you mean haar?"),
        (["treatments=[]"], "treatments=[] names none"),
        (["treatments=[amplitude,amplitude]"], "treatments name amplitude twice"),
        (["treatments=[none]"], "treatments[0]=none: before, none, train_on and placebo are mmspec"),
        (["treatments=[{distillation: {frequency: 0.1}}]"], "distillation.teacher must be given"),
        (["treatments=[{distillation: {teacher: nowhere, frequency: 0.1}}]"], "nowhere is not there"),
        (["treatments=[{name: a/b, regularizer: haar}]"], "treatments[0].name takes a name for a folder"),
        (["treatments=[{name: idle}]"], "treatments[0]=idle treats nothing"),
        (["treatments=[{regularizer: haar, weight: 1}]"], "treatments[0].weight is no option"),
        (["treatments=[{name: s, sample: {seed: 3}}]"], "treatments[0].sample.seed is the same in all arms"),
        (["treatments=[{name: s, sample: {stepz: 3}}]"], "s.sample.stepz is no option: did you mean steps?"),
        (["treatments=[haar]", "strength=unweighted"], "regularizer.haar has no balance, so no placebo"),
        (["treatments=[haar]", "seeds=[3]"], "seeds=[3] is 1 seed(s), too few for an interval: give 2, better 5"),
        (["treatments=[haar]", "seeds=0..0"], "seeds=0..0 is 1 seed(s)"),
        (["treatments=[haar]", "seeds=[1,1]"], "names a seed twice"),
        (["treatments=[haar]", "seeds=few"], "seeds takes 0..4, or a list such as [0,1,2], not 'few'"),
        (["treatments=[haar]", "data.test=nowhere"], "nowhere"),
        (["treatments=[haar]", "from=nowhere"], "from=nowhere is not there: give a run"),
    ],
)
def test_mistakes_get_one_sentence_before_anything_is_written(run, tmp_path, monkeypatch, capsys, words, message):
    monkeypatch.chdir(tmp_path)
    assert verify(run, tmp_path / "verify", *words) == 2
    err = capsys.readouterr().err
    assert message in err and len(err.strip().splitlines()) == 1
    assert not (tmp_path / "verify").exists()


def test_a_run_without_weights_or_held_out_data_is_refused(run, tmp_path, capsys):
    empty = tmp_path / "empty"
    empty.mkdir()
    (empty / "config.yaml").write_text((run / "config.yaml").read_text())
    assert verify(empty, tmp_path / "verify", "treatments=[haar]") == 2
    assert "has no complete checkpoint yet" in capsys.readouterr().err
    config = yaml.safe_load((run / "config.yaml").read_text())
    (empty / "config.yaml").write_text(yaml.safe_dump({**config, "data": {**config["data"], "test": None}}))
    assert verify(empty, tmp_path / "verify", "treatments=[haar]") == 2
    assert "has no data.test: give data.test=FOLDER" in capsys.readouterr().err


def test_seeds_are_ranges_and_lists():
    assert seeds_of("0..4") == [0, 1, 2, 3, 4] and seeds_of([5, 2]) == [5, 2]
    with pytest.raises(InputError, match="too few"):
        seeds_of("4..0")
