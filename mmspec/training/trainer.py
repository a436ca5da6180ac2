"""The one trainer: any denoiser, any objective, images and audio, on one device or many."""

import atexit
import copy
import itertools
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import torch
from accelerate import Accelerator
from accelerate.utils import ProjectConfiguration, is_tensorboard_available
from torch import Tensor, nn

from mmspec.data.augment import EDMAugment
from mmspec.devices import find_device, refuse_missing_on
from mmspec.diffusion import AnyObjective, Denoiser
from mmspec.diffusion.conditions import AugmentLabels, Batch, Condition, tell
from mmspec.diffusion.objective import Draw, LossTerms, Squares, add_squares
from mmspec.errors import InputError
from mmspec.interruption import Interrupted
from mmspec.metrics.cost import short_count
from mmspec.networks.dropout import seed_dropout
from mmspec.training.batches import Batches, Dataset, sample_order, sample_seeds, step_seed
from mmspec.training.checkpoint import (
    StateFile,
    checkpoint_bytes,
    load_checkpoint,
    require_room,
    take_snapshot,
    trained_parameters,
)
from mmspec.training.complete import complete_checkpoints, prune_checkpoints
from mmspec.training.ema import update_ema
from mmspec.training.finite import FiniteGuard, not_finite
from mmspec.training.interruption import StopRequest
from mmspec.training.log import RunLog
from mmspec.training.meters import Meters
from mmspec.training.options import TrainerOptions
from mmspec.training.recompute import recompute_blocks
from mmspec.training.sharding import gradient_norm, host_copy, local, shard, sync_gradients
from mmspec.training.trackers import make_trackers
from mmspec.training.utilization import cost_per_signal, flops_of, peak_of
from mmspec.training.writer import CheckpointWriter

Told: TypeAlias = tuple[Tensor, dict[str, Tensor]]  # clean signals, and what the network is told of them


