"""How fuzzers change what is as it should be: some bytes of a file, or some values of a document."""

import copy
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

from tests.hostile import pickles

LENGTHS = (
    b"\0" * 4,
    b"\xff" * 4,
    b"\xff\xff\xff\x7f",
    b"\x7f\xff\xff\xff",
    b"\0\0\0\x80",
    b"\xff" * 8,
    b"\0\xff",
    b"\x80",
)
TEXTS = ("", "\x1b[2J", "../../etc/passwd", "nan", "auto", "1", "os.system", "a" * 300, "\u202e", "é")
NUMBERS = (-1, 0, 1, 2, 3, 7, 2**31, 2**63, 10**30, 10**400, 1e-300, 1e308, float("inf"), float("nan"), 0.5)


@st.composite
def edited(draw: st.DrawFn, content: bytes) -> bytes:
    """Content with a few stretches of it replaced, repeated, cut out, or put in."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from((0, 1, 1, 2, 4, 8, 16, 200)))
        part = content[start : start + length]
        put = draw(st.one_of(st.sampled_from((*LENGTHS, b"", part * 2, part[::-1])), st.binary(max_size=12)))
        keeps = draw(st.booleans())  # the length of the whole, without which headers fit no more
        content = content[:start] + put + content[start + (len(put) if keeps else length) :]
    return content[: draw(st.integers(0, len(content)))] if draw(st.integers(0, 9)) == 0 else content


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.sampled_from(NUMBERS), st.sampled_from(TEXTS), st.integers(-100, 10**6)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(TEXTS), inner, max_size=3)),
    max_leaves=5,
)


@st.composite
def altered(draw: st.DrawFn, document: Any) -> Any:
    """A document of JSON with a few values replaced by others, taken out, or with keys put in."""
    document = copy.deepcopy(document)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if not places:
            return draw(VALUES)
        holder, key = draw(st.sampled_from(places))
        match draw(st.integers(0, 7)):
            case 0:
                del holder[key]
            case 1 if isinstance(holder, dict):
                holder[draw(st.sampled_from(TEXTS))] = draw(VALUES)
            case 2:
                holder[key] = [holder[key]] * draw(st.sampled_from((1, 2, 100)))
            case _:
                holder[key] = draw(VALUES)
    return document


def _places(document: Any) -> Iterator[tuple[Any, Any]]:
    """All holders of a value, with its key or index."""
    keys = list(document) if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else []
    for key in keys:
        yield document, key
        yield from _places(document[key])


NAMES = (
    *("collections.OrderedDict", "collections.defaultdict", "copyreg._reconstructor", "pathlib.PosixPath", "my.Thing"),
    *(
        "torch.FloatStorage",
        "torch.float32",
        "torch.Size",
        "torch.storage._load_from_bytes",
        "numpy.dtype",
        "os.system",
    ),
    *(f"torch._utils._rebuild_{what}" for what in ("tensor_v2", "tensor_v3", "parameter")),
    *(
        "torch._tensor._rebuild_from_type_v2",
        "os.system",
        "numpy.core.multiarray.scalar",
        "_codecs.encode",
        "builtins.bytearray",
    ),
    *("builtins.set", "builtins.getattr", "builtins.type", "torch_utils.persistence._reconstruct_persistent_obj"),
)
TEXTS_OF_PICKLES = ("ema", "a", "storage", "0", "cpu", "class", "type", "state", "latin1", "_init_kwargs")
PIECES = (
    *(b"(", b")", b"t", b"\x85", b"\x86", b"\x87", b"]", b"l", b"a", b"e", b"}", b"d", b"s", b"u", b"\x8f", b"\x90"),
    *(
        b"\x91",
        b"R",
        b"\x81",
        b"b",
        b"0",
        b"Q",
        b"N",
        b"\x88",
        b"\x89",
        b"\x93",
        b"\x94",
        b"q\0",
        b"h\0",
        b"q\1",
        b"h\1",
    ),
    *(
        pickles.text(name)
        for name in ("ema", "a", "storage", "0", "cpu", "class", "type", "state", "latin1", "_init_kwargs")
    ),
    *(pickles.number(value) for value in (-1, 0, 1, 8, 2**40)),
    *(pickles.named(*name.rsplit(".", 1)) for name in NAMES),
    *(pickles.storage(pickles.text("0"), 8), pickles.window("0", 8, (8,), (1,)), pickles.doubled(3), pickles.laughs(3)),
    *(pickles.old_tensor((8,), (1,)), b"\x8a\x0a" + b"\x7f" * 10, b"G\x7f\xf0" + bytes(6)),
)
PROGRAMS = st.lists(st.sampled_from(PIECES), min_size=1, max_size=40).map(b"".join)  # of pickle's instructions
