"""The image's steps, walked in a clean folder: where no Docker engine runs, they are still held to what they need."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mmspec.data import PackedDataset

ROOT = Path(__file__).parents[1]


def instructions() -> list[tuple[str, str]]:
    """Keyword and arguments of each instruction of the Dockerfile."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    return [(*text.split(maxsplit=1),) for text in "\n".join(lines).replace("\\\n", " ").splitlines() if text.strip()]


STEPS = instructions()


def arguments(keyword: str) -> list[str]:
    return [text for name, text in STEPS if name == keyword]


def sent(path: str) -> bool:
    """Whether .dockerignore lets a path of the repository into the build: the last rule that matches it decides."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    parents = ["/".join(Path(path).parts[: i + 1]) for i in range(len(Path(path).parts))]
    kept = True
    for rule in rules:
        pattern = rule.lstrip("!").removeprefix("**/")
        names = Path(path).parts if "**/" in rule else parents
        if any(fnmatchcase(name, pattern) for name in names):
            kept = rule.startswith("!")
    return kept


def copied(into: Path) -> None:
    """Do every COPY, into the working directory."""
    for text in arguments("COPY"):
        *sources, target = text.split()
        for source in sources:
            assert (ROOT / source).exists(), f"COPY {source}: there is no such path"
            files = [ROOT / source] if (ROOT / source).is_file() else sorted((ROOT / source).rglob("*"))
            for file in files:
                name = file.relative_to(ROOT).as_posix()
                if file.is_file() and sent(name):
                    place = into / target / (file.name if source == name else file.relative_to(ROOT / source))
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(file, place)


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    """The working directory after all steps, and the environment of its commands."""
    folder = tmp_path_factory.mktemp("image")
    work, python = folder / "opt", folder / "python"
    copied(work)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", python], check=True)
    # Dependencies as in the image, from here: seen by the new environment, without what is installed editable here.
    site = next((python / "lib").glob("python*/site-packages"))
    (site / "here.pth").write_text(sysconfig.get_path("purelib"))
    install = next(text for text in arguments("RUN") if text.endswith("--no-deps ."))
    pip = [sys.executable, "-m", "pip", "--python", python / "bin/python", *shlex.split(install)[1:]]
    offline = ["--no-index", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    result = subprocess.run([*pip, *offline], cwd=work, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return work, {**environment, "PATH": f"{python / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def run(image, *command, cwd=None):
    work, environment = image
    result = subprocess.run(command, cwd=cwd or work, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_the_installed_package_is_whole(image, tmp_path):
    where = Path(run(image, "python", "-c", "import mmspec; print(mmspec.__file__)", cwd=tmp_path).strip()).parent
    assert where.is_relative_to(image[0].parent)
    kinds = {"recipes": ("README.md", "*.sh", "*.py", "*.yaml")}  # not the results of long runs
    for package, place in (("mmspec", "."), ("data_prep", "bundled/data_prep"), ("recipes", "bundled/recipes")):
        files = [file for kind in kinds.get(package, ("*",)) for file in (ROOT / package).rglob(kind) if file.is_file()]
        names = {file.relative_to(ROOT / package) for file in files if "__pycache__" not in file.parts}
        assert names == {name for name in names if (where / place / name).is_file()}
    assert not [path for path in where.parent.glob("*") if path.name in ("data_prep", "recipes")]
    shutil.copytree(where, tmp_path / "bare", ignore=shutil.ignore_patterns("__pycache__"))
    wheel = shutil.make_archive(str(tmp_path / "mmspec"), "zip", tmp_path / "bare")
    assert Path(wheel).stat().st_size < 1_000_000


def test_what_is_installed_prepares_data_and_runs_recipes_in_an_empty_folder(image, tmp_path):
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(tmp_path / "flat.zip", "w") as archive:
        for name in "abcd":
            Image.fromarray(rng.integers(0, 256, (9, 9, 3), dtype=np.uint8)).save(tmp_path / "picture.png")
            archive.write(tmp_path / "picture.png", f"{name}.png")
    (tmp_path / "data_prep.py").write_text("raise ImportError('of somebody else')")
    run(image, "mmspec", "prepare", "images", "flat.zip", "data", "--size", "8", "--workers", "2", cwd=tmp_path)
    dataset = PackedDataset(tmp_path / "data")
    assert dataset.data.shape == (4, 8, 8, 3) and dataset.meta.classes is None
    compare = ["mmspec", "compare", "flat.zip", "data"]  # decodes as data_prep does
    refused = subprocess.run(compare, cwd=tmp_path, env=image[1], capture_output=True, text=True)
    assert "data has pictures of 8 x 8 pixels and flat.zip of 9 x 9" in refused.stderr
    assert " photographs " in run(image, "mmspec", "prepare", cwd=tmp_path)
    assert "usage: mmspec recipe demo" in run(image, "mmspec", "recipe", "demo", "--help", cwd=tmp_path)
    run(image, "mmspec", "recipe", "checkerboard", "--stop-stage", "1", "--size", "8", cwd=tmp_path)
    assert (tmp_path / "exp/data/checkerboard/train").is_dir()


def test_the_health_check_and_the_recipes_run(image, tmp_path):
    check = arguments("HEALTHCHECK")[0]
    command = json.loads(check[check.index("[") :])
    assert command == ["mmspec", "info"]
    assert re.search(r"^torch +\d", run(image, *command, cwd=tmp_path), re.MULTILINE)
    assert "train or fine-tune" in run(image, *json.loads(arguments("CMD")[0]), cwd=tmp_path)
    recipes = sorted((ROOT / "recipes").glob("*/run.sh"))
    assert recipes
    for recipe in recipes:
        assert "usage: recipes/" in run(image, str(recipe.relative_to(ROOT)), "--help")


def test_every_dependency_of_the_image_is_pinned(tmp_path):
    install = next(text for text in arguments("RUN") if "requirements.txt" in text)
    script, pip = (part.strip() for part in install.split("&&"))
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    subprocess.run(["sh", "-c", script.replace("python", sys.executable, 1)], cwd=tmp_path, check=True)
    wanted = (tmp_path / "requirements.txt").read_text().splitlines()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(project["dependencies"]) < set(wanted) and any(text.startswith("pesq") for text in wanted)
    names = {re.split(r"[=\[]", line)[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert {re.split(r"[<>=\[]", text)[0].lower() for text in wanted} <= names
    assert "--constraint constraints.txt" in pip and "torch" in names


def test_the_order_keeps_gigabytes_cached_and_the_end_is_no_root(image):
    keywords = [name for name, _ in STEPS]
    before = STEPS[: next(i for i, (_, text) in enumerate(STEPS) if "requirements.txt" in text)]
    assert [text for name, text in before if name == "COPY"] == ["pyproject.toml constraints.txt ./"]
    assert any("gcc" in text and "rm -rf /var/lib/apt/lists" in text for name, text in before if name == "RUN")
    assert re.fullmatch(r"python:3\.\d+-slim", arguments("FROM")[0])
    assert arguments("USER") not in ([], ["root"]) and keywords.index("USER") < keywords.index("CMD")
    assert not sent(".git/config") and not sent("exp/demo/report.html") and not sent("mmspec/__pycache__/cli.pyc")


def test_the_readme_launches_it_as_the_dockerfile_says():
    readme = (ROOT / "README.md").read_text()
    launch = re.search(r"docker run .*?(?<!\\)\n", readme, re.DOTALL)[0]
    assert "--gpus all --ipc=host" in launch and "--volume" in launch
    recipe = re.search(r"recipes/\w+/run\.sh", launch)[0]
    assert (ROOT / recipe).is_file()
