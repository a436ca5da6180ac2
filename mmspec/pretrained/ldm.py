"""Latent diffusion models of CompVis and of the diffusers library as denoisers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mmspec.components import construct
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import LDM
from mmspec.diffusion.processes.ddpm import ddpm_betas
from mmspec.documents import read_yaml
from mmspec.errors import InputError
from mmspec.networks import ClassContextUNet, FirstStage, UNet
from mmspec.networks.weights import no_larger_than, put_weights
from mmspec.pretrained import diffusers
from mmspec.pretrained.compvis import averaged_names, unet_options, unet_weights
from mmspec.pretrained.diffusers_scheduler import levels
from mmspec.pretrained.first_stage import IN_CHECKPOINT, first_stage, load_first_stage
from mmspec.pretrained.weights import plain_names, read_weights
from mmspec.typed import checked

Group = Mapping[str, Any]  # of a YAML of CompVis's
UNET, AVERAGE, CLASSES = "model.diffusion_model.", "model_ema.", "cond_stage_model.embedding.weight"
NULL_CLASS_ROWS = 1001  # of ImageNet's embedding where its last row is the null class


@dataclass(frozen=True)
class Facts:
    """What CompVis's YAML says and weights do not, under its names.

    Attributes:
        num_heads, num_head_channels: of attention; one of them decides.
        image_size: height and width of the latents, one number where they are equal.
        dropout: in the residual blocks, for training on.
        scale_factor: of the latents; None where the checkpoint knows it, or it is 1.
        linear_start, linear_end: of the betas, where the checkpoint lacks them.
        null_class: whether the last row of a class embedding is the null class; None: if it has 1001.
        parameterization: what the network predicts.
        use_new_attention_order: in which order queries, keys and values are stored.
    """

    num_heads: int = -1
    num_head_channels: int = -1
    image_size: int | Sequence[int] | None = None
    dropout: float = 0.0
    scale_factor: float | None = None
    linear_start: float | None = None
    linear_end: float | None = None
    null_class: bool | None = None
    parameterization: str = "eps"
    use_new_attention_order: bool = False


def load_ldm(
    source: str | Path | Mapping[str, Tensor],
    config: str | Path | Mapping[str, Any] | None = None,
    *,
    averaged: bool | None = None,
    **facts: Any,
) -> Denoiser:
    """A denoiser with the weights of a latent diffusion model.

    Args:
        source: CompVis's checkpoint (nothing in it is executed), its state dict, or a folder that diffusers saved
            (``unet``, ``vae`` or ``vqvae``, ``scheduler``), whose scheduler says the noise levels, what the network
            predicts and which levels are visited; the sampler is yours.
        config: CompVis's YAML of the model, or what it holds; None takes config.yaml beside the checkpoint.
        averaged: take the averaged weights (EMA), or those in training; None takes the average where there is one.
        facts: what the YAML would say: ``num_heads`` or ``num_head_channels``, ``image_size`` (of the latents),
            ``scale_factor``, ``dropout``, ``linear_start``, ``linear_end``, ``null_class``. All else is
            read off the weights.

    Returns:
        ``denoiser(z, sigma, ...)`` on latents, with ``labels=`` where there is a class embedding, or ``context=``
        ``[B, L, D]``, the embeddings of a text, where the network looks at one. Sampled with ``sampler="ddim"`` it
        takes CompVis's steps.

    Raises:
        InputError: if a file cannot be read or is hostile, a fact is missing, weights do not fit, or a folder of
            diffusers says what mmspec does not build.

    Example:
        >>> denoiser = load_ldm("models/ldm/ffhq256/model.ckpt", num_head_channels=32, image_size=64)
        >>> images = sample(denoiser, (4, 3, 256, 256), sampler="ddim", steps=200)
    """
    if not isinstance(source, Mapping) and Path(source).is_dir():
        return _from_diffusers(Path(source), facts)
    where = "the state dict" if isinstance(source, Mapping) else str(source)
    if config is None and not isinstance(source, Mapping) and (Path(source).parent / "config.yaml").is_file():
        config = Path(source).parent / "config.yaml"
    known = construct(Facts, {**_facts(config), **facts}, f"{where}:")
    _refuse_other_kinds(known, where)
    weights = plain_names(source, where) if isinstance(source, Mapping) else read_weights(Path(source))
    network = _network(_unet_of(weights, averaged, where), known, where, weights.get(CLASSES))
    stage = None
    if any(name.startswith(IN_CHECKPOINT) for name in weights):
        stage = first_stage(weights, where, known.scale_factor)
    process = construct(LDM, _schedule(weights.get("betas"), known, where), f"{where}:")
    return _denoiser(network, process, stage, known.image_size, where)


def _from_diffusers(folder: Path, given: Mapping[str, Any]) -> Denoiser:
    """The denoiser in a folder that diffusers saved."""
    where, (weights, stored) = str(folder), diffusers.unet(folder)
    known = construct(Facts, {**stored, **given}, f"{where}:")
    network = _network(weights, known, where, None)
    options, file = levels(folder)
    process = construct(LDM, options, f"{file}:")
    return _denoiser(network, process, load_first_stage(folder, known.scale_factor), known.image_size, where)


def _facts(config: str | Path | Mapping[str, Any] | None) -> dict[str, Any]:
    """What a YAML of CompVis's says of `Facts`."""
    if config is None:
        return {}
    if not isinstance(config, Mapping):
        try:
            config = read_yaml(Path(config), mend="fetch or copy it again")
        except OSError as error:
            raise InputError(f"{config} cannot be read ({error.strerror}): fetch or copy it again.") from None
    model = _inner(config, "model", config)
    params = _inner(model, "params", model)
    found = {**_inner(_inner(params, "unet_config", {}), "params", {}), **params}
    return {entry.name: found[entry.name] for entry in fields(Facts) if entry.name in found}


