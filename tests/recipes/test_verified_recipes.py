"""The recipes that verify treatments, from data to tables, with small networks and few steps."""

import json

import numpy as np
import pytest
import soundfile
from PIL import Image

from mmspec.errors import InputError
from recipes.common.arms import controls_of, keep
from recipes.sharpness import tables
from tests.recipe_runs import run


def photographs(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(16):
        Image.fromarray(rng.integers(0, 256, (70, 80, 3), dtype=np.uint8)).save(folder / f"{index}.png")
    return folder


def recordings(folder):
    folder.mkdir()
    rng = np.random.default_rng(0)
    for index in range(12):
        soundfile.write(folder / f"3_ann_{index}.wav", 0.1 * rng.standard_normal(3000 + 100 * index), 8000)
    return folder


def test_sharpness_follows_its_networks_and_stops_where_it_is_done(tmp_path):
    arguments = ["--data", photographs(tmp_path / "source"), "--results", "results", "--count", 8, "--leaves", 8]
    arguments += ["--seeds", "0,1", "--steps", "1,2", "--long", 3, "--num", 4, "--sampling", 2]
    code, out, error = run("sharpness", *arguments, "--stop-stage", 3, cwd=tmp_path)
    assert code == 0, error[-3000:]
    results = tmp_path / "results"
    runs = {f"photographs-{network}-{seed}" for network in ("unet", "wavelet_unet") for seed in (0, 1)}
    runs |= {"dead_leaves-unet-0", "dead_leaves-unet-1", "photographs-unet-100"}
    assert {file.stem for file in results.glob("*.json")} == {*runs, "photographs-null", "dead_leaves-null"}
    for name in runs:
        found = json.loads((results / f"{name}.json").read_text())
        assert list(found["after"]) == (["1", "2", "3"] if name.endswith("100") else ["1", "2"])
        assert all(np.isfinite(list(metrics.values())).all() for metrics in found["after"].values())
    code, out, error = run("sharpness", *arguments, "--stage", 2, "--stop-stage", 3, cwd=tmp_path)
    assert code == 0 and out.count("done before") == len(runs), error[-3000:]
    code, out, error = run("sharpness", *arguments, "--stage", 6, cwd=tmp_path)
    assert code == 0, error[-3000:]
    page = (results / "results.md").read_text()
    assert "| wavelet_unet, 2 " in page and "two halves of the held-out set" in page and "could have been seen" in page


def test_branches_of_sharpness_have_a_placebo_and_a_correction(tmp_path):
    arguments = ["--data", photographs(tmp_path / "source"), "--results", "results", "--count", 20, "--leaves", 8]
    arguments += ["--networks", "unet", "--seeds", "0,1", "--steps", "1", "--branch", 1, "--num", 4, "--sampling", 2]
    code, _, error = run("sharpness", *arguments, "--stop-stage", 2, cwd=tmp_path)
    assert code == 0, error[-3000:]
    code, _, error = run("sharpness", *arguments, "--stage", 4, "--stop-stage", 4, cwd=tmp_path)
    assert code == 0, error[-3000:]
    results = tmp_path / "results/branches-unet"
    arms = ("before", "none", "placebo", "amplitude", "amplitude_phase", "haar", "correction")
    assert {file.stem for file in results.glob("*-*.json")} == {f"{arm}-{seed}" for arm in arms for seed in (0, 1)}
    page = (results / "results.md").read_text()
    assert "| train_on " in page and "| correction " in page


def test_the_vocoder_keeps_its_arms(tmp_path):
    arguments = ["--data", recordings(tmp_path / "source"), "--results", "results", "--seeds", "0,1", "--steps", 1]
    small = ["network.residual_channels=4", "network.residual_layers=2", "trainer.max_steps=1", "trainer.batch_size=2"]
    code, _, error = run("vocoder_digits", *arguments, "--treatments", "amplitude", "--num", 2, *small, cwd=tmp_path)
    assert code == 0, error[-3000:]
    kept = {file.stem for file in (tmp_path / "results").glob("*-*.json")}
    assert kept == {f"{arm}-{seed}" for arm in ("none", "placebo", "amplitude") for seed in (0, 1)}
    assert "| amplitude | " in (tmp_path / "results/results.md").read_text()


@pytest.mark.parametrize("name", ["sharpness", "vocoder_digits"])
def test_a_mistake_gets_one_sentence(tmp_path, name):
    code, _, error = run(name, cwd=tmp_path)
    assert code == 2 and "with --data PATH" in error and len(error.strip().splitlines()) == 1
    code, _, error = run(name, "--data", "nowhere", cwd=tmp_path)
    assert code == 2 and "--data nowhere: no such file or folder." in error


def arm(name, seed, error, trained=True):
    values = {"octave_error": error, "octave_bias_1": error, "octave_bias_2": -error}
    values |= {"denoising_error": [error, 2 * error]} if trained else {}
    better = {"octave_error": "lower"} | ({"denoising_error": "lower"} if trained else {})
    return {"arm": name, "seed": seed, "samples": "x", "values": values, "better": better}


def test_arms_are_judged_by_what_they_differ_from_in_one_thing(tmp_path):
    (tmp_path / "out/arms").mkdir(parents=True)
    rng = np.random.default_rng(0)
    means = {"before": 5.0, "none": 4.0, "placebo": 3.9, "haar": 2.0, "correction": 5.5}
    for seed in range(5):
        shift = rng.normal()
        for name, mean in means.items():
            row = arm(name, seed, mean + shift + 0.01 * rng.normal(), trained=name != "correction")
            (tmp_path / f"out/arms/{name}-{seed}.json").write_text(json.dumps(row))
    record = {"shared": {"weights": "a"}, "arms": {}}
    (tmp_path / "out/trial.json").write_text(json.dumps(record))
    keep(tmp_path / "out", tmp_path / "results")
    page = (tmp_path / "results/results.md").read_text()
    judged, means_of = page.split("\n## Means over seeds")
    rows, measured = (
        {
            line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:]]
            for line in table.splitlines()
            if line.startswith("| ")
        }
        for table in (judged, means_of)
    )
    haar = [json.loads((tmp_path / f"out/arms/haar-{seed}.json").read_text())["values"] for seed in range(5)]
    error = np.mean([values["octave_error"] for values in haar])
    assert measured["arm"][::3] == ["octave_error", "denoising_error"]
    assert measured["haar"][::3] == [f"{error:.4g}", f"{1.5 * error:.4g}"] and measured["correction"][3] == ""
    assert rows["haar"][:2] == ["helps", "none"] and rows["haar"][2].startswith("-2.0")
    assert rows["haar"][3].startswith("-1.9")
    assert rows["correction"][:2] == ["harms", "before"] and rows["correction"][3] == ""
    assert rows["train_on"][:2] == ["helps", "before"] and rows["train_on"][2].startswith("-1.0")
    (tmp_path / "out/arms/haar-4.json").write_text("changed since: what is kept stays")
    keep(tmp_path / "out", tmp_path / "results")
    assert (tmp_path / "results/results.md").read_text() == page
    assert controls_of({}) == []
    (tmp_path / "out/trial.json").write_text(json.dumps({**record, "shared": {"weights": "b"}}))
    with pytest.raises(InputError, match=r"of another verification \(weights was a, is b\): give another --results"):
        keep(tmp_path / "out", tmp_path / "results")
    (tmp_path / "results/trial.json").unlink()
    with pytest.raises(InputError, match=r"it has no trial\.json"):
        keep(tmp_path / "out", tmp_path / "results")
    with pytest.raises(InputError, match="is no verification"):
        keep(tmp_path, tmp_path / "results")


def test_the_table_of_trajectories_has_means_and_paired_intervals(tmp_path):
    rng = np.random.default_rng(0)
    for seed in range(5):
        shift = rng.normal(scale=0.5)
        for network, bias in (("unet", 3.0), ("wavelet_unet", 2.0)):
            noise = 0.01 * rng.normal(size=2)
            values = {"octave_bias_1": bias + shift + noise[0], "octave_bias_2": -bias - shift + noise[1]}
            values["octave_error"] = bias + shift
            found = {"settings": {}, "network": network, "seed": seed, "after": {"10": values}}
            (tmp_path / f"photographs-{network}-{seed}.json").write_text(json.dumps(found))
    (tmp_path / "photographs-null.json").write_text(json.dumps({"settings": {}, "null": [[-0.1, 0.2], [-0.3, 0.4]]}))
    assert tables.main([str(tmp_path)]) == 0
    page = (tmp_path / "results.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| 10 "))
    cells = [cell.strip() for cell in row.split("|")[2:]]
    assert cells[0] == "5" and cells[1].startswith("-1.00 [-1.00, -1.00]") and cells[2].startswith("-1.0")
    assert "to 1/4" in page and "1/4 to 1/2" in page and "-0.30 to +0.40" in page
