"""What commands make of odd names and values, of full disks, of folders that hold something, and of a second start."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from mmspec import files
from mmspec.cli import main, plugin_files, with_keys
from mmspec.config import compose, plain, sweep
from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError, sentence
from mmspec.experiment import conversion
from mmspec.experiment.experiment import Experiment
from mmspec.experiment.report import ReportOptions
from mmspec.experiment.sample_folder import SampleOptions
from mmspec.experiment.sampling import Draws
from mmspec.interruption import SIGNALS, Interrupted, kept
from mmspec.networks import UNet
from mmspec.overrides import as_typed
from mmspec.training.run import Run
from tests.programs import python

SMALL = [
    "network.model_channels=8",
    "network.channel_mult=[1]",
    "network.num_blocks=1",
    "network.attention_levels=[]",
    "trainer.batch_size=4",
    "trainer.max_steps=2",
    "trainer.log_every=1",
    "trainer.device=cpu",
    "trainer.tensorboard=false",
]
ODD = "r #2,é猫 ${x}[b]'q\" =[/b]{a: 1}~\\"
NAMES = ["20240101", "exp/cats#2", "été", "猫 犬", "it's", 'a"b', "a,b", "[x]", "{a:b}", "${x}", "${from}", "$", "???"]
NAMES += ["true", "1e5", "a\\", "a\\'b", "a=b", "x/~", "a\nb", "(a)", "*?", "%s", " lead", "trail ", "+x", "a@b", "--m"]


def packed(folder, shape=(12, 16, 16, 3), rate=None, seed=0):
    rng = np.random.default_rng(seed)
    data = rng.integers(0, 255, shape).astype(np.uint8)
    if rate:
        data = (rng.standard_normal(shape) * 5000).astype(np.int16)
    statistics = {"mean": 0.0, "std": 0.4, "sigma_data": 0.4}
    meta = DatasetMeta(modality="audio" if rate else "image", source="noise", sample_rate=rate, statistics=statistics)
    write_packed(folder, data, meta=meta)
    return folder


def train(folder, data, *overrides):
    return main(["train", f"run_dir={folder}", f"data.train={data}", *SMALL, *overrides])


def refused(capsys, *words):
    """The one sentence of a command that refuses."""
    capsys.readouterr()
    assert main([str(word) for word in words]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said and len(said.strip().splitlines()) == 1, said
    return said


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("runs") / ODD
    assert train(folder, data) == 0
    return folder


# Names as they are typed


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_what_was_typed(name):
    words = as_typed(["from=x", f"out={name}"], [SampleOptions])
    assert plain(compose("sample", words))["out"] == name
    words = as_typed([f"run_dir={name}", f"data.train={name}", f"first_stage.from={name}"], [Experiment])
    cfg = plain(compose("train", words))
    assert (cfg["run_dir"], cfg["data"]["train"], cfg["first_stage"]["from"]) == (name, name, name)
    if "," not in name and "[" not in name:
        assert plain(compose("report", as_typed([f"runs=[a,{name}]"], [ReportOptions])))["runs"] == ["a", name.strip()]


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\ue000"), min_size=1, max_size=12))
@example("''a'")
@example("\\\\'")
def test_any_text_is_what_was_typed(name):
    whole = len(name) > 1 and name[0] == name[-1] and name[0] in "'\""
    if whole or name.startswith("~") or name == "null":
        return  # quoted as hydra quotes, in the home folder, or none
    assert plain(compose("sample", as_typed(["from=x", f"out={name}"], [SampleOptions])))["out"] == name


def test_hydras_own_grammar_works_as_before(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    words = as_typed(
        [
            "run_dir='a b'",
            "data={train: x, test: y}",
            "trainer.betas=[0.5,0.6]",
            "data.latents=null",
            "+trainer.extra=1",
            "~preview.num",
            "first_stage.from=~/weights",
            "text_encoder='~/literal'",
        ],
        [Experiment],
    )
    cfg = plain(compose("train", words))
    assert cfg["run_dir"] == "a b" and cfg["data"]["train"] == "x" and cfg["data"]["latents"] is None
    assert cfg["trainer"]["betas"] == [0.5, 0.6] and cfg["trainer"]["extra"] == 1 and "num" not in cfg["preview"]
    assert cfg["first_stage"]["from"] == "/home/me/weights" and cfg["text_encoder"] == "~/literal"
    words = as_typed(
        ["run_dir=a#b", "data.train=d", "init_from=e/x#1,e/it's,null", "seed=choice(3)"], [Experiment], True
    )
    found = [(cfg.run_dir, plain(cfg)["init_from"]) for cfg in sweep("train", words)]
    assert found == [("a#b/x#1-3", "e/x#1"), ("a#b/it's-3", "e/it's"), ("a#b/null-3", None)]


def test_words_without_a_key_and_plugins_are_paths_too(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert with_keys("convert", ["edm", "~/it's #1.pkl", "out, é"]) == [
        "format=edm",
        "source=~/it's #1.pkl",
        "out=out, é",
    ]
    assert plugin_files(["plugins=[~/a.py,'b, c.py']", "plugins=d é.py"]) == ["/home/me/a.py", "b, c.py", "d é.py"]


def test_a_run_of_any_name_is_trained_sampled_judged_and_shown(run, data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "20240101"
    assert main(["sample", f"from={run}", "num=4", "steps=1", "out=20240101"]) == 0
    assert len(PackedDataset(out)) == 4
    assert main(["evaluate", f"samples={out}", f"reference={data}", "cutoff=3", "extractors.cache=null"]) == 0
    assert main(["report", f"runs={run}", "out=page #1.html"]) == 0 and (tmp_path / "page #1.html").is_file()
    assert main(["info", f"from={run}"]) == 0


# Values


@pytest.mark.parametrize(
    ("verb", "word", "said"),
    [
        ("sample", "seed=-1", "seed must be from 0"),
        ("sample", f"seed={2**80}", "seed takes a whole number, not a whole number beyond 2^63"),
        ("sample", "steps=0", "steps"),
        ("sample", "batch_size=4.0", "batch_size takes a whole number, not 4.0"),
        ("sample", "num=1e1", "num takes a whole number or 'all', not 10.0"),
        ("sample", "steps=2 # two", "steps takes a whole number, not '2 # two'"),
        ("sample", "steps=1,2", "steps=1,2' names several values: give one, a list [A,B], or add -m"),
        ("sample", "num", "'num' is no key with a value: write KEY=VALUE"),
        ("sample", "out=", "out takes a path or null, not ''"),
        ("sample", "out=\udcff", "is not in UTF-8"),
        ("train", "seed=-1", "seed must be from 0"),
        ("train", "trainer.max_steps=0", "max_steps must be 1 or more, not 0"),
        ("train", "trainer.learning_rate=-1", "learning_rate must be 0 or more, not -1"),
        ("train", "trainer.betas=[2,3]", "betas must be from 0 to below 1, not [2, 3]"),
        ("train", "data.crop=0", "data.crop must be 1 or more, not 0"),
        ("train", "preview.num=0", "preview.num must be 1 or more, not 0"),
        ("train", "run_dir=", "run_dir takes a path, not ''"),
        ("evaluate", "seed=-1", "seed must be from 0"),
        ("evaluate", "batch_size=0", "batch_size must be 1 or more, not 0"),
        ("evaluate", "cutoff=-1", "cutoff must be above 0, not -1"),
        ("evaluate", "crop=0", "crop must be 1 or more, not 0"),
        ("info", "classes=-1", "classes must be 0 or more"),
        ("info", "shape=[3,0,8]", "the sizes in shape 1 or more"),
    ],
)
def test_a_value_out_of_range_or_of_another_type_is_one_sentence(run, data, tmp_path, capsys, verb, word, said):
    given = {
        "sample": [f"from={run}", f"out={tmp_path / 'out'}"],
        "train": [f"run_dir={tmp_path / 'run'}", f"data.train={data}", *SMALL],
        "evaluate": [f"samples={data}", f"reference={data}", f"out={tmp_path / 'e.json'}", "extractors.cache=null"],
        "info": ["network=unet"],
    }
    assert said in refused(capsys, verb, *given[verb], word)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("length", [1, 100])
def test_clips_too_short_for_the_stft_are_refused_before_training_and_train_without(tmp_path, capsys, length):
    clips, run = packed(tmp_path / "clips", (8, length), 8000), tmp_path / "run"
    words = [f"run_dir={run}", f"data.train={clips}", *SMALL]
    said = refused(capsys, "train", *words, "regularizer=stft")
    assert f"regularizer.stft does not fit signals of the shape [1, {length}]" in said and "leave it out" in said
    assert not run.exists()
    assert main(["train", *words]) == 0


def test_signals_of_one_value_have_no_spectrum(tmp_path, capsys):
    clips = packed(tmp_path / "clips", (8, 1), 8000)
    said = refused(capsys, "evaluate", f"samples={clips}", f"reference={clips}", "extractors.cache=null")
    assert "clips holds signals of one value, which have no spectrum" in said


def test_a_fault_of_the_code_keeps_its_traceback_and_a_refusal_of_the_library_has_none():
    def told(action):
        try:
            action()
        except Exception as error:
            return sentence(error)

    assert told(lambda: int("x")) is None and told(lambda: [][1]) is None
    assert "do not fit" in told(files_of_odd_labels)
    assert told(lambda: Path("/nowhere/x").read_text()).startswith("/nowhere/x: No such file or directory: ")
    assert "make room" in told(lambda: raised(OSError(errno.ENOSPC, "No space left on device", "/disk/a")))
    assert "lower the batch size" in told(lambda: raised(MemoryError()))


def raised(error):
    raise error


def files_of_odd_labels():
    from mmspec.data.packed import complete

    complete(Path("/nowhere"), np.zeros(3), meta=DatasetMeta(modality="image", source="x", classes=("a",), count=2))


# Disks that refuse


def test_a_log_that_takes_no_line_is_said_once_and_its_lines_come_later(tmp_path, data, monkeypatch, capsys):
    real, failed = files.append, []

    def append(path, text):
        if path.name == "metrics.jsonl" and len(failed) < 2:
            failed.append(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        real(path, text)

    monkeypatch.setattr("mmspec.training.log.append", append)
    assert train(tmp_path / "run", data, "trainer.max_steps=4") == 0
    lines = [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3, 4] and len(failed) == 2
    said = capsys.readouterr().err
    assert said.count("metrics.jsonl takes no lines now (No space left on device): training goes on") == 1


def test_a_line_is_appended_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "log"
    files.append(file, "one\n")

    class Full(io.FileIO):
        def write(self, content):
            if self.tell() > 4:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(content[:2])

    monkeypatch.setattr(Path, "open", lambda self, mode, buffering: Full(self, mode))
    with pytest.raises(OSError, match="No space"):
        files.append(file, "two\n")
    monkeypatch.undo()
    assert file.read_text() == "one\n"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), ValueError("NaN")])
def test_a_preview_that_cannot_be_drawn_ends_no_training(tmp_path, data, error, capsys, monkeypatch):
    monkeypatch.setattr("mmspec.experiment.training.overview", lambda *_: raised(error))
    assert train(tmp_path / "run", data, "trainer.sample_every=1", "preview.num=1", "preview.steps=1") == 0
    assert "no preview at step 1" in capsys.readouterr().err
    assert (tmp_path / "run/checkpoints/step_00000002/COMPLETE").is_file()


def test_what_is_replaced_stays_until_its_successor_is_there(tmp_path, monkeypatch):
    folder, real = tmp_path / "set", os.replace
    folder.mkdir()
    (folder / "old").touch()

    def replace(source, target):
        if Path(source).name == "new":
            raise OSError(errno.EBUSY, "Device or resource busy", str(target))
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(OSError, match="busy"), files.staged(folder):
        pass
    assert [path.name for path in folder.iterdir()] == ["old"] and list(tmp_path.iterdir()) == [folder]


def test_the_place_where_a_disk_is_mounted_is_refused_before_the_work(run, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(Path, "is_mount", lambda self: self.name == "mnt")
    (tmp_path / "mnt").mkdir()
    said = refused(capsys, "sample", f"from={run}", f"out={tmp_path / 'mnt'}")
    assert "mnt is where a disk is mounted" in said and "give a folder in it" in said


@pytest.mark.parametrize(("name", "said"), [("file/x", "a file stands where"), ("x" * 300, "give a shorter name")])
def test_a_place_that_cannot_be_written_is_one_sentence(run, data, tmp_path, capsys, name, said):
    (tmp_path / "file").touch()
    assert said in refused(capsys, "sample", f"from={run}", f"out={tmp_path / name}", "num=1", "steps=1")
    assert said in refused(capsys, "train", f"run_dir={tmp_path / name}", f"data.train={data}", *SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("number", SIGNALS)
def test_sampling_goes_on_where_a_signal_cut_it_off(run, tmp_path, capsys, monkeypatch, number):
    given, real, drawn = [f"from={run}", "num=5", "steps=1", "batch_size=2"], Draws._samples, []
    before = signal.getsignal(number)

    def interrupt(self, indices, on_step):
        if indices.start == 2:
            os.kill(os.getpid(), number)
        return real(self, indices, on_step)

    monkeypatch.setattr(Draws, "_samples", interrupt)
    assert main(["sample", *given, f"out={tmp_path / 'out'}"]) == 75
    said = capsys.readouterr().err
    assert said == "mmspec sample: interrupted, what is drawn is kept: run the same command again to go on.\n"
    assert [path.name for path in tmp_path.iterdir()] == [".writing-out"] and signal.getsignal(number) == before
    monkeypatch.setattr(Draws, "_samples", lambda self, at, step: (drawn.append(at.start), real(self, at, step))[1])
    assert main(["sample", *given, f"out={tmp_path / 'out'}"]) == 0 and drawn == [2, 4]
    assert main(["sample", *given, f"out={tmp_path / 'whole'}"]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "whole"]
    for folder in ("out", "whole"):
        PackedDataset(tmp_path / folder).verify()
        assert "drawn" not in json.loads((tmp_path / folder / "sample.json").read_text())["files"]
    assert np.array_equal(PackedDataset(tmp_path / "out").data, PackedDataset(tmp_path / "whole").data)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        path.name for path in (tmp_path / "whole").iterdir()
    }


@pytest.mark.parametrize("change", ["seed=1", "steps=2", "num=4"])
def test_samples_of_other_options_do_not_go_on_with_those_that_were_cut_off(run, tmp_path, monkeypatch, change):
    given, real = [f"from={run}", "num=3", "steps=1", "batch_size=2"], Draws._samples

    def interrupt(self, indices, on_step):
        if indices.start == 2:
            raise KeyboardInterrupt
        return real(self, indices, on_step)

    monkeypatch.setattr(Draws, "_samples", interrupt)
    assert main(["sample", *given, f"out={tmp_path / 'out'}"]) == 75
    monkeypatch.setattr(Draws, "_samples", real)
    for name in ("out", "whole"):
        assert main(["sample", *given, change, f"out={tmp_path / name}"]) == 0
    assert np.array_equal(PackedDataset(tmp_path / "out").data, PackedDataset(tmp_path / "whole").data)


def test_any_signal_ends_other_verbs_with_a_sentence(capsys, monkeypatch):
    signals = iter(SIGNALS)
    monkeypatch.setattr("mmspec.commands.info.facts", lambda _: os.kill(os.getpid(), next(signals)))
    assert [main(["info"]) for _ in SIGNALS] == [130] * len(SIGNALS)
    assert capsys.readouterr().err.count("interrupted: nothing half-written is left") == len(SIGNALS)


def test_work_whose_parts_are_kept_goes_on_once_there_are_any(tmp_path):
    for folder in (None, tmp_path / "none", tmp_path):
        with pytest.raises((KeyboardInterrupt, Interrupted)) as caught, kept(folder, "what is finished"):
            raise KeyboardInterrupt
        assert type(caught.value) is (Interrupted if folder == tmp_path else KeyboardInterrupt)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_after_the_work_changes_no_status(number):
    code = "import atexit, os, sys; from mmspec import cli; sys.argv[1:] = ['--help']\n"
    process = python("-c", f"{code}atexit.register(os.kill, os.getpid(), {number})\nsys.exit(cli.program())")
    assert process.communicate(timeout=60)[1] == "" and process.returncode == 0


# What is there already


def test_samples_replace_samples_and_nothing_else(run, tmp_path, capsys):
    real, out = packed(tmp_path / "test"), tmp_path / "out"
    said = refused(capsys, "sample", f"from={run}", f"out={real}", "num=2", "steps=1")
    assert "test holds something that `mmspec sample` did not make" in said and len(PackedDataset(real)) == 12
    for num in (2, 3):
        assert main(["sample", f"from={run}", f"out={out}", f"num={num}", "steps=1"]) == 0
        assert len(PackedDataset(out)) == num
    (out / "thesis.tex").touch()
    said = refused(capsys, "sample", f"from={run}", f"out={out}", "num=2", "steps=1")
    assert "out holds thesis.tex, which `mmspec sample` did not put there" in said and len(PackedDataset(out)) == 3


def tiny(seed):
    torch.manual_seed(seed)
    network = UNet(2, 3, model_channels=8, channel_mult=(1,), num_blocks=1, attention_levels=())
    return Denoiser(network, EDM(), (3, 8, 8))


def test_converted_weights_replace_no_other_denoiser(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(conversion.FORMATS, "edm", lambda source: tiny(int(Path(source).read_text())))
    for seed in (1, 2):
        (tmp_path / f"{seed}.pkl").write_text(str(seed))
    first, second, out = tmp_path / "1.pkl", tmp_path / "2.pkl", tmp_path / "out"
    assert main(["convert", "edm", str(first), str(out)]) == 0
    before = files.content_sha256(out)
    assert main(["convert", "edm", str(first), str(out)]) == 0
    assert "out holds other weights" in refused(capsys, "convert", "edm", second, out)
    assert files.content_sha256(out) == before

    def killed(self, folder):
        Path(folder, "config.json").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr(Denoiser, "save_pretrained", killed)
    assert main(["convert", "edm", str(first), str(out)]) == 130
    assert files.content_sha256(out) == before and not list(tmp_path.glob(".writing*"))


def test_an_evaluation_replaces_an_evaluation_and_nothing_else(data, tmp_path, capsys):
    words = ["evaluate", f"samples={data}", f"reference={data}", "cutoff=3", "extractors.cache=null"]
    out = tmp_path / "notes.json"
    out.write_text('{"mine": 1}')
    assert "no file of metrics that mmspec made" in refused(capsys, *words, f"out={out}")
    assert "is a folder" in refused(capsys, *words, f"out={tmp_path}")
    assert out.read_text() == '{"mine": 1}'
    for _ in range(2):
        assert main([*words, f"out={tmp_path / 'e.json'}"]) == 0


def test_a_folder_with_remains_of_a_run_is_not_trained_in(data, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/metrics.jsonl").write_text("mine\n")
    said = refused(capsys, "train", f"run_dir={tmp_path / 'run'}", f"data.train={data}", *SMALL)
    assert "holds metrics.jsonl and no config.yaml" in said
    assert (tmp_path / "run/metrics.jsonl").read_text() == "mine\n"


# Two at once


def test_a_second_training_in_a_folder_is_refused(data, tmp_path, capsys):
    run = tmp_path / "run"
    assert train(run, data) == 0
    before = (run / "metrics.jsonl").read_text()
    (tmp_path / "link").symlink_to(run)
    with Run(run).held():
        for folder in (run, tmp_path / "link"):
            for resume in ("auto", "none"):
                words = [f"run_dir={folder}", f"data.train={data}", *SMALL, f"resume={resume}"]
                said = refused(capsys, "train", *words)
                assert f"is being trained by another process ({os.getpid()} on " in said and "another run_dir" in said
    assert (run / "metrics.jsonl").read_text() == before and not (tmp_path / "run.old-1").exists()
    assert train(run, data, "resume=none") == 0 and (tmp_path / "run.old-1/config.yaml").is_file()


def test_a_killed_training_leaves_its_folder_free(tmp_path):
    code = "import sys, time; from mmspec.training.run import Run\n"
    code += "with Run(sys.argv[1]).held(): print(flush=True); time.sleep(60)"
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline()
        with (
            pytest.raises(InputError, match=f"being trained by another process .{holder.pid} on"),
            Run(tmp_path / "run").held(),
        ):
            pass
        holder.kill()
    with Run(tmp_path / "run").held():
        pass


def test_who_moves_a_run_aside_still_holds_the_folder(tmp_path):
    run = Run(tmp_path / "run")
    assert run.open({"seed": 0}, []) is None
    with run.held():
        run.open({"seed": 1}, [], resume="none")
        with pytest.raises(InputError, match="being trained"), Run(tmp_path / "run").held():
            pass
    assert Run(tmp_path / "run.old-1").config["seed"] == 0 and not (tmp_path / "run.old-1/.lock").exists()


# The same by another name


def test_a_run_goes_on_wherever_it_and_what_it_learns_from_lie(data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base, student = tmp_path / "base", tmp_path / "student"
    assert train("base", data) == 0
    teaching = ["distillation=spatial", "network=unet"]
    assert train("student", data, "init_from=base", "distillation.teacher=base/", *teaching) == 0
    shutil.copytree(data, tmp_path / "copy")
    shutil.move(student, tmp_path / "moved")
    (tmp_path / "link").symlink_to(base)
    more = ["trainer.max_steps=3", "init_from=./link/", f"distillation.teacher={base}/checkpoints/step_00000002"]
    assert train("moved", "copy/", *teaching, *more) == 0
    assert (tmp_path / "moved/checkpoints/step_00000003").is_dir()
    assert train(base, data, "trainer.max_steps=3") == 0  # now other weights
    words = [f"run_dir={tmp_path / 'moved'}", f"data.train={data}", *SMALL, *teaching, "init_from=base"]
    said = refused(capsys, "train", *words, "distillation.teacher=base")
    assert "init_from_sha256 was" in said and "distillation.teacher_sha256 was" in said


def test_a_checkpoint_may_be_named_in_any_spelling(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert train("run", data) == 0
    (tmp_path / "link").symlink_to("run/checkpoints/step_00000002")
    for step, name in enumerate(("link/", "./run/../run/checkpoints/step_00000002/"), start=3):
        assert train("run", data, f"resume={name}", f"trainer.max_steps={step}") == 0


def test_without_a_checksum_names_are_compared_and_runs_of_before_go_on(tmp_path):
    run = Run(tmp_path / "run")
    run.open({"init_from": "owner/name", "init_from_sha256": None, "text_encoder": "clip"}, [])
    now = {"init_from": "owner/name", "init_from_sha256": None, "text_encoder": "clip", "text_encoder_sha256": "ab"}
    assert Run(run.folder).open(now, []) is None
    for other in ({"init_from": "owner/other"}, {"text_encoder": "elsewhere"}):
        with pytest.raises(InputError, match="holds a run with another config"):
            Run(run.folder).open({**now, **other}, [])


def test_content_is_what_a_folder_holds_and_not_where_it_lies(tmp_path):
    for name, text in (("a", "1"), ("b", "1"), ("c", "2")):
        (tmp_path / name / "in").mkdir(parents=True)
        (tmp_path / name / "in/file").write_text(text)
    first, same, other = (files.content_sha256(tmp_path / name) for name in "abc")
    assert first == same != other


# Pictures in place of a packed set


def judged(samples, reference, out):
    words = [f"samples={samples}", f"reference={reference}", f"out={out}", "cutoff=3", "extractors.cache=null"]
    assert main(["evaluate", *words]) == 0
    return json.loads(Path(out).read_text())


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The same pictures packed, as PNGs in folders, in a zip, and as guided-diffusion writes them."""
    folder = tmp_path_factory.mktemp("generated")
    pixels = PackedDataset(packed(folder / "packed", seed=1)).data
    with zipfile.ZipFile(folder / "pictures.zip", "w") as archive:
        for index, picture in enumerate(pixels):
            name = f"{index // 4:05}/{index:06}.png"
            (folder / "png" / name).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(folder / "png" / name)
            archive.write(folder / "png" / name, name)
    np.savez(folder / "guided.npz", pixels, np.zeros(12, np.int64))
    np.savez_compressed(folder / "small.npz", arr_0=pixels)
    return folder


