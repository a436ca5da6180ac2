import subprocess
import sys

import pytest

from mmspec.cli import VERBS, main


def test_no_verb_prints_the_verbs_without_loading_torch():
    code = "import sys; from mmspec.cli import main; main([]); assert not {'torch', 'hydra'} & set(sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    for verb in VERBS:
        assert f"  {verb} " in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tarin"], "'tarin' is no verb of mmspec: did you mean train? Expected one of prepare, recipe, train, sample"),
        (["train"], "must be given: add "),
        (["train", "run_dir=x", "data.train=y", "experiment=nope"], "expected one of afhq, afhq_finetune"),
        (["train", "run_dir=x", "data.train=y", "trainer.max_stepz=1"], "trainer.max_stepz"),
        (["train", "run_dir=x", "data.train=/nowhere"], "/nowhere is not there: make one"),
        (["sample", "from=/nowhere"], "/nowhere"),
        (["evaluate", "samples=/nowhere"], "/nowhere"),
        (["report", "runs=[/nowhere]"], "/nowhere"),
    ],
)
def test_a_mistake_gets_one_sentence_and_status_2(arguments, message, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err and "Traceback" not in err
    assert len(err.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("verb", "key"), [("sample", "from"), ("evaluate", "samples"), ("info", "from")])
def test_a_folder_without_its_key_gets_one(verb, key, capsys, tmp_path):
    assert main([verb, str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said == f"mmspec {verb}: '{tmp_path}' is no key with a value: write {key}={tmp_path}, for one.\n"


def test_a_rank_that_fails_says_which_it_is(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    assert main(["train", "run_dir=x", "data.train=/nowhere"]) == 2
    assert "mmspec train (rank 3): " in capsys.readouterr().err
