"""Training from tar shards: files, commands, servers and several processes take the same steps."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from mmspec.cli import main
from mmspec.data import open_dataset
from mmspec.experiment.verification import recorded_experiment
from mmspec.training.run import Run
from tests.programs import two_processes
from tests.shards import prepared, served, write_pictures

SMALL = [
    "network.model_channels=8",
    "network.channel_mult=[1]",
    "network.num_blocks=1",
    "network.attention_levels=[]",
    "trainer.device=cpu",
    "trainer.batch_size=8",
]
CODE = "import sys; from mmspec.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return prepared(write_pictures(folder / "source", 60), folder / "shards", "--shards", 7)


def words(data, run, steps, *more):
    return ["train", f"data.train={data}", f"run_dir={run}", f"trainer.max_steps={steps}", *SMALL, *more]


def weights(run, step):
    return load_file(run / f"checkpoints/step_{step:08}/model.safetensors")


@pytest.fixture(scope="module")
def undisturbed(shards, tmp_path_factory):
    """12 steps of 8 samples, of which there are 60."""
    run = tmp_path_factory.mktemp("runs") / "undisturbed"
    assert main(words(shards, run, 12)) == 0
    return weights(run, 12)


def test_a_run_that_was_cut_off_in_a_shard_goes_on_bit_for_bit_from_wherever_the_shards_lie(
    shards, tmp_path, undisturbed
):
    run, names = tmp_path / "run", "shard-{000000..000008}.tar"
    assert main(words(shards, run, 5, f"data.shards='pipe:cat {shards}/{names}'")) == 0
    with served(shards) as (address, seen):
        assert main(words(shards, run, 9, f"data.shards='{address}/{names}'")) == 0
        assert len(seen) > 2
    assert main(words(shards, run, 12)) == 0
    resumed = weights(run, 12)
    assert resumed.keys() == undisturbed.keys() and all(resumed[name].equal(undisturbed[name]) for name in resumed)


def test_two_processes_take_the_steps_of_one(shards, tmp_path, undisturbed):
    two_processes(CODE, *words(shards, tmp_path / "run", 12))
    for name, value in weights(tmp_path / "run", 12).items():
        torch.testing.assert_close(value, undisturbed[name], rtol=0, atol=3e-6)


def test_a_broken_shard_is_named_at_once_and_counted_at_the_end(shards, tmp_path, capfd):
    for file in shards.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "shard-000004.tar").write_bytes(b"")
    assert main(words(tmp_path, tmp_path / "run", 8)) == 0
    said = [line for line in capfd.readouterr().err.splitlines() if "shard-000004.tar" in line]
    broken = f"{tmp_path}/shard-000004.tar is of 0 bytes, expected 20,480 by its index"
    assert said[0] == f"{broken}; it is passed over, and others stand in for its samples"
    assert (
        said[1] == f"{broken}: 8 of its samples, counted as often as they were due, were passed over."
        and len(said) == 2
    )


def test_a_command_in_the_file_of_a_run_is_not_obeyed(shards, tmp_path):
    assert main(words(shards, tmp_path / "run", 1)) == 0
    file = tmp_path / "run/config.yaml"
    file.write_text(file.read_text().replace("shards: null", f"shards: 'pipe:touch {tmp_path}/done'"))
    run = Run(tmp_path / "run")
    assert run.data("shards") and recorded_experiment(run).data.shards is None
    assert not (tmp_path / "done").exists()


def test_an_evaluation_takes_shards_for_what_is_packed(shards, tmp_path):
    source = write_pictures(tmp_path / "source", 60)
    packed, found = prepared(source, tmp_path / "packed"), []
    for reference in (packed, shards):
        out = tmp_path / f"{reference.name}.json"
        assert main(["evaluate", f"samples={packed}", f"reference={reference}", "device=cpu", f"out={out}"]) == 0
        found.append(json.loads(out.read_text())["metrics"])
    assert found[0] == found[1]


def test_stretches_of_recordings_come_from_files_alone(tmp_path, capsys):
    import soundfile

    from data_prep import audio
    from mmspec.data.crops import Crops

    (tmp_path / "source").mkdir()
    for number in range(6):
        noise = np.random.default_rng(number).uniform(-0.5, 0.5, 300 + 50 * number)
        soundfile.write(tmp_path / f"source/{number}.wav", noise, 8000)
    sets = []
    for options in ([], ["--shards", "4"]):
        out = tmp_path / f"out{len(options)}"
        assert audio.main([str(tmp_path / "source"), str(out), "--sample-rate", "8000", *options]) == 0
        sets.append(Crops(open_dataset(out), 64, 32, margin=16))
    rows = np.arange(len(sets[0]))
    assert len(sets[0]) == len(sets[1]) and sets[0].batch(rows)[0].equal(sets[1].batch(rows)[0])
    capsys.readouterr()
    given = [f"data.shards='pipe:cat {tmp_path}/out2/shard-{{000000..000001}}.tar'", "data.crop=64"]
    assert main(words(tmp_path / "out2", tmp_path / "run", 1, *given)) == 2
    assert "stretches of recordings are read in any order, which pipe:cat" in capsys.readouterr().err
