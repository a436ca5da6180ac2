"""Pages, pictures and tables take the place of those that mmspec made, and of nothing else."""

import json

import numpy as np
import pytest

from mmspec.cli import main
from mmspec.drawing.tables import TextTable, markdown, write_markdown
from mmspec.errors import InputError
from tests.packed import write_pictures

LAYOUT = 'title: FID\ncolumns: {VE: {metric: fid}}\nrows: {Ours: {runs: "*", paper: {VE: 2.0}}}\n'


@pytest.fixture
def home(tmp_path):
    write_pictures(tmp_path / "samples", np.zeros((4, 8, 8, 3)))
    (tmp_path / "layout.yaml").write_text(LAYOUT)
    (tmp_path / "runs/a").mkdir(parents=True)
    evaluation = {"metrics": {"fid": 1.0}, "definitions": {"fid": "A distance; lower is better."}}
    (tmp_path / "runs/a/evaluation.json").write_text(json.dumps(evaluation))
    return tmp_path


COMMANDS = {
    "page.html": ["report", "runs={home}/samples"],
    "wiener.html": ["analyze", "wiener"],
    "wiener.svg": ["analyze", "wiener"],
    "wiener.png": ["analyze", "wiener"],
    "differences.html": ["analyze", "differences", "runs=[{home}/samples]", "data={home}/samples"],
    "t.md": ["table", "layout={home}/layout.yaml", "runs={home}/runs"],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_of_ours_is_replaced_and_no_other(name, home, capsys):
    out, command = home / name, [word.format(home=home) for word in COMMANDS[name]]
    command.append(f"out={out}")
    assert main(command) == 0
    first = out.stat().st_ino
    assert main(command) == 0 and out.stat().st_ino != first
    capsys.readouterr()
    for theirs in (b"mine", b"<!doctype html><title>mine</title>", b"# Mine\n\nA text.\n", b"\xff\xd8\x00", b""):
        out.write_bytes(theirs)
        assert main(command) == 2
        error = capsys.readouterr().err
        assert f"{out} is there already, and no" in error and len(error.splitlines()) == 1
        assert out.read_bytes() == theirs
    out.unlink()
    out.mkdir()
    assert main(command) == 2 and f"{out} is a folder" in capsys.readouterr().err


def test_neither_half_of_a_table_replaces_a_file_that_is_not_ours(home, capsys):
    command = ["table", f"layout={home}/layout.yaml", f"runs={home}/runs", f"out={home}/t.md"]
    for theirs in ('{"a": 1}', "[]", "no JSON"):
        (home / "t.json").write_text(theirs)
        assert main(command) == 2 and "t.json is there already" in capsys.readouterr().err
        assert (home / "t.json").read_text() == theirs and not (home / "t.md").exists()
    assert main([*command[:-1], f"out={home}/other.json"]) == 2
    assert "give out=NAME.md" in capsys.readouterr().err and not (home / "other.json").exists()


def test_the_table_of_the_frequency_bias_is_looked_at_before_it_is_trained(home, capsys):
    (home / "bias.md").write_text("# Mine\n")
    assert main(["analyze", "frequency_bias", f"out={home}/bias.html"]) == 2
    assert "bias.md is there already" in capsys.readouterr().err and not (home / "bias.html").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + "\nMore.\n",
        lambda text: text.replace("| 0.1 ", "| 0.12 "),
        lambda text: text.replace("# T", "T"),
        lambda text: "Before.\n\n" + text,
    ],
)
def test_a_table_that_somebody_wrote_on_is_not_replaced(tmp_path, change):
    text = markdown(TextTable("T", ["", "share"], [["large", "0.2"], ["s", "0.1"]]), ["note", "of two\nlines"])
    write_markdown(tmp_path / "t.md", text)
    write_markdown(tmp_path / "t.md", text)
    (tmp_path / "t.md").write_text(change(text))
    with pytest.raises(InputError, match=r"t\.md is there already, and no table that mmspec made"):
        write_markdown(tmp_path / "t.md", text)


def test_pages_let_in_nothing_from_elsewhere(home):
    assert main(["report", f"runs={home}/samples", f"out={home}/page.html"]) == 0
    page = (home / "page.html").read_text()
    policy = page.split('<meta http-equiv="Content-Security-Policy" content="')[1].split('"')[0]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'",
        "style-src": "'unsafe-inline'",
        "img-src": "data:",
        "media-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert page.index("Content-Security-Policy") < page.index("<title>")
