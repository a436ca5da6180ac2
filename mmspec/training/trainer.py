"""The one trainer: any denoiser, any objective, images and audio, on one device or many."""

import atexit
import copy
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, is_tensorboard_available
from torch import Tensor

from mmspec.data.augment import EDMAugment
from mmspec.diffusion import Denoiser, Objective
from mmspec.errors import InputError
from mmspec.training.batches import Batches, Dataset, SampleOrder, Texts, step_seed
from mmspec.training.checkpoint import (
    load_checkpoint,
    prune_checkpoints,
    save_checkpoint,
    trained_parameters,
)
from mmspec.training.ema import ema_decay, update_ema
from mmspec.training.finite import FiniteGuard
from mmspec.training.log import RunLog
from mmspec.training.meters import Meters

INTERRUPTED = 75  # exit status after SIGTERM or Ctrl-C: the state is saved, the same command goes on


@dataclass(frozen=True)
class TrainerOptions:
    """How to train; conf/trainer/default.yaml explains each and holds the defaults of the commands."""

    max_steps: int
    batch_size: int = 64
    accumulation: int = 1
    learning_rate: float = 2e-4
    warmup_steps: int = 0
    learning_rate_end: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    grad_clip: float | None = 1.0
    ema_halflife_nimg: float = 500_000
    ema_rampup: float = 0.05
    mixed_precision: str = "no"
    compile: bool = False
    channels_last: bool = False
    device: str = "auto"
    log_every: int = 50
    sample_every: int | None = None
    checkpoint_every: int = 1000
    keep_last: int = 2
    keep_every: int | None = None
    max_nonfinite: int = 10
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "accumulation", "log_every", "checkpoint_every", "keep_last"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, not {getattr(self, name)}.")
        if self.mixed_precision not in ("no", "bf16"):
            raise ValueError(f'mixed_precision must be "no" or "bf16", not {self.mixed_precision!r}.')
        if self.device not in ("auto", "cpu"):
            raise ValueError(f'device must be "auto" or "cpu", not {self.device!r}.')


