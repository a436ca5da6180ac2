"""Schedulers of the diffusers library as arguments of `LDM`: the noise levels, and which of them are visited."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mmspec.errors import InputError
from mmspec.pretrained import diffusers_config as known
from mmspec.pretrained.diffusers_config import Config
from mmspec.strangers import shown
from mmspec.typed import checked, read

PREDICTIONS = {"epsilon": "noise", "v_prediction": "velocity", "sample": "signal"}
SCHEDULES = {"linear": "linear", "scaled_linear": "scaled_linear", "squaredcos_cap_v2": "cosine"}


@dataclass(frozen=True)
class Scheduler:
    """What `LDM` builds of a scheduler, under diffusers' keys, with the values that most of its classes have where a
    configuration lacks a key.
    """

    num_train_timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    beta_schedule: Literal["linear", "scaled_linear", "squaredcos_cap_v2"] = "linear"
    trained_betas: Sequence[float] | None = None
    prediction_type: Literal["epsilon", "v_prediction", "sample"] = "epsilon"
    timestep_spacing: Literal["leading", "trailing", "linspace"] = "leading"
    steps_offset: int = 0
    set_alpha_to_one: bool = True
    final_sigmas_type: Literal["zero", "sigma_min"] = "zero"

    def levels(self, file: Path) -> dict[str, Any]:
        """As arguments of `LDM`.

        Raises:
            InputError: for betas of another number than timesteps.
        """
        betas, count = self.trained_betas, self.num_train_timesteps
        if betas is not None and len(betas) != count:
            raise InputError(
                f"{file} has {len(betas)} trained_betas and num_train_timesteps={count}: expected one number a "
                "timestep; fetch or copy it again."
            )
        return {
            "schedule": SCHEDULES[self.beta_schedule] if betas is None else betas,
            "timesteps": count,
            "beta_min": self.beta_start,
            "beta_max": self.beta_end,
            "prediction": PREDICTIONS[self.prediction_type],
            "ends_clean": self.set_alpha_to_one and self.final_sigmas_type == "zero",
            "spacing": self.timestep_spacing,
            "steps_offset": self.steps_offset,
        }


class Kind(NamedTuple):
    """A class of diffusers' schedulers.

    Attributes:
        defaults: where its configuration lacks a key, in place of `Scheduler`'s.
        fixed: keys that it does not have, with what it does, whatever a configuration that was another class's says.
    """

    defaults: Config
    fixed: Config


EVENLY: Config = {"timestep_spacing": "linspace"}
KARRAS: Config = {**EVENLY, "beta_start": 0.00085, "beta_end": 0.012}  # of those after Karras et al. 2022
BY_ALPHA: Config = {"final_sigmas_type": "zero"}
BY_SIGMA: Config = {"set_alpha_to_one": True}
CLEAN: Config = {**BY_ALPHA, **BY_SIGMA}
SCHEDULERS = {
    "DDPMScheduler": Kind({}, CLEAN),
    "DDIMScheduler": Kind({}, BY_ALPHA),
    "PNDMScheduler": Kind({"set_alpha_to_one": False}, BY_ALPHA),
    "LMSDiscreteScheduler": Kind(EVENLY, CLEAN),
    "EulerDiscreteScheduler": Kind(EVENLY, BY_SIGMA),
    "EulerAncestralDiscreteScheduler": Kind(EVENLY, CLEAN),
    "HeunDiscreteScheduler": Kind(KARRAS, CLEAN),
    "KDPM2DiscreteScheduler": Kind(KARRAS, CLEAN),
    "KDPM2AncestralDiscreteScheduler": Kind(KARRAS, CLEAN),
    "DPMSolverMultistepScheduler": Kind(EVENLY, BY_SIGMA),
    "DPMSolverSinglestepScheduler": Kind({}, {**BY_SIGMA, **EVENLY}),
    "DEISMultistepScheduler": Kind(EVENLY, {"final_sigmas_type": "sigma_min"}),
    "UniPCMultistepScheduler": Kind(EVENLY, BY_SIGMA),
    "DDPMParallelScheduler": Kind({}, CLEAN),
    "DDIMParallelScheduler": Kind({}, BY_ALPHA),
}
COMPVIS = Kind({"steps_offset": 1}, {})  # of a configuration that names no class


def levels(folder: Path) -> tuple[dict[str, Any], str]:
    """The scheduler in a folder's "scheduler" as arguments of `mmspec.diffusion.processes.LDM`, and its file.

    Raises:
        InputError: if it is missing, none on DDPM's table, or a key has a value that mmspec does not build.
    """
    file = folder / "scheduler" / "scheduler_config.json"
    config = known.read_config(file)
    kind = SCHEDULERS.get(str(config["_class_name"])) if "_class_name" in config else COMPVIS
    if kind is None:
        raise InputError(
            f"{file} has _class_name={shown(config['_class_name'])}: mmspec loads folders of diffusion on DDPM's table "
            f"of noise levels, with a scheduler such as {', '.join(list(SCHEDULERS)[:3])}."
        )
    honoured = [field.name for field in fields(Scheduler)]
    known.refuse_others(config, file, known.SCHEDULER, (*honoured, "predict_epsilon", *known.SCHEDULER_STEPS))
    epsilon = checked(config.get("predict_epsilon"), bool | None, f"{file}: predict_epsilon")
    old = {"prediction_type": "sample"} if epsilon is False else {}  # of 2022
    said = {key: value for key, value in config.items() if key in honoured}
    return read(Scheduler, {**kind.defaults, **old, **said, **kind.fixed}, f"{file}:").levels(file), str(file)
