"""EDM's checkpoints: what they become, and what is refused in files that only look like them."""

import functools
import io
import os
import pickle
import struct
import subprocess
import sys
import types
import warnings

import numpy as np
import pytest
import torch

from mmspec import from_pretrained
from mmspec.cli import main
from mmspec.diffusion import Denoiser, sample
from mmspec.diffusion.processes import EDM, IDDPM, VE, VP
from mmspec.errors import InputError
from mmspec.networks import EDMUNet
from mmspec.pretrained import load_edm
from mmspec.pretrained.edm_pickle import read_network

PICKLES = [
    "edm_ddpmpp_cond_aug",
    "edm_ncsnpp_cond_aug",
    "edm_adm_uncond",
    "vp_ddpmpp_cond",
    "ve_ncsnpp_uncond_gray",
]
STATE_DICTS = ["edm_ddpmpp_uncond", "edm_ncsnpp_uncond"]


def stated(references, name):
    return references.facts(f"edm/{name}")


def load(references, name):
    if name in PICKLES:
        return load_edm(references.file(f"edm/{name}.pkl"))
    return load_edm(references.file(f"edm/{name}.pt"), **stated(references, name)["constructor_kwargs"])


def assert_close(value, expected):
    assert np.abs(value.numpy() - expected).max() <= 1e-5 * np.abs(expected).max()


@pytest.mark.parametrize("name", PICKLES + STATE_DICTS)
@torch.no_grad()
def test_denoisers_are_the_originals(references, name):
    denoiser, values = load(references, name), references.arrays(f"edm/{name}")
    x, sigma = torch.from_numpy(values["x"]), torch.from_numpy(values["sigma"])
    cond = {"labels": "class_labels", "augment_labels": "augment_labels"}
    cond = {ours: torch.from_numpy(values[theirs]) for ours, theirs in cond.items() if theirs in values}
    augment = {key: value for key, value in cond.items() if key == "augment_labels"}
    assert_close(denoiser(x, sigma, **cond), values["D"])
    assert_close(denoiser(x.double(), 1.25, **cond), values["D_scalar_sigma_f64"])
    if "D_noaug" in values:
        assert_close(denoiser(x, sigma, labels=cond["labels"]), values["D_noaug"])
    if "D_nolabel" in values:
        assert_close(denoiser(x, sigma, **augment), values["D_nolabel"])
        assert_close(denoiser(x, sigma, labels=torch.zeros_like(cond["labels"]), **augment), values["D_nolabel"])
    c_in, c_noise = denoiser.process.scalings(sigma)[2:]
    assert_close(c_in[:, None, None, None] * x, values["net_in"])
    assert_close(c_noise, values["c_noise"])


@pytest.mark.parametrize("name", PICKLES + STATE_DICTS)
def test_a_denoiser_knows_its_process_range_shape_and_classes(references, name):
    denoiser, facts = load(references, name), stated(references, name)
    process = {"EDMPrecond": EDM, "VPPrecond": VP, "VEPrecond": VE}[facts["precond"]]
    assert isinstance(denoiser.process, process) and not denoiser.training
    low, high = float(facts["sigma_min"]), float(facts["sigma_max"])
    if process is EDM:  # which knows all levels; its sampler walks from 80 to 0.002
        low, high = 0.002, 80.0
    assert (denoiser.sigma_min, denoiser.sigma_max) == (low, high)
    options = facts["constructor_kwargs"]
    size = options["img_resolution"]
    assert denoiser.signal_shape == (options["img_channels"], size, size)
    assert len(denoiser.classes or ()) == options.get("label_dim", 0)
    assert sum(parameter.numel() for parameter in denoiser.network.parameters()) == facts["num_params"]
    shapes = {f"model.{key}": list(tensor.shape) for key, tensor in denoiser.network.state_dict().items()}
    assert shapes == facts["state_dict"]


@pytest.mark.parametrize("name", PICKLES)
def test_convert_writes_what_samples_and_loads_again_exactly(references, name, tmp_path, capsys):
    out = tmp_path / "a folder, new"
    assert main(["convert", "edm", str(references.file(f"edm/{name}.pkl")), str(out)]) == 0
    assert str(out) in capsys.readouterr().out
    assert sorted(path.name for path in out.iterdir()) == ["config.json", "model.safetensors"]
    original, again = load(references, name), from_pretrained(out)
    assert again.network.config == original.network.config
    assert again.process.config == original.process.config
    weights, same = original.network.state_dict(), again.network.state_dict()
    assert list(weights) == list(same) and all(torch.equal(weights[key], same[key]) for key in weights)
    shape = (2, *original.signal_shape)
    first, second = (
        sample(denoiser, shape, steps=3, generator=torch.Generator().manual_seed(0)) for denoiser in (original, again)
    )
    assert torch.equal(first, second) and first.isfinite().all()


