"""The pickles in torch.save's files: tensors as windows of storages elsewhere in the file, and what is beside them.

Values become values; objects of other packages stay inert names and states; nothing is executed.
"""

import builtins
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mmspec.pretrained.inert_pickle import Global, Made, Refused, hashable, text
from mmspec.pretrained.numpy_pickle import NUMPY, decoded
from mmspec.strangers import Allowance

DTYPES = {f"torch.{name}": value for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
STORAGES = {
    "torch.FloatStorage": torch.float32,
    "torch.DoubleStorage": torch.float64,
    "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16,
    "torch.LongStorage": torch.int64,
    "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16,
    "torch.CharStorage": torch.int8,
    "torch.ByteStorage": torch.uint8,
    "torch.BoolStorage": torch.bool,
    "torch.ComplexFloatStorage": torch.complex64,
    "torch.ComplexDoubleStorage": torch.complex128,
    "torch.storage.UntypedStorage": torch.uint8,
    "torch.QInt8Storage": torch.int8,  # codes of quantized numbers
    "torch.QUInt8Storage": torch.uint8,
    "torch.QInt32Storage": torch.int32,
    "torch.QUInt4x2Storage": torch.uint8,
    "torch.QUInt2x4Storage": torch.uint8,
}
TYPES = ("dict", "list", "tuple", "str", "int", "float", "bool", "long", "unicode")  # which containers name
VALUES = ("complex", "object", "range", "slice", "xrange")
SINGLE = ("Ellipsis", "NotImplemented")
EXCEPTIONS = [name for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, Exception)]
INERT = (  # values of Python's own that people keep beside weights; none is made, so that none can do harm
    *("argparse.Namespace", "array.array", "array._array_reconstructor", "http.HTTPStatus"),
    *(f"collections.{name}" for name in ("ChainMap", "Counter", "UserDict", "UserList", "UserString", "deque")),
    *(f"datetime.{name}" for name in ("date", "datetime", "time", "timedelta", "timezone")),
    *("decimal.Decimal", "fractions.Fraction", "uuid.SafeUUID", "uuid.UUID", "zoneinfo.ZoneInfo"),
    "zoneinfo.ZoneInfo._unpickle",
    *(f"inspect.{name}" for name in ("Parameter", "Signature", "_ParameterKind", "_empty")),
    *(f"ipaddress.IPv{version}{kind}" for version in (4, 6) for kind in ("Address", "Interface", "Network")),
    *("logging.Logger", "logging.getLogger", "os.stat_result", "random.Random", "re.RegexFlag", "re._compile"),
    *("string.Template", "time.struct_time", "types.GenericAlias", "types.SimpleNamespace", "types.UnionType"),
    *(
        f"pathlib.{place}{pure}{kind}Path"
        for place in ("", "_local.")
        for pure in ("", "Pure")
        for kind in ("", "Posix", "Windows")
    ),
    *(f"typing.{name}" for name in ("Any", "Callable", "Dict", "List", "Optional", "Sequence", "Tuple", "Union")),
    *(f"_operator.{name}" for name in ("getitem", "or_")),  # of types, as of all of these: Optional[int], int | None
    *(f"operator.{name}" for name in ("attrgetter", "itemgetter")),
    *("_functools.reduce", "__builtin__.reduce"),
    *(f"{module}.{name}" for module in ("builtins", "__builtin__") for name in VALUES),
    *(f"{module}.{name}" for module in ("builtins", "exceptions") for name in EXCEPTIONS),
    *("torch.device", "torch.serialization._get_layout"),
)


class Storage(NamedTuple):
    """A run of numbers in a file, by its key there."""

    key: str
    dtype: torch.dtype
    numbers: int


