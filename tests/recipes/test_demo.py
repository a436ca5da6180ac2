"""The demo from its first stage to its page, with tiny models."""

import pytest

from tests.recipe_runs import run

TINY = ["trainer.max_steps=2", "trainer.batch_size=4", "network.model_channels=8", "network.channel_mult=[1,1]"]
TINY += ["network.attention_levels=[]", "--num", 10, "--steps", 2, "--seeds", "0,1"]


def test_the_page_shows_all_three_and_a_second_time_all_is_done(tmp_path):
    code, out, error = run("demo", *TINY, cwd=tmp_path)
    assert code == 0, error[-3000:]
    html = (tmp_path / "exp/demo/report.html").read_text()
    for words in ("generated digits", "generated strings", "with Haar", "with amplitude", "What helped?"):
        assert words in html
    assert len(html) < 3_000_000
    code, out, error = run("demo", *TINY, cwd=tmp_path)
    assert code == 0, error[-3000:]
    assert out.count("done before, skipped") == out.count("stage ") == 11


@pytest.mark.parametrize("dataset", ["faces", "drawn_digits,faces"])
def test_unknown_data_are_refused_before_anything_runs(tmp_path, dataset):
    code, _, error = run("demo", "--datasets", dataset, cwd=tmp_path)
    assert code == 2 and "expected some of drawn_digits, plucked_strings, photographs" in error
    assert not list(tmp_path.iterdir())
