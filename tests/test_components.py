"""Parts by name: which names there are, what a constructor takes, and what a part remembers."""

import copy
from abc import ABC, abstractmethod
from typing import Annotated

import pytest
from torch import nn

from mmspec.components import Component, Configured, choices, construct
from mmspec.errors import InputError
from mmspec.losses.auto import Auto


class Shape(ABC):
    @abstractmethod
    def area(self) -> float: ...


class Square(Configured, Shape):
    def __init__(self, side: Annotated[float, Auto(lambda sigma_data: 2 * sigma_data)], name: str = "square") -> None:
        if side < 0:
            raise ValueError(f"side must be 0 or more, not {side}.")
        self.side = side

    def area(self) -> float:
        return self.side**2


class UnitSquare(Square):
    def __init__(self) -> None:
        super().__init__(1.0)


class _Hidden(Square):
    pass


class Layer(Configured, nn.Module):
    def __init__(self, sizes: tuple[int, ...] = (1, 2), *, bias: bool = True) -> None:
        super().__init__()


def test_choices_are_concrete_subclasses_at_any_depth_by_their_names():
    assert choices(Shape) == {"Square": Square, "UnitSquare": UnitSquare}
    assert choices(UnitSquare) == {"UnitSquare": UnitSquare}


def test_a_part_is_built_in_any_case_and_knows_how_it_was_made():
    square = Component("unit_square").build(Shape, "shape")
    assert isinstance(square, UnitSquare) and square.config == {}
    square = Component("square", {"side": 3}).build(Shape, "shape")
    assert square.area() == 9 and square.config == {"side": 3, "name": "square"}
    assert Component.of(square).write() == {"type": "Square", "side": 3, "name": "square"}
    layer = Layer((3, 4))
    assert layer.config == {"sizes": [3, 4], "bias": True} == copy.deepcopy(layer).config


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"type": "Squre"}, "shape.type=Squre is unknown: did you mean Square? Expected one of Square, UnitSquare; a "),
        ({"type": "Square"}, "shape.side must be given: Square needs it."),
        ({"type": "Square", "side": "a"}, "shape.side takes a number or auto, not 'a'."),
        ({"type": "Square", "side": 1, "nam": "x"}, "shape.nam is no option of Square: did you mean name?"),
        ({"type": "Square", "side": -1}, "shape: side must be 0 or more, not -1."),
        ({"side": 1}, "shape takes {type: NAME, ...}, not {'side': 1}."),
        ({"type": "Square", "plugin": 5}, "shape.plugin takes keys and values or null, not 5."),
        ({"type": "Square", "plugin": {"name": "a.py"}}, "shape.plugin takes the keys name and sha256, not name."),
    ],
)
def test_what_cannot_be_built_is_one_sentence(config, message):
    with pytest.raises(InputError) as caught:
        Component.read(config, "shape").build(Shape, "shape")
    assert str(caught.value).startswith(message)


def test_facts_are_taken_by_their_names_or_missed():
    assert construct(Square, {}, "shape", side=2.0).area() == 4
    with pytest.raises(InputError, match=r"shape.side follows from the data and cannot be set"):
        construct(Square, {"side": 1}, "shape", side=2.0)
    with pytest.raises(InputError, match="shape: Square takes no width, which is 7 here"):
        construct(Square, {"side": 1}, "shape", width=7)


def test_auto_is_what_the_argument_says():
    assert Component("Square", {"side": "auto"}).with_auto(Shape, "shape", 0.25).arguments == {"side": 0.5}
    kept = Component("Square", {"side": 1, "name": "auto"}).with_auto(Shape, "shape", 0.25)
    assert kept.arguments == {"side": 1, "name": "auto"}
