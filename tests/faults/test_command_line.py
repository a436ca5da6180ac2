"""Words that nobody meant, places that are no files, readers that leave, and what does not go together."""

import errno
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from mmspec import plugins
from mmspec.cli import main, plugin_files, with_keys
from mmspec.config import compose, plain, sweep
from mmspec.diffusion import Denoiser
from mmspec.experiment.experiment import Experiment
from mmspec.experiment.report import ReportOptions
from mmspec.overrides import as_typed
from mmspec.report.runs import read_runs
from tests import plugged
from tests.faults.test_command_faults import SMALL, packed, refused, train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return packed(tmp_path_factory.mktemp("data") / "set")


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("runs") / "a,b c"
    assert train(folder, data) == 0
    return folder


# Words


@pytest.mark.parametrize("word", ["=", "==", "=5", "--foo=3", "-n", "é=3", " =3", "network =unet", "", "5=3"])
def test_a_word_without_a_key_is_one_sentence(capsys, word):
    said = refused(capsys, "info", word)
    assert f"{word!r} is no key with a value: write KEY=VALUE" in said


@pytest.mark.parametrize("dash", "‐‑‒–—―−")
def test_a_long_dash_is_said_to_be_one(capsys, dash):
    for word in (f"{dash}m", f"{dash}-help", f"{dash}network=unet"):
        assert f"{word!r} begins with a long dash" in refused(capsys, "info", word)


def test_of_a_key_that_is_given_twice_the_last_counts_in_a_sweep_too():
    words = ["run_dir=a", "seed=3", "data.train=x", "network=MyNetwork", "run_dir=b", "network=unet"]
    cfg = plain(compose("train", as_typed(words, [Experiment])))
    assert (cfg["run_dir"], cfg["network"]["type"]) == ("b", "UNet")
    words = as_typed(["run_dir=a", "data.train=x", "seed=1,2", "seed=3", "init_from=p,q"], [Experiment], True)
    assert [(cfg["seed"], cfg["init_from"]) for cfg in sweep("train", words)] == [(3, "p"), (3, "q")]


def test_words_without_a_key_fill_the_places_that_are_left():
    assert with_keys("convert", ["format=edm", "a", "b"]) == ["format=edm", "source=a", "out=b"]
    assert with_keys("convert", ["edm", "source=a", "b"]) == ["format=edm", "source=a", "out=b"]


@pytest.mark.parametrize("words", [["edm", "a", "b", "format=ldm"], ["a", "b", "c", "d"]])
def test_a_word_for_which_no_place_is_left_is_refused(capsys, words):
    assert f"{words[-1] if '=' not in words[-1] else words[2]!r} is one word too many" in refused(
        capsys, "convert", *words
    )


@pytest.mark.parametrize("name", ["[x]", "[a,b]", "a,b", "c d", "x[1]", "]"])
def test_a_run_whose_name_reads_like_a_list_is_a_run(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir()
    for words in ([f"runs={name}"], [f"runs='{name}'"]):
        cfg = plain(compose("report", as_typed(words, [ReportOptions])))
        assert cfg["runs"] == name
    cfg = plain(compose("report", as_typed([f"runs=['{name}',other]"], [ReportOptions])))
    assert cfg["runs"] == [name, "other"]
    assert plain(compose("report", as_typed(["runs=[p,q]"], [ReportOptions])))["runs"] == ["p", "q"]


def test_a_command_that_is_proposed_can_be_typed(run, tmp_path):
    missing = read_runs([run])[0].missing
    command = f"printf '%s\\n' {missing['samples'].removeprefix('mmspec sample ')}"
    printed = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert printed == f"from={run}\n"


# Places


@pytest.mark.parametrize("place", ["fifo", "/dev/zero", "/dev/null/x", "/proc/nothing"])
def test_what_is_no_file_is_neither_read_nor_replaced(data, run, tmp_path, capsys, place):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "fifo.html").symlink_to("fifo")
    out = place if place.startswith("/") else tmp_path / place
    refused(capsys, "evaluate", f"samples={data}", f"reference={data}", "extractors.cache=null", f"out={out}")
    refused(capsys, "report", f"runs={run}", f"out={out}")
    refused(capsys, "sample", f"from={run}", "num=1", "steps=1", f"out={out}")
    refused(capsys, "train", f"run_dir={out}", f"data.train={data}", *SMALL)
    refused(capsys, "compare", data, data, f"out={tmp_path / 'fifo.html'}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "fifo.html"] and (tmp_path / "fifo").is_fifo()


# Readers that leave


def piped(*words, closed="stdout", **environment):
    """Status and what is said where the reader of one stream has left before anything is written."""
    reader, writer = os.pipe()
    os.close(reader)
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, closed: writer}
    command = [sys.executable, "-m", "mmspec", *map(str, words)]
    done = subprocess.run(command, **streams, text=True, check=False, env={**os.environ, **environment})
    os.close(writer)
    return done.returncode, done.stdout or "", done.stderr or ""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_text_that_nobody_reads_ends_quietly(unbuffered):
    for words in (["--help"], ["train", "--help"]):
        assert piped(*words, PYTHONUNBUFFERED=unbuffered) == (141, "", "")
    assert piped("nothing", closed="stderr") == (2, "", "")


