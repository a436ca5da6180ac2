import base64
import io
import json
import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import yaml
from omegaconf import OmegaConf
from PIL import Image

from mmspec.commands import evaluate, report
from mmspec.config import CONF
from mmspec.data import DatasetMeta, write_packed
from mmspec.errors import InputError

RATE = 4000
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Every tag with its attributes, every text, and whether tags nest."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.texts, self.open = [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())


def packed(folder, audio, count, seed, blur=0.0):
    rng = np.random.default_rng(seed)
    if audio:
        x = rng.normal(0, 3000, (count, 1200))
        x = ((1 - blur) * x + blur * np.roll(x, 1, 1)).astype(np.int16)
        meta = DatasetMeta(modality="audio", source="noise & <hiss>", sample_rate=RATE, classes=("a", "b"))
        write_packed(folder, x, labels=np.arange(count) % 2, meta=meta)
    else:
        x = rng.normal(128, 40, (count, 16, 16, 3))
        x = ((1 - blur) * x + blur * np.roll(x, 1, 1)).clip(0, 255).astype(np.uint8)
        write_packed(folder, x, meta=DatasetMeta(modality="image", source="noise"))
    return str(folder)


def make_run(folder, data, audio=False, seed=1, blur=0.2, samples=True, history=True, **config):
    folder.mkdir(parents=True)
    provenance = {"command": f"mmspec train run_dir={folder.name} 'note=<b>'", "machine": "a machine", "versions": {}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": data, **config, "provenance": provenance}))
    if history:
        lines = [
            {
                "step": step,
                "nimg": step * 8,
                "train/loss": 1 / step,
                "train/loss_by_sigma/0.1-0.32": 2 / step,
                "train/loss_by_sigma/0.32-1": 3 / step,
                "train/grad_share/amplitude_phase": 0.1,
            }
            for step in range(10, 210, 10)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines) + '{"step": 210, "trai'
        (folder / "metrics.jsonl").write_text(text)
    if samples:
        final = folder / "samples" / "final"
        packed(final, audio, 80, seed, blur)
        sampling = {"command": f"mmspec sample from={folder.name}", "sampler": {"type": "heun"}, "steps": 18}
        (final / "sample.json").write_text(json.dumps(sampling | {"guidance": None}))
    return folder


def evaluation(folder, **keys):
    defaults = OmegaConf.load(CONF / "evaluate.yaml")
    evaluate.run(OmegaConf.merge(defaults, {"samples": str(folder), **keys}))
    return json.loads((folder / "evaluation.json").read_text())


def reported(runs, out=None, **keys):
    defaults = OmegaConf.load(CONF / "report.yaml")
    out = out or runs[0].parent / "page.html"
    report.run(OmegaConf.merge(defaults, {"runs": [str(run) for run in runs], "out": str(out), **keys}))
    return out.read_text().replace("<wbr>", "")  # where names may break


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    parts = {"train": 0, "test": 1}
    return {
        kind: {part: packed(folder / kind / part, kind == "sound", 100, seed) for part, seed in parts.items()}
        for kind in ("sound", "pictures")
    }


@pytest.fixture(scope="module")
def both(tmp_path_factory, data):
    """Two runs on pictures and two on sound, in one page."""
    home = tmp_path_factory.mktemp("runs")
    runs = [
        make_run(home / "pictures-plain", data["pictures"], seed=2, blur=0.4, lambda_=None),
        make_run(home / "pictures-spectral", data["pictures"], seed=3, blur=0.1, lambda_=0.1),
        make_run(home / "sound-plain", data["sound"], audio=True, seed=4, blur=0.4),
        make_run(home / "sound-spectral", data["sound"], audio=True, seed=5, blur=0.1),
    ]
    evaluations = [evaluation(run) for run in runs]
    html = reported(runs, title="A <title> & more")
    return html, evaluations


def test_the_page_is_html_and_self_contained(both):
    html, _ = both
    page = Page(html)
    assert html.lower().startswith("<!doctype html>")
    assert not page.all("link") and not page.all("script") and not page.all("iframe") and not page.all("base")
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "poster", "data", "srcset", "action"):
            assert re.match(r"data:|#|$", attributes.get(name, "")), attributes
    assert "@import" not in html and "//" not in re.sub(r"data:[^\"]*", "", html)
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))


