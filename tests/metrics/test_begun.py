"""Features that were found before an evaluation was cut off are not found again, and it ends as an undisturbed one."""

import pytest
import torch

from mmspec.interruption import Interrupted
from mmspec.metrics.begun import BegunFeatures
from mmspec.metrics.inception import Inception
from tests.metrics.test_fid import config, evaluate, evaluated, network, pixels  # noqa: F401
from tests.packed import write_pictures


def test_what_was_half_written_is_cut_off(tmp_path):
    begun = BegunFeatures(tmp_path / "begun/file")
    batches = [torch.rand(3, 2), torch.rand(1, 2)]
    assert begun.read() == []
    for batch in batches:
        begun.add(batch)
    whole = begun.file.read_bytes()
    for lost in (1, 9, 40):
        begun.file.write_bytes(whole[:-lost])
        (first,) = begun.read()
        assert torch.equal(first, batches[0])
        begun.add(batches[1])
        assert begun.file.read_bytes() == whole


def test_an_evaluation_goes_on_with_the_batches_that_it_had(tmp_path, network, monkeypatch):  # noqa: F811
    keys = {
        "reference": str(write_pictures(tmp_path / "real", pixels(100, 0))),
        "samples": str(write_pictures(tmp_path / "fake", pixels(80, 1))),
        "train": str(write_pictures(tmp_path / "train", pixels(90, 2))),
        "extractors": {"inception": network},
        "batch_size": 32,
    }
    expected = evaluated(tmp_path, **keys, out=str(tmp_path / "evaluation.json"))
    seen, forward = [], Inception.forward

    def interrupted(self, x):
        if len(seen) in (2, 6):
            seen.append(0)
            raise KeyboardInterrupt
        seen.append(len(x))
        return forward(self, x)

    monkeypatch.setattr(Inception, "forward", interrupted)
    (tmp_path / "evaluation.json").unlink()
    for file in (tmp_path / "cache").iterdir():
        file.unlink()
    for _ in range(2):
        with pytest.raises(Interrupted, match="what was found is kept"):
            evaluate.run(config(tmp_path, **keys))
    assert evaluated(tmp_path, **keys) | {"command": ""} == expected | {"command": ""}
    # The reference, the samples, the training signals, each cut-off batch once more.
    assert seen == [32, 32, 0, 32, 4, 32, 0, 32, 16, 32, 32, 16]
    assert [file.suffix for file in (tmp_path / "cache").iterdir()] == [".npy"]