class Window(NamedTuple):
    """A tensor that is still in the file."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


Load = Callable[[Storage], Tensor]  # the numbers of a storage, flat


def described(identity: Any) -> Storage:
    """The storage of a persistent id.

    Raises:
        Refused: for a type that torch does not have, or a part of another storage.
        ValueError: for what is no storage.
    """
    kind, storage_type, key, _device, count, *view = identity
    if kind != "storage" or type(storage_type) is not Global:
        raise ValueError("a storage without its type")
    if storage_type.name not in STORAGES or any(view):
        raise Refused(f"the storage {storage_type.name}{' within another' if any(view) else ''}")
    return Storage(key if isinstance(key, str) else str(int(key)), STORAGES[storage_type.name], int(count))


def numbers(data: bytes | bytearray, storage: Storage) -> Tensor:
    """The bytes of a storage as a flat tensor, ``[numbers]``.

    Raises:
        ValueError: if they are not as many as it says.
    """
    if len(data) != storage.numbers * storage.dtype.itemsize:
        raise ValueError(f"a storage of {len(data)} bytes for {storage.numbers} numbers of {storage.dtype}")
    return torch.frombuffer(bytearray(data), dtype=storage.dtype) if data else torch.empty(0, dtype=storage.dtype)


def filled(content: Any, load: Load, room: Allowance, done: dict[int, Any] | None = None) -> Any:
    """Content with tensors in place of windows, in dictionaries, lists and tuples; those on one storage share it.

    Args:
        content: as read.
        load: gives the numbers of a storage.
        room: bytes of tensors, each counted in full: many may share one storage, and one may repeat a number of it.
        done: what has been filled so far, by identity: pickles may hold one thing many times.

    Raises:
        TooMuch: for larger tensors than there is room for.
    """
    done = {} if done is None else done
    if id(content) not in done:
        done[id(content)] = _filled(content, load, room, done)
    return done[id(content)]


def _filled(content: Any, load: Load, room: Allowance, done: dict[int, Any]) -> Any:
    if type(content) is Window:
        storage, offset, size, stride = content
        tensor = torch.as_strided(load(storage), size, stride, offset)
        room.take(tensor.nbytes)
        return tensor
    if type(content) in (dict, OrderedDict):
        return {key: filled(value, load, room, done) for key, value in content.items()}
    if type(content) in (list, tuple):
        return type(content)(filled(value, load, room, done) for value in content)
    return content


def uncalled(*_: Any) -> None:
    """In a table, for what may be named alone.

    Raises:
        Refused: always.
    """
    raise Refused("a call of a type")


def ordered(*pairs: Any) -> OrderedDict[Any, Any]:
    """Of an OrderedDict's arguments: none, or a list of pairs."""
    if not pairs or pairs[0] in ([], ()):
        return OrderedDict()
    return OrderedDict((hashable(key), value) for key, value in pairs[0])


def _default(*_: Any) -> dict[Any, Any]:
    return {}


def _window(storage: Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Window:
    return Window(storage, offset, size, stride)


def _window_of_bytes(storage: Storage, offset: int, size: Any, stride: Any, *others: Any) -> Window:
    dtype = DTYPES[others[2].name]  # after whether it has a gradient, and its hooks
    return Window(Storage(storage.key, dtype, storage.numbers // dtype.itemsize), offset, size, stride)


def _first(value: Any, *_: Any) -> Any:
    return value


def _of_type(function: Global, _type: Any, arguments: tuple[Any, ...], *_: Any) -> Any:
    return GLOBALS[function.name](*arguments)


def _reconstructed(kind: Global, *_: Any) -> Made:
    return Made(kind.name)


def _set(items: Any = ()) -> frozenset[Any]:
    return frozenset(map(hashable, items))


def _named(name: str, *arguments: Any) -> Made:
    return Made(name, {"arguments": arguments})


def _attribute(owner: Any, name: Any) -> Global | Made:
    """Of a class or object that is inert itself: a class within a class, a bound method."""
    if type(owner) not in (Global, Made) or text(name)[:2] == name[-2:] == "__":
        raise Refused(f"builtins.getattr, {name} of a {type(owner).__name__}")
    return Global(f"{owner.name}.{name}") if isinstance(owner, Global) else Made(f"{owner.kind}.{name}")


def _type_of(value: Any, *others: Any) -> Made:
    """The type of None or an ellipsis, which have no names; three arguments would make a class."""
    if others:
        raise Refused("builtins.type, a class that is made on the way")
    return Made("type", {"arguments": (value,)})


GLOBALS: Mapping[str, Callable[..., Any]] = {
    "collections.OrderedDict": ordered,
    "collections.defaultdict": _default,
    "torch._utils._rebuild_tensor": _window,
    "torch._utils._rebuild_tensor_v2": _window,
    "torch._utils._rebuild_tensor_v3": _window_of_bytes,
    "torch._utils._rebuild_parameter": _first,
    "torch._utils._rebuild_parameter_with_state": _first,
    "torch._tensor._rebuild_from_type_v2": _of_type,
    "torch.Size": _first,
    "copyreg._reconstructor": _reconstructed,
    "copy_reg._reconstructor": _reconstructed,
    "_codecs.encode": decoded,
    **NUMPY,
    **dict.fromkeys((*STORAGES, *DTYPES), uncalled),
    **{name: partial(_named, name) for name in INERT},
    **{f"{module}.{name}": uncalled for module in ("builtins", "__builtin__") for name in (*TYPES, *SINGLE)},
    **dict.fromkeys(("builtins.getattr", "__builtin__.getattr"), _attribute),
    **dict.fromkeys(("builtins.type", "__builtin__.type"), _type_of),
    **dict.fromkeys(("builtins.set", "__builtin__.set", "builtins.frozenset", "__builtin__.frozenset"), _set),
    **dict.fromkeys(("builtins.bytes", "__builtin__.bytes", "builtins.bytearray", "__builtin__.bytearray"), decoded),
}
