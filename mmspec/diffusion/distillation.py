"""Distillation: an objective with a teacher, whose denoising a smaller student imitates."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mmspec.components import Component
from mmspec.diffusion.denoiser import Denoiser, expand_sigma
from mmspec.diffusion.objective import Draw, LossTerms, Objective, Squares
from mmspec.errors import InputError
from mmspec.losses.distillation import SpectrumAwareDistillationLoss, pairs_by_size
from mmspec.networks import Network
from mmspec.networks.folding import crop

Example = tuple[Tensor, dict[str, Tensor]]


class Tap:
    """Remembers what a module put out last, ``[B, channels, *size]``, until it is taken."""

    def __init__(self, module: nn.Module) -> None:
        self.output: Tensor | None = None
        module.register_forward_hook(self)

    def __call__(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self.output = output

    def __deepcopy__(self, memo: dict[int, Any]) -> Callable[..., None]:
        return _listen_not  # a copy of the module, such as the average of its weights, is another network

    def take(self) -> Tensor:
        """The output, which is then forgotten, with the graph behind it."""
        output, self.output = self.output, None
        if output is None:
            raise ValueError("the network that is listened to was not run: distil the student that was given.")
        return output


def _listen_not(module: nn.Module, inputs: Any, output: Any) -> None:
    """A hook that does nothing."""


class Teacher(nn.Module):
    """A denoiser as it is: in evaluation mode, without gradients, in bfloat16 or compiled where that is asked for.

    Args:
        denoiser: any `Denoiser`; it is changed to take no gradients.
        features: of its network, listened to as well.
        mixed_precision: "no" or "bf16".
        compile: torch.compile its network.

    Raises:
        ValueError: for another precision.
    """

    def __init__(
        self, denoiser: Denoiser, features: Sequence[nn.Module], mixed_precision: str = "no", compile: bool = False
    ) -> None:
        super().__init__()
        if mixed_precision not in ("no", "bf16"):
            raise ValueError(f'mixed_precision must be "no" or "bf16", not {mixed_precision!r}.')
        self.denoiser = denoiser.eval().requires_grad_(False)
        self.taps = [Tap(module) for module in features]
        self.low_precision = mixed_precision == "bf16"
        if compile:
            denoiser.network.compile()

    def train(self, mode: bool = True) -> "Teacher":
        """A teacher does not train: no dropout, whatever is asked."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, x: Tensor, sigma: Tensor, **cond: Tensor) -> tuple[Tensor, list[Tensor]]:
        """What the denoiser predicts, ``[B, C, *spatial]``, and its features."""
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.low_precision):
            x0_hat = self.denoiser(x, sigma, **cond)
        return x0_hat, [tap.take() for tap in self.taps]


