"""The denoiser of a picture, exported to ONNX and run by ONNX Runtime, beside torch's eager one: processor time of one
thread, batch 1, so that a busy machine does not matter. Exporting takes minutes before the first round.

Weights are random: what int8 costs in quality, `mmspec export precision=int8` measures on trained ones. The last column
says how far there is to go in float32: the network's multiply-accumulates a second, beside those of a product of two
large matrices by torch, which does nothing else. The second table says where ONNX Runtime spends its time, by its own
clock; the last is of a process from its start to its end, in which nothing but ONNX Runtime runs.
"""

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from benchmarks.gating import build
from benchmarks.record import Figures, Findings, Table
from benchmarks.timing import interleave
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM, LDM
from mmspec.exported.graphs import parts, traced, write_graph
from mmspec.exported.quantization import quantize
from mmspec.metrics.cost import count

SHAPE = (3, 64, 64)  # of the latents of a picture of 256 pixels
SMALL, LARGE, STUDENT = "sd_ffhq", "ldm_ffhq", "small_wavelet_unet"
EXPORTED, INT8 = (SMALL, LARGE), f"{SMALL} int8"
MATRICES, SIDE = "product of matrices", 1024


def graph(denoiser: Denoiser, folder: Path) -> Path:
    (part,) = parts(denoiser)
    return write_graph(part, traced(part), folder, "onnx", 18)


def int8(file: Path, folder: Path) -> Path:
    """A copy of a graph in 8-bit integers, calibrated on noise of all levels."""
    copied, generator = folder / "int8.onnx", np.random.default_rng(0)
    shutil.copy(file, copied)
    levels = np.geomspace(0.03, 80, 8, dtype=np.float32)[:, None]
    noise = generator.standard_normal((len(levels), 1, *SHAPE), dtype=np.float32)
    quantize(copied, [{"x": x * sigma[0], "sigma": sigma} for x, sigma in zip(noise, levels, strict=True)])
    return copied


def graph_call(file: Path, x: torch.Tensor, sigma: torch.Tensor) -> Callable[[], np.ndarray]:
    session = onnxruntime.InferenceSession(file, _options(), providers=["CPUExecutionProvider"])
    inputs = {"x": x.numpy(), "sigma": sigma.numpy()}
    return lambda: session.run(None, inputs)[0]


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return options


def shares(file: Path, x: torch.Tensor, sigma: torch.Tensor, calls: int = 5) -> dict[str, float]:
    """Of the time of a call, by operator, as ONNX Runtime itself measures it."""
    options = _options()
    options.enable_profiling, options.profile_file_prefix = True, str(file)
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    for _ in range(calls):
        session.run(None, {"x": x.numpy(), "sigma": sigma.numpy()})
    taken: Counter[str] = Counter()
    for event in json.loads(Path(session.end_profiling()).read_text(encoding="utf-8")):
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            taken[event["args"]["op_name"]] += event["dur"]
    return {operator: spent / taken.total() for operator, spent in taken.items()}


def by_operator(files: Mapping[str, Path], x: torch.Tensor, sigma: torch.Tensor) -> Table:
    """Of the graphs, the operators that take a twentieth or more of one."""
    found = {name: shares(file, x, sigma) for name, file in files.items()}
    some = {operator for each in found.values() for operator, share in each.items() if share >= 0.05}
    rows = [[operator, *(f"{each.get(operator, 0):.0%}" for each in found.values())] for operator in some]
    return Table(["of a call", *found], sorted(rows, key=lambda row: -max(int(cell[:-1]) for cell in row[1:])))


def denoiser_of(name: str) -> Denoiser:
    """With nothing left at zero, which would hide differences."""
    network = build(name)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02)
    return Denoiser(network, LDM(), SHAPE).eval()


def picture(rounds: int) -> tuple[float, float]:
    """Seconds of `mmspec sample` from its start to a picture of a slim student, exported with ten steps: the
    processor's and the wall's."""
    counted, passed = [], []
    with tempfile.TemporaryDirectory() as folder:
        student, exported = Path(folder, "student"), Path(folder, "exported")
        Denoiser(build(STUDENT), EDM(), SHAPE).save_pretrained(student)
        _mmspec("export", f"from={student}", f"out={exported}", "sampler=euler", "steps=10")
        for count in range(rounds):
            before, start = _children(), time.perf_counter()
            _mmspec("sample", f"from={exported}", f"out={folder}/{count}", "num=1")
            counted.append(_children() - before)
            passed.append(time.perf_counter() - start)
    return statistics.median(counted), statistics.median(passed)


def _mmspec(*words: str) -> None:
    subprocess.run([sys.executable, "-m", "mmspec", *words], check=True, capture_output=True)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@torch.inference_mode()
def denoisers(rounds: int) -> Findings:
    """Calls of each denoiser, and how many times faster they are."""
    torch.manual_seed(0)
    x, sigma = torch.randn(1, *SHAPE), torch.ones(1)
    matrix = torch.randn(SIDE, SIDE)
    cases: dict[str, Callable[[], object]] = {MATRICES: lambda: matrix @ matrix}
    products = {MATRICES: SIDE**3}
    with tempfile.TemporaryDirectory() as folder:
        for name in EXPORTED:
            denoiser = denoiser_of(name)
            products[name] = count(denoiser.network, SHAPE).macs_with_attention
            cases[name] = partial(denoiser, x, sigma)
            own = Path(folder, name)
            own.mkdir()
            file = graph(denoiser, own)
            cases[f"{name} exported"] = exported = graph_call(file, x, sigma)
            torch.testing.assert_close(torch.from_numpy(exported()), denoiser(x, sigma), atol=1e-4, rtol=1e-4)
            if name == SMALL:
                files = {f"{SMALL} exported": file, INT8: int8(file, own)}
                cases[INT8] = graph_call(files[INT8], x, sigma)
        times = interleave(cases, rounds=rounds)
        operators = by_operator(files, x, sigma)
    eager = {name: next(each for each in products if name.startswith(each)) for name in cases}
    rates = {name: products[eager[name]] / times.median(name) for name in cases}
    rows = [
        [
            name,
            f"{1e3 * times.median(name):.0f} ms",
            f"{times.ratio(eager[name], name):.2f}x",
            f"{times.ratio(LARGE, name):.1f}x",
            f"{rates[name] / 1e9:.0f}",
            f"{rates[name] / rates[MATRICES]:.0%}",
        ]
        for name in cases
    ]
    figures: Figures = {
        f"{name}: {other}": times.ratios(slow, name)
        for name in (f"{SMALL} exported", INT8)
        for other, slow in (("itself", SMALL), (LARGE, LARGE))
    }
    ratios = ["faster than itself eager", f"faster than {LARGE} eager"]
    return Findings([Table(["denoiser", "a call", *ratios, "GMAC/s", f"of a {MATRICES}"], rows), operators], figures)


def main(rounds: int = 5) -> Findings:
    found = denoisers(rounds)
    counted, passed = picture(3)
    row = [f"{STUDENT}, 64x64, 10 steps", f"{counted:.1f} s", f"{passed:.1f} s"]
    table = Table(["mmspec sample of an exported student", "processor, all threads", "wall"], [row])
    return Findings([*found.tables, table], {**found.figures, "picture": (counted, passed)})
