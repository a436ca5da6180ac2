import numpy as np
import pytest
import torch
import yaml

from mmspec.cli import main
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.networks import UNet
from tests.packed import write_clips, write_pictures

TINY = {"model_channels": 8, "channel_mult": (1, 1), "num_blocks": 1, "attention_levels": ()}


def saved(folder, dims=2, resample="wavelet", shape=(3, 16, 16), **facts):
    torch.manual_seed(0)
    network = UNet(dims=dims, in_channels=shape[0], out_channels=shape[0], resample=resample, **TINY)
    Denoiser(network, EDM(), signal_shape=shape, **facts).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    home = tmp_path_factory.mktemp("pictures")
    pixels = np.random.default_rng(0).integers(0, 256, (20, 16, 16, 3))
    return saved(home / "denoiser"), write_pictures(home / "data", pixels)


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    home = tmp_path_factory.mktemp("sound")
    clips = 0.1 * np.random.default_rng(0).standard_normal((6, 700))
    denoiser = saved(home / "denoiser", dims=1, shape=(1, 512), sample_rate=4000)
    return denoiser, write_clips(home / "data", clips, 4000)


@pytest.mark.parametrize("kind", ["pictures", "sound"])
def test_figures_of_a_denoiser_are_pages_with_units(kind, request, tmp_path, capsys):
    denoiser, data = request.getfixturevalue(kind)
    unit = {"pictures": "cycles per image", "sound": "Hz"}[kind]
    keys = {
        "filters": [f"data={data}", "num=8", "sigmas=[0.1,1]"],
        "predictions": [f"data={data}", "num=2", "steps=3", "shown=2"],
        "gates": ["num=2", "steps=3"],
    }
    for figure, options in keys.items():
        out = tmp_path / f"{figure}.html"
        assert main(["analyze", figure, f"from={denoiser}", f"out={out}", *options]) == 0
        assert capsys.readouterr().out.strip() == str(out)
        html = out.read_text()
        assert html.count("<svg") == 1 and "http" not in html.replace("http-equiv", "")
        assert (unit if figure != "gates" else "noise level σ") in html


def test_the_wiener_filters_need_no_denoiser(tmp_path):
    for suffix in (".html", ".svg"):
        assert main(["analyze", "wiener", f"out={tmp_path / 'wiener'}{suffix}", "abar=[0.1,0.9]"]) == 0
    assert "abar = 0.9" in (tmp_path / "wiener.html").read_text()
    assert (tmp_path / "wiener.svg").read_text().startswith("<?xml")


def test_runs_are_compared_with_their_real_data(tmp_path, pictures):
    rng = np.random.default_rng(1)
    for name in ("plain", "frequency"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").write_text(yaml.safe_dump({"data": {"test": str(pictures[1])}}))
        write_pictures(tmp_path / name / "samples/final", rng.integers(0, 256, (9, 16, 16, 3)))
    out = tmp_path / "differences.html"
    runs = f"runs=[{tmp_path / 'plain'},{tmp_path / 'frequency'}]"
    assert main(["analyze", "differences", runs, f"out={out}"]) == 0
    html = out.read_text()
    assert "20 real, 9 plain, 9 frequency" in html and "cycles per image" in html and "data:image/png" in html


@pytest.mark.parametrize("kind", ["pictures", "sound"])
def test_figures_of_data_alone_need_no_denoiser(kind, request, tmp_path):
    _, data = request.getfixturevalue(kind)
    out = tmp_path / "punished.html"
    assert main(["analyze", "punished", f"data={data}", "num=4", "shown=1", "regularizer=haar", f"out={out}"]) == 0
    html = out.read_text()
    assert "What WaveletLoss punishes" in html and ">1.00<" in html and "fine noise" in html
    assert main(["analyze", "knowable", f"data={data}", "num=4", "sigmas=[0.1,1]", f"out={tmp_path / 'a.html'}"]) == 0
    assert ("cycles per image" if kind == "pictures" else "Hz") in (tmp_path / "a.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["punished", "data={data}", "num=21"], "holds 20 signals: give num=20 or less"),
        (["punished", "data={other}", "num=4"], "holds constant signals (4 of 4)"),
        (["knowable", "data={data}", "num=21"], "holds 20 signals: give num=20 or less"),
        ([], "figure= must be given: expected one of differences, filters"),
        (["filter"], "did you mean filters? Expected one of differences, filters"),
        (["filters"], "from must be given"),
        (["filters", "from={denoiser}"], "is not a run: say with out=FILE"),
        (["filters", "from={denoiser}", "out=x.html"], "has no data.test: give data=FOLDER"),
        (["filters", "from={denoiser}", "out=x.html", "data={data}", "sigmas=[0]"], "sigmas must be above 0"),
        (["filters", "from={denoiser}", "out=x.pdf", "data={data}", "num=2"], "must end with .html, .png or .svg"),
        (["filters", "from={denoiser}", "out=x.html", "data={other}"], "prepare the data as for its training"),
        (["gates", "from={plain}", "out=x.html", "num=1", "steps=1"], "has no wavelet gates"),
        (["gates", "from={denoiser}", "out=x.html", "num=0"], "num must be 1 or more"),
        (["wiener", "abar=[1.5]"], "abar must be"),
        (["differences", "runs=[]"], "runs must be 1 to 3 folders"),
        (["differences", "runs=[{data}]", "data={other}"], "prepared alike"),
        (["frequency_bias", "out=x.png"], "out must end with .html"),
    ],
)
def test_a_mistake_gets_one_sentence(arguments, message, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    denoiser, data = pictures
    places = {"denoiser": denoiser, "data": data, "plain": "", "other": ""}
    if any("{plain}" in word for word in arguments):
        places["plain"] = saved(tmp_path / "plain", resample="conv")
    if any("{other}" in word for word in arguments):
        places["other"] = write_pictures(tmp_path / "other", np.zeros((4, 8, 8, 3)))
    assert main(["analyze", *(word.format(**places) for word in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error and len(error.strip().splitlines()) == 1


def test_help_is_of_one_figure(capsys):
    assert main(["analyze", "gates", "--help"]) == 0
    out = capsys.readouterr().out
    assert "Figure 9" in out and "Figure 2" not in out
    assert main(["analyze", "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(figure in shown for figure in ("differences", "filters", "gates", "knowable", "punished", "wiener"))
