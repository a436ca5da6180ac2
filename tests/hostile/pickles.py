"""Pickles that would run something, take for ever, or grow beyond all memory: bare, in torch's archives, and in its old
files.
"""

import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

from tests.hostile.hostile import Hostile, content

MAGIC = pickle.dumps(0x1950A86A20F9469CFC6C, 2)
END = b"."


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value) if abs(value) < 2**31 else b"\x8a\x08" + struct.pack("<q", value)


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def called(module: str, name: str, *arguments: bytes) -> bytes:
    return named(module, name) + b"(" + b"".join(arguments) + b"tR"


def mapping(**items: bytes) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def array(*items: bytes) -> bytes:
    return b"](" + b"".join(items) + b"e"


def tuples(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def doubled(times: int = 64, start: bytes = b")", join: bytes = b"\x86") -> bytes:
    """A tuple of two of what is before it, again and again: 2^times parts of 6 bytes each."""
    return start + b"q\xff" + b"".join(b"0h\xffh\xff" + join + b"q\xff" for _ in range(times))


def laughs(times: int = 64) -> bytes:
    """As `doubled`, of lists, which have no hash but a text."""
    return b"]q\xff" + b"".join(b"0](h\xffh\xffeq\xff" for _ in range(times))


def in_archive(pickled: bytes, storages: dict[str, bytes] | None = None, kind: int = zipfile.ZIP_STORED) -> Callable:
    """Writes torch.save's archive around a pickle."""

    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", kind) as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02" + pickled + END)
            archive.writestr("archive/version", b"3\n")
            for key, data in (storages or {}).items():
                archive.writestr(f"archive/data/{key}", data)

    return write


def in_old_file(pickled: bytes, keys: bytes = b"]", numbers: bytes = b"") -> Callable[[Path], object]:
    """Writes torch.save's old format around a pickle."""
    start = MAGIC + b"\x80\x02" + number(1001) + END + b"\x80\x02}" + END
    return content(start + b"\x80\x02" + pickled + END + b"\x80\x02" + keys + END + numbers)


def bare(pickled: bytes) -> Callable[[Path], object]:
    """Writes a pickle of EDM's."""
    return content(b"\x80\x03" + mapping(ema=pickled) + END)


def storage(key: bytes, count: int, kind: str = "FloatStorage") -> bytes:
    return tuples(text("storage"), named("torch", kind), key, text("cpu"), number(count)) + b"Q"


def window(key: str, count: int, size: tuple[int, ...], stride: tuple[int, ...], offset: int = 0) -> bytes:
    """A tensor of torch.save's."""
    shapes = (tuples(*map(number, each)) for each in (size, stride))
    beside = storage(text(key), count), number(offset), *shapes, b"\x89", called("collections", "OrderedDict")
    return called("torch._utils", "_rebuild_tensor_v2", *beside)


