"""The denoiser of a picture, exported to ONNX and run by ONNX Runtime, beside torch's eager one: processor time of one
thread, float32, batch 1, so that a busy machine does not matter. Exporting takes minutes before the first round.
"""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import onnxruntime
import torch

from benchmarks.gating import build
from benchmarks.timing import interleave, markdown
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import LDM
from mmspec.exported.graphs import parts, traced, write_graph

SHAPE = (3, 64, 64)  # of the latents of a picture of 256 pixels
EXPORTED = ("sd_ffhq", "ldm_ffhq")


def graph_call(denoiser: Denoiser, folder: Path, x: torch.Tensor, sigma: torch.Tensor) -> Callable[[], object]:
    (part,) = parts(denoiser)
    file = write_graph(part, traced(part), folder, "onnx", 18)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    inputs = {"x": x.numpy(), "sigma": sigma.numpy()}
    wanted = denoiser(x, sigma)
    torch.testing.assert_close(torch.from_numpy(session.run(None, inputs)[0]), wanted, atol=1e-4, rtol=1e-4)
    return lambda: session.run(None, inputs)


@torch.inference_mode()
def main(rounds: int = 9) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    x, sigma = torch.randn(1, *SHAPE), torch.ones(1)
    cases: dict[str, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in EXPORTED:
            denoiser = Denoiser(build(name), LDM(), SHAPE).eval()
            cases[name] = lambda denoiser=denoiser: denoiser(x, sigma)  # type: ignore[misc]
            cases[f"{name} exported"] = graph_call(denoiser, Path(folder), x, sigma)
        times = interleave(cases, rounds=rounds, warmup=1, clock=time.process_time)
    rows = [
        [
            name,
            f"{1e3 * times.median(name):.0f} ms",
            f"{times.ratio(name.split()[0], name):.2f}x",
            f"{times.ratio('ldm_ffhq', name):.1f}x",
        ]
        for name in cases
    ]
    print(markdown(["denoiser", "processor time", "faster than itself eager", "faster than ldm_ffhq eager"], rows))


if __name__ == "__main__":
    main()
