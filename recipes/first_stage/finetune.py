"""The decoder of a first stage, fine-tuned for a few steps with each term; the encoder stays as it is.

All arms of a seed start from the same weights and see the same crops in the same order. A term's gradient at the
decoded picture has the same share of that of the L1 error, whatever the term.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from data_prep.options import whole_number
from data_prep.preparation import run
from mmspec.data import PackedDataset
from mmspec.errors import InputError
from mmspec.losses import FourierAmplitudePhaseLoss, Regularizer, WaveletLoss
from mmspec.networks import FirstStage
from mmspec.pretrained import load_first_stage
from recipes.common.results import is_done, listed, pictures, write
from recipes.first_stage.round_trip import level, round_trip, rounded


class SquaredError(nn.Module):
    """The placebo: a change of the error's weighting that knows no frequency, ``[B, C, H, W]`` twice -> ``[B]``."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return (input - target).square().flatten(1).mean(1)


ARMS: dict[str, nn.Module | None] = {
    "l1": None,
    "placebo": SquaredError(),
    "amplitude_phase": FourierAmplitudePhaseLoss(reduction="none"),
    "haar": WaveletLoss("haar", reduction="none"),
}


@dataclass(frozen=True)
class Settings:
    """What is equal in all arms; a result remembers it.

    Attributes:
        first_stage: `FirstStage.sha256`.
        train, test: SHA-256 of the packed sets.
        steps: after which the decoder is measured; the last is the whole training.
        pictures: of the test set that are measured.
        crop: height and width of what is trained on, in pixels.
        batch: crops a step.
        learning_rate: of Adam at the start; it falls linearly to 0.
        share: norm of a term's gradient over that of the L1 error.
    """

    first_stage: str
    train: str
    test: str
    steps: list[int]
    pictures: int
    crop: int
    batch: int
    learning_rate: float
    share: float


def crops(dataset: PackedDataset, settings: Settings, seed: int) -> Iterator[Tensor]:
    """The batches of a seed, ``[batch, C, crop, crop]`` each: crops anywhere, half of them seen in a mirror."""
    rng = np.random.default_rng(seed)
    _, height, width = dataset.meta.shape
    for _ in range(settings.steps[-1]):
        rows = rng.integers(len(dataset), size=settings.batch)
        tops = rng.integers(height - settings.crop + 1, size=settings.batch)
        lefts = rng.integers(width - settings.crop + 1, size=settings.batch)
        turned = rng.integers(2, size=settings.batch)
        whole = dataset.batch(rows)[0]
        parts = [
            x[:, top : top + settings.crop, left : left + settings.crop]
            for x, top, left in zip(whole, tops, lefts, strict=True)
        ]
        yield torch.stack([x.flip(-1) if turn else x for x, turn in zip(parts, turned, strict=True)])


def tuned(
    stage: FirstStage, batches: Sequence[tuple[Tensor, Tensor]], term: nn.Module | None, settings: Settings
) -> Iterator[int]:
    """Train the stage's decoder in place, and yield the number of steps after each.

    Args:
        stage: whose decoder.
        batches: crops ``[batch, C, crop, crop]`` and their latents, one of both a step.
        term: what is added to the L1 error, a value a sample; None for nothing.
        settings: of the training.
    """
    weights = list(stage.decoder.requires_grad_(True).parameters())
    optimizer = torch.optim.Adam(weights, settings.learning_rate)
    falling = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, len(batches))
    added = None if term is None else Regularizer(term, settings.share, balance="gradient")
    for step, (x, z) in enumerate(batches):
        back = stage.decode(z)
        loss = (back - x).abs().flatten(1).mean(1)
        if added is not None:
            loss = loss + added(back, x, 0.0, denoising=loss).weighted
        optimizer.zero_grad()
        loss.mean().backward()
        optimizer.step()
        falling.step()
        yield step + 1


def main(arguments: list[str] | None = None) -> int:
    """Measure the untreated decoder and every arm of every seed; returns the exit status."""
    parser = argparse.ArgumentParser("python -m recipes.first_stage.finetune", description=__doc__)
    for name in ("first-stage", "train", "test", "results"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--arms", type=listed(str), default=list(ARMS))
    parser.add_argument("--seeds", type=listed(int), default=[0, 1, 2, 3, 4])
    parser.add_argument("--steps", type=listed(int), default=[5, 200])
    for name, default in (("pictures", 60), ("crop", 128), ("batch", 4)):
        parser.add_argument(f"--{name}", type=whole_number, default=default)
    for name, default in (("learning-rate", 3e-5), ("share", 0.5)):
        parser.add_argument(f"--{name}", type=float, default=default)
    options = parser.parse_args(arguments)
    return run(lambda: _measure_all(options))


def _measure_all(options: argparse.Namespace) -> str:
    stage, train, settings = _opened(options)
    held_out = pictures(options.test, settings.pictures)
    latents = _encoded(stage, torch.split(held_out, 1), 0)
    untreated = options.results / "untreated.json"
    if not is_done(untreated, asdict(settings)):
        found = round_trip(stage, held_out, latents).write()
        write(untreated, asdict(settings), {"real": rounded(level(held_out)), "after": {"0": found}})
    for seed in options.seeds:
        files = {arm: options.results / f"{arm}-{seed}.json" for arm in options.arms}
        left = [arm for arm, file in files.items() if not is_done(file, asdict(settings))]
        seen = list(crops(train, settings, seed)) if left else []
        batches = list(zip(seen, _encoded(stage, seen, seed).split(settings.batch), strict=True)) if left else []
        for arm in left:
            start = time.monotonic()
            treated = load_first_stage(options.first_stage)
            after = {
                str(step): round_trip(treated, held_out, latents).write()
                for step in tuned(treated, batches, ARMS[arm], settings)
                if step in settings.steps
            }
            seconds = round(time.monotonic() - start)
            write(files[arm], asdict(settings), {"arm": arm, "seed": seed, "seconds": seconds, "after": after})
            print(f"{files[arm]}: {seconds} s", flush=True)
    return f"{options.results}: {len(options.arms) * len(options.seeds)} results"


def _opened(options: argparse.Namespace) -> tuple[FirstStage, PackedDataset, Settings]:
    """The first stage, what it is trained on, and the settings; InputError for what does not fit."""
    stage, train = load_first_stage(options.first_stage), PackedDataset(options.train)
    if unknown := set(options.arms) - set(ARMS):
        raise InputError(f"--arms {', '.join(sorted(unknown))}: there are {', '.join(ARMS)}.")
    if options.crop % stage.factor or options.crop > min(train.meta.shape[1:]):
        raise InputError(
            f"--crop {options.crop}: give a multiple of {stage.factor} up to {min(train.meta.shape[1:])}, the size of "
            f"the pictures in {options.train}."
        )
    if options.steps != sorted(set(options.steps)) or options.steps[0] < 1:
        raise InputError(f"--steps {options.steps}: give ascending numbers of steps, each 1 or more.")
    given = {name: value for name, value in vars(options).items() if name in Settings.__dataclass_fields__}
    sets = {"train": train.meta.sha256, "test": PackedDataset(options.test).meta.sha256}
    return stage, train, Settings(**{**given, **sets, "first_stage": stage.sha256()})


@torch.no_grad()
def _encoded(stage: FirstStage, parts: Sequence[Tensor], seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)  # of a first stage that draws: all arms decode the same latents
    return torch.cat([stage.encode(x, generator) for x in parts])


if __name__ == "__main__":
    sys.exit(main())
