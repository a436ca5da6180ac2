"""Parts by name: ``{type: Name, **arguments}`` -> an object of a class of that name.

Configurations come from files that anybody may have written, so a name stands for a subclass that this process has
imported already, and for nothing else: no import path, no code.
"""

import inspect
import math
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, TypeVar, get_args, get_origin, get_type_hints

from mmspec.errors import InputError
from mmspec.strangers import shown
from mmspec.typed import below, call, checked, nearest, refuse_unknown

if TYPE_CHECKING:
    from mmspec.losses.auto import Auto

T = TypeVar("T")


def choices(base: type[T]) -> dict[str, type[T]]:
    """The concrete subclasses of a base class, and itself, by name, but those that begin with an underscore.

    A class that is defined anew at the same place, as in a notebook, takes the place of the old one.

    Raises:
        InputError: if two have one name, in which case and underscores do not matter.
    """
    found: dict[str, type[T]] = {}
    for cls in (base, *_descendants(base)):
        name = cls.__name__
        if inspect.isabstract(cls) or name.startswith("_"):
            continue
        twin = found.setdefault(_letters(name), cls)
        if (twin.__name__, twin.__module__) != (name, cls.__module__):
            raise InputError(
                f"{name} is a class of {cls.__module__}, and {twin.__name__} of {twin.__module__}: give yours another "
                "name."
            )
        found[_letters(name)] = cls
    return {cls.__name__: cls for cls in found.values()}


def named(name: str, base: type[T], where: str) -> type[T]:
    """The subclass of a name, in which case and underscores do not matter.

    Raises:
        InputError: if there is none; the sentence says the nearest one, and where others come from.
    """
    table = choices(base)
    by_letters = {_letters(each): each for each in table}
    if (found := by_letters.get(_letters(name))) is None:
        raise InputError(
            f"{where}={name} is unknown: {nearest(name, table)}{', '.join(table)}; a class of your own comes with "
            "plugins=[FILE.py]."
        )
    return table[found]


@dataclass(frozen=True)
class Component:
    """A part as configurations write it: ``{type: Name, **arguments}``.

    Attributes:
        name: of a class.
        arguments: of its constructor.
        plugin: name and SHA-256 of the plug-in that the class is from, where it is from one.
    """

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    plugin: dict[str, str] | None = None
    by_name: ClassVar[bool] = True  # without arguments, a configuration may write the name alone

    @classmethod
    def read(cls, config: object, where: str) -> "Component":
        """From a mapping, or from a name alone.

        Raises:
            InputError: if it is neither, or has no ``type``.
        """
        if isinstance(config, str):
            return cls(config)
        if not isinstance(config, Mapping) or not isinstance(config.get("type"), str):
            raise InputError(f"{where} takes {{type: NAME, ...}}, not {shown(config)}.")
        arguments = {str(key): value for key, value in config.items() if key not in ("type", "plugin")}
        plugin = checked(config.get("plugin"), dict[str, str] | None, f"{where}.plugin")
        if plugin is not None and not {"name", "sha256"} <= plugin.keys():
            raise InputError(f"{where}.plugin takes the keys name and sha256, not {', '.join(plugin) or 'none'}.")
        return cls(config["type"], arguments, plugin)

    @classmethod
    def of(cls, part: Any) -> "Component":
        """What a part with a ``config`` of its constructor's arguments is made of."""
        return cls(type(part).__name__, dict(part.config), plugin_of(part))

    def write(self) -> dict[str, Any]:
        """The mapping that `read` takes."""
        return {"type": self.name, **self.arguments, **({"plugin": self.plugin} if self.plugin else {})}

    def without(self, *names: str) -> "Component":
        """The same, without these arguments."""
        return replace(self, arguments={name: value for name, value in self.arguments.items() if name not in names})

    def of_class(self, base: type[T], where: str) -> type[T]:
        """The class that it names.

        Raises:
            InputError: if there is none, or it is of a plug-in that is missing or has changed.
        """
        if self.plugin is None:
            return named(self.name, base, f"{where}.type")
        file, sha256 = self.plugin["name"], self.plugin["sha256"]
        needed = f"{where}.type={self.name} is of the plug-in {file} (SHA-256 {sha256[:12]})"
        if self.name not in choices(base):
            raise InputError(f"{needed}, which is not loaded: give plugins=[PATH/{file}].")
        made: type[T] = choices(base)[self.name]
        found = getattr(sys.modules.get(made.__module__), "__plugin__", {"name": made.__module__, "sha256": "none"})
        if found["sha256"] != sha256:
            raise InputError(
                f"{needed}, and {found['name']} has another ({found['sha256'][:12]}): give the file as it was then."
            )
        return made

    def build(self, base: type[T], where: str, **facts: Any) -> T:
        """The part itself.

        Args:
            base: of the class that is named.
            where: what errors call it: a key or a file.
            facts: arguments that follow from the data; the class must take them, and the configuration must not.

        Raises:
            InputError: for an unknown name, an unknown, missing or fixed argument, or a value that the class refuses.
        """
        return construct(self.of_class(base, where), self.arguments, where, **facts)

    def with_auto(self, base: type[Any], where: str, sigma_data: float) -> "Component":
        """The same, with a number for every ``auto`` that its class knows to find from sigma_data.

        Raises:
            InputError: if there is an ``auto``, and sigma_data is not above 0.
        """
        if "auto" not in self.arguments.values():
            return self
        if not 0 < sigma_data < math.inf:
            raise InputError(
                f"{where}: auto follows from the deviation of the data, which is {sigma_data:g}: give numbers in its "
                "place, or data that differ."
            )
        hints = get_type_hints(_constructor(self.of_class(base, where)), include_extras=True)
        arguments = {
            name: auto.of(sigma_data) if value == "auto" and (auto := _auto(hints.get(name))) else value
            for name, value in self.arguments.items()
        }
        return replace(self, arguments=arguments)