def test_convert_says_what_is_wrong(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("x")
    for words, message in (
        (["edm", "nowhere.pkl", "out"], "source=nowhere.pkl is not there: give the path of one that is"),
        (["edn", "file", "out"], "'ldm' or 'diffusers' or 'first_stage', not 'edn'"),
        (["edm", "file", "out", "more"], "'more' is one word too many: mmspec convert FORMAT SOURCE OUT"),
        (["edm", "file"], "out must be given"),
        (["edm", "file", "out=file"], "file is a file: name the folder"),
        (["edm", "file", "out"], "file is truncated, or not a pickle of an EDM network"),
    ):
        assert main(["convert", *words]) == 2
        err = capsys.readouterr().err
        assert message in err and len(err.strip().splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_options_change_what_a_pickle_says_and_misspelt_ones_are_named(references):
    path = references.file("edm/edm_adm_uncond.pkl")
    denoiser = load_edm(path, dropout=0.3, sigma_data=0.7)
    assert denoiser.network.enc["16x16_block0"].dropout.probability == 0.3 and denoiser.process.sigma_data == 0.7
    with pytest.raises(InputError, match="droput is no option of EDMUNet"):
        load_edm(path, droput=0.3)
    with pytest.raises(InputError, match="class_name=EDM2Precond is no preconditioner of EDM's"):
        load_edm(path, class_name="EDM2Precond")


def test_iddpm_uses_the_first_half_of_what_its_network_puts_out():
    torch.manual_seed(0)
    options = {"img_resolution": 8, "model_channels": 8, "channel_mult": (1, 2), "num_blocks": 1}
    network = EDMUNet(in_channels=3, out_channels=6, model_type="DhariwalUNet", **options).eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    weights = {"u": torch.zeros(1001), **{f"model.{key}": tensor for key, tensor in network.state_dict().items()}}
    denoiser = load_edm(weights, class_name="training.networks.iDDPMPrecond", **options)
    assert isinstance(denoiser.process, IDDPM) and denoiser.network.config["out_channels"] == 6
    x, sigma = torch.randn(2, 3, 8, 8), denoiser.round_sigma(torch.tensor([0.5, 3.0]))
    _, c_out, c_in, c_noise = denoiser.process.scalings(sigma)
    raw = network(c_in[:, None, None, None] * x, c_noise)[:, :3]
    torch.testing.assert_close(denoiser(x, sigma), x + c_out[:, None, None, None] * raw)


def test_loading_leaves_the_state_dict_alone(references):
    weights = torch.load(references.file("edm/edm_ddpmpp_uncond.pt"), weights_only=True)
    before = {key: tensor.clone() for key, tensor in weights.items()}
    denoiser = load_edm(weights, **stated(references, "edm_ddpmpp_uncond")["constructor_kwargs"])
    with torch.no_grad():
        for parameter in denoiser.parameters():
            parameter.zero_()
    assert all(torch.equal(weights[key], before[key]) for key in before)
    assert all(parameter.requires_grad for parameter in denoiser.parameters())


def test_a_state_dict_that_does_not_fit_is_named(references):
    weights = torch.load(references.file("edm/edm_ddpmpp_uncond.pt"), weights_only=True)
    options = stated(references, "edm_ddpmpp_uncond")["constructor_kwargs"]
    key = "model.enc.32x32_conv.weight"
    for change, message in (
        ({"remove": key}, r"1 weights are missing \['enc.32x32_conv.weight'\]"),
        ({"add": {"model.extra": torch.zeros(1)}}, r"1 unknown \['extra'\]"),
        ({"add": {key: torch.zeros(8, 3, 1, 1)}}, r"1 of another shape \['enc.32x32_conv.weight \[8, 3, 1, 1\]"),
    ):
        changed = {name: tensor for name, tensor in weights.items() if name != change.get("remove")}
        with pytest.raises(InputError, match=message):
            load_edm(changed | change.get("add", {}), **options)
    with pytest.raises(InputError, match="weights are missing"):
        load_edm(weights, **{**options, "num_blocks": options["num_blocks"] + 1})
    with pytest.raises(InputError, match="give img_resolution="):
        load_edm(weights)
    with pytest.raises(InputError, match="holds no state dict"):
        load_edm({"ema": None}, **options)


# What is in a file


@pytest.mark.parametrize("name", PICKLES)
def test_truncated_pickles_are_refused(references, name, tmp_path):
    data = references.file(f"edm/{name}.pkl").read_bytes()
    for kept in (0, 1, 2, 100, 5_000, len(data) // 2, len(data) - 1):
        (tmp_path / "cut.pkl").write_bytes(data[:kept])
        with pytest.raises(InputError, match=r"cut.pkl is (truncated, or not a pickle of|an empty file)") as caught:
            load_edm(tmp_path / "cut.pkl")
        assert "\n" not in str(caught.value)


def test_damaged_pickles_are_refused_or_harmless(references, tmp_path):
    data = bytearray(references.file("edm/edm_adm_uncond.pkl").read_bytes())
    generator = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[generator.integers(0, 40_000)] = generator.integers(256)
        (tmp_path / "damaged.pkl").write_bytes(damaged)
        try:
            load_edm(tmp_path / "damaged.pkl")
        except InputError as error:
            assert "damaged.pkl" in str(error) and "\n" not in str(error)
    assert [path.name for path in tmp_path.iterdir()] == ["damaged.pkl"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is an empty file"),
        (b"<html>404</html>", "is a page of HTML"),
        (b"version https://git-lfs", "is truncated, or not a pickle of an EDM network"),
        (pickle.dumps({"ema": None}), r"is a pickle of dict with ema, and holds no averaged network \(ema\)"),
        (pickle.dumps([1, 2]), "is a pickle of list, and holds no averaged network"),
        (b"N.", "is a pickle of NoneType, and holds no averaged network"),
    ],
)
def test_other_files_are_refused(content, said, tmp_path):
    (tmp_path / "other.pkl").write_bytes(content)
    with pytest.raises(InputError, match=f"other.pkl {said}"):
        load_edm(tmp_path / "other.pkl")
    with pytest.raises(InputError, match="is no file, but a folder"):
        load_edm(tmp_path)


def test_pickles_of_newer_numpy_are_read(references, tmp_path):
    data = references.file("edm/edm_ddpmpp_cond_aug.pkl").read_bytes()
    renamed = data.replace(b"\x15numpy.core.multiarray", b"\x16numpy._core.multiarray")
    assert renamed != data
    (tmp_path / "new.pkl").write_bytes(renamed)
    assert load_edm(tmp_path / "new.pkl").network.config["img_resolution"] == 32


class Persistent:
    """Pickled as EDM pickles an object: class name, state, and the source text that its own reader runs."""

    def __init__(self, class_name, state, source=""):
        self.meta = {"type": "class", "version": 6, "module_src": source, "class_name": class_name, "state": state}

    def __reduce__(self):
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (self.meta,)


@pytest.fixture
def edm_pickle(monkeypatch, tmp_path):
    """Writes a pickle like EDM's: of a small network, with changes to the root, the state, or the source."""
    module = types.ModuleType("torch_utils.persistence")
    exec("def _reconstruct_persistent_obj(meta): return meta", module.__dict__)  # under its own module's name
    module._reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    monkeypatch.setitem(sys.modules, "torch_utils", types.ModuleType("torch_utils"))
    monkeypatch.setitem(sys.modules, "torch_utils.persistence", module)
    torch.manual_seed(0)
    options = {"img_resolution": 8, "model_channels": 8, "channel_mult": [1], "num_blocks": 1}
    network = EDMUNet(**options)

    def write(protocol=4, source="", root=(), state=()):
        tensors = network.state_dict(prefix="model.")
        held = {"_parameters": dict(tensors), "_buffers": {"unused": None}, "_modules": {}, "_init_args": ()}
        held |= {"_init_kwargs": {"img_channels": 3, "use_fp16": False, **options}, **dict(state)}
        ema = Persistent("EDMPrecond", held, source)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of storages
            data = pickle.dumps({"ema": ema, "loss_fn": None, **dict(root)}, protocol)
        (tmp_path / "network.pkl").write_bytes(data)
        return tmp_path / "network.pkl"

    write.network = network
    return write


@pytest.mark.parametrize("protocol", [4, 5])
def test_the_source_in_a_pickle_is_not_run(edm_pickle, tmp_path, protocol):
    path = edm_pickle(protocol, source=f"open({str(tmp_path / 'pwned')!r}, 'w')\n")
    denoiser = load_edm(path)
    assert all(
        torch.equal(tensor, denoiser.network.state_dict()[key])
        for key, tensor in edm_pickle.network.state_dict().items()
    )
    assert not (tmp_path / "pwned").exists()


class Calls:
    """Pickled as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def nested_storage(payload):
    """A call of what EDM's storages call, with a payload in the stream that it reads."""
    return Calls(torch.storage._load_from_bytes, payload)


def legacy_stream(payload):
    parts = (0x1950A86A20F9469CFC6C, 1001, {}, payload)
    return b"".join(pickle.dumps(part, 2, fix_imports=False) for part in parts)


def zipped(payload):
    stream = io.BytesIO()
    torch.save(payload, stream)
    return stream.getvalue()


HOSTILE = {  # name that must be in the refusal -> a payload
    "posix.system": lambda: Calls(os.system, "touch pwned"),
    "builtins.eval": lambda: Calls(eval, "open('pwned', 'w')"),
    "builtins.exec": lambda: Calls(exec, "open('pwned', 'w')"),
    "io.open": lambda: Calls(open, "pwned", "w"),
    "builtins.getattr": lambda: Calls(getattr, "", "join"),
    "subprocess.Popen": lambda: Calls(subprocess.Popen, ["touch", "pwned"]),
    "functools.partial": lambda: functools.partial(print, "x"),
    "torch.serialization.load": lambda: Calls(torch.load, "x"),
    "numpy.dtype 'O8'": lambda: np.dtype("O"),
}


@pytest.mark.parametrize("place", ["root", "state", "nested", "nested_zip"])
@pytest.mark.parametrize("name", HOSTILE)
def test_a_payload_is_refused_by_name_and_no_file_appears(edm_pickle, tmp_path, monkeypatch, capsys, name, place):
    monkeypatch.chdir(tmp_path)
    payload = HOSTILE[name]()
    if place == "root":
        path = edm_pickle(root={"augment_pipe": payload})
    elif place == "state":
        path = edm_pickle(state={"_modules": {"model": payload}})
    elif place == "nested":
        path = edm_pickle(state={"_extra": nested_storage(legacy_stream(payload))})
    else:
        path = edm_pickle(state={"_extra": nested_storage(zipped([payload]))})
    # a zip is never opened: EDM's storages are none, and whatever it holds stays where it is
    expected = "not a pickle of an EDM network" if place == "nested_zip" else f"asks for {name}"
    if place == "nested" and name == "numpy.dtype 'O8'":
        expected = "asks for numpy.dtype"
    with pytest.raises(InputError, match=expected) as caught:
        load_edm(path)
    assert "network.pkl" in str(caught.value) and "\n" not in str(caught.value)
    assert main(["convert", "edm", str(path), "out"]) == 2
    assert expected in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["network.pkl"]


@pytest.mark.parametrize(
    ("program", "name"),
    [
        (b"cos\nsystem\n(Vtouch pwned\ntR.", "os.system"),
        (b"(Vtouch pwned\nios\nsystem\n.", "os.system"),
        (b"(cos\nsystem\nVtouch pwned\no.", "os.system"),
        (b"\x8c\x02os\x8c\x06system\x93\x8c\x0btouch pwned\x85R.", "os.system"),
        (b"\x8c\x0bcollections\x8c\x1dOrderedDict.__init__.__self__\x93.", "collections.OrderedDict.__init__"),
        (b"ctorch.storage\n_load_from_bytes.__globals__\n.", "torch.storage._load_from_bytes.__globals__"),
        (b"(ccollections\nOrderedDict\no.", "the pickle instruction OBJ"),
        (b"ccollections\nOrderedDict\n)}\x92.", "the pickle instruction NEWOBJ_EX"),
        (b"\x82\x01.", "the pickle instruction EXT1"),
        (b"ccollections\nOrderedDict\n}b.", "a state for what has none"),
        (b"}}b.", "a state for what has none"),
        (b"Vsystem\n)R.", "a call of what is no global"),
        (b"Vposix.system\nQ.", "a persistent id"),
        (b"Pposix.system\n.", "the pickle instruction PERSID"),
    ],
)
def test_hand_written_programs_are_refused_by_name(program, name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "network.pkl").write_bytes(program)
    with pytest.raises(InputError) as caught:
        load_edm(tmp_path / "network.pkl")
    assert f"asks for {name}" in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == ["network.pkl"]


def test_a_hostile_state_dict_file_is_refused_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({"model.a": HOSTILE["posix.system"]()}, tmp_path / "weights.pt")
    with pytest.raises(InputError, match=r"weights.pt asks for posix.system"):
        load_edm(tmp_path / "weights.pt", img_resolution=8)
    assert [file.name for file in tmp_path.iterdir()] == ["weights.pt"]


def storage_stream(kind="storage", dtype="FloatStorage", count=4, stored=4, data=b"\0" * 16):
    """What torch.save wrote of a storage before it wrote zip files."""
    reference = b"".join(
        [
            *(b"\x80\x02(X", struct.pack("<I", len(kind)), kind.encode()),
            *(b"ctorch\n", dtype.encode(), b"\nX\x01\0\0\0aX\x03\0\0\0cpuK", bytes([count]), b"NtQ."),
        ]
    )
    start = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {}))
    return start + reference + pickle.dumps(["a"], 2) + struct.pack("<q", stored) + data


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (storage_stream(), None),
        (storage_stream(stored=5), "16 bytes for 4 numbers"),
        (storage_stream(data=b"\0" * 15), "15 bytes for 4 numbers"),
        (storage_stream(count=200, stored=200), "16 bytes for 200 numbers"),
        (storage_stream(kind="module"), "without its type"),
        (storage_stream(dtype="load"), "asks for torch.load"),
        (b"", "not a pickle of an EDM network"),
    ],
)
def test_storages_hold_as_many_numbers_as_they_say(edm_pickle, stream, message):
    path = edm_pickle(state={"_extra": nested_storage(stream)})
    if message is None:
        load_edm(path)
    else:
        with pytest.raises(InputError, match=message):
            load_edm(path)


