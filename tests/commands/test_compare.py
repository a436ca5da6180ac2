"""``mmspec compare`` on files as people have them."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from mmspec.cli import main
from tests.metrics import sets

COUNT, RATE = 60, 16000


def save_pictures(folder: Path, x: torch.Tensor) -> Path:
    folder.mkdir()
    pixels = (x * 127.5 + 127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()
    for i, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{i:03}.png")
    return folder


def save_sounds(folder: Path, x: torch.Tensor, rate: int = RATE) -> Path:
    folder.mkdir()
    for i, sound in enumerate(x):
        soundfile.write(folder / f"{i:03}.wav", sound.T.numpy()[: len(sound.T) - 400 * (i % 3)], rate)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    real, other = sets.pictures(COUNT), sets.pictures(COUNT, seed=1)
    made = {name: save_pictures(folder / name, x) for name, x in (("real", real), ("other", other))}
    made["blurred"] = save_pictures(folder / "blurred", sets.blurred(other))
    made["large"] = save_pictures(folder / "large", sets.pictures(COUNT, size=48, seed=2))
    with zipfile.ZipFile(folder / "other.zip", "w") as archive:
        for file in made["other"].iterdir():
            archive.write(file, f"samples/{file.name}")
    made["zip"] = folder / "other.zip"
    rows = [np.asarray(Image.open(file)) for file in sorted(made["other"].iterdir())]
    np.savez(folder / "other.npz", arr_0=np.stack(rows))
    made["npz"] = folder / "other.npz"
    return made


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("sounds")
    real, other = (sets.sounds(COUNT, 8192, RATE, seed) for seed in (0, 1))
    return {
        "real": save_sounds(folder / "real", real),
        "other": save_sounds(folder / "other", other),
        "dull": save_sounds(folder / "dull", sets.band_limited(other, 4000, RATE)),
        "faster": save_sounds(folder / "faster", other, 22050),
    }


def compared(capsys: pytest.CaptureFixture[str], *words: object) -> dict:
    assert main(["compare", *map(str, words), "format=json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["compare", *map(str, words)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    return said


def test_folders_of_pictures(capsys: pytest.CaptureFixture[str], pictures: dict[str, Path]) -> None:
    same = compared(capsys, pictures["real"], pictures["other"])
    assert not same["differs"] and same["verdict"].startswith("No difference that 60 generated and 60 real signals can")
    assert same["counts"] == {"real": COUNT, "generated": COUNT} and "command" in same
    dull = compared(capsys, pictures["real"], pictures["blurred"])
    assert dull["differs"] and dull["verdict"].startswith("Generated signals lack energy at ")
    highest = dull["octaves"][-1]
    assert (highest["low"], highest["high"], highest["unit"]) == (8, 16, "cycles/image")
    assert highest["interval"][0] < highest["bias_db"] < highest["interval"][1] < -10
    assert (
        highest["null_interval"][0] < 0 < highest["null_interval"][1] and highest["auc_p"] < 0.01 < 0.9 < highest["auc"]
    )
    frechet = dull["metrics"]["frechet_random_projection"]
    assert frechet["interval"][0] < frechet["value"] < frechet["interval"][1] and frechet["better"] == "lower"
    assert frechet["value"] > same["metrics"]["frechet_random_projection"]["value"]


@pytest.mark.parametrize("kind", ["zip", "npz"])
def test_archives_and_arrays_are_what_folders_are(
    capsys: pytest.CaptureFixture[str], pictures: dict[str, Path], kind: str
) -> None:
    folder, other = (compared(capsys, pictures["real"], pictures[name]) for name in ("other", kind))
    assert folder["octaves"] == other["octaves"] and folder["metrics"] == other["metrics"]


def test_recordings_of_several_lengths(capsys: pytest.CaptureFixture[str], sounds: dict[str, Path]) -> None:
    assert not compared(capsys, sounds["real"], sounds["other"])["differs"]
    dull = compared(capsys, sounds["real"], sounds["dull"])
    assert [octave["bias_differs"] for octave in dull["octaves"]][-2:] == [False, True]
    assert (dull["octaves"][-1]["low"], dull["octaves"][-1]["high"]) == (4000, 8000)
    assert dull["octaves"][-1]["bias_db"] < -20 and "frechet_log_mel" in dull["metrics"]


def test_what_is_packed(capsys: pytest.CaptureFixture[str], pictures: dict[str, Path], tmp_path: Path) -> None:
    from data_prep.images import main as prepare

    assert prepare([str(pictures["other"]), str(tmp_path / "packed"), "--size", "32"]) == 0
    capsys.readouterr()
    packed, folder = (compared(capsys, pictures["real"], each) for each in (tmp_path / "packed", pictures["other"]))
    assert packed["octaves"] == folder["octaves"]
    assert "is prepared, at 32 x 32 pixels, not 16" in refused(capsys, tmp_path / "packed", pictures["real"], "size=16")


def test_sizes_and_rates_are_made_alike(
    capsys: pytest.CaptureFixture[str], pictures: dict[str, Path], sounds: dict[str, Path]
) -> None:
    said = refused(capsys, pictures["real"], pictures["large"])
    assert "large has pictures of 48 x 48 pixels and" in said and "give size=PIXELS, to which both are brought" in said
    found = compared(capsys, pictures["real"], pictures["large"], "size=32")
    assert found["octaves"][-1]["high"] == 16
    said = refused(capsys, sounds["real"], sounds["faster"])
    assert "faster has 22050 Hz and" in said and "give rate=HZ, to which both are brought" in said
    found = compared(capsys, sounds["real"], sounds["faster"], "rate=8000")
    assert found["octaves"][-1]["high"] == 4000 and any("resampled from 22050 Hz" in each for each in found["warnings"])


def test_a_page_and_a_table(capsys: pytest.CaptureFixture[str], pictures: dict[str, Path], tmp_path: Path) -> None:
    page = tmp_path / "card.html"
    assert main(["compare", str(pictures["real"]), str(pictures["blurred"]), f"out={page}"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("Generated signals lack energy at") and shown.rstrip().endswith(str(page))
    assert max(map(len, shown.split("\n")[1:-2])) <= 80
    text = page.read_text()
    assert "Bias by octave" in text and "Bias by channel" in text and text.count("<svg") == 4
    (tmp_path / "mine.html").write_text("my notes")
    assert "mine.html" in refused(capsys, pictures["real"], pictures["blurred"], f"out={tmp_path / 'mine.html'}")
    assert (tmp_path / "mine.html").read_text() == "my notes"


def test_as_many_as_are_asked_for(capsys: pytest.CaptureFixture[str], pictures: dict[str, Path]) -> None:
    assert compared(capsys, pictures["real"], pictures["other"], "num=25")["counts"] == {"real": 25, "generated": 25}
    assert compared(capsys, pictures["real"], pictures["other"], "num=all")["counts"]["real"] == COUNT


def test_what_cannot_be_compared(
    capsys: pytest.CaptureFixture[str], pictures: dict[str, Path], sounds: dict[str, Path], tmp_path: Path
) -> None:
    assert "holds audio and" in refused(capsys, pictures["real"], sounds["real"])
    few = save_pictures(tmp_path / "few", sets.pictures(5))
    assert "5 generated signals are too few to tell a difference from chance: 20 are needed" in refused(
        capsys, pictures["real"], few
    )
    assert "NOT_THERE" in refused(capsys, pictures["real"], "NOT_THERE")
    soundfile.write(save_sounds(tmp_path / "mixed", sets.sounds(3, 4000)) / "other.wav", np.zeros(4000), 44100)
    assert "holds recordings of 16000 Hz and of 44100 Hz: give rate=HZ" in refused(
        capsys, sounds["real"], tmp_path / "mixed"
    )
    for words, said in (
        (("num=0",), "num must be 1 or more, not 0"),
        (("size=8", "rate=8"), "size is of pictures and rate of recordings"),
        (("out=card.png",), "out must end with .html"),
        (("nun=5",), "nun"),
    ):
        assert said in refused(capsys, pictures["real"], pictures["other"], *words)


def test_of_a_run_its_samples_are_compared(pictures, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/config.yaml").write_text("seed: 0\n")
    assert main(["compare", f"real={pictures['real']}", f"generated={tmp_path / 'run'}"]) == 2
    assert f"has no final samples yet: run `mmspec sample from={tmp_path / 'run'}` first." in capsys.readouterr().err
    shutil.copytree(pictures["other"], tmp_path / "run/samples/final")
    Image.new("RGB", (7, 7)).save(tmp_path / "run/samples/step_00000002.png")  # a preview
    assert main(["compare", f"real={pictures['real']}", f"generated={tmp_path / 'run'}"]) == 0


def test_pictures_of_several_sizes_are_told_how_to_be_one(pictures, tmp_path, capsys):
    shutil.copytree(pictures["other"], tmp_path / "mixed")
    Image.new("RGB", (7, 9)).save(tmp_path / "mixed/odd.png")
    assert main(["compare", str(pictures["real"]), str(tmp_path / "mixed")]) == 2
    assert (
        "bring all to one size by `mmspec prepare images` (of `mmspec compare`, by size=PIXELS)"
        in capsys.readouterr().err
    )
    assert main(["compare", str(pictures["real"]), str(tmp_path / "mixed"), "size=16"]) == 0
