"""The gallery, asked over HTTP: what runs hold, and nothing else, for this machine alone."""

import io
import json
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from mmspec.cli import main, with_keys
from mmspec.data import DatasetMeta, write_packed
from mmspec.data.walk import write_walk_file
from mmspec.errors import InputError
from mmspec.gallery.shown import shown
from tests.gallery.serving import served

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "mmspec/gallery/page"
pytest.importorskip("starlette", reason="the extra gallery is not installed")


def client(*folders):
    from starlette.testclient import TestClient

    from mmspec.gallery.server import application

    return TestClient(application(shown([Path(folder) for folder in folders])), base_url="http://127.0.0.1:8765")


def make_run(folder, steps=(10, 20)):
    """A run in training: a config, a log, previews."""
    (folder / "samples").mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"train": "nowhere", "test": "/etc"}}))
    for step in steps:
        log(folder, step)
        Image.new("RGB", (40, 30), (step, 0, 0)).save(folder / f"samples/step_{step:08d}.png")
    return folder


def log(folder, step):
    line = {
        "step": step,
        "train/loss": 1 / step,
        "train/loss_by_sigma/0.1-1": 1 / step,
        "train/loss_by_sigma/1-10": 1.0,
    }
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def pictures(folder, count=5):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    meta = DatasetMeta(modality="image", source="test", classes=("cat", "<b>dog</b>"))
    write_packed(folder, pixels, labels, meta=meta)


def walk(folder, samples=2, sigmas=(9.0, 1.0, 0.1)):
    """Kept beside samples: at each step one grey level more."""
    pixels = np.arange(samples * len(sigmas), dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 16, 3), np.uint8)
    write_packed(folder, pixels, meta=DatasetMeta(modality="image", source="test"))
    write_walk_file(folder, sigmas, {"down": [[0.1, 0.2, 0.3, 0.4]] * len(sigmas)})


def clips(folder, lengths):
    samples = (3000 * np.random.default_rng(0).standard_normal((len(lengths), max(lengths)))).astype(np.int16)
    meta = DatasetMeta(modality="audio", source="test", sample_rate=4000)
    write_packed(folder, samples, lengths=np.array(lengths), meta=meta)


@pytest.fixture
def two(tmp_path):
    """A run with pictures, and packed sound."""
    pictures(make_run(tmp_path / "run") / "samples/final")
    clips(tmp_path / "sound", [900, 500])
    return client(tmp_path / "run", tmp_path / "sound")


def test_runs_say_what_they_hold(two):
    run, sound = two.get("/api/runs").json()
    assert run["name"] == "run" and list(run["sets"]) == ["final"] and run["previews"] == [10, 20]
    assert run["sets"]["final"]["count"] == 5 and run["sets"]["final"]["sampleRate"] is None
    assert sound["sets"]["sound"]["sampleRate"] == 4000 and sound["previews"] == []
    assert two.get("/api/runs/0/sets/final/labels?from=1&count=9").json() == ["<b>dog</b>", "cat", "<b>dog</b>", "cat"]


def test_the_first_page_is_shown_without_torch_which_takes_seconds_to_import(tmp_path):
    pictures(make_run(tmp_path / "run") / "samples/final")
    code = (
        "import sys; sys.modules['torch'] = sys.modules['matplotlib'] = None;"
        "from tests.gallery.test_gallery import client; asked = client(sys.argv[1]);"
        "first = ['/', '/gallery.css', '/api/runs', '/api/runs/0/sets/final/1/thumbnail.png'];"
        "print([asked.get(address).status_code for address in first])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[200, 200, 200, 200]\n", done.stderr


def test_walks_are_shown_step_by_step(tmp_path):
    pictures(make_run(tmp_path / "run") / "samples/final")
    walk(tmp_path / "run/samples/final/walk")
    asked = client(tmp_path / "run")
    (run,) = asked.get("/api/runs").json()
    kept = run["walks"]["final"]
    assert list(run["sets"]) == ["final"] and kept["count"] == 2 and kept["sigmas"] == [9.0, 1.0, 0.1]
    step = asked.get("/api/runs/0/walks/final/4/whole.png")
    assert Image.open(io.BytesIO(step.content)).getpixel((0, 0)) == (4, 4, 4)
    for absent in ("final/6/whole.png", "final/0/data.npy", "walk/0/whole.png", "..%2ffinal/0/whole.png"):
        assert asked.get(f"/api/runs/0/walks/{absent}").status_code == 404
    figures = asked.get("/api/figures?runs=0").json()
    assert figures[-1]["title"] == "Gates of run (final)" and figures[-1]["legend"][0] == [1, "LL"]
    before = run["stamp"]
    (tmp_path / "run/samples/final/walk/walk.json").write_text('{"sigmas": [1.0, 0.1, 0.2, 0.3], "gates": {}}')
    (run,) = asked.get("/api/runs").json()
    assert run["stamp"] != before and "4 steps, which do not divide 6 signals" in run["error"]
    (tmp_path / "run/samples/final/walk/walk.json").unlink()
    (tmp_path / "run/samples/final/walk/walk.json").symlink_to(tmp_path / "elsewhere.json")
    (tmp_path / "elsewhere.json").write_text('{"sigmas": [1.0], "gates": {}}')
    assert asked.get("/api/runs").json()[0]["walks"] == {}


def test_pictures_come_pixel_by_pixel_and_enlarged(two, tmp_path):
    whole = two.get("/api/runs/0/sets/final/3/whole.png")
    assert whole.headers["content-type"] == "image/png" and "immutable" in whole.headers["cache-control"]
    stored = np.load(tmp_path / "run/samples/final/data.npy")[3]
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(whole.content))), stored)
    thumbnail = np.asarray(Image.open(io.BytesIO(two.get("/api/runs/0/sets/final/3/thumbnail.png").content)))
    np.testing.assert_array_equal(thumbnail[::4, ::4], stored)
    preview = Image.open(io.BytesIO(two.get("/api/runs/0/previews/20.png").content))
    assert preview.getpixel((0, 0)) == (20, 0, 0)


