"""Read a pickle as data.

Pickle is a program for a small stack machine, which can import and call anything. `read` walks through that program
itself: where it names a global, a closed table says what stands for it. Objects of other packages may become their
names and states; every other name is refused, Python's own foremost. Nothing is ever imported, and nothing but the
table's functions is ever called. How many instructions there may be, and how much they may copy, is known before.
"""

import io
import pickletools
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping
from mmap import mmap
from typing import IO, Any, NamedTuple, cast

from mmspec.strangers import PARTS, Allowance, TooMuch, is_within


class Refused(ValueError):
    """A pickle asks for what its reader does not allow; the message names it."""


class Global(NamedTuple):
    """What stands for a global of the table until it is called."""

    name: str


class Made(dict[str, Any]):
    """An object as its class name and its state, or items; the class itself is nowhere.

    Attributes:
        kind: name of the class.
    """

    def __init__(self, kind: str, state: dict[str, Any] | None = None) -> None:
        super().__init__(state or {})
        self.kind = kind

    def __hash__(self) -> int:  # type: ignore[override]  # as what it stands for, it may lie in a set
        return id(self)


Stream = io.BytesIO | mmap
Table = Mapping[str, Callable[..., Any]]

CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
CONTAINERS: dict[str, type] = {"EMPTY_TUPLE": tuple, "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": set}
TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "BYTEARRAY8"),
}
OWN = (*sys.stdlib_module_names, "__builtin__", "copy_reg", "commands", "exceptions")  # Python's, of both generations
REBUILT = (  # arrays, generators and tensors of odd layouts, by functions of these
    *("numpy.core.", "numpy._core.", "numpy.random.", "numpy.ma.", "numpy.rec."),
    *("torch._utils._rebuild_", "torch._tensor._rebuild_"),
)
MOST_INSTRUCTIONS = 3_000_000  # a checkpoint has about 30 for each of its tensors
FREE_COPIES, COPIES_A_BYTE = 1 << 20, 4  # bytes and parts that calls may copy: one text may be handed to all of them


def read(stream: Stream, table: Table, persistent: Callable[[Any], Any] | None = None, inert: bool = False) -> Any:
    """The object that the pickle at the stream's position describes; leaves the stream behind it.

    Args:
        stream: a mapped file or `io.BytesIO`, which do not make room for more than there is.
        table: full name of a global -> function of the arguments that the pickle gives it.
        persistent: function of a persistent id; None refuses them.
        inert: whether globals of other packages than Python's own may be named, and their classes called, which makes
            a `Made` of that name.

    Raises:
        Refused: for a global that is neither in the table nor inert, an instruction that data have no need of, or a
            key that takes long to hash.
        TooMuch: for more instructions, or copies, than a file of this size may have.
        ValueError, TypeError, LookupError: for a stream that is cut short or makes no sense.
    """
    machine = _Machine(table, persistent, inert, Allowance(FREE_COPIES + COPIES_A_BYTE * _left(stream), "copies"))
    for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(IO[bytes], stream))):
        if opcode.name == "STOP":
            break
        if count == MOST_INSTRUCTIONS:
            raise TooMuch(f"more than {count:,} instructions of pickle")
        machine.step(opcode.name, argument)
    return machine.stack.pop()


def _left(stream: Stream) -> int:
    """Bytes from a stream's position on."""
    start = stream.tell()
    stream.seek(0, io.SEEK_END)
    end = stream.tell()
    stream.seek(start)
    return end - start