@pytest.mark.parametrize("name", ["png", "pictures.zip", "guided.npz", "small.npz"])
def test_pictures_are_judged_as_if_they_were_packed(generated, data, tmp_path, name):
    known = judged(generated / "packed", data, tmp_path / "a.json")
    found = judged(generated / name, data, tmp_path / "b.json")
    assert found["metrics"] == known["metrics"] and found["warnings"] == known["warnings"]
    assert found["samples"] == {"path": str(generated / name), "count": 12}
    reference = judged(data, generated / name, tmp_path / "c.json")
    assert reference["metrics"] == judged(data, generated / "packed", tmp_path / "d.json")["metrics"]


def test_an_evaluation_goes_beside_a_file_and_into_a_folder(generated, data, tmp_path):
    for name in ("png", "guided.npz"):
        (shutil.copytree if name == "png" else shutil.copy)(generated / name, tmp_path / name)
        for _ in range(2):
            words = [f"samples={tmp_path / name}", f"reference={data}", "cutoff=3", "extractors.cache=null"]
            assert main(["evaluate", *words]) == 0
    warnings = json.loads((tmp_path / "png/evaluation.json").read_text())["warnings"]
    assert not any("no pictures" in each for each in warnings)
    assert (tmp_path / "guided.npz.evaluation.json").is_file()