def construct(made: Callable[..., T], options: Mapping[str, Any], where: str, **facts: Any) -> T:
    """Call a class with options from a configuration; arguments and errors as for `Component.build`."""
    accepted = list(inspect.signature(made).parameters)
    for key in facts:
        if key in options:
            raise InputError(f"{below(where, key)} follows from the data and cannot be set: leave it out.")
        if key not in accepted:
            raise InputError(
                f"{where}: {made.__name__} takes no {key}, which is {facts[key]!r} here: it must have an argument of "
                "that name."
            )
    refuse_unknown(options, [name for name in accepted if name not in facts], where, made.__name__)
    hints = get_type_hints(_constructor(made), include_extras=True)
    values = {name: checked(value, hints.get(name, Any), below(where, name)) for name, value in options.items()}
    return call(made, {**values, **facts}, where)


def plugin_of(part: Any) -> dict[str, str] | None:
    """Name and SHA-256 of the plug-in that a part's class is from, where it is from one."""
    found: dict[str, str] | None = getattr(sys.modules.get(type(part).__module__), "__plugin__", None)
    return found


class Configured:
    """An object that knows how it was made: ``config`` holds its constructor's arguments, defaults included."""

    config: dict[str, Any]

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        self = super().__new__(cls)
        try:
            bound = inspect.signature(cls).bind(*args, **kwargs)
        except TypeError:  # a copy, which brings its own; or wrong arguments, of which __init__ will tell
            return self
        bound.apply_defaults()
        self.__dict__["config"] = {name: _plain(value) for name, value in bound.arguments.items()}
        return self


def _descendants(base: type[T]) -> Iterator[type[T]]:
    for cls in base.__subclasses__():
        yield cls
        yield from _descendants(cls)


def _letters(name: str) -> str:
    return name.lower().replace("_", "")


def _constructor(made: Any) -> Any:
    """Where the types of a class's arguments stand."""
    return made if inspect.isfunction(made) or hasattr(made, "__dataclass_fields__") else made.__init__


def _auto(hint: Any) -> "Auto | None":
    from mmspec.losses.auto import Auto  # losses bring torch, which parts without an auto can do without

    extras = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    return next((extra for extra in extras if isinstance(extra, Auto)), None)


def _plain(value: Any) -> Any:
    """As JSON has it: a sequence is a list."""
    return list(value) if isinstance(value, tuple | list) else value