class _Machine:
    """Pickle's stack machine; a method for each instruction that is more than a value."""

    def __init__(self, table: Table, persistent: Callable[[Any], Any] | None, inert: bool, copies: Allowance) -> None:
        self.table, self.persistent, self.inert, self.copies = table, persistent, inert, copies
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below each mark
        self.memo: dict[int, Any] = {}

    def step(self, name: str, argument: Any) -> None:
        if name in LITERALS:
            self.stack.append(argument)
        elif (instruction := _INSTRUCTIONS.get(name)) is not None:
            instruction(self, argument)
        elif name in CONSTANTS:
            self.stack.append(CONSTANTS[name])
        elif name in CONTAINERS:
            self.stack.append(CONTAINERS[name]())
        elif name in TUPLES:
            count = TUPLES[name]
            self.stack[-count:] = [tuple(self._top(count))]
        elif name not in ("PROTO", "FRAME"):
            raise Refused(_called(argument) if name == "INST" else f"the pickle instruction {name}")

    def _top(self, count: int) -> list[Any]:
        if len(self.stack) < count:
            raise IndexError("an empty stack")
        return self.stack[-count:]

    def _above_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.outer.pop()
        return items

    def _named(self, name: str) -> Global:
        if name not in self.table and not (self.inert and _is_foreign(name)):
            raise Refused(name)
        return Global(name)

    def on_put(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    on_binput = on_long_binput = on_put

    def on_get(self, place: int) -> None:
        self.stack.append(self.memo[place])

    on_binget = on_long_binget = on_get

    def on_memoize(self, _: None) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def on_mark(self, _: None) -> None:
        self.outer.append(self.stack)
        self.stack = []

    def on_pop(self, _: None) -> None:
        self.stack.pop()

    def on_tuple(self, _: None) -> None:
        items = self._above_mark()
        self.stack.append(tuple(items))

    def on_append(self, _: None) -> None:
        item = self.stack.pop()
        self._extend([item])

    def on_appends(self, _: None) -> None:
        self._extend(self._above_mark())

    def _extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is list:
            self.stack[-1].extend(items)
        elif type(self.stack[-1]) is not Made:  # such as a subclass of list's
            raise TypeError("only lists are appended to")

    def on_additems(self, _: None) -> None:
        items = self._above_mark()
        if type(self.stack[-1]) is not set:
            raise TypeError("only sets are added to")
        self.stack[-1].update(map(hashable, items))

    def on_frozenset(self, _: None) -> None:
        items = self._above_mark()
        self.stack.append(frozenset(map(hashable, items)))

    def on_list(self, _: None) -> None:
        items = self._above_mark()
        self.stack.append(items)

    def on_dict(self, _: None) -> None:
        items = self._above_mark()
        self.stack.append({})
        self._update(items)

    def on_setitem(self, _: None) -> None:
        items = [self.stack.pop(), self.stack.pop()]
        self._update(items[::-1])

    def on_setitems(self, _: None) -> None:
        self._update(self._above_mark())

    def _update(self, items: list[Any]) -> None:
        if type(self.stack[-1]) not in (dict, OrderedDict, Made):
            raise TypeError("only dictionaries have items")
        self.stack[-1].update(zip(map(hashable, items[::2]), items[1::2], strict=True))

    def on_global(self, argument: str) -> None:
        self.stack.append(self._named(_called(argument)))

    def on_stack_global(self, _: None) -> None:
        name, module = text(self.stack.pop()), text(self.stack.pop())
        self.stack.append(self._named(f"{module}.{name}"))

    def on_reduce(self, _: None) -> None:
        self._call(classes=False)

    def on_newobj(self, _: None) -> None:
        self._call(classes=True)

    def _call(self, classes: bool) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Global or type(arguments) is not tuple:
            raise Refused("a call of what is no global")
        made = self.table.get(function.name)
        if made is None and not (classes or _makes_an_object(function.name)):
            raise Refused(function.name)
        self.copies.take(sum(map(_size, arguments)))
        self.stack.append(Made(function.name) if made is None else made(*arguments))

    def on_build(self, _: None) -> None:
        state = self.stack.pop()
        if type(self.stack[-1]) is OrderedDict and type(state) is dict:
            return  # its attributes, such as the versions in a state dict
        if type(self.stack[-1]) is not Made:
            raise Refused("a state for what has none")
        self.copies.take(_size(state))
        self.stack[-1].update(state if isinstance(state, dict) else {"state": state})

    def on_binpersid(self, _: None) -> None:
        if self.persistent is None:
            raise Refused("a persistent id")
        self.stack.append(self.persistent(self.stack.pop()))


_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    name.removeprefix("on_").upper(): method for name, method in vars(_Machine).items() if name.startswith("on_")
}


def hashable(key: Any) -> Any:
    """A key of a dictionary, or a member of a set, as it is.

    Raises:
        Refused: if it is made of too many parts, as the hash of tuples in each other takes a time that doubles with
            their depth.
    """
    if isinstance(key, tuple | frozenset) and not is_within(key):
        raise Refused(f"a key of more than {PARTS} parts")
    return key


def text(value: Any) -> str:
    """What has to be a text: to write another value as one may take for ever.

    Raises:
        Refused: if it is none.
    """
    if not isinstance(value, str):
        raise Refused(f"a {type(value).__name__} where a name stands")
    return value


def _size(value: Any) -> int:
    return len(value) if isinstance(value, str | bytes | bytearray | list | tuple | dict | set | frozenset) else 1


def _is_foreign(name: str) -> bool:
    """Whether a global is of another package than Python's own, and no part of how Python works."""
    package, *path = name.split(".")
    return package not in OWN and bool(path) and not any(part[:2] == part[-2:] == "__" for part in path)


def _makes_an_object(name: str) -> bool:
    """Whether a call of a foreign global is one of a class, by its name, or rebuilds an array or a tensor."""
    return name.rpartition(".")[2].lstrip("_")[:1].isupper() or name.startswith(REBUILT)


def _called(argument: str) -> str:
    """``module name`` of an instruction as ``module.name``."""
    return argument.replace(" ", ".")