def test_identifiers_are_unique_and_links_lead_somewhere(both):
    page = Page(both[0])
    identifiers = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = [a[k][1:] for _, a in page.tags for k in ("href", "xlink:href") if a.get(k, "").startswith("#")]
    assert targets and set(targets) <= set(identifiers)


def test_every_metric_is_there_and_nothing_else(both):
    html, evaluations = both
    shown = [float(attributes["value"]) for attributes in Page(html).all("data")]
    expected = []
    for group in (evaluations[:2], evaluations[2:]):
        assert group[0]["real_vs_real"] == group[1]["real_vs_real"]
        rows = [group[0]["real_vs_real"]["metrics"], group[0]["metrics"], group[1]["metrics"]]
        for of_octaves in (False, True):
            names = [name for name in group[0]["metrics"] if name.startswith("octave_bias_") == of_octaves]
            assert names
            expected += [row[name] for row in rows for name in names]
    assert shown == expected


def test_what_is_read_is_the_number_rounded(both):
    for value, text in re.findall(r'<data value="([^"]*)">([^<]*)</data>', both[0]):
        assert float(text.replace("−", "-").replace(",", "")) == pytest.approx(float(value), rel=0.006)


def test_the_best_run_of_each_column_is_marked(both):
    html, evaluations = both
    rows = re.findall(r"<tr[^>]*>\s*<th scope=\"row\">.*?</tr>", html, flags=re.DOTALL)
    marks = Counter[str]()
    for row in rows:
        marks.update({name: row.count('class="best"') for name in re.findall(r"</span>([^<]+)</th>", row)})
    metrics = [e["metrics"] for e in evaluations[2:]]
    unsigned = [name for name in metrics[0] if "bias" not in name]
    better = sum(metrics[1][name] < metrics[0][name] for name in unsigned)
    assert marks["sound-spectral"] == better and marks["sound-plain"] == len(unsigned) - better
    assert marks["real (training split)"] == 0


def test_definitions_counts_and_commands_are_there(both):
    html, evaluations = both
    text = Page(html).text
    for result in evaluations:
        for definition in result["definitions"].values():
            assert definition in text
    for name in ("pictures-plain", "sound-spectral"):
        assert f"mmspec train run_dir={name} 'note=<b>'" in text and f"mmspec sample from={name}" in text
    assert "heun · 18 sampling steps" in text
    assert "A <title> & more" in text and "noise & <hiss>" in text


def test_sound_can_be_played_at_its_rate(both):
    players = Page(both[0]).all("audio")
    assert len(players) == 3 * 6  # real and two runs
    for player in players:
        assert "controls" in player
        content = base64.b64decode(player["src"].removeprefix("data:audio/wav;base64,"), validate=True)
        signal, rate = soundfile.read(io.BytesIO(content))
        assert rate == RATE and signal.shape == (1200,) and np.abs(signal).max() > 0.1


def test_pictures_decode_and_are_described(both):
    pictures = Page(both[0]).all("img")
    assert len(pictures) == 3 + 3 * 6
    for picture in pictures:
        assert picture["alt"]
        content = base64.b64decode(picture["src"].removeprefix("data:image/webp;base64,"), validate=True)
        assert Image.open(io.BytesIO(content)).size > (100, 50)


def test_figures_have_descriptions_and_the_colours_of_the_page(both):
    html, _ = both
    plots = [attributes["aria-label"].split(":")[0] for attributes in Page(html).all("svg")]
    assert all(attributes.get("role") == "img" for attributes in Page(html).all("svg"))
    for title in (
        "Mean power spectra",
        "Generated against real power",
        "Training loss by noise level",
        "Training loss",
        "Gradient share of the regularizers",
    ):
        assert plots.count(title) == 2
    assert not re.findall(r"(?:fill|stroke): #", html)
    defined = set(re.findall(r"(--[\w-]+):", html)) | {"--of"}
    assert set(re.findall(r"var\((--[\w-]+)\)", html)) <= defined