def _inner(holder: Group, key: str, otherwise: Group) -> Group:
    """A group within another."""
    group: Group = checked(holder.get(key, otherwise), Group, f"config: {key}")
    return group


def _refuse_other_kinds(known: Facts, where: str) -> None:
    if known.parameterization != "eps":
        raise InputError(
            f"{where} predicts {known.parameterization}: mmspec loads latent diffusion that predicts the noise (eps)."
        )
    if known.use_new_attention_order:
        raise InputError(f"{where} has use_new_attention_order, which no published model has: mmspec does not know it.")


def _unet_of(weights: Mapping[str, Tensor], averaged: bool | None, where: str) -> dict[str, Tensor]:
    """The UNet's weights in a checkpoint, under its own names: averaged, or in training."""
    raw = {name.removeprefix(UNET): tensor for name, tensor in weights.items() if name.startswith(UNET)}
    counters = (f"{AVERAGE}decay", f"{AVERAGE}num_updates")
    averages = [name for name in weights if name.startswith(AVERAGE) and name not in counters]
    if not raw:
        found = "averaged weights alone, which their names do not tell apart" if averages else "none of its weights"
        raise InputError(
            f"{where} holds no latent diffusion model: expected weights named {UNET}..., found {found}; give the whole "
            "checkpoint."
        )
    if averaged is False or (averaged is None and not averages):
        return raw
    names = {name: AVERAGE + average for name, average in averaged_names(raw).items()}
    missing = [name for name, average in names.items() if average not in weights]
    if missing:
        raise InputError(
            f"{where} has averages of {len(names) - len(missing)} of {len(names)} weights, none of {missing[0]}: give "
            "averaged=False for the weights in training."
        )
    return {name: weights[average].reshape(raw[name].shape) for name, average in names.items()}