def test_pictures_that_do_not_fit_are_one_sentence(generated, data, tmp_path, capsys):
    def said(path):
        return refused(capsys, "evaluate", f"samples={path}", f"reference={data}", "extractors.cache=null")

    shutil.copytree(generated / "png", tmp_path / "mixed")
    Image.new("RGB", (16, 17)).save(tmp_path / "mixed/grid.png")
    assert "mixed holds grid.png, which cannot be compared: another shape" in said(tmp_path / "mixed")
    shutil.copytree(generated / "png", tmp_path / "cut")
    whole = (tmp_path / "cut/00000/000001.png").read_bytes()
    (tmp_path / "cut/00000/000001.png").write_bytes(whole[: len(whole) // 2])
    assert "cut holds 00000/000001.png, which cannot be compared: truncated" in said(tmp_path / "cut")
    (tmp_path / "large").mkdir()
    for index in range(3):
        Image.effect_noise((32, 32), index + 50).convert("RGB").save(tmp_path / f"large/{index}.png")
    assert "large has shape (3, 32, 32)" in said(tmp_path / "large")
    for name, arrays in {"none": {"x": np.zeros(3)}, "float": {"arr_0": np.zeros((4, 16, 16, 3))}}.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        assert "expected arr_0, uint8 [N, H, W, C]" in said(tmp_path / f"{name}.npz")
    (tmp_path / "broken.npz").write_bytes((generated / "guided.npz").read_bytes()[:2000])
    assert "broken.npz is damaged" in said(tmp_path / "broken.npz")
    np.savez(tmp_path / "code.npz", arr_0=np.array([{"a": 1}], object))
    assert "code.npz is damaged (its header promises objects)" in said(tmp_path / "code.npz")


def test_files_that_are_no_pictures_and_conversions_are_told(generated, data, tmp_path):
    shutil.copytree(generated / "png", tmp_path / "set")
    (tmp_path / "set/README.txt").write_text("made by hand")
    Image.new("L", (16, 16), 99).save(tmp_path / "set/grey.png")
    found = judged(tmp_path / "set", data, tmp_path / "e.json")
    assert found["samples"]["count"] == 13
    assert any("1 files are no pictures, and were left out" in each for each in found["warnings"])
    assert any("1 pictures were converted, L to RGB" in each for each in found["warnings"])


def test_a_refused_training_does_not_keep_its_folder_and_none_begins_among_other_files(tmp_path, data, capsys):
    run = tmp_path / "run"
    assert train(run, data, "trainer.batch_size=4", "trainer.accumulation=3") == 2
    assert "make it a multiple of 3" in capsys.readouterr().err
    assert train(run, data, "trainer.batch_size=3", "trainer.accumulation=3") == 0
    before = sorted(path.name for path in data.iterdir())
    assert train(data, data) == 2
    assert "holds data.npy and no config.yaml" in capsys.readouterr().err
    assert sorted(name for path in data.iterdir() if not (name := path.name).startswith(".")) == before


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ("channel_mult=[0,1]", "channel_mult must be 1 or more, not [0, 1]"),
        ("model_channels=-8", "model_channels must be 2 or more, not -8"),
        ("channel_mult=[]", "channel_mult must be 1 or more, not []"),
    ],
)
def test_sizes_of_a_network_that_cannot_be_are_one_sentence(tmp_path, data, capsys, sizes, said):
    assert train(tmp_path / "run", data, f"network.{sizes}", "network.attention_levels=[]") == 2
    error = capsys.readouterr().err
    assert f"network: {said}." in error and error.count("\n") == 1


@pytest.mark.parametrize("word", ["network=5", "process=-1", "strength=5", "trainer=.5"])
def test_a_number_is_no_preset(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "run_dir=x", "data.train=y", word]) == 2
    assert f"{word} is unknown: expected one of " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["evaluate", "samles=X"], "samles is no option: did you mean samples? Expected one of samples, reference, "),
        (["train", "trainer.batchsize=1"], "trainer.batchsize is no option: did you mean batch_size? "),
        (["train", "network=unet", "network.model_channel=1"], "network.model_channel is no option: did you mean "),
        (["train", "nothing.batch_size=1"], "nothing is no option: expected one of run_dir, "),
        (["train", "data.train.x=1"], "data.train.x is no option: data.train has none."),
    ],
)
def test_a_key_that_is_unknown_is_met_with_the_nearest(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1 and "append" not in error