class Trainer:
    """Minimizes an objective over a data set.

    The step index alone decides which samples are seen and which noise is drawn, so that a run that was cut off and
    resumed ends with the weights of one that was not, and several processes take the step that one would take. So do
    the micro-batches of ``options.accumulation``; where a regularizer is balanced, its weight is that of the whole
    batch, which costs them a second forward pass without a graph, about a third more time.

    Args:
        denoiser: what is trained, in place.
        objective: what is minimized; its own parameters that require gradients are trained too, and not averaged.
        dataset: where the samples come from.
        options: how to train.
        folder: of the run.
        seed: of everything random.
        preview: draws samples ``[N, C, *spatial]`` of the averaged denoiser, and a picture of them into a file, every
            ``options.sample_every`` steps.
        conditions: what the network is told of each sample; None is what follows from the denoiser and ``augment``.
        augment: of the pictures, for a network that is told of it.

    Raises:
        InputError: if TensorBoard or another tracker is asked for and not installed.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        objective: AnyObjective,
        dataset: Dataset,
        options: TrainerOptions,
        folder: Path,
        *,
        seed: int = 0,
        preview: Callable[[Denoiser, Path], Tensor] | None = None,
        conditions: Sequence[Condition] | None = None,
        augment: EDMAugment | None = None,
    ) -> None:
        self.options, self.folder, self.seed = options, Path(folder), seed
        self.dataset, self.preview, self.augment = dataset, preview, augment
        self.tensorboard = bool(options.tensorboard) and is_tensorboard_available()
        if options.tensorboard is True and not self.tensorboard:
            raise InputError(
                "trainer.tensorboard=true needs a package that is not installed: pip install tensorboard, or leave it "
                "out."
            )
        wanted = find_device(options.device)
        refuse_missing_on(wanted, options.mixed_precision, options.compile, options.accumulation)
        self.accelerator = Accelerator(
            mixed_precision=options.mixed_precision,
            cpu=wanted.type == "cpu",  # or processes on CPUs would not meet
            log_with=[
                *(["tensorboard"] if self.tensorboard else []),
                *make_trackers(options.trackers, self.folder),
            ]
            or None,
            project_config=ProjectConfiguration(project_dir=str(folder), logging_dir=str(folder)),
        )
        atexit.register(self.accelerator.state.destroy_process_group)  # not before: the next run of a multirun uses it
        self.device = self.accelerator.device
        self._shares()  # refuses a batch that does not divide before anything is written
        if conditions is None:
            conditions = [*denoiser.conditions, *([AugmentLabels(augment)] if augment is not None else [])]
        self.conditions = [condition.to(self.device) for condition in conditions]
        self.cost = cost_per_signal(denoiser)
        if options.channels_last:
            for module in (denoiser, objective):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.denoiser = denoiser.to(self.device)
        self.objective = objective.to(self.device)
        self.ema = copy.deepcopy(self.denoiser).eval().requires_grad_(False)
        self._divide()
        self.objective_weights = list(trained_parameters(self.objective).values())
        optimizer = torch.optim.AdamW(
            [{"params": each} for each in (list(denoiser.parameters()), self.objective_weights) if each],
            lr=options.learning_rate,
            betas=(options.betas[0], options.betas[1]),
            weight_decay=options.weight_decay,
            fused=self.device.type != "mps",  # whose AdamW is not known to leave weights alone where asked to
        )
        if options.compile:
            self.denoiser.network.compile()
        self.model = self.accelerator.prepare_model(self.denoiser, evaluation_mode=self.sharded)  # then no DDP
        self.optimizer = self.accelerator.prepare_optimizer(optimizer)
        self.generator = torch.Generator(self.device)
        self.meters = Meters(self.device, self.accelerator.process_index, self.accelerator.num_processes)
        self.guard = FiniteGuard(options.max_nonfinite)
        self.writer = CheckpointWriter(self.folder / "checkpoints", options.keep_last, options.keep_every)
        self.stop = StopRequest(self.device, self.accelerator.num_processes > 1)

    def _divide(self) -> None:
        """Compute blocks twice, and divide the networks over the processes, where that is asked for."""
        options, network = self.options, self.denoiser.network
        if options.activation_checkpointing:
            if not network.blocks():
                raise InputError(
                    f"trainer.activation_checkpointing is of blocks, and a {type(network).__name__} names none "
                    "(Network.blocks): leave it out."
                )
            recompute_blocks(network)
        self.sharded = options.fsdp and self.accelerator.num_processes > 1
        self.averaged = copy.deepcopy(self.ema).cpu() if self.sharded and self.accelerator.is_main_process else self.ema
        if self.sharded:
            for each in (network, self.ema.network):
                shard(each, self.device)

    def train(self, resume: Path | None = None) -> None:
        """Train up to ``options.max_steps``, from a checkpoint where one is given.

        Raises:
            InputError: if the loss stays non-finite, weights are not finite, the batch does not divide over the
                processes, or the checkpoint does not fit, the network or the disk.
            Interrupted: after a signal to stop, once a checkpoint is written.
        """
        options = self.options
        step = self._begin(resume)
        self.model.train()
        order = sample_order(self.dataset, options.batch_size, self.seed)
        batches = Batches(self.dataset, order, self._shares())
        last_log = (step, time.perf_counter())
        with RunLog(self.folder, self.accelerator, options.max_steps, step) as log, self.stop.listening():
            log.say(self._at_work(step))
            if self.accelerator.log_with:
                log.track(lambda: self.accelerator.init_trackers("tensorboard"))
            if resume is not None:
                log.say(f"going on from {resume}")
                if self._shown(step):  # but may have ended between checkpoint and preview
                    self._preview(log, step, again=False)
            try:
                stop = False
                while step < options.max_steps and not stop:
                    self._step(step, batches)
                    step += 1
                    log.advance(step)
                    self._settle(log, wait=False)
                    stop = self.stop.agreed()
                    last_log = self._after(step, log, last_log, stop)
            finally:
                batches.close()
                self.writer.close()
            if step < options.max_steps:
                raise Interrupted(f"interrupted at step {step}, saved: run the same command again to go on.")

    def _at_work(self, step: int) -> str:
        """What is trained, on what, of how much and where to, in a line."""
        weights = sum(parameter.numel() for parameter in self.denoiser.parameters() if parameter.requires_grad)
        processes = self.accelerator.num_processes
        where = f"{_name_of(self.device)}{f' and {processes - 1} more' if processes > 1 else ''}"
        macs = f" and {short_count(self.cost.macs)} MACs" if self.cost else ""
        return (
            f"training {type(self.denoiser.network).__name__} of {weights:,} parameters{macs} on {where}, with "
            f"{len(self.dataset):,} signals of {_times(self.denoiser.signal_shape)}, from step {step:,} to "
            f"{self.options.max_steps:,}, {self.options.batch_size} at a time, into {self.folder}"
        )

    def _begin(self, resume: Path | None) -> int:
        """Weights, optimizer and meters of a checkpoint, if there is one; returns its step."""
        state: StateFile = {"step": 0}
        if resume is not None:
            state = load_checkpoint(resume, self.denoiser, self.ema, self.optimizer.optimizer, self.objective)
        weights = {name: local(tensor) for name, tensor in self.denoiser.network.state_dict().items()}
        if (broken := not_finite(weights)) is not None:
            raise InputError(
                f"the weights that training starts from hold NaN or infinity in {broken}: give others, by init_from or "
                "resume=CHECKPOINT."
            )
        if "meters" in state:
            self.meters.restore(state["meters"])
        if self.accelerator.is_main_process:
            prune_checkpoints(self.folder / "checkpoints", self.options.keep_last, self.options.keep_every)
            self._require_room(state["step"])
        return state["step"]

    def _require_room(self, step: int) -> None:
        options, folder = self.options, self.folder / "checkpoints"
        to_come = math.ceil((options.max_steps - step) / options.checkpoint_every)
        at_a_time = max(1, options.keep_last + 1 - len(complete_checkpoints(folder)))  # the old go after the new
        if to_come > 0:
            size = checkpoint_bytes(self.denoiser, self.optimizer.optimizer)
            require_room(folder, size, min(to_come, at_a_time))

    def _after(self, step: int, log: RunLog, last_log: tuple[int, float], stop: bool) -> tuple[int, float]:
        """What comes between two steps: log, checkpoint, preview, each in its turn."""
        options, done = self.options, step == self.options.max_steps
        if step % options.log_every == 0 or done:
            last_log = self._log(log, step, last_log)
        if step % options.checkpoint_every == 0 or done or stop:
            self._checkpoint(log, step, required=done or stop)
        if self._shown(step) and not (stop and not done):  # what was asked to stop draws it when it goes on
            self._preview(log, step)
        return last_log

    def _step(self, step: int, batches: Batches) -> None:
        torch.manual_seed(step_seed(self.seed, step, self.accelerator.process_index))  # of what has no seed a sample
        micro_batches = [self._signals(batch) for batch in batches.step(step)]
        draw, moves = self._draw(step, micro_batches[0][0].shape[1:])
        told = [
            self._told(x0, batch, moves[share] if moves is not None else None)
            for share, (x0, batch) in zip(self._shares(), micro_batches, strict=True)
        ]
        squares, seen = self._whole_squares(step, told, draw), []
        for (share, sync), (x0, cond) in zip(self._synced(), told, strict=True):
            self._seed_dropout(step, share)
            with sync:
                terms = self.objective(self.model, x0, step=step, draw=draw[share], squares=squares, **cond)
                self.accelerator.backward(terms.total.mean() / self.options.accumulation)
            seen.append(terms._replace(total=terms.total.detach()))
        self._measure(seen)
        finite = self._update(step)
        mine = slice(self._shares()[0].start, self._shares()[-1].stop)
        self.guard.watch(step, finite, draw.sigma[mine], batches.order.indices(step)[mine])

    def _signals(self, batch: Batch) -> tuple[Tensor, Batch]:
        """Clean signals as the network sees them, and the batch, on the device."""
        batch = batch.to(self.device)
        return self.denoiser.clean(batch.signals), batch

    def _draw(self, step: int, shape: Sequence[int]) -> tuple[Draw, Tensor | None]:
        """Noise and augmentation of the whole batch on every process: the same step however it is shared out."""
        count, generator = self.options.batch_size, self.generator.manual_seed(step_seed(self.seed, step))
        draw = self.objective.draw((count, *shape), generator, self.device)
        return draw, self.augment.draw(count, generator, self.device) if self.augment is not None else None

    def _told(self, x0: Tensor, batch: Batch, moves: Tensor | None) -> Told:
        """Signals as they are trained on, and what the network is told of them."""
        if self.augment is not None and moves is not None:
            x0, batch = self.augment.apply(x0, moves), replace(batch, moves=moves)
        if self.options.channels_last:
            x0 = x0.to(memory_format=torch.channels_last)
        return x0, tell(self.conditions, batch)

    def _whole_squares(self, step: int, told: Sequence[Told], draw: Draw) -> Squares | None:
        """What the weights of balanced regularizers follow from, of the whole batch, where it comes in parts.

        It is known after the last micro-batch, and needed at the first: another forward pass of the network (without
        the memory or the teacher of a training step), which takes less than a backward pass for each term.
        """
        if len(told) == 1 or not self.objective.balanced:
            return None
        parts = []
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):  # the same dropout again
            for share, (x0, cond) in zip(self._shares(), told, strict=True):
                self._seed_dropout(step, share)
                mine: Draw = draw[share]  # type: ignore[assignment]
                parts.append(self.objective.gradient_squares(self.model, x0, step=step, draw=mine, **cond))
        return add_squares(parts)

    def _seed_dropout(self, step: int, share: slice) -> None:
        seed_dropout(self.denoiser.network, sample_seeds(self.options.batch_size, self.seed, step)[share])

    def _synced(self) -> Iterator[tuple[slice, AbstractContextManager[None]]]:
        """Shares of the batch; gradients meet those of other processes in the last one alone."""
        *others, last = self._shares()
        for share in others:
            sync_gradients(self.denoiser.network, False)
            yield share, nullcontext() if self.sharded else self.accelerator.no_sync(self.model)
        sync_gradients(self.denoiser.network, True)
        yield last, nullcontext()

    def _share_gradients(self) -> None:
        """Average over processes what the objective's own parameters received; the model does so by itself."""
        if self.accelerator.num_processes > 1:
            for parameter in self.objective_weights:
                parameter.grad = self.accelerator.reduce(parameter.grad, "mean")

    def _update(self, step: int) -> Tensor:
        """Take the step, unless a gradient is not finite; returns ``[]``, 1 where it was taken."""
        self._share_gradients()
        trained = [group["params"] for group in self.optimizer.param_groups]
        grad_norm = gradient_norm(itertools.chain(*trained))
        for parameters in trained:
            nn.utils.clip_grads_with_norm_(parameters, self.options.grad_clip or float("inf"), grad_norm)
        finite = torch.isfinite(grad_norm).float()
        for group in self.optimizer.param_groups:
            group["lr"] = self.options.rate(step)
        # Fused AdamW leaves weights and moments alone where found_inf is 1, and no host has to ask.
        if self.device.type != "mps":
            self.optimizer.optimizer.found_inf = 1 - finite
        if self.device.type != "mps" or finite:
            self.optimizer.step()
        self.optimizer.zero_grad()
        self.meters.add("train/grad_norm", grad_norm)
        update_ema(self.ema, self.denoiser, self.options.decay(step), finite)
        return finite

    def _measure(self, micro_batches: Sequence[LossTerms]) -> None:
        for terms in micro_batches:
            self.meters.add("train/loss", terms.total)
            self.meters.add_by_sigma(terms.sigma, terms.parts["denoising"])
            for name, values in terms.parts.items():
                self.meters.add(f"train/loss/{name}", values)
        whole = micro_batches[0]._replace(squares=add_squares([terms.squares for terms in micro_batches]))
        for name, share in whole.grad_shares.items():
            self.meters.add(f"train/grad_share/{name}", share)

    def _log(self, log: RunLog, step: int, last: tuple[int, float]) -> tuple[int, float]:
        self.guard.settle()
        values, by_sigma = self.meters.read()
        values |= {f"train/loss_by_sigma/{bucket}": value for bucket, value in by_sigma.items()}
        now = time.perf_counter()
        values["train/learning_rate"] = self.optimizer.param_groups[0]["lr"]
        values["perf/samples_per_sec"] = (step - last[0]) * self.options.batch_size / (now - last[1])
        if self.cost and (peak := peak_of(self.device)):
            reached = values["perf/samples_per_sec"] * flops_of(self.cost)
            values["perf/mfu"] = reached / (peak * self.accelerator.num_processes)
        values["perf/max_memory_gb"] = _max_memory_gb(self.device)
        log.scalars(step, step * self.options.batch_size, values)
        return step, now

    def _checkpoint(self, log: RunLog, step: int, required: bool) -> None:
        self.guard.settle()
        if not self.guard.healthy and not required:
            log.say(f"no checkpoint at step {step}: the last loss was not finite")
            return
        self._settle(log)
        self.meters.gather()
        main = self.accelerator.is_main_process
        state = {"nimg": step * self.options.batch_size, "seed": self.seed, "meters": self.meters.state()}
        parts = (self.denoiser, self.ema, self.optimizer.optimizer, state, self.objective)
        snapshot = take_snapshot(step, *parts, keep=main)
        if main:
            self.writer.begin(replace(snapshot, averaged=self.averaged))
        if required:
            self._settle(log, required=True)
            self.accelerator.wait_for_everyone()

    def _settle(self, log: RunLog, wait: bool = True, required: bool = False) -> None:
        """Hear what became of the checkpoint that is being written."""
        try:
            self.writer.settle(wait)
        except OSError as error:
            if required:
                raise InputError(f"{error}: make room and run the same command again.") from error
            log.say(f"{error}; training goes on, the next checkpoint is tried in its turn")

    def _shown(self, step: int) -> bool:
        """Whether a preview belongs to a step."""
        every = self.options.sample_every
        return bool(self.preview and every and step and (step % every == 0 or step == self.options.max_steps))

    def _preview(self, log: RunLog, step: int, again: bool = True) -> None:
        file = self.folder / "samples" / f"step_{step:08d}.png"
        averaged = self._whole_average()
        if self.accelerator.is_main_process and self.preview and (again or not file.exists()):
            try:
                samples = self.preview(averaged, file)
                log.show(step, file, samples, self.denoiser.sample_rate)
            except (OSError, ValueError) as error:  # a full disk, or samples that are not finite
                log.say(f"no preview at step {step} ({error}); training goes on")
        self.accelerator.wait_for_everyone()

    def _whole_average(self) -> Denoiser:
        """The averaged denoiser, in process 0 whole; all processes call it."""
        main = self.accelerator.is_main_process
        weights = host_copy(self.ema.network.state_dict(), keep=main) if self.sharded else {}
        if not (self.sharded and main):
            return self.ema
        self.averaged.network.load_state_dict(weights)
        return copy.deepcopy(self.averaged).to(self.device)

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


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return f"{device} ({torch.get_num_threads()} threads)" if device.type == "cpu" else str(device)


def _times(shape: Sequence[int] | None) -> str:
    return "x".join(map(str, shape)) if shape else "any shape"


def _max_memory_gb(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e9
    unit = 1 if sys.platform == "darwin" else 1024  # bytes on macOS, kilobytes on Linux
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