class Trainer:
    """Minimizes an objective over a data set.

    The step index alone decides which samples are seen and which noise is drawn, so that a run that was cut off and
    resumed ends with the weights of one that was not, and several processes take the step that one would take.

    Args:
        denoiser: what is trained, in place.
        objective: what is minimized; its own parameters that require gradients are trained too, and not averaged.
        dataset: where the samples come from.
        options: how to train.
        folder: of the run.
        seed: of everything random.
        num_classes: of the labels; 0 trains without labels.
        preview: called with the averaged denoiser and the step, every ``options.sample_every`` steps.
        texts: what the samples of given indices show, as a network looks at it: its ``context`` and ``null_context``.
        augment: of the pictures, for a network that takes ``augment_labels``.

    Raises:
        InputError: if TensorBoard is asked for and not installed.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        objective: Objective,
        dataset: Dataset,
        options: TrainerOptions,
        folder: Path,
        *,
        seed: int = 0,
        num_classes: int = 0,
        preview: Callable[[Denoiser, int], None] | None = None,
        texts: Texts | None = None,
        augment: EDMAugment | None = None,
    ) -> None:
        self.options, self.folder, self.seed, self.num_classes = options, Path(folder), seed, num_classes
        self.dataset, self.preview, self.augment = dataset, preview, augment
        if options.tensorboard and not is_tensorboard_available():
            raise InputError(
                "trainer.tensorboard needs a package that is not installed: pip install 'mmspec[trackers]', or give "
                "trainer.tensorboard=false."
            )
        self.accelerator = Accelerator(
            mixed_precision=options.mixed_precision,
            cpu=options.device == "cpu" or not torch.cuda.is_available(),  # or processes on CPUs would not meet
            log_with="tensorboard" if options.tensorboard else None,
            project_config=ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder)),
        )
        atexit.register(self.accelerator.state.destroy_process_group)  # not before: the next run of a multirun uses it
        self.device = self.accelerator.device
        self.texts = texts.to(self.device) if texts is not None else None
        if options.channels_last:
            for module in (denoiser, objective):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.denoiser = denoiser.to(self.device)
        self.objective = objective.to(self.device)
        self.ema = copy.deepcopy(self.denoiser).eval().requires_grad_(False)
        self.objective_weights = list(trained_parameters(self.objective).values())
        optimizer = torch.optim.AdamW(
            [*denoiser.parameters(), *self.objective_weights],
            lr=options.learning_rate,
            betas=(options.betas[0], options.betas[1]),
            weight_decay=options.weight_decay,
            fused=True,
        )
        if options.compile:
            self.denoiser.network.compile()
        self.model, self.optimizer = self.accelerator.prepare(self.denoiser, optimizer)
        self.generator = torch.Generator(self.device)
        self.meters = Meters(self.device)
        self.guard = FiniteGuard(options.max_nonfinite)
        self._asked_to_stop = False

    def train(self, resume: Path | None = None) -> None:
        """Train up to ``options.max_steps``, from a checkpoint where one is given.

        Raises:
            InputError: if the loss stays non-finite, the batch does not divide over the processes, or the checkpoint
                does not fit.
            SystemExit: with status 75 after SIGTERM or Ctrl-C, once a checkpoint is written.
        """
        options = self.options
        step, stop = 0, False
        if resume is not None:
            optimizer = self.optimizer.optimizer
            step = load_checkpoint(resume, self.denoiser, self.ema, optimizer, self.objective)["step"]
        if options.tensorboard:
            self.accelerator.init_trackers("tensorboard")
        self.model.train()
        order = SampleOrder(len(self.dataset), options.batch_size, self.seed)
        batches = Batches(self.dataset, order, self._shares())
        last_log = (step, time.perf_counter())
        with RunLog(self.folder, self.accelerator, options.max_steps, step) as log, self._signals():
            if resume is not None:
                log.say(f"going on from {resume}")
            try:
                while step < options.max_steps and not stop:
                    self._step(step, batches, order)
                    step += 1
                    log.advance(step)
                    done = step == options.max_steps
                    if step % options.log_every == 0 or done:
                        last_log = self._log(log, step, last_log)
                    stop = self._agree_on_stop(step)
                    if step % options.checkpoint_every == 0 or done or stop:
                        self._checkpoint(log, step, required=done or stop)
                    if self.preview and options.sample_every and (step % options.sample_every == 0 or done):
                        self._preview(step)
            finally:
                batches.close()
            if step < options.max_steps:
                log.say(f"interrupted at step {step}, saved: run the same command again to go on")
                sys.exit(INTERRUPTED)

    def _step(self, step: int, batches: Batches, order: SampleOrder) -> None:
        options, shares = self.options, self._shares()
        torch.manual_seed(step_seed(self.seed, step, self.accelerator.process_index))  # dropout
        micro_batches = [self._prepared(*batch) for batch in batches.step(step)]
        if self.texts is not None:
            for share, (_, cond) in zip(shares, micro_batches, strict=True):
                cond |= self.texts(order.indices(step)[share])
        shape = (options.batch_size, *micro_batches[0][0].shape[1:])
        # The draw is that of the whole batch on every process: the same step however it is shared out.
        draw = self.objective.draw(shape, self.generator.manual_seed(step_seed(self.seed, step)), self.device)
        if self.augment is not None:
            moves = self.augment.draw(options.batch_size, self.generator, self.device)
            micro_batches = [
                (self.augment.apply(x0, moves[share]), {**cond, "augment_labels": self.augment.labels(moves[share])})
                for share, (x0, cond) in zip(shares, micro_batches, strict=True)
            ]
        for i, (share, (x0, cond)) in enumerate(zip(shares, micro_batches, strict=True)):
            if options.channels_last:
                x0 = x0.to(memory_format=torch.channels_last)
            last = i == len(shares) - 1
            with nullcontext() if last else self.accelerator.no_sync(self.model):
                terms = self.objective(self.model, x0, step=step, draw=draw[share], **cond)
                self.accelerator.backward(terms.total.mean() / len(shares))
            self._measure(terms.total, terms.sigma, terms.parts, terms.grad_shares)
        self._share_gradients()
        trained = [*self.model.parameters(), *self.objective_weights]
        grad_norm = torch.nn.utils.clip_grad_norm_(trained, options.grad_clip or float("inf"))
        finite = torch.isfinite(grad_norm).float()
        self._update(step, 1 - finite)
        self.meters.add("train/grad_norm", grad_norm)
        update_ema(self.ema, self.denoiser, self._decay(step), finite)
        mine = slice(shares[0].start, shares[-1].stop)
        self.guard.watch(step, finite, draw.sigma[mine], order.indices(step)[mine])

    def _share_gradients(self) -> None:
        """Average over processes what the objective's own parameters received; the model does so by itself."""
        if self.accelerator.num_processes > 1:
            for parameter in self.objective_weights:
                parameter.grad = self.accelerator.reduce(parameter.grad, "mean")

    def _update(self, step: int, found_inf: Tensor) -> None:
        options = self.options
        rate = options.learning_rate
        if options.learning_rate_end is not None:
            rate += (options.learning_rate_end - rate) * step / options.max_steps
        if options.warmup_steps:
            rate *= min(1.0, (step + 1) / options.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        # Fused AdamW leaves weights and moments alone where found_inf is 1, and no host has to ask.
        self.optimizer.optimizer.found_inf = found_inf
        self.optimizer.step()
        self.optimizer.zero_grad()

    def _measure(self, total: Tensor, sigma: Tensor, parts: dict[str, Tensor], grad_shares: dict[str, Tensor]) -> None:
        self.meters.add("train/loss", total)
        self.meters.add_by_sigma(sigma, parts["denoising"])
        for name, values in parts.items():
            self.meters.add(f"train/loss/{name}", values)
        for name, share in grad_shares.items():
            self.meters.add(f"train/grad_share/{name}", share)

    def _log(self, log: RunLog, step: int, last: tuple[int, float]) -> tuple[int, float]:
        self.guard.settle()
        values, by_sigma = self.meters.read()
        values |= {f"train/loss_by_sigma/{bucket}": value for bucket, value in by_sigma.items()}
        now = time.perf_counter()
        values["train/learning_rate"] = self.optimizer.param_groups[0]["lr"]
        values["perf/samples_per_sec"] = (step - last[0]) * self.options.batch_size / (now - last[1])
        values["perf/max_memory_gb"] = _max_memory_gb(self.device)
        log.scalars(step, step * self.options.batch_size, values)
        return step, now

    def _checkpoint(self, log: RunLog, step: int, required: bool) -> None:
        self.guard.settle()
        if not self.guard.healthy and not required:
            log.say(f"no checkpoint at step {step}: the last loss was not finite")
            return
        if self.accelerator.is_main_process:
            folder = self.folder / "checkpoints"
            state = {"nimg": step * self.options.batch_size, "seed": self.seed}
            try:
                save_checkpoint(folder, step, self.denoiser, self.ema, self.optimizer.optimizer, state, self.objective)
                prune_checkpoints(folder, self.options.keep_last, self.options.keep_every)
            except OSError as error:
                if required:
                    raise InputError(f"{error}: make room and run the same command again.") from error
                log.say(f"{error}; training goes on, the next checkpoint is tried in its turn")
        self.accelerator.wait_for_everyone()

    def _preview(self, step: int) -> None:
        if self.accelerator.is_main_process and self.preview:
            self.preview(self.ema, step)
        self.accelerator.wait_for_everyone()

    def _shares(self) -> list[slice]:
        processes, parts = self.accelerator.num_processes, self.options.accumulation
        size, rest = divmod(self.options.batch_size, processes * parts)
        if rest:
            raise InputError(
                f"trainer.batch_size={self.options.batch_size} does not divide over {processes} processes with "
                f"trainer.accumulation={parts}: make it a multiple of {processes * parts}."
            )
        start = self.accelerator.process_index * parts * size
        return [slice(start + i * size, start + (i + 1) * size) for i in range(parts)]

    def _prepared(self, clips: Tensor, labels: Tensor | None) -> tuple[Tensor, dict[str, Any]]:
        """Clean signals and what the network is told of each, on the device."""
        x0, cond = self.denoiser.condition(clips.to(self.device, non_blocking=True))
        if labels is not None and self.num_classes:
            one_hot = torch.nn.functional.one_hot(labels, self.num_classes).float()
            cond["labels"] = one_hot.to(self.device, non_blocking=True)
        return x0, cond

    def _decay(self, step: int) -> float:
        options = self.options
        nimg = (step + 1) * options.batch_size
        return ema_decay(nimg, options.batch_size, options.ema_halflife_nimg, options.ema_rampup)

    def _agree_on_stop(self, step: int) -> bool:
        if self.accelerator.num_processes == 1:
            return self._asked_to_stop
        if step % self.options.log_every:  # asking all processes is a wait: not at every step
            return False
        asked = torch.tensor(float(self._asked_to_stop), device=self.device)
        return bool(self.accelerator.reduce(asked, "sum").item())

    @contextmanager
    def _signals(self) -> Iterator[None]:
        def ask(number: int, frame: FrameType | None) -> None:
            self._asked_to_stop = True

        previous = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _max_memory_gb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9  # kilobytes on Linux