def test_tensors_lie_within_their_storage_and_modules_occur_once(edm_pickle):
    storage = torch.zeros(4).untyped_storage()
    typed = torch.storage.TypedStorage(wrap_storage=storage, dtype=torch.float32, _internal=True)
    for size, stride in (((8,), (1,)), ((10**9,), (0,)), ((2,), (9,)), ((-1,), (1,))):
        hostile = Calls(torch._utils._rebuild_tensor_v2, typed, 0, size, stride, False, {})
        with pytest.raises(InputError, match="not a pickle of an EDM network"):
            load_edm(edm_pickle(state={"_extra": hostile}))
    child = Persistent("Module", {"_parameters": {}, "_buffers": {}, "_modules": {}})
    with pytest.raises(InputError, match=r"module b. occurs twice"):
        load_edm(edm_pickle(state={"_modules": {"a": child, "b": child}}))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"model_channels": 16}, "of another shape"),
        ({"model_channels": 2**20}, r"describes a network of more than 1,\d\d\d,\d\d\d numbers, and its weights hold"),
        ({"img_resolution": "8"}, r"network.pkl: img_resolution takes a whole number, not '8'"),
        ({"channel_mult": []}, "channel_mult must be 1 or more"),
        ({"model_channels": -8}, "model_channels must be 1 or more, not -8"),
        ({"unheard_of": 1}, "unheard_of is no option of EDMUNet"),
    ],
)
def test_arguments_that_do_not_fit_are_named_before_anything_is_allocated(edm_pickle, arguments, message):
    kwargs = {"img_resolution": 8, "img_channels": 3, "model_channels": 8, "channel_mult": [1], "num_blocks": 1}
    with pytest.raises(InputError, match=message):
        load_edm(edm_pickle(state={"_init_kwargs": kwargs | arguments}))


def test_numpy_scalars_become_plain_numbers(edm_pickle):
    big_endian = Calls(np._core.multiarray.scalar, np.dtype(">f8"), struct.pack(">d", 2))
    scalars = {"a": np.float64(0.5), "b": np.float32(0.25), "c": np.int64(-3), "d": big_endian}
    path = edm_pickle(state={"_init_kwargs": scalars})
    found = read_network(path).arguments
    assert found == {"a": 0.5, "b": 0.25, "c": -3, "d": 2.0}
    assert [type(value) for value in found.values()] == [float, float, int, float]


def test_a_loaded_denoiser_trains(references):
    denoiser = load(references, "edm_ddpmpp_uncond").train()
    assert isinstance(denoiser, Denoiser)
    denoiser(torch.randn(1, 3, 32, 32), 0.5).square().mean().backward()
    assert all(parameter.grad.isfinite().all() for parameter in denoiser.parameters())