class DistillationObjective(nn.Module):
    """An objective, plus what a student's outputs and features lack of a teacher's: ``L_DDPM + lambda_s L_spatial +
    lambda_f L_freq`` (Diffusion Probabilistic Model Made Slim, Eq. 9), the regularizers of the objective included.

    Teacher and student denoise the same signals with the same noise at the same sigma; as both are ``D(x; sigma)``,
    they may have different networks and processes. Compared are

    - the outputs, each times ``sqrt(weighting(sigma))`` like the objective's own error: with the weighting of DDPM
      that is the predicted noise, as in the paper;
    - the last features of each level on the way up (`mmspec.networks.Network.level_ends`), of levels that have one
      scale in both networks; where a size is not divisible and one network pads further, its padding is cropped.

    Where sigma lies outside of the teacher's range it has nothing to teach, and both terms are 0.

    The 1x1 convolutions that align channels are the parameters of this module that require gradients; they are
    trained with the student, on which they leave no trace. The student passed to `forward` must be the one given
    here, or a wrapper of it.

    Args:
        objective: what is minimized besides.
        teacher: any denoiser of the same signals; it is put into evaluation mode and takes no gradients.
        student: the denoiser that will be trained.
        example: one clean signal (or latent) ``[1, C, *spatial]`` and what is told of it, to see the features' shapes
            by; None is zeros, which serves all but networks that need conditioning.
        spatial, frequency: weights lambda_s and lambda_f.
        alpha, floor, octaves: of the frequencies' weights, see `mmspec.losses.SpectrumAwareDistillationLoss`.
        features: False compares outputs alone.
        mixed_precision: of the teacher, "no" or "bf16".
        compile: torch.compile the teacher's network.

    Raises:
        InputError: if teacher and student are for different signals, classes, sample rates or conditioning, or have
            no features of one scale.
        ValueError: for an option that is out of its range.
    """

    def __init__(
        self,
        objective: Objective,
        teacher: Denoiser,
        student: Denoiser,
        example: Example | None = None,
        *,
        spatial: float = 0.1,
        frequency: float = 0.1,
        alpha: float = -1.0,
        floor: float = 0.01,
        octaves: Sequence[int] = (),
        features: bool = True,
        mixed_precision: str = "no",
        compile: bool = False,
    ) -> None:
        super().__init__()
        self.objective = objective
        require_same_signals(teacher, student)
        example = example if example is not None else (torch.zeros(1, *(student.latent_shape or ())), {})
        pairs = _pairs(student, teacher, example) if features else []
        self.teacher = Teacher(teacher, [theirs for _, (theirs, _) in pairs], mixed_precision, compile)
        self.student_taps = [Tap(ours) for (ours, _), _ in pairs]
        self.loss = SpectrumAwareDistillationLoss(
            [(ours, theirs) for (_, ours), (_, theirs) in pairs],
            dims=len(_shape(student)) - 1,
            spatial=spatial,
            frequency=frequency,
            alpha=alpha,
            floor=floor,
            octaves=octaves,
            reduction="none",
        )

    def draw(
        self, shape: Sequence[int], generator: Generator | None = None, device: torch.device | None = None
    ) -> Draw:
        """The objective's draw."""
        return self.objective.draw(shape, generator, device)

    @property
    def balanced(self) -> bool:
        """The objective's."""
        return self.objective.balanced

    def forward(
        self,
        denoiser: nn.Module,
        x0: Tensor,
        *,
        step: int | None = None,
        draw: Draw | None = None,
        squares: Squares | None = None,
        **cond: Tensor,
    ) -> LossTerms:
        """The loss of each sample of a batch; arguments as for `Objective.forward`.

        The parts have "distill_spatial" and "distill_frequency" besides, each also "_weighted".
        """
        draw = draw if draw is not None else self.draw(x0.shape, device=x0.device)
        noisy, cond = self.objective.corrupt(x0, draw, cond)
        # The teacher first: what it needed is free again when the student's activations pile up.
        target, target_features = self.teacher(noisy, draw.sigma, **cond)
        x0_hat = denoiser(noisy, draw.sigma, **cond)
        features, target_features = _cropped([tap.take() for tap in self.student_taps], target_features)
        taught = (draw.sigma >= self.teacher.denoiser.sigma_min) & (draw.sigma <= self.teacher.denoiser.sigma_max)
        for theirs in (target, *target_features):  # what is not taught may be infinite, and 0 times that is NaN
            theirs.masked_fill_(~taught.view(-1, *[1] * (theirs.ndim - 1)), 0)

        terms = self.objective.compare(x0_hat, x0, draw.sigma, step, squares)
        scale = expand_sigma(self.objective.weighting(draw.sigma).sqrt(), x0)
        distilled = self.loss.terms(scale * x0_hat, scale * target, x0, features, target_features)
        total, parts = terms.total, dict(terms.parts)
        for name, values in distilled._asdict().items():
            values = torch.where(taught, values, 0)
            weighted = getattr(self.loss, name) * values
            total = total + weighted
            parts |= {f"distill_{name}": values.detach(), f"distill_{name}_weighted": weighted.detach()}
        return terms._replace(total=total, parts=parts)

    def gradient_squares(
        self, denoiser: nn.Module, x0: Tensor, *, step: int | None = None, draw: Draw, **cond: Tensor
    ) -> Squares:
        """The objective's of clean signals ``[B, C, *spatial]``, which need no teacher."""
        return self.objective.gradient_squares(denoiser, x0, step=step, draw=draw, **cond)


