"""Plug-ins that are missing, broken, or reuse a name: one sentence each, and nothing of them stays."""

import sys

import pytest

from mmspec import plugins
from mmspec.cli import main, plugin_files
from mmspec.components import choices
from mmspec.errors import InputError
from mmspec.losses import SigmaWeight, SpectralLoss

WEIGHT = """
from dataclasses import dataclass
from mmspec.losses import SigmaWeight

@dataclass(frozen=True)
class {name}(SigmaWeight):
    power: float = 1.0

    def __call__(self, sigma):
        return sigma ** self.power
"""


def write(file, text):
    file.write_text(text)
    return str(file)


def test_a_file_or_a_module_makes_its_classes_known_once(tmp_path, monkeypatch):
    file = write(tmp_path / "powers.py", WEIGHT.format(name="PowerOfSigma"))
    plugins.load([file, file])
    assert choices(SigmaWeight)["PowerOfSigma"](2.0)(3.0) == 9.0
    assert plugins.loaded()["powers.py"] == plugins.sha256(tmp_path / "powers.py")
    write(tmp_path / "plain_module_of_mine.py", WEIGHT.format(name="ModuleWeight"))
    monkeypatch.syspath_prepend(tmp_path)
    plugins.load(["plain_module_of_mine"])
    assert "ModuleWeight" in choices(SigmaWeight) and "plain_module_of_mine" in plugins.loaded()


def test_a_package_is_all_its_files(tmp_path, monkeypatch):
    package = tmp_path / "package_of_mine"
    package.mkdir()
    write(package / "__init__.py", "from .weights import *")
    write(package / "weights.py", WEIGHT.format(name="PackageWeight"))
    monkeypatch.syspath_prepend(tmp_path)
    plugins.load(["package_of_mine"])
    made = choices(SigmaWeight)["PackageWeight"]
    assert sys.modules[made.__module__].__plugin__["name"] == "package_of_mine"
    assert plugins.loaded()["package_of_mine"] != plugins.sha256(package / "__init__.py")


def test_the_environment_variable_names_them_too(tmp_path, monkeypatch):
    monkeypatch.setenv(plugins.VARIABLE, write(tmp_path / "of_env.py", WEIGHT.format(name="WeightOfEnvironment")))
    plugins.load([])
    assert "WeightOfEnvironment" in choices(SigmaWeight)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is no file: give the path of a Python file, or a module's name"),
        ("def (", "failed as it was imported (SyntaxError: "),
        ("import nothing_of_that_name", "failed as it was imported (ModuleNotFoundError: "),
        ("raise SystemExit(3)", "failed as it was imported (SystemExit: 3)"),
        (WEIGHT.format(name="p2_weight"), "p2_weight is a class of "),
        (WEIGHT.format(name="P2Weight"), "and P2Weight of mmspec.losses.weighting: give yours another name"),
    ],
)
def test_what_cannot_be_used_is_one_sentence_and_leaves_nothing_behind(tmp_path, capsys, text, message):
    file = tmp_path / "mine.py"
    if text is not None:
        file.write_text(text)
    modules = set(sys.modules)
    assert main(["info", f"plugins=[{file}]"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"mmspec info: plugins={file} ") and message in error and error.count("\n") == 1
    assert not {name for name in set(sys.modules) - modules if name.startswith("mine")}
    assert choices(SigmaWeight)["P2Weight"].__module__ == "mmspec.losses.weighting"
    assert "mine.py" not in plugins.loaded()


def test_no_module_of_the_name(capsys):
    with pytest.raises(InputError, match=r"plugins=no_such_module is no module that can be imported"):
        plugins.load(["no_such_module"])


def test_names_that_are_unknown_say_where_others_come_from(capsys, tmp_path):
    assert main(["train", "run_dir=x", f"data.train={tmp_path}", "regularizer=Harr"]) == 2
    error = capsys.readouterr().err
    assert "regularizer=Harr is unknown: did you mean haar?" in error and "plugins=[FILE.py]" in error


def test_the_command_line_takes_a_list_or_one_name():
    words = ["plugins=[a.py, 'b c.py']", "num=3", "plugins=d"]
    assert plugin_files(words) == ["a.py", "b c.py", "d"]


def test_nothing_that_a_configuration_says_imports_anything(tmp_path, capsys):
    """A name of a class that is not imported stays unknown, whatever lies beside the data."""
    write(tmp_path / "Evil.py", "raise RuntimeError('imported')")
    assert main(["train", "run_dir=x", "data.train=y", f"+data.plugins=[{tmp_path / 'Evil.py'}]"]) == 2
    assert "data.plugins" in capsys.readouterr().err
    assert "Evil" not in choices(SpectralLoss)
