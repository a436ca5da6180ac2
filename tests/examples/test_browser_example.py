"""The page of examples/browser, in a headless Chromium, against the same export without a browser."""

import json
import os
import shutil
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch

from mmspec.cli import main
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.exported import walk
from mmspec.exported.model import ExportedDenoiser
from mmspec.networks import UNet

PAGE = Path(__file__).parents[2] / "examples" / "browser"
RUNTIME = os.environ.get("MMSPEC_ONNXRUNTIME_WEB")  # folder of the npm package onnxruntime-web
SHAPE = (3, 8, 8)
DRAWN = """async (noise) => {
    const { ExportedDenoiser } = await import("./denoiser.js");
    const ort = await import("./runtime/ort.wasm.min.mjs");
    ort.env.wasm.numThreads = 1;
    const read = async (name) => (await fetch(`exported/${name}`)).arrayBuffer();
    const denoiser = await ExportedDenoiser.open(ort, read);
    return [...(await denoiser.sample(1, () => Float64Array.from(noise)))];
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page, the runtime and an exported student, side by side."""
    pytest.importorskip("onnxscript", reason="torch's ONNX exporter needs onnxscript (the extra export)")
    pytest.importorskip("onnxruntime", reason="graphs run in onnxruntime (the extra export)")
    if RUNTIME is None:
        pytest.skip("MMSPEC_ONNXRUNTIME_WEB names no folder of onnxruntime-web")
    folder = tmp_path_factory.mktemp("browser")
    shutil.copytree(PAGE, folder, dirs_exist_ok=True)
    (folder / "runtime").symlink_to(Path(RUNTIME, "dist").absolute())
    torch.manual_seed(0)
    network = UNet(
        2, 3, model_channels=8, channel_mult=(1, 1), num_blocks=1, head_channels=8, attention_levels=(1,),
        num_classes=2, resample="wavelet",
    )  # fmt: skip
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    Denoiser(network, EDM(), SHAPE, classes=["cat", "dog"]).save_pretrained(folder / "saved")
    words = [f"from={folder / 'saved'}", f"out={folder / 'exported'}", "steps=3", "guidance=2"]
    assert main(["export", *words]) == 0
    return folder


@pytest.fixture(scope="module")
def page(folder: Path):
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("Chromium is not installed")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page()
        page.set_default_timeout(120_000)
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        yield page
        chromium.close()
    server.shutdown()


def test_the_page_draws_what_is_drawn_without_a_browser(folder: Path, page) -> None:
    noise = np.random.default_rng(0).standard_normal(SHAPE)
    found = np.array(page.evaluate(DRAWN, noise.ravel().tolist())).reshape(SHAPE)
    denoiser, told = ExportedDenoiser(folder / "exported"), {"labels": np.eye(2, dtype=np.float32)[1:]}

    def denoise(x: np.ndarray, sigma: float) -> np.ndarray:
        hidden = denoiser(x, np.full(1, sigma), labels=np.zeros((1, 2), np.float32)).astype(np.float64)
        return hidden + 2 * (denoiser(x, np.full(1, sigma), **told) - hidden)

    instructions = json.loads((folder / "exported" / "walk.json").read_text())
    wanted = walk.run(instructions, lambda: noise[None], denoise)[0]
    assert wanted.std() > 0
    np.testing.assert_allclose(found, wanted, atol=1e-3 * np.abs(wanted).max())


def test_a_visitor_chooses_a_folder_and_sees_a_picture(folder: Path, page) -> None:
    page.fill("[name=runtime]", "runtime/")
    page.set_input_files("[name=folder]", folder / "exported")
    assert page.locator("select option").all_text_contents() == ["cat", "dog"]
    page.click("button")
    page.wait_for_function("document.querySelector('output').textContent.startsWith('drawn in')")
    pixels = page.evaluate("() => [...document.querySelector('canvas').getContext('2d').getImageData(0, 0, 8, 8).data]")
    colours = np.array(pixels).reshape(64, 4)
    assert (colours[:, 3] == 255).all() and colours[:, :3].std() > 0


def test_a_folder_of_something_else_is_said_in_the_page(folder: Path, page) -> None:
    page.set_input_files("[name=folder]", folder / "saved")
    page.click("button")
    page.wait_for_function("document.querySelector('output').textContent.includes('export it again')")