def _network(weights: dict[str, Tensor], known: Facts, where: str, embedding: Tensor | None) -> UNet:
    """The UNet with these weights, and with a class embedding for its context where there is one."""
    try:
        options = unet_options(weights)
    except (KeyError, ValueError, IndexError, ZeroDivisionError) as error:
        reason = f"there is no {error.args[0]}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{where} holds no UNet of latent diffusion's ({reason}).") from None
    if known.num_head_channels > 0:
        options["head_channels"] = known.num_head_channels
    elif known.num_heads > 0:
        options["num_heads"] = known.num_heads
    else:
        raise InputError(
            f"{where} does not say how many attention heads it has: give config=, CompVis's YAML, or num_heads= or "
            "num_head_channels= from it."
        )
    options["dropout"] = known.dropout
    ours = unet_weights(weights)
    made: type[UNet] = UNet
    if embedding is not None and options["context_channels"]:
        made, options = ClassContextUNet, _with_classes(options, embedding, known, where)
        ours["embed_class.weight"] = _with_null_class(embedding, options["num_classes"])
    # Nothing is allocated or initialized before the weights are known to fit.
    with no_larger_than(weights, where), torch.device("meta"):
        network: UNet = construct(made, options, f"{where}:")
    put_weights(network, ours, where)
    return network


def _with_classes(options: dict[str, Any], embedding: Tensor, known: Facts, where: str) -> dict[str, Any]:
    rows, width = embedding.shape
    if width != options["context_channels"]:
        raise InputError(
            f"{where} embeds classes in {width} numbers, its UNet looks at {options['context_channels']}: they are not "
            "of one model."
        )
    null = rows == NULL_CLASS_ROWS if known.null_class is None else known.null_class
    options = {key: value for key, value in options.items() if key != "num_classes"}
    return {**options, "num_classes": rows - int(null)}


def _with_null_class(embedding: Tensor, num_classes: int) -> Tensor:
    """The embedding with a last row for the null class; zeros where the model never learned one."""
    missing = num_classes + 1 - len(embedding)
    return torch.cat([embedding, embedding.new_zeros(missing, embedding.shape[1])])


def _schedule(betas: Tensor | None, known: Facts, where: str) -> dict[str, Any]:
    """The betas of a checkpoint as arguments of `LDM`: by their ends where they are of its kind."""
    low, high = known.linear_start, known.linear_end
    if betas is None:
        if low is None or high is None:
            raise InputError(f"{where} holds no betas: give linear_start= and linear_end= from CompVis's YAML.")
        return {"beta_min": low, "beta_max": high}
    low, high = (float(f"{float(beta):.6g}") for beta in (betas[0], betas[-1]))
    options: dict[str, Any] = {"timesteps": len(betas), "beta_min": low, "beta_max": high}
    for schedule in ("scaled_linear", "linear"):
        if torch.allclose(ddpm_betas(schedule, **options), betas.double(), rtol=2e-7, atol=0):
            return {"schedule": schedule, **options}
    return {"schedule": betas.tolist(), **options}


def _denoiser(
    network: UNet, process: LDM, stage: FirstStage | None, size: int | Sequence[int] | None, where: str
) -> Denoiser:
    sizes = (size, size) if isinstance(size, int) else tuple(size or ())
    if len(sizes) != 2 or min(sizes) < 1:
        raise InputError(
            f"{where} does not say the size of its latents, but {size}: give image_size=, as in CompVis's YAML."
        )
    if stage is not None and stage.embed_channels != network.in_channels:
        raise InputError(
            f"{where} has a UNet for latents of {network.in_channels} channels and a first stage that makes "
            f"{stage.embed_channels}: they are not of one model."
        )
    shape: tuple[int, ...] = (network.in_channels, *sizes)
    if stage is not None:
        shape = (stage.in_channels, *(size * stage.factor for size in sizes))
    classes = [str(i) for i in range(network.num_classes)] or None
    return Denoiser(network, process, shape, classes=classes, first_stage=stage).eval()
