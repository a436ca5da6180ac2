"""The options of figures: every YAML file has a class of its name, whose fields are its keys."""

import pytest

from mmspec.components import choices, named
from mmspec.config import CONF, compose, plain
from mmspec.errors import InputError
from mmspec.experiment.figures import FigureOptions

NAMES = sorted(file.stem for file in (CONF / "figure").glob("*.yaml"))
GIVEN = {
    **{name: ["from=x"] for name in ("filters", "predictions", "gates")},
    **{name: ["data=x"] for name in ("punished", "knowable")},
    "differences": ["runs=[x]"],
}


def options(name, *overrides):
    config = plain(compose("analyze", [f"figure={name}", *GIVEN.get(name, []), *overrides]))
    return named(name, FigureOptions, "figure").read(config)


def test_every_figure_has_a_class_and_no_class_lacks_a_figure():
    assert {cls.__name__.lower() for cls in choices(FigureOptions).values()} == {n.replace("_", "") for n in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_the_defaults_are_of_the_types_that_fields_state(name):
    assert options(name).figure == name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["filters", "num=many"], "num takes a whole number, not 'many'."),
        (["filters", "sigmas=1"], "sigmas takes a list of numbers, not 1."),
        (["filters", "from=7"], "from takes a text, not 7."),
        (["gates", "device=tpu"], "device takes 'auto' or 'cpu' or 'cuda', not 'tpu'."),
        (["differences", "runs=x"], "runs takes a list of paths, not 'x'."),
        (["differences", "num=0"], "num must be 1 or more, not 0."),
        (["punished", "error=1"], "error must be above 0 and below 1, and num 1 or more, not 1 and 16."),
        (["punished", "shown=16"], "shown must be 0 to 15, one of num=16 signals, not 16."),
        (["punished", "regularizer=none"], "choose one, such as regularizer=amplitude."),
        (["knowable", "sigmas=[0,1]"], "sigmas must be 1 to 12 numbers above 0, not [0, 1]."),
        (["wiener", "highest=1"], "highest 2 or more."),
        (["frequency_bias", "hidden.small=1.5"], "hidden.small takes a whole number, not 1.5."),
        (["frequency_bias", "training.learning_rate=fast"], "training.learning_rate takes a number, not 'fast'."),
    ],
)
def test_a_wrong_value_names_the_key_and_what_it_takes(arguments, message):
    with pytest.raises(InputError) as error:
        options(*arguments)
    assert str(error.value).endswith(message)
