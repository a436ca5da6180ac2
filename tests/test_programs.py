import pytest

from mmspec.cli import main


def test_programs_are_listed_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepare"]) == main(["recipe", "--help"]) == 0
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["images", "Pictures of a folder or an archive -> a packed data set."] in lines
    assert ["packing", "Samples on their way to the disk."] not in lines  # of the room, and no program
    recipes = dict(line for line in lines if len(line) == 2)
    assert recipes["demo"].startswith("Digits, plucked strings and photographs") and "common" not in recipes


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["prepare", "image"], "mmspec prepare: there is no image: did you mean images? Expected one of audio, "),
        (["recipe", "../demo"], "mmspec recipe: there is no ../demo: did you mean demo?"),
        (["recpe"], "'recpe' is no verb of mmspec: did you mean recipe? Expected one of prepare, recipe, train, "),
    ],
)
def test_an_unknown_program_is_met_with_the_nearest(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert said in capsys.readouterr().err


def test_a_recipe_without_bash_is_refused_in_words(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmspec.programs.shutil.which", lambda name: None)
    assert main(["recipe", "demo"]) == 2
    assert "recipes need bash, which is not on the PATH: on Windows run mmspec in WSL." in capsys.readouterr().err
