"""What a distillation step costs beside its parts, in time and in memory: the forward pass of the teacher, and the
student's own training step. Targets: (distillation - teacher) / plain at most 1.15 in time and 1.2 in peak memory.

Memory is what PyTorch's profiler saw allocated during one step beyond what was there before it (weights, gradients and
the optimizer's state), at its highest.
"""

import statistics
from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.record import Findings, Table
from benchmarks.timing import interleave
from mmspec.diffusion import Denoiser, DistillationObjective, Objective
from mmspec.diffusion.processes import EDM
from mmspec.networks import UNet

Step = Callable[[], object]
Size = tuple[int, tuple[int, ...]]
SETTINGS: dict[str, tuple[int, tuple[int, ...], Size, Size]] = {  # batch, signal, teacher and student (width, levels)
    "8 pictures of 32x32": (8, (3, 32, 32), (64, (1, 2, 4)), (32, (1, 2, 2))),
    "8 latents of 32x32": (8, (4, 32, 32), (96, (1, 2, 4)), (48, (1, 2, 2))),
    "8 recordings of 8192": (8, (1, 8192), (64, (1, 2, 4)), (32, (1, 2, 2))),
}


def denoiser(shape: tuple[int, ...], size: Size, resample: str) -> Denoiser:
    patch = 8 if len(shape) == 2 else 1
    network = UNet(
        len(shape) - 1,
        shape[0],
        model_channels=size[0],
        channel_mult=size[1],
        attention_levels=(),
        resample=resample,
        patch_size=patch,
    )
    return Denoiser(network, EDM(), shape)


def steps(batch: int, shape: tuple[int, ...], teacher_size: Size, student_size: Size) -> dict[str, Step]:
    """The student's plain step, the forward pass of the teacher, and the distillation step."""
    x0, sigma = 0.5 * torch.randn(batch, *shape), torch.ones(batch)
    plain = Objective(EDM())
    student = denoiser(shape, student_size, "wavelet")
    distilled = DistillationObjective(plain, denoiser(shape, teacher_size, "conv"), student)

    def training(objective: Objective) -> Step:
        parameters = [*student.parameters(), *(p for p in objective.parameters() if p.requires_grad)]
        optimizer = torch.optim.AdamW(parameters, lr=1e-5, fused=True)

        def step() -> None:
            objective(student, x0).total.mean().backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)  # gradients are there before a step, in every case

        return step

    return {
        "plain": training(plain),
        "teacher": lambda: distilled.teacher(x0, sigma),
        "distilled": training(distilled),
    }


def peak_memory(step: Step) -> int:
    """Bytes allocated at once during a step, beyond what was allocated before."""
    step()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


def row(title: str, cases: dict[str, Step], rounds: int) -> list[str]:
    memory = {name: peak_memory(step) for name, step in cases.items()}
    times = interleave(cases, rounds=rounds)
    seconds = zip(*(times.seconds[name] for name in ("distilled", "teacher", "plain")), strict=True)
    ratio = statistics.median((distilled - teacher) / plain for distilled, teacher, plain in seconds)
    return [
        title,
        *(f"{1e3 * times.median(name):.0f} ms" for name in cases),
        f"{ratio:.2f}",
        *(f"{memory[name] / 1e6:.0f} MB" for name in cases),
        f"{(memory['distilled'] - memory['teacher']) / memory['plain']:.2f}",
    ]


def main(rounds: int = 5) -> Findings:
    parts = ["plain step", "teacher's forward", "distillation step", "(distillation - teacher) / plain"]
    rows = [row(title, steps(*setting), rounds) for title, setting in SETTINGS.items()]
    return Findings([Table(["training", *parts, *(f"memory: {part}" for part in parts)], rows)])