def test_a_training_that_nobody_watches_goes_on(data, tmp_path):
    words = [f"run_dir={tmp_path / 'run'}", f"data.train={data}", *SMALL]
    status, said, _ = piped("train", *words, closed="stderr")
    assert status == 0 and said.startswith("next:\n  mmspec sample from=")
    assert (tmp_path / "run/checkpoints/step_00000002/COMPLETE").is_file()
    assert len((tmp_path / "run/log.txt").read_text().splitlines()) >= 2
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["seed"] == 0


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EPIPE])
def test_a_training_whose_terminal_fails_goes_on(data, tmp_path, monkeypatch, number):
    class Failing(io.StringIO):
        def write(self, text):
            raise OSError(number, os.strerror(number))

        def flush(self):
            self.write("")

    monkeypatch.setattr(sys, "stderr", Failing())
    assert train(tmp_path / "run", data) == 0
    assert (tmp_path / "run/checkpoints/step_00000002/COMPLETE").is_file()
    lines = (tmp_path / "run/metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines][-1:] == [2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_of_which_an_import_makes_another_error_is_an_interrupt(capsys, monkeypatch, number):
    def imported(name):
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except KeyboardInterrupt:
            raise RecursionError("maximum recursion depth exceeded") from None

    before = signal.getsignal(number)
    monkeypatch.setattr("mmspec.cli.importlib.import_module", imported)
    assert main(["info"]) == 130
    assert capsys.readouterr().err.startswith("mmspec info: interrupted: ") and signal.getsignal(number) == before


# Plug-ins


PLUGIN = """
from mmspec.diffusion.samplers.heun import Heun
from mmspec.losses import SigmaWeight, SpectralLoss
from mmspec.networks import UNet

class {0}Network(UNet): pass

class {0}Sampler(Heun): pass

class {0}Loss(SpectralLoss):
    def distance(self, x, y):
        return (x - y).abs().flatten(1).mean(1)
"""


@pytest.mark.parametrize("part", ["network", "sampler", "regularizer"])
def test_who_goes_on_without_the_plug_in_is_told_which_it_was(data, tmp_path, capsys, part):
    name = f"GoneWith{part.title()}"
    file = tmp_path / f"{name}.py"
    file.write_text(PLUGIN.format(name))
    made = name + {"network": "Network", "sampler": "Sampler", "regularizer": "Loss"}[part]
    assert train(tmp_path / "run", data, f"{part}={made}", f"plugins=[{file}]") == 0
    digest = plugins.loaded()[file.name]
    plugged.forget()
    words = [f"run_dir={tmp_path / 'run'}", f"data.train={data}", *SMALL]
    for again in (words, [*words, f"{part}={made}"]):
        said = refused(capsys, "train", *again)
        assert f"trained with the plug-in {file.name} (SHA-256 {digest[:12]}): give plugins=[PATH/{file.name}]" in said
    if part == "network":
        said = refused(capsys, "sample", f"from={tmp_path / 'run'}")
        assert f"is of the plug-in {file.name} (SHA-256 {digest[:12]})" in said and "give plugins=[PATH/" in said
    if part == "sampler":
        said = refused(capsys, "sample", f"from={tmp_path / 'run'}", f"sampler={made}")
        assert f"with the plug-in {file.name} " in said


def test_plug_ins_may_be_added_and_are_not_swept(tmp_path, capsys):
    file = tmp_path / "added.py"
    file.write_text(PLUGIN.format("Added"))
    assert plugin_files([f"+plugins={file}", f"++plugins=[{file}]"]) == [str(file)] * 2
    assert main(["info", f"+plugins=[{file}]", "network=AddedNetwork", "network.model_channels=8"]) == 0
    assert main(["info", "-m", f"plugins={file}", "network=AddedNetwork,unet", "network.model_channels=8"]) == 0
    said = refused(capsys, "info", "-m", f"plugins={file},other.py", "network=unet,wavelet_unet")
    assert f"all runs share their plug-ins, so give a list, plugins=[{file},other.py]" in said
    assert "plugins= names no file: give plugins=[FILE.py]" in refused(capsys, "info", "plugins=")


# What is not looked at, or not there


@pytest.mark.parametrize(("key", "value"), [("text", "a cat"), ("captions", "set"), ("text_encoder", "clip")])
def test_a_denoiser_without_texts_is_told_none(run, data, tmp_path, capsys, key, value):
    value = value if key == "text" else data
    said = refused(capsys, "sample", f"from={run}", f"out={tmp_path / 'out'}", "num=1", "steps=1", f"{key}={value}")
    assert f"{key}={value}: this denoiser does not look at texts; leave {key} out" in said
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_said_not_to_be_there(data, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert "from=NOT_THERE is not there: give a run, a checkpoint" in refused(capsys, "sample", "from=NOT_THERE")
    assert "holds no denoiser" in refused(capsys, "sample", f"from={data}", "out=x")
    for name in ("NOT_THERE", "NOT/THERE/x", ""):
        for verb in (["sample"], ["diagnose"], ["prescribe"], ["analyze", "filters"]):
            assert f"{name} is not there: " in refused(capsys, *verb, f"from={name}")
    assert "NOT_THERE is not there: expected a run that" in refused(
        capsys, "evaluate", "samples=NOT_THERE", f"reference={data}"
    )
    assert "NOT_THERE is not there: expected" in refused(capsys, "report", "runs=NOT_THERE", "out=x.html")


def test_weights_of_nan_are_refused_wherever_they_are_read(run, data, tmp_path, capsys):
    denoiser = Denoiser.from_pretrained(run / "checkpoints/step_00000002/ema")
    denoiser.network.conv_in.bias.data[0] = float("nan")
    denoiser.save_pretrained(tmp_path / "saved")
    source = f"from={tmp_path / 'saved'}"
    for words in (
        ["info"],
        ["analyze", "predictions", f"out={tmp_path / 'x.html'}"],
        ["sample", f"out={tmp_path / 'x'}"],
    ):
        assert "model.safetensors: conv_in.bias holds NaN: take weights" in refused(capsys, *words, source)
    train = ["train", f"run_dir={tmp_path / 'run'}", f"data.train={data}", f"init_from={tmp_path / 'saved'}"]
    assert "conv_in.bias holds NaN" in refused(capsys, *train)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_network_of_texts_wants_captions(data, tmp_path, capsys):
    words = ["network=UNet", "network.context_channels=8", "network.attention_levels=[0]", "network.model_channels=8"]
    words = [*(word for word in SMALL if not word.startswith("network.")), *words, "network.channel_mult=[1]"]
    said = refused(capsys, "train", f"run_dir={tmp_path / 'run'}", f"data.train={data}", *words)
    assert f"looks at texts (context_channels=8), and {data} has no captions: prepare the data with --captions" in said


@pytest.mark.parametrize("key", ["network", "process", "signal"])
def test_a_saved_denoiser_that_lacks_a_part_is_one_sentence(run, tmp_path, capsys, key):
    folder = tmp_path / "saved"
    shutil.copytree(run / "checkpoints/step_00000002/ema", folder)
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({name: each for name, each in content.items() if name != key}))
    said = refused(capsys, "sample", f"from={folder}", f"out={tmp_path / 'out'}")
    assert f"{folder / 'config.json'}: {key} is missing: fetch or export it again." in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], None),
        (["network.model_channels=8"], None),  # as it is
        (["network=UNet", "network.model_channels=8", "network.channel_mult=[1]"], None),
        (["experiment=photographs", "trainer.max_steps=1", "trainer.batch_size=2"], None),  # a preset says nothing
        (["network.model_channels=16"], "its network, with network.model_channels=8, not 16: leave that out"),
        (["network=wavelet_unet"], "with network.model_channels=8, not 64"),
        (["network=edm_ddpmpp"], "with network.type=UNet, not EDMUNet"),
        (["process=edm"], None),
        (["process.std=1.2"], None),
        (["process.std=0.7"], "its process, with process.std=1.2, not 0.7"),
        (["process=flow"], "its process, with process.type=EDM, not Flow"),
        (["process.noise={type: LogNormal, mean: 0.0, std: 1.0}"], None),  # which the run itself decides
        (["conditioner=log_mel"], "its conditioner, with no conditioner.type, not LogMel"),
    ],
)
def test_weights_bring_their_network_and_another_is_refused(run, data, tmp_path, capsys, words, said):
    fixed = ["trainer.max_steps=1", "trainer.batch_size=2", "trainer.tensorboard=false", "trainer.device=cpu"]
    command = ["train", f"run_dir={tmp_path / 'run'}", f"data.train={data}", f"init_from='{run}'", *fixed, *words]
    if said is None:
        assert main(command) == 0
        assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["network"]["model_channels"] == 8
    else:
        assert said in refused(capsys, *command) and not (tmp_path / "run").exists()