def test_landmarks_and_headings_are_those_that_a_screen_reader_expects(both):
    page = Page(both[0])
    assert [len(page.all(tag)) for tag in ("header", "main", "footer", "aside")] == [1, 1, 1, 0]
    labels = [attributes["aria-label"] for _, attributes in page.tags if attributes.get("role") == "region"]
    labels += [attributes["aria-label"] for attributes in page.all("nav")]
    assert len(labels) > 3 and len(set(labels)) == len(labels)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))
    assert not re.search(r"<th[^>]*>\s*</th>", both[0])


def test_only_keys_that_differ_are_listed(both):
    keys = re.findall(r'<th scope="row">([\w.]+)</th>', both[0])
    assert keys == ["lambda_"]


def test_parts_that_are_missing_are_named_with_their_command(tmp_path, data, capsys):
    run = make_run(tmp_path / "young", data["pictures"], samples=False, history=False)
    text = Page(reported([run])).text
    assert f"mmspec sample from={run}" in text and f"mmspec evaluate samples={run}" in text
    assert "Real" not in text and "Metrics" not in text
    assert "young has no samples yet" in capsys.readouterr().out


def test_a_page_without_the_real_data(tmp_path):
    run = make_run(tmp_path / "moved", {"train": str(tmp_path / "gone"), "test": None})
    text = Page(reported([run])).text
    assert "Real samples are not shown" in text and "moved" in text


def test_a_single_run_has_no_best(tmp_path, data):
    run = make_run(tmp_path / "alone", data["sound"], audio=True)
    evaluation(run)
    html = reported([run])
    assert 'class="best"' not in html and "differs between" not in html


def test_warnings_of_the_evaluation_are_shown(tmp_path, data):
    run = make_run(tmp_path / "few", data["pictures"])
    packed(run / "samples" / "final", False, 10, 1)
    (warning,) = evaluation(run)["warnings"]
    assert warning in Page(reported([run])).text


def test_runs_of_one_name_are_told_apart(tmp_path, data):
    runs = [make_run(tmp_path / parent / "same", data["pictures"]) for parent in ("a", "b")]
    text = Page(reported(runs)).text
    assert "a/same" in text and "b/same" in text


def test_where_the_page_goes(tmp_path, data):
    runs = [make_run(tmp_path / "exp" / name, data["pictures"]) for name in ("a", "b")]
    defaults = OmegaConf.load(CONF / "report.yaml")
    report.run(OmegaConf.merge(defaults, {"runs": [str(runs[0])]}))
    assert (runs[0] / "report.html").exists()
    report.run(OmegaConf.merge(defaults, {"runs": [str(run) for run in runs]}))
    assert (tmp_path / "exp" / "report.html").exists()


def test_samples_shown_can_be_limited(tmp_path, data):
    run = make_run(tmp_path / "run", data["sound"], audio=True)
    assert len(Page(reported([run], max_samples=2)).all("audio")) == 4


def test_bad_input_is_refused(tmp_path, data):
    with pytest.raises(InputError, match="absent is not there"):
        reported([tmp_path / "absent"])
    run = make_run(tmp_path / "run", data["pictures"])
    with pytest.raises(InputError, match="max_samples must be 1 or more"):
        reported([run], max_samples=0)
    (run / "evaluation.json").write_text("{")
    with pytest.raises(InputError, match=r"evaluation\.json is not JSON"):
        reported([run])


def test_packed_samples_of_no_run_are_shown_beside_runs(tmp_path, data):
    run = make_run(tmp_path / "student", data["pictures"], seed=2, width=16)
    loose = tmp_path / "teacher-0"
    packed(loose, False, 80, 3, 0.1)
    evaluation(run)
    evaluation(loose, reference=data["pictures"]["test"])
    html = reported([loose, run])
    assert html.count("teacher-0") > 3 and "What differs between the runs" not in html