def test_sound_is_heard_without_the_silence_behind_it(two, tmp_path):
    samples, rate = soundfile.read(io.BytesIO(two.get("/api/runs/1/sets/sound/1/sound.wav").content), dtype="int16")
    assert rate == 4000
    np.testing.assert_array_equal(samples, np.load(tmp_path / "sound/data.npy")[1, :500])
    image = Image.open(io.BytesIO(two.get("/api/runs/1/sets/sound/1/thumbnail.png").content))
    assert image.width > image.height > 30
    assert two.get("/api/runs/0/sets/final/0/sound.wav").status_code == 404


def test_figures_are_svg_files_with_colours_of_their_own(two):
    figures = two.get("/api/figures?runs=0").json()
    assert [figure["title"] for figure in figures] == ["Training loss by noise level", "Training loss"]
    answer = two.get("/api/figures/1.svg?runs=0")
    root = ElementTree.fromstring(answer.text)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and answer.headers["content-type"] == "image/svg+xml"
    style = root.findtext("{http://www.w3.org/2000/svg}style")
    assert set(re.findall(r"var\((--[\w-]+)\)", answer.text)) <= set(re.findall(r"(--[\w-]+):", style))
    assert "script" not in answer.text and "script-src" not in answer.headers["content-security-policy"]


def test_what_training_adds_is_seen_at_once(two, tmp_path):
    before = two.get("/api/runs").json()[0]
    first = two.get("/api/figures/1.svg?runs=0").text
    log(tmp_path / "run", 30)
    Image.new("RGB", (4, 3)).save(tmp_path / "run/samples/step_00000030.png")
    pictures(tmp_path / "run/samples/final", count=7)
    after = two.get("/api/runs").json()[0]
    assert after["previews"] == [10, 20, 30] and after["sets"]["final"]["count"] == 7
    assert after["stamp"] != before["stamp"] and after["sets"]["final"]["version"] != before["sets"]["final"]["version"]
    assert two.get("/api/figures/1.svg?runs=0").text != first


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/gallery.py",
        "/server.py",
        "/api/runs/0/sets/..%2f..%2fsecret/0/whole.png",
        "/api/runs/0/sets/%2e%2e/0/whole.png",
        "/api/runs/2/sets/final/0/whole.png",
        "/api/runs/-1/sets/final/0/whole.png",
        "/api/runs/0/sets/final/5/whole.png",
        "/api/runs/0/sets/final/0/data.npy",
        "/api/runs/0/previews/11.png",
        "/api/runs/0/previews/..%2fconfig.png",
        "/api/figures/9.svg?runs=0",
        "/api/figures?runs=7",
        "/api/figures?runs=../0",
        "/api/runs/0/sets/final/labels?from=-1",
    ],
)
def test_what_is_not_shown_is_not_served(two, path):
    assert two.get(path).status_code in (400, 404)