def old_tensor(size: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    """A tensor as EDM pickles it, of a storage of 8 numbers in a file of torch's old format of its own."""
    inner = MAGIC + b"\x80\x02" + number(1001) + END + b"\x80\x02}" + END + b"\x80\x02" + storage(text("0"), 8) + END
    inner += b"\x80\x02" + array(text("0")) + END + struct.pack("<q", 8) + bytes(32)
    kept = called("torch.storage", "_load_from_bytes", b"B" + struct.pack("<I", len(inner)) + inner)
    shapes = (tuples(*map(number, each)) for each in (size, stride))
    return called("torch._utils", "_rebuild_tensor_v2", kept, number(0), *shapes, b"\x89", b"}")


def network(kwargs: bytes = b"}", parameters: bytes = b"", **more: bytes) -> bytes:
    """A module as EDM's persistence pickles it."""
    parameters = parameters or mapping(**{"out_conv.weight": old_tensor((8,), (1,))})
    state = mapping(_init_kwargs=kwargs, _parameters=parameters, _buffers=b"}", _modules=b"}", **more)
    meta = mapping(type=text("class"), version=number(6), module_src=text("raise SystemExit"),
                   class_name=text("EDMPrecond"), state=state)  # fmt: skip
    return called("torch_utils.persistence", "_reconstruct_persistent_obj", meta)


CODE = {  # what would run a command or load code
    "os_system": called("os", "system", text("touch CANARY")),
    "posix_system": called("posix", "system", text("touch CANARY")),
    "subprocess": called("subprocess", "Popen", text("touch CANARY")),
    "eval": called("builtins", "eval", text("open('CANARY', 'w')")),
    "exec": called("builtins", "exec", text("open('CANARY', 'w')")),
    "compile": called("builtins", "compile", text("1"), text("x"), text("exec")),
    "open": called("builtins", "open", text("CANARY"), text("w")),
    "old_eval": called("__builtin__", "eval", text("open('CANARY', 'w')")),
    "import": called("builtins", "__import__", text("antigravity")),
    "importlib": called("importlib", "import_module", text("antigravity")),
    "getattr_of_module": called("builtins", "getattr", named("os", "path"), text("os")),
    "dunder": called("builtins", "getattr", named("torch", "Tensor"), text("__globals__")),
    "partial": called("functools", "partial", named("os", "system"), text("touch CANARY")),
    "methodcaller": called("operator", "methodcaller", text("system")),
    "marshal": called("marshal", "loads", text("x")),
    "code_type": called("types", "CodeType", number(0)),
    "function_type": called("types", "FunctionType", number(0)),
    "runpy": called("runpy", "run_path", text("CANARY")),
    "timeit": called("timeit", "timeit", text("open('CANARY', 'w')")),
    "pty": called("pty", "spawn", text("sh")),
    "webbrowser": called("webbrowser", "open", text("http://127.0.0.1:9")),
    "socket": called("socket", "create_connection", text("127.0.0.1")),
    "ctypes": called("ctypes", "CDLL", text("libc.so.6")),
    "pickle_again": called("pickle", "loads", text("x")),
    "torch_load": called("torch.serialization", "load", text("CANARY")),
    "torch_hub": called("torch.hub", "load", text("x"), text("y")),
    "numpy_load": called("numpy", "load", text("CANARY")),
    "numpy_run": called("numpy.testing._private.utils", "runstring", text("1"), b"}"),
    "rebuilt_by": called("numpy.core.multiarray", "_reconstruct", named("os", "system"), tuples(), text("b")),
    "of_ours": called("mmspec.plugins", "load", array(text("CANARY"))),
    "dotted": called("torch", "serialization.os.system", text("touch CANARY")),
    "sys_modules": called("builtins", "setattr", named("sys", "modules"), text("os"), b"N"),
    "logging_config": called("logging.config", "fileConfig", text("CANARY")),
    "remove_files": called("shutil", "rmtree", text("CANARY")),
    "a_class_made": called("builtins", "type", text("A"), tuples(), b"}"),
    "reduce": called("builtins", "map", named("os", "system"), array(text("touch CANARY"))),
}  # fmt: skip
INSTRUCTIONS = {  # of pickle, that data have no need of
    "instance": b"(" + text("touch CANARY") + b"ios\nsystem\n",
    "object": b"(" + named("os", "system") + text("touch CANARY") + b"o",
    "foreign_instance": b"(itorch\nTensor\n",
    "extension": b"\x82\x01",
    "named_persistent": b"P1\n",
    "out_of_band": b"\x97",
    "keyword_arguments": named("torch", "Tensor") + b")}\x92",
    "state_of_a_list": b"]}b",
    "call_of_a_text": text("os.system") + b")R",
}
HANGS = {  # 2^64 steps of hashing, or of writing as text
    "key_of_tuples": b"}" + doubled() + b"Ns",
    "set_of_tuples": b"\x8f(" + doubled() + b"\x90",
    "frozenset_of_tuples": b"(" + doubled() + b"\x91",
    "called_set": called("builtins", "set", array(doubled())),
    "ordered": called("collections", "OrderedDict", array(tuples(doubled(), b"N"))),
    "name_of_tuples": text("torch") + doubled() + b"\x93",
    "module_of_lists": laughs() + text("Tensor") + b"\x93",
    "attribute": called("builtins", "getattr", named("torch", "Tensor"), laughs()),
    "encoding": called("_codecs", "encode", text("a"), laughs()),
    "numpy_type": called("numpy", "dtype", laughs()),
}
BOMBS = {  # that grow beyond the file, or nest
    "copied_bytes": text("a" * 1_000_000) + b"q\x01"
        + array(*[called("_codecs", "encode", b"h\x01", text("latin1"))] * 3000),
    "copied_pairs": array(*[tuples(number(i), b"N") for i in range(20_000)]) + b"q\x01"
        + array(*[called("collections", "OrderedDict", b"h\x01")] * 2000),
    "copied_sets": array(*[number(i) for i in range(20_000)]) + b"q\x01"
        + array(*[called("builtins", "set", b"h\x01")] * 2000),
    "copied_states": mapping(**{str(i): b"N" for i in range(20_000)}) + b"q\x01"
        + array(*[named("torch", "Size2") + b")\x81h\x01b"] * 2000),
    "nested_lists": b"]" * 200_000 + b"a" * 199_999,
    "nested_dicts": b"".join(b"}" + text("a") for _ in range(100_000)) + b"N" + b"s" * 100_000,
    "many_lists": b"(" + b"]" * 12_000_000 + b"l",
    "long_bytes": b"\x8e" + struct.pack("<Q", 1 << 40) + b"abc",
    "long_text": b"\x8d" + struct.pack("<Q", 1 << 40) + b"abc",
    "long_number": b"\x8b" + struct.pack("<i", 1 << 30) + b"abc",
    "digits": b"I" + b"9" * 1_000_000 + b"\n",
    "negative_length": b"\x8b" + struct.pack("<i", -1),
}  # fmt: skip


def _everywhere(kind: str, table: dict[str, bytes]) -> list[Hostile]:
    """Each in an EDM pickle, in an archive or in an old file, in turns; what hangs, in all."""
    places = (("pkl", "edm_pickle", bare), ("pt", "torch", in_archive), ("old.pt", "torch", in_old_file))
    return [
        Hostile(f"{kind}_{name}.{suffix}", reader, write(mapping(a=pickled) if write is not bare else pickled))
        for at, (name, pickled) in enumerate(table.items())
        for place, (suffix, reader, write) in enumerate(places)
        if kind == "hang" or at % 3 == place
    ]


def overlapping(count: int) -> bytes:
    """Many tensors that share one storage of 1,000,000 numbers."""
    return mapping(**{f"w{i}": window("0", 1_000_000, (1_000_000,), (1,)) for i in range(count)})


WAVE = {"input_projection.weight": (8, 1, 1), "input_projection.bias": (8,)}


def deep_diffwave(layers: int, schedule: bytes = b"") -> bytes:
    """A checkpoint of DiffWave whose last layer has a number too high."""
    weights = {name: window("0", 8, size, (1,) * len(size)) for name, size in WAVE.items()}
    weights[f"residual_layers.{layers}.dilated_conv.bias"] = window("0", 8, (8,), (1,))
    return mapping(model=mapping(**weights), **({"params": schedule} if schedule else {}))


NUMBERS = bytes(32)
STRIDES = [
    Hostile("stride_0.pt", "torch", in_archive(mapping(a=window("0", 1, (6 << 30,), (0,))), {"0": bytes(4)})),
    Hostile("stride_0.old.pt", "torch", in_old_file(mapping(a=window("0", 1, (80_000, 80_000), (0, 0))),
            array(text("0")), struct.pack("<q", 1) + bytes(4))),
    Hostile("stride_0.pkl", "edm_pickle", bare(network(parameters=mapping(a=old_tensor((1 << 31, 1 << 3), (0, 0)))))),
    Hostile("overlapping_windows.pt", "weights", in_archive(overlapping(400), {"0": bytes(4_000_000)})),
    Hostile("stride_0_of_diffwave.pt", "diffwave", in_archive(mapping(model=mapping(**{
        "input_projection.weight": window("0", 1, (40_000, 40_000, 1), (0, 0, 0))})), {"0": bytes(4)})),
    Hostile("stride_0_of_edm.pt", "edm", in_archive(mapping(**{
        "map_layer0.weight": window("0", 1, (1 << 16, 1 << 16), (0, 0))}), {"0": bytes(4)})),
    Hostile("negative_size.pt", "torch", in_archive(mapping(a=window("0", 8, (-8, -1), (1, 1))), {"0": NUMBERS})),
    Hostile("negative_stride.pt", "torch", in_archive(mapping(a=window("0", 8, (8,), (-1,))), {"0": NUMBERS})),
    Hostile("beyond_its_storage.pt", "torch", in_archive(mapping(a=window("0", 8, (8,), (1,), 1)), {"0": NUMBERS})),
    Hostile("size_of_texts.pt", "torch", in_archive(mapping(a=called("torch._utils", "_rebuild_tensor_v2",
        storage(text("0"), 8), number(0), tuples(text("8")), tuples(number(1)), b"\x89", b"}")), {"0": NUMBERS})),
    Hostile("key_of_laughs.pt", "torch", in_archive(mapping(a=called("torch._utils", "_rebuild_tensor_v2",
        storage(laughs(), 8), number(0), tuples(number(8)), tuples(number(1)), b"\x89", b"}")))),
    Hostile("storage_outside.pt", "torch", in_archive(mapping(a=window("../../etc/passwd", 8, (8,), (1,))))),
    Hostile("long_storage.old.pt", "torch", in_old_file(mapping(a=window("0", 1 << 40, (8,), (1,))),
            array(text("0")), struct.pack("<q", 1 << 40) + bytes(4))),
    Hostile("layer_999999999.pt", "diffwave", in_archive(deep_diffwave(999_999_999), {"0": NUMBERS})),
    Hostile("layer_of_5000_digits.pt", "diffwave", in_archive(deep_diffwave(int("9" * 4000)), {"0": NUMBERS})),
    Hostile("laughs_in_params.pt", "diffwave", in_archive(deep_diffwave(0, mapping(n_mels=laughs())),
            {"0": NUMBERS})),
    Hostile("key_of_laughs_in_root.pkl", "edm_pickle", content(b"\x80\x03}" + named("torch", "Tensor")
            + b")\x81" + mapping(a=laughs()) + b"bNs.")),
    Hostile("laughs_in_arguments.pkl", "edm_pickle", bare(network(mapping(img_resolution=laughs())))),
    Hostile("laughs_for_a_class.pkl", "edm_pickle", bare(network(mapping(img_resolution=number(8),
            class_name=laughs())))),
    Hostile("key_that_is_no_text.pkl", "edm_pickle", bare(network(b"}" + number(3) + b"Ns"))),
    Hostile("number_of_10000_digits.pkl", "edm_pickle", bare(network(mapping(img_resolution=b"\x8b"
            + struct.pack("<i", 5000) + b"\x7f" * 5000)))),
    *(Hostile(f"{name}_{value}.pkl", "edm_pickle", bare(network(mapping(**{
            "img_resolution": number(8), "img_channels": number(3), name: number(value)}))))
      for name, value in (("num_blocks", 10**9), ("model_channels", 40_000),
                          ("label_dim", 10**6), ("img_resolution", 2**40),
                          ("M", 10**12), ("augment_dim", -1), ("num_blocks", 1000),
                          ("img_channels", 2**62))),
    Hostile("type_of_laughs.pkl", "edm_pickle", bare(called("torch_utils.persistence", "_reconstruct_persistent_obj",
            mapping(type=laughs(), state=b"}")))),
    Hostile("class_name_of_laughs.pkl", "edm_pickle", bare(called("torch_utils.persistence",
            "_reconstruct_persistent_obj", mapping(type=text("class"), class_name=laughs(), state=b"}")))),
]  # fmt: skip

FILES = [
    *_everywhere("code", CODE),
    *_everywhere("instruction", INSTRUCTIONS),
    *_everywhere("hang", HANGS),
    *_everywhere("bomb", BOMBS),
    *STRIDES,
]
