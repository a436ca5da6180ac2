import json
import tomllib
from pathlib import Path

import pytest
import torch

from mmspec.cli import main
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.drawing.tables import TextTable, columns, turned
from mmspec.experiment.info import InfoOptions
from mmspec.experiment.machine import EXTRAS
from mmspec.experiment.side_by_side import each_facts, side_by_side
from mmspec.networks import UNet
from mmspec.training.integrity import mark

COST = ["parameters", "macs", "macs_with_attention", "activation_bytes"]


def facts(capsys: pytest.CaptureFixture[str], *words: str) -> dict:
    assert main(["info", *words, "format=json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_a_preset(capsys):
    shown = facts(capsys, "network=sd_ffhq")
    assert [shown[key] for key in COST[:2]] == [21_094_683, 6_709_605_208]
    assert shown["shape"] == [3, 64, 64] and shown["config"]["resample"] == "wavelet"
    assert shown["macs_with_attention"] > shown["macs"] and shown["activation_bytes"] > 0


def test_presets_know_what_they_are_for(capsys):
    assert facts(capsys, "network=sd_audio_44k_stereo")["shape"] == [2, 65536]
    assert facts(capsys, "network=sd_audio_44k_stereo", "shape=[2,8192]")["shape"] == [2, 8192]


def test_measured(capsys):
    words = ["network=unet", "network.model_channels=16", "shape=[3,16,16]", "measure=true", "runs=3", "batch=2"]
    shown = facts(capsys, *words)
    assert shown["cpu"]["latency_ms"] > 0 and shown["cpu"]["batch"] == 2
    assert ("cuda" in shown) == torch.cuda.is_available()


def test_a_saved_denoiser(capsys, tmp_path):
    network = UNet(model_channels=16, channel_mult=(1, 2), attention_levels=())
    Denoiser(network, EDM(), (3, 12, 16)).save_pretrained(tmp_path)
    shown = facts(capsys, f"from={tmp_path}")
    assert shown["shape"] == shown["signal_shape"] == [3, 12, 16]
    assert shown["parameters"] == sum(parameter.numel() for parameter in network.parameters())
    assert shown["process"]["type"] == "EDM" and shown["first_stage"] is None


def test_several_stand_side_by_side(capsys):
    shown = facts(capsys, "network=sd_ffhq,lite_ldm_ffhq")
    assert list(shown) == ["sd_ffhq", "lite_ldm_ffhq"]
    assert shown["sd_ffhq"]["parameters"] == 21_094_683 and shown["lite_ldm_ffhq"]["shape"] == [3, 64, 64]
    assert main(["info", "network=sd_ffhq,lite_ldm_ffhq"]) == 0
    heading, ours, theirs = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heading == ["of", "parameters", "MACs", "with", "attention", "kept", "in", "training"]
    assert ours == ["sd_ffhq", "3x64x64", "21.1M", "6.7G", "8.2G", "101", "MiB"]  # as in the README
    assert theirs == ["lite_ldm_ffhq", "3x64x64", "22.4M", "7.9G", "9.3G", "102", "MiB"]
    assert main(["info", "network=sd_ffhq", "format=markdown"]) == 2
    assert "format=markdown is a table of several" in capsys.readouterr().err


def test_runs_stand_side_by_side_with_the_metrics_of_their_samples(capsys, tmp_path):
    network = UNet(model_channels=8, channel_mult=(1,), attention_levels=())
    spectrum = {"unit": "cycles", "frequency": [1.0], "real": [1.0], "generated": [1.0]}
    judged = {"count": 4, "path": "set"}
    for name, metrics in (("a", {"fid": 2.5}), ("b", {"kid": 3.0})):
        checkpoint = tmp_path / name / "checkpoints/step_00000001"
        Denoiser(network, EDM(), (3, 8, 8)).save_pretrained(checkpoint / "ema")
        mark(checkpoint)
        (tmp_path / name / "config.yaml").write_text("network: null")
        found = {"metrics": metrics, "spectrum": spectrum, "samples": judged, "reference": judged}
        found["units"] = {"fid": "", "kid": "dB"}
        (tmp_path / name / "evaluation.json").write_text(json.dumps(found))
    table = side_by_side(each_facts([InfoOptions(str(tmp_path / name), name=name) for name in "ab"]))
    assert table.headings[-2:] == ["fid", "kid (dB)"]
    assert [row[-2:] for row in table.rows] == [["2.5", "-"], ["-", "3"]]


def test_a_table_too_wide_for_a_terminal_has_a_line_a_fact():
    table = turned(TextTable("Side by side", ["", "parameters", "fid"], [["a", "1M", "2.5"], ["b", "2M", "-"]]))
    assert [line.split() for line in columns(table).splitlines()] == [
        ["a", "b"],
        ["parameters", "1M", "2M"],
        ["fid", "2.5", "-"],
    ]


def test_text_and_the_machine(capsys):
    assert main(["info", "network=sd_ffhq"]) == 0
    assert "21,094,683" in capsys.readouterr().out
    assert facts(capsys)["torch"] == torch.__version__


@pytest.mark.parametrize(
    "words, message",
    [
        (["network=sd_ffqh"], "sd_ffhq"),
        (["network=sd_ffhq", "network.reading=litteral"], '"paper" or "literal"'),
        (["network=diffwave", "shape=[2,512]"], "one channel of sound"),
        (["network=small_unet", "from=tests"], "from=tests brings its own network: leave network out, or from."),
    ],
)
def test_bad_input_is_one_sentence(capsys, words, message):
    assert main(["info", *words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_every_extra_is_looked_for():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert EXTRAS.keys() == project["optional-dependencies"].keys() - {"dev"}