def require_same_signals(teacher: Denoiser, student: Denoiser) -> None:
    """Raise InputError unless teacher and student denoise the same signals, told the same of them."""
    facts: dict[str, Callable[[Denoiser], Any]] = {
        "signals of shape": lambda denoiser: _shape(denoiser),
        "a sample rate of": lambda denoiser: denoiser.sample_rate,
        "the classes": lambda denoiser: denoiser.classes,
        "the conditioner": lambda denoiser: (
            Component.of(denoiser.conditioner).write() if denoiser.conditioner else None
        ),
        "embeddings of texts of width": lambda denoiser: denoiser.told.get("context", 0),
        "a first stage of SHA-256": lambda denoiser: denoiser.first_stage.sha256() if denoiser.first_stage else None,
    }
    for what, fact in facts.items():
        theirs, ours = fact(teacher), fact(student)
        if what == "the classes" and theirs and ours and len(theirs) == len(ours) and _numbers(theirs):
            continue  # official weights do not know what their classes are called
        if theirs != ours:
            raise InputError(
                f"distillation: the teacher has {what} {theirs}, the student {ours}: train the student on what the "
                "teacher was trained on, or choose another teacher."
            )


def _numbers(classes: Sequence[str]) -> bool:
    return list(classes) == [str(index) for index in range(len(classes))]


def _shape(denoiser: Denoiser) -> tuple[int, ...]:
    if denoiser.signal_shape is None:
        raise InputError("distillation: teacher and student must say their signal_shape, as all that mmspec saves do.")
    return tuple(denoiser.signal_shape)


End = tuple[nn.Module, int]  # a module at the end of a level, and its channels


def _pairs(student: Denoiser, teacher: Denoiser, example: Example) -> list[tuple[End, End]]:
    """The ends of levels that have one scale in both networks, the student's first."""
    try:
        ours, theirs = _level_ends(student.network), _level_ends(teacher.network)
    except ValueError as error:
        raise InputError(f"distillation: {error} Set distillation.features=false.") from None
    example = _without_padding(example, student, teacher)
    our_shapes, their_shapes = _shapes(student, ours, example), _shapes(teacher, theirs, example)
    found = pairs_by_size(our_shapes, their_shapes)
    if not found:
        raise InputError(
            f"distillation: teacher and student have no features of one scale (teacher: {_sizes(their_shapes)}; "
            f"student: {_sizes(our_shapes)}): change the student's levels, or set distillation.features=false."
        )
    return [((ours[i], our_shapes[i][0]), (theirs[j], their_shapes[j][0])) for i, j in found]


def _level_ends(network: nn.Module) -> list[nn.Module]:
    if not isinstance(network, Network):
        raise ValueError(f"a {type(network).__name__} is no Network, which says where its levels end.")
    return network.level_ends()


def _without_padding(example: Example, *denoisers: Denoiser) -> Example:
    """An example of a size that no network pads: there, features of one size are of one scale."""
    x0, cond = example
    multiple = math.lcm(*(denoiser.network.multiple for denoiser in denoisers))
    return x0.new_zeros(1, x0.shape[1], *(-(-n // multiple) * multiple for n in x0.shape[2:])), cond


def _cropped(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Pairs of features at the smaller size of each: what is beyond is padding."""
    sizes = [tuple(map(min, a.shape[2:], b.shape[2:])) for a, b in zip(ours, theirs, strict=True)]
    ours = [crop(x, size) for x, size in zip(ours, sizes, strict=True)]
    return ours, [crop(x, size) for x, size in zip(theirs, sizes, strict=True)]


@torch.no_grad()
def _shapes(denoiser: Denoiser, modules: Sequence[nn.Module], example: Example) -> list[tuple[int, ...]]:
    """Shapes ``(channels, *size)`` of what modules put out, found by running the denoiser once."""
    shapes: list[tuple[int, ...]] = []
    handles = [
        module.register_forward_hook(lambda _, inputs, output: shapes.append(tuple(output.shape[1:])))
        for module in modules
    ]
    training = denoiser.training
    x0, cond = example
    denoiser.eval()(x0, 1.0, **{name: value[:1] for name, value in cond.items()})
    denoiser.train(training)
    for handle in handles:
        handle.remove()
    return shapes


def _sizes(shapes: Sequence[Sequence[int]]) -> str:
    return ", ".join("x".join(map(str, size)) for _, *size in shapes)
