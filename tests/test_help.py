import subprocess
import sys

import pytest

from mmspec.cli import VERBS, main
from mmspec.config import compose, plain
from mmspec.help import CONF, choices_of, commented, preset_keys, verb_help
from mmspec.training.run import flatten

GROUPS = ("conditioner", "distillation", "network", "process", "regularizer", "sampler", "strength", "trainer")
GIVEN = {"train": ["run_dir=x", "data.train=x"], "info": [], "report": ["runs=x"], "table": ["layout=x", "runs=x"]}
MISTAKES = {
    "train --max-steps 5": "--max-steps 5 is written trainer.max_steps=5 here.",
    "train --batch-size=5 run_dir=x": "--batch-size=5 is written trainer.batch_size=5 here.",
    "train --batch-size run_dir=x": "--batch-size is written trainer.batch_size=VALUE here.",
    "train --no-such-thing 5": "'--no-such-thing' is no key with a value: write KEY=VALUE",
    "train max_steps=5": "max_steps is no option: did you mean trainer.max_steps?",
    "train +sed=5": "sed is no option: did you mean seed? Expected one of run_dir, ",
    "train ++trainer.max_step=5": "trainer.max_step is no option: did you mean max_steps?",
    "train trainer.max_step=5": "trainer.max_step is no option: did you mean max_steps?",
    "train ~trainer.max_step": "trainer.max_step is no option: did you mean max_steps?",
    "train network=diffwave network.n_mel=5": "network.n_mel is no option: did you mean n_mels?",
    "train experiment=afqh": "experiment=afqh is unknown: did you mean afhq?",
    "train -m network=unet,wavelet_unet sed=1": "sed is no option: did you mean seed?",
    "sample network=unet": "network is no option: expected one of sampler, from, ",
    "analyze gates sampler=euler frm=x": "frm is no option: did you mean from?",
    "train data.train=absent": "data.train=absent is not there: make one with ",
    "sample from=absent": "from=absent is not there: give a run, ",
    "sample -m from=mmspec,absent seed=1": "from=absent is not there: give a run, ",
    "report runs=[mmspec,absent]": "runs=absent is not there: expected a run, ",
    "train --help trainr": "has no key and no group trainr: did you mean trainer?",
}


@pytest.mark.parametrize("verb", sorted(GIVEN))
def test_help_prints_each_key_that_a_configuration_has(verb: str) -> None:
    printed = verb_help(verb, VERBS[verb])
    shown = {line.split()[0].partition("=")[0] for line in printed.splitlines() if line}
    keys = flatten({key: value for key, value in plain(compose(verb, GIVEN[verb])).items() if value != {}})
    assert {key for key in keys if ".sigma_weight." not in key} <= shown  # which is written in one line


def test_each_key_and_each_choice_has_a_meaning() -> None:
    files = [*(CONF / f"{verb}.yaml" for verb in VERBS), *(CONF / "figure").glob("*.yaml")]
    keys = [key for file in files for key in commented(file).keys if not key.name.startswith("tools.")]
    keys += [key for group in GROUPS for choice in choices_of(group) for key in preset_keys(group, choice)]
    assert [key.name for key in keys if not key.meaning and "regularizer." not in key.name and key.default] == []
    choices = [CONF / group / f"{choice}.yaml" for group in (*GROUPS, "experiment") for choice in choices_of(group)]
    assert [str(file) for file in choices if not commented(file).preface and file.stem != "default"] == []


def test_a_group_says_its_choices_and_a_choice_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help", "network"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:3] == ["diffwave", "DiffWave", "as"] for line in lines)
    assert any(line.split()[:2] == ["network.model_channels=64", "width"] for line in lines)
    assert main(["train", "--help", "network=small_wavelet_unet"]) == 0
    printed = capsys.readouterr().out
    assert "network.resample=wavelet " in printed and "conv | residual | wavelet" in printed  # the meaning is unet's
    assert main(["train", "--help", "trainer.max_steps"]) == 0
    assert capsys.readouterr().out.split()[0] == "trainer.max_steps=100000"
    assert main(["analyze", "gates", "--help"]) == 0
    assert "samples whose gates are averaged" in capsys.readouterr().out


def test_help_and_mistakes_are_answered_before_torch_is_imported() -> None:
    code = (
        "import sys; from mmspec.cli import main\n"
        "for line in sys.argv[1:]: print(main(line.split()), file=sys.stderr)\n"
        "print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code, *MISTAKES, "train --help"], capture_output=True, text=True)
    lines = done.stderr.splitlines()
    assert lines[1:-2:2] == ["2"] * len(MISTAKES) and lines[-2:] == ["0", "False"]
    for line, said in zip(lines[::2], MISTAKES.values(), strict=False):
        assert said in line
