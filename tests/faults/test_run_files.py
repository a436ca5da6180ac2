"""Files of a run that somebody edited: one sentence that names the file and the key, and no line of a log is lost."""

import json
from pathlib import Path

import pytest

from mmspec.errors import InputError
from mmspec.files import read_json
from mmspec.report.runs import EvaluationFile, SampleFile, read_runs
from mmspec.training.log import _drop_lines_after
from mmspec.training.run import Run

EVALUATION = {
    "samples": {"path": "a", "count": 2},
    "reference": {"path": "b", "count": 2},
    "metrics": {"fid": float("nan"), "kid": 1},
    "spectrum": {"unit": "Hz", "frequency": [0.0], "real": [1.0], "generated": [1.0]},
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plugins: {a: 5}", "plugins takes keys and values, not {'a': 5}"),
        ("plugins: 5", "plugins takes keys and values, not 5"),
        ("data: 5", "data takes keys and values, not 5"),
        ("data: {train: 5}", "data: train takes a text or null, not 5"),
        ("data: {crop: x}", "data: crop takes a whole number or null, not 'x'"),
        ("provenance: 5", "provenance takes keys and values, not 5"),
        ("provenance: {versions: [1]}", "provenance: versions takes keys and values, not [1]"),
        ("- 1", "holds no configuration"),
        ("", "holds no configuration"),
        ("a: [", "holds no configuration"),
    ],
)
def test_a_configuration(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    for read in (lambda: Run(tmp_path).config, lambda: read_runs([tmp_path])):
        with pytest.raises(InputError) as refused:
            read()
        assert str(tmp_path / "config.yaml") in str(refused.value) and said in str(refused.value)
        assert str(refused.value).endswith("restore it, or train anew in another folder.")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metrics": 5}, "metrics takes keys and values, not 5"),
        ({"metrics": {"fid": "low"}}, "metrics takes keys and values"),
        ({"reference": 5}, "reference takes keys and values, not 5"),
        ({"reference": {"path": 5, "count": 1}}, "reference: path takes a text, not 5"),
        ({"spectrum": {}}, "spectrum has no frequency"),
        ({"units": 5}, "units takes keys and values, not 5"),
        ({"warnings": "none"}, "warnings takes"),
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


@pytest.mark.parametrize("content", [b"[]", b"5", b"null", b"", b"\xff\xfe", b'{"recordings": 5}'])
def test_a_record_of_samples(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "sample.json").write_bytes(content)
    with pytest.raises(InputError, match=r"sample\.json.*restore it, or move it away"):
        read_json(tmp_path / "sample.json", SampleFile)


def test_lines_of_a_log_that_are_not_ours_stay(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    foreign = [b"[]", b"5", b"null", b'{"note": "mine"}', b'{"step": "x"}', b"\xff\xfe", b"not json"]
    ours = [b'{"step": 1, "train/loss": 1.0}', b'{"step": 2}', b'{"step": 3}']
    file.write_bytes(b"\n".join([*ours, *foreign, b'{"step": 4, "tr']))
    (tmp_path / "config.yaml").write_text("data: {}\n")
    assert [entry["step"] for entry in read_runs([tmp_path])[0].history] == [1, 2, 3]
    _drop_lines_after(file, 2)
    assert file.read_bytes() == b"".join(line + b"\n" for line in [*ours[:2], *foreign])
