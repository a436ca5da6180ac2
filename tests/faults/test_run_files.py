"""Files of a run that somebody edited: one sentence that names the file and the key, and no line of a log is lost."""

import json
import math
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from mmspec.components import Component
from mmspec.data import DatasetMeta, PackedDataset
from mmspec.data.meta import FORMAT
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM, Process
from mmspec.documents import read_json
from mmspec.errors import InputError
from mmspec.networks import UNet
from mmspec.report.runs import EvaluationFile, SampleFile, read_runs
from mmspec.report.table import Cell, Layout, LayoutColumn, LayoutRow, ResultsTable, gather, read_table
from mmspec.training.checkpoint import load_checkpoint, save_checkpoint, take_snapshot
from mmspec.training.log import _drop_lines_after
from mmspec.training.run import Run
from tests.packed import write_pictures

SPECTRUM = {"unit": "Hz", "frequency": [0.0], "real": [1.0], "generated": [1.0]}
EVALUATION = {
    "samples": {"path": "a", "count": 2},
    "reference": {"path": "b", "count": 2},
    "metrics": {"fid": float("nan"), "kid": 1},
    "spectrum": SPECTRUM,
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plugins: {a: 5}", "plugins.a takes a text, not 5"),
        ("plugins: 5", "plugins takes keys and values, not 5"),
        ("data: 5", "data takes keys and values, not 5"),
        ("data: {train: 5}", "data: train takes a text or null, not 5"),
        ("data: {crop: x}", "data: crop takes a whole number or null, not 'x'"),
        ("provenance: 5", "provenance takes keys and values, not 5"),
        ("provenance: {versions: [1]}", "provenance: versions takes keys and values, not [1]"),
        ("- 1", "holds no keys and values"),
        ("", "holds no keys and values"),
        ("a: [", "is not YAML (expected the node content, but found '<stream end>', line 1)"),
        ("seed: 1\nseed: 2", "is not YAML (the key seed stands there twice, line 1)"),
        ("data: {train: a, train: b}", "is not YAML (the key train stands there twice, line 1)"),
        ("a: &a [*a]", "is not YAML (an alias stands for a value, line 1)"),
        ("[" * 3000, "is not YAML (nested too deeply)"),
        ("\udcff", "is not YAML ('utf-8' codec can't decode byte 0xff"),
        ('a: ["\\0"]', "is not YAML (a text holds U+0000, which is no character)"),
        ('{data: {"\\ud800": 1}}', "is not YAML (a text holds U+D800, which is no character)"),
        ("a: \0", "is not YAML (unacceptable character #x0000"),
    ],
)
def test_a_configuration(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.yaml").write_text(text, errors="surrogateescape")
    for read in (lambda: Run(tmp_path).config, lambda: read_runs([tmp_path])):
        with pytest.raises(InputError) as refused:
            read()
        assert str(tmp_path / "config.yaml") in str(refused.value) and said in str(refused.value)
        assert str(refused.value).endswith("restore it, or train anew in another folder.")


@pytest.mark.parametrize(
    ("process", "said"),
    [
        ("{preconditioning: {type: EDM}}", "process has no noise"),
        (
            "{preconditioning: 5, noise: {type: a}, weighting: {type: b}}",
            "process: preconditioning takes keys and values, not 5",
        ),
    ],
)
def test_a_configuration_of_before(tmp_path: Path, process: str, said: str) -> None:
    (tmp_path / "config.yaml").write_text(f"objective: {{}}\nprocess: {process}")
    with pytest.raises(InputError, match=rf"config\.yaml: {said}: restore it"):
        Run(tmp_path).open({}, [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": 5}, "metrics takes keys and values, not 5"),
        ({"metrics": {"fid": "low"}}, "metrics.fid takes a number, not 'low'"),
        ({"metrics": {"fid": 10**400}}, "metrics.fid takes a number, not a whole number beyond 2^63"),
        ({"metrics": {"fid": True}}, "metrics.fid takes a number, not true"),
        ({"samples": {"count": 0}}, "samples: count must be 1 or more, not 0"),
        ({"samples": {"count": 2, "sha256": 5}}, "samples: sha256 takes a text, not 5"),
        ({"reference": {"path": "b", "count": -1}}, "reference: count must be 1 or more, not -1"),
        ({"real_vs_real": 5}, "real_vs_real takes keys and values, not 5"),
        ({"real_vs_real": {"path": "c", "count": 2}}, "real_vs_real has no metrics"),
        ({"real_vs_real": {"path": "c", "count": 2, "metrics": {"fid": "low"}}}, "metrics.fid takes a number"),
        ({"reference": 5}, "reference takes keys and values, not 5"),
        ({"reference": {"path": 5, "count": 1}}, "reference: path takes a text, not 5"),
        ({"spectrum": {}}, "spectrum has no frequency"),
        ({"units": 5}, "units takes keys and values, not 5"),
        ({"warnings": "none"}, "warnings takes"),
        ({"better": {"fid": "sideways"}}, "better.fid takes 'lower' or 'higher' or null, not 'sideways'"),
        ({"spectrum": {**SPECTRUM, "real": []}}, "spectrum: frequency, real and generated differ in length"),
    ],
)
def test_an_evaluation(tmp_path: Path, change: dict[str, object], said: str) -> None:
    (tmp_path / "config.yaml").write_text("data: {test: b}\n")
    file = tmp_path / "evaluation.json"
    file.write_text(json.dumps(EVALUATION))
    assert read_json(file, EvaluationFile)["metrics"]["kid"] == 1
    assert read_runs([tmp_path])[0].reference == "b"
    file.write_text(json.dumps({**EVALUATION, **change}))
    with pytest.raises(InputError) as refused:
        read_runs([tmp_path])
    assert str(refused.value).startswith(f"{file}: ") and said in str(refused.value)
    assert str(refused.value).endswith(": restore it, or move it away.")


BROKEN = [b"[]", b"5", b"null", b"", b"\xff\xfe", b"[" * 3000, b'{"step": 1, "step": 2}']


def judged(run: Path, samples: int) -> None:
    """Samples of a run, evaluated."""
    write_pictures(run / "samples/final", np.full((2, 8, 8, 3), samples))
    written = DatasetMeta.read(run / "samples/final").sha256
    content = {**EVALUATION, "metrics": {"fid": 1.5}, "samples": {"count": 2, "sha256": written}}
    (run / "evaluation.json").write_text(json.dumps(content))


def test_an_evaluation_of_other_samples_is_not_shown_as_of_these(tmp_path: Path) -> None:
    run = tmp_path / "run"
    layout = Layout("T", {"A": LayoutColumn("fid")}, {"all": LayoutRow("*")})
    judged(run, samples=0)
    (run / "config.yaml").write_text("data: {test: b}\n")
    assert gather(layout, tmp_path).rows == {"all": [Cell(1.5, None, 1)]}
    shown = read_runs([run])[0]
    assert shown.evaluation is not None and shown.evaluation["metrics"] == {"fid": 1.5} and shown.missing == {}
    write_pictures(run / "samples/final", np.full((2, 8, 8, 3), 9))
    shown = read_runs([run])[0]
    assert shown.evaluation is None
    assert shown.missing == {"evaluation of its present samples": f"mmspec evaluate samples={run}"}
    with pytest.raises(InputError, match=r"evaluation\.json is of other samples than lie in .*run `mmspec evaluate"):
        gather(layout, tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_no_mean_is_taken_of_what_is_no_number(tmp_path: Path, value: float) -> None:
    layout = Layout("T", {"A": LayoutColumn("fid")}, {"all": LayoutRow("*"), "best": LayoutRow(best_of="all")})
    (tmp_path / "a").mkdir()
    (tmp_path / "a/evaluation.json").write_text(json.dumps({"metrics": {"fid": value}, "better": {"fid": "lower"}}))
    with pytest.raises(InputError, match=rf"evaluation\.json: fid is {value}, of which there is no mean"):
        gather(layout, tmp_path)


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"steps": -1}, "steps must be 1 or more, not -1"),
        ({"steps": 0}, "steps must be 1 or more, not 0"),
        ({"guidance": math.nan}, "guidance must be a finite number, not nan"),
        ({"guidance": math.inf}, "guidance must be a finite number, not inf"),
        ({"command": "\ud800"}, "a text holds U+D800, which is no character"),
    ],
)
def test_what_a_page_says_of_samples_can_be(tmp_path: Path, record: dict[str, object], said: str) -> None:
    judged(tmp_path, samples=0)
    (tmp_path / "config.yaml").write_text("data: {test: b}\n")
    (tmp_path / "samples/final/sample.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=rf"sample\.json.*{re.escape(said)}.*: restore it, or move it away\."):
        read_runs([tmp_path])


@pytest.mark.parametrize("shape", [(-1, 8, 8, 3), (-2, -8, 8, 3), (2**62, 8, 8, 3), (2, 8, 8, 4)])
def test_a_header_that_promises_what_is_not_there(tmp_path: Path, shape: tuple[int, ...]) -> None:
    file = write_pictures(tmp_path / "set", np.zeros((2, 8, 8, 3))) / "data.npy"
    with file.open("wb") as written:
        np.lib.format.write_array_header_1_0(written, {"descr": "|u1", "fortran_order": False, "shape": shape})
        written.write(bytes(2 * 8 * 8 * 3))
    with pytest.raises(InputError, match=r"data\.npy .*: make the data set again\."):
        PackedDataset(tmp_path / "set")


@pytest.mark.parametrize("content", [*BROKEN, b'{"recordings": 5}', b'{"files": 5}'])
def test_a_record_of_samples(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sample.json").write_bytes(content)
    with pytest.raises(InputError, match=r"sample\.json.*restore it, or move it away"):
        read_json(tmp_path / "sample.json", SampleFile)


@pytest.mark.parametrize(
    "content", [*BROKEN, b"{}", *(b'{"step": %s}' % step for step in (b"-1", b"1.5", b'"x"', b"true"))]
)
def test_the_state_of_a_checkpoint(tmp_path: Path, content: bytes) -> None:
    network = torch.nn.Linear(1, 1)
    optimizer = torch.optim.Adam(network.parameters())
    denoiser = Denoiser(UNet(1, 1, model_channels=8, channel_mult=(1,), num_blocks=1, attention_levels=()), EDM())
    step = save_checkpoint(tmp_path, take_snapshot(3, denoiser, denoiser, optimizer, {"nimg": 24}))
    (step / "state.json").write_bytes(content)
    with pytest.raises(InputError, match=r"state\.json.*restore it"):
        load_checkpoint(step, denoiser, denoiser, optimizer)


META = {"modality": "image", "source": "noise", "count": 2, "shape": [3, 8, 8], "sha256": "0"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rejected": 5}, "rejected takes keys and values, not 5"),
        ({"statistics": 5}, "statistics takes keys and values, not 5"),
        ({"source": 5}, "source takes a text, not 5"),
        ({"classes": ["a", "b", "a"]}, "two classes called 'a', expected a name of its own for each"),
        ({"classes": ["a\0"]}, "a text holds U+0000, which is no character"),
        ({"source": "\ud800"}, "a text holds U+D800, which is no character"),
        ({"classes": [1]}, "classes takes a list of texts or null, not [1]"),
        ({"count": True}, "count takes a whole number, not true"),
        ({"sample_rate": "x"}, "sample_rate takes a whole number or null, not 'x'"),
        ({"modality": "audio", "shape": [1, 8], "sample_rate": -8000}, "sample_rate=-8000, expected 1 to"),
        ({"modality": "audio", "shape": [1, 8], "sample_rate": 10**29}, "takes a whole number or null, not a"),
        ({"modality": "audio", "shape": [1, 8]}, "sample_rate=None, expected Hz"),
        ({"sample_rate": 8000}, "sample_rate=8000 of pictures, expected none"),
        ({"shape": [3, 8]}, "shape=(3, 8), expected 3 positive sizes"),
        ({"shape": []}, "shape=(), expected 3 positive sizes"),
    ],
)
def test_what_packed_data_say_of_themselves(tmp_path: Path, change: dict[str, object], said: str) -> None:
    (tmp_path / "meta.json").write_text(json.dumps({"format": FORMAT, **META, "note": "mine"}))
    assert DatasetMeta.read(tmp_path).shape == (3, 8, 8)
    (tmp_path / "meta.json").write_text(json.dumps({"format": FORMAT, **META, **change}))
    with pytest.raises(InputError) as refused:
        DatasetMeta.read(tmp_path)
    assert said in str(refused.value) and str(refused.value).endswith("make the data set again.")


TABLE = ResultsTable("T", "", "", ["A"], [2], {"all": [Cell(1.0, None, 1)]}, [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": 5}, "rows takes keys and values, not 5"),
        ({"rows": {"all": [{"mean": "x"}]}}, "mean takes a number or null, not 'x'"),
        ({"rows": {"all": []}}, "digits and every row must be as many as columns"),
        ({"rows": {"all": [{"mean": 1.0}]}}, "rows.all: there is a mean of 1 run and more"),
        ({"rows": {"all": [{"runs": 1}]}}, "rows.all: there is a mean of 1 run and more"),
        ({"rows": {"all": [{"mean": 1.0, "runs": -1}]}}, "rows.all: there is a mean of 1 run and more"),
        ({"rows": {"all": [{"mean": 1.0, "runs": 1, "deviation": 0.5}]}}, "and a deviation of 2 and more"),
        ({"rows": {"all": [{"mean": 1.0, "runs": 2, "deviation": -0.5}]}}, "a deviation must be 0 or more, not -0.5"),
        ({"rows": {"all": [{"mean": math.inf, "runs": 1}]}}, "rows.all: figures must be finite numbers"),
        ({"columns": 5}, "columns takes a list of texts, not 5"),
        ({"digits": [-3]}, "digits must be from 0 to 17"),
        ({"title": 5}, "title takes a text, not 5"),
    ],
)
def test_a_table(tmp_path: Path, change: dict[str, object], said: str) -> None:
    file = tmp_path / "table.json"
    file.write_text(json.dumps(asdict(TABLE)))
    assert read_table(file) == TABLE
    file.write_text(json.dumps({**asdict(TABLE), **change}))
    with pytest.raises(InputError) as refused:
        read_table(file)
    assert said in str(refused.value) and str(refused.value).endswith(": make it with `mmspec table`.")


def test_data_that_do_not_differ_leave_auto_without_a_number() -> None:
    process = Component("EDM", {"sigma_data": "auto"})
    for deviation in (0.0, -1.0, float("nan")):
        with pytest.raises(InputError, match="process: auto follows from the deviation of the data, which is"):
            process.with_auto(Process, "process", deviation)


def test_lines_of_a_log_that_are_not_ours_stay(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    foreign = [b"[" * 3000, b"[]", b"5", b"null", b'{"note": "mine"}', b'{"step": "x"}', b"\xff\xfe", b"not json"]
    ours = [b'{"step": 1, "train/loss": 1.0}', b'{"step": 2}', b'{"step": 3}']
    file.write_bytes(b"\n".join([*ours, *foreign, b'{"step": 4, "tr']))
    (tmp_path / "config.yaml").write_text("data: {}\n")
    assert [entry["step"] for entry in read_runs([tmp_path])[0].history] == [1, 2, 3]
    _drop_lines_after(file, 2)
    assert file.read_bytes() == b"".join(line + b"\n" for line in [*ours[:2], *foreign])
