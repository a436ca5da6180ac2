"""Values of configurations held against types: what is taken, and the sentence where it is not."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from mmspec.errors import InputError
from mmspec.typed import checked, keys_with, read, write


@dataclass(frozen=True)
class _Inner:
    betas: tuple[float, float] = (0.9, 0.99)
    device: Literal["auto", "cpu"] = field(default="auto", metadata={"free": True})


@dataclass(frozen=True)
class _Outer:
    steps: int
    from_: str | None = None
    inner: _Inner = field(default_factory=_Inner)
    named: dict[str, _Inner] = field(default_factory=dict)
    out: Path | None = None
    shown: _Inner = field(default_factory=_Inner, metadata={"free": True})


def test_a_configuration_becomes_a_dataclass_and_back():
    config = {"steps": 3, "from": "exp/a", "inner": {"betas": [0.5, 1]}, "named": {"x": {}}, "out": "a.png"}
    made = read(_Outer, config)
    assert made == _Outer(3, "exp/a", _Inner((0.5, 1)), {"x": _Inner()}, Path("a.png"))
    again = write(made)
    assert again["from"] == "exp/a" and again["inner"]["betas"] == [0.5, 1] and again["out"] == "a.png"
    assert read(_Outer, again) == made


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"steps": 4.0}, "trainer.steps takes a whole number, not 4.0."),
        ({"steps": True}, "trainer.steps takes a whole number, not true."),
        ({"steps": "ten"}, "trainer.steps takes a whole number, not 'ten'."),
        ({"steps": 1, "from": 3}, "trainer.from takes a text or null, not 3."),
        ({"steps": 1, "inner": {"device": "gpu"}}, "trainer.inner.device takes 'auto' or 'cpu', not 'gpu'."),
        ({"steps": 1, "inner": {"betas": [0.1]}}, "trainer.inner.betas takes a list of 2 numbers, not [0.1]."),
        ({"steps": 1, "inner": 5}, "trainer.inner takes keys and values, not 5."),
        ({"steps": 1, "named": {"x": {"beta": 1}}}, "trainer.named.x.beta is no option: did you mean betas?"),
        ({"stops": 1}, "trainer.stops is no option: did you mean steps? Expected one of steps, from, inner"),
        ({}, "trainer.steps must be given"),
    ],
)
def test_what_does_not_fit_names_the_field_what_it_takes_and_the_value(config, message):
    with pytest.raises(InputError) as caught:
        read(_Outer, config, "trainer")
    assert str(caught.value).startswith(message) or message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_numbers_may_be_whole_and_lists_of_any_length_where_the_type_says_so():
    assert checked(3, float, "a") == 3
    assert checked([1, 2.5], tuple[float, ...], "a") == (1, 2.5)
    assert checked(["x"], tuple[Path, ...], "a") == (Path("x"),)
    with pytest.raises(InputError, match="a takes a whole number or a list of whole numbers, not"):
        checked([1, "b"], int | list[int], "a")


def test_a_mark_of_a_field_is_of_its_key_and_of_a_group_of_all_of_its_keys():
    assert keys_with(_Outer, "free") == ["inner.device", "shown.betas", "shown.device"]