def test_links_that_lead_out_of_a_folder_are_not_followed(tmp_path):
    run = make_run(tmp_path / "run")
    pictures(tmp_path / "secret")
    (run / "samples/final").symlink_to(tmp_path / "secret")
    shutil.copytree(tmp_path / "secret", run / "samples/half")
    (run / "samples/half/data.npy").unlink()
    (run / "samples/half/data.npy").symlink_to(tmp_path / "secret/data.npy")
    (run / "samples/step_00000030.png").symlink_to(run / "../secret/data.npy")
    asked = client(run)
    (answer,) = asked.get("/api/runs").json()
    assert answer["sets"] == {} and answer["previews"] == [10, 20]
    assert asked.get("/api/runs/0/previews/30.png").status_code == 404
    (run / "metrics.jsonl").unlink()
    (run / "metrics.jsonl").symlink_to(tmp_path / "log.jsonl")
    (tmp_path / "log.jsonl").write_text("{}\n")
    refused = asked.get("/api/figures?runs=0")
    assert refused.status_code == 409 and "leads out of the folder" in refused.json()["error"]


def test_a_link_may_name_the_folder_itself(tmp_path):
    pictures(make_run(tmp_path / "run") / "samples/final")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    assert client(tmp_path / "link").get("/api/runs").json()[0]["sets"]["final"]["count"] == 5


def test_other_sites_can_neither_read_nor_embed_it(two):
    for host in ("evil.example", "evil.example:8765", "127.0.0.1.evil.example", "192.168.0.2"):
        assert two.get("/api/runs", headers={"Host": host}).status_code == 400
    for path in ("/", "/gallery.js", "/api/runs", "/nothing"):
        headers = two.get(path, headers={"Host": "localhost:8765"}).headers
        policy = dict(each.strip().partition(" ")[::2] for each in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == "'none'" and policy["script-src"] == policy["style-src"] == "'self'"
        assert (
            headers["cross-origin-resource-policy"] == "same-origin" and headers["x-content-type-options"] == "nosniff"
        )
        assert "access-control-allow-origin" not in headers
    assert {two.request(method, "/api/runs").status_code for method in ("POST", "PUT", "DELETE")} == {405}


def test_the_page_keeps_its_own_policy(two):
    html = two.get("/").text
    assert "style=" not in html and not re.findall(r"<script(?![^>]*src=)", html) and "http" not in html
    script = (PAGE / "gallery.js").read_text()
    assert "innerHTML" not in script and "eval(" not in script and not re.search(r"""["']https?:""", script)
    style = two.get("/gallery.css").text
    assert set(re.findall(r"var\((--[\w-]+)\)", style)) <= set(re.findall(r"(--[\w-]+):", style))
    assert {file.name for file in PAGE.iterdir()} == {"index.html", "gallery.js", "gallery.css", "icon.svg"}


def test_the_script_is_javascript():
    if (node := shutil.which("node")) is None:
        pytest.skip("node is not installed")
    subprocess.run([node, "--check", str(PAGE / "gallery.js")], check=True, timeout=60)


def test_ten_thousand_samples_fit_in_300_mb(tmp_path):
    """As a command: it says where it is, answers, and ends quietly when it is interrupted."""
    pictures(make_run(tmp_path / "a run, 'large'") / "samples/final", count=10_000)
    with served(tmp_path / "a run, 'large'") as (address, process):
        (run,) = json.load(urllib.request.urlopen(f"{address}api/runs", timeout=60))
        assert run["sets"]["final"]["count"] == 10_000
        for index in range(9_950, 9_998):
            content = urllib.request.urlopen(f"{address}api/runs/0/sets/final/{index}/thumbnail.png", timeout=60).read()
            assert content.startswith(b"\x89PNG")
        urllib.request.urlopen(f"{address}api/figures/1.svg?runs=0", timeout=60).read()
        if (status := Path(f"/proc/{process}/status")).exists():
            peak = int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1])
            assert peak < 300_000


def test_words_are_folders(tmp_path, capsys):
    assert with_keys("gallery", ["a", "port=0", "b c,d"]) == ["port=0", "runs=['a','b c,d']"]
    assert main(["gallery", str(tmp_path / "absent"), "port=0"]) == 2
    assert "absent" in capsys.readouterr().err
    assert main(["gallery", str(make_run(tmp_path / "run")), "port=99999"]) == 2
    assert "port must be 0 to 65535, not 99999." in capsys.readouterr().err


def test_a_port_that_is_taken_is_said(tmp_path, capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["gallery", str(make_run(tmp_path / "run")), f"port={port}"]) == 2
    assert f"port={port} cannot be used" in capsys.readouterr().err


def test_without_the_server_it_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("mmspec.commands.gallery.find_spec", lambda name: None)
    assert main(["gallery", str(make_run(tmp_path / "run"))]) == 2
    assert "pip install 'mmspec[gallery]'" in capsys.readouterr().err


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="is not the folder of a run"):
        shown([tmp_path])
