"""From what other people's loops have, in any convention of noise, to what a regularizer sees: x0_hat and sigma.

The names of predictions are those of the diffusers library.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from mmspec.losses.weighting import noise_level, per_sample
from mmspec.spectral.derivatives import transformed

PREDICTIONS = ("epsilon", "v_prediction", "sample", "flow_prediction")


class CleanAndSigma(NamedTuple):
    """What a regularizer sees of a network's prediction.

    Attributes:
        x0_hat: the predicted clean signal, ``[B, C, *spatial]``, float32 or float64; gradients flow through it.
        sigma: noise level of each sample over that of its signal, ``[B]``, finite.
    """

    x0_hat: Tensor
    sigma: Tensor


class Mixture(NamedTuple):
    """``noisy = signal x0 + noise n``.

    Attributes:
        signal, noise: of each sample, ``[B]``.
        predictions: those of `PREDICTIONS` that have a meaning of their own here.
    """

    signal: Tensor
    noise: Tensor
    predictions: tuple[str, ...]


def clean_and_sigma(
    noisy: Tensor,
    prediction: Tensor,
    prediction_type: str = "epsilon",
    *,
    alphas_cumprod: Tensor | None = None,
    timesteps: Tensor | int | None = None,
    t: Tensor | float | None = None,
    sigma: Tensor | float | None = None,
) -> CleanAndSigma:
    """The clean signal that a network's prediction means, and the noise level in the terms of Karras et al. 2022.

    The noise is told in one of three ways::

        alphas_cumprod=, timesteps=   noisy = sqrt(abar) x0 + sqrt(1 - abar) n      DDPM, DDIM, VP; v-prediction
        t=                            noisy = (1 - t) x0 + t n                      flow matching
        sigma=                        noisy = x0 + sigma n                          EDM, k-diffusion, VE

    and so is what the network predicts, under diffusers' names: "epsilon" is n; "sample" is x0; "v_prediction" is
    ``sqrt(abar) n - sqrt(1 - abar) x0`` with ``abar = 1 / (1 + sigma^2)`` (Salimans and Ho 2022, section 4);
    "flow_prediction" is ``n - x0`` (Liu et al. 2023).

    Args:
        noisy: what the network was given, ``[B, C, *spatial]``; with ``sigma=`` before it is scaled (c_in).
        prediction: what it gave, same shape.
        prediction_type: "epsilon", "v_prediction" (not with ``t=``), "sample" or "flow_prediction" (with ``t=`` alone).
        alphas_cumprod: the table ``[T]``, as ``scheduler.alphas_cumprod``; or without ``timesteps=`` abar of each
            sample ``[B]``, as ``torch.cos(t * torch.pi / 2) ** 2`` where there is no table.
        timesteps: whole numbers from 0, places in the table: ``[B]``, ``[]`` or a number.
        t: of a flow, in [0, 1], 1 for noise: ``[B]``, ``[B, 1, ...]``, ``[]`` or a number. Diffusers' flow schedulers
            call it sigmas.
        sigma: standard deviation of the noise, in these shapes.

    Returns:
        x0_hat and sigma. Where nothing is left of the signal (``t=1``, ``abar=0``) sigma is not infinite but the
        inverse of the dtype's epsilon, 8.4e6 in float32.

    Raises:
        ValueError: unless the noise is told in one way and the prediction has a meaning there; for unequal shapes; and,
            where looking makes no device wait, for a noise level out of range, or an "epsilon" that nothing of the
            signal stands beside.

    Example:
        >>> noisy = scheduler.add_noise(clean, noise, timesteps)
        >>> predicted = unet(noisy, timesteps).sample
        >>> table = scheduler.alphas_cumprod
        >>> x0_hat, sigma = clean_and_sigma(noisy, predicted, alphas_cumprod=table, timesteps=timesteps)
    """
    if noisy.shape != prediction.shape:
        raise ValueError(
            f"noisy and prediction must have one shape, not {list(noisy.shape)} and {list(prediction.shape)}: of a "
            "network that predicts a variance too, give the first half of the channels."
        )
    if prediction_type not in PREDICTIONS:
        raise ValueError(f"prediction_type must be one of {', '.join(PREDICTIONS)}, not {prediction_type!r}.")
    dtype = torch.promote_types(torch.promote_types(noisy.dtype, prediction.dtype), torch.float32)
    noisy, prediction = noisy.to(dtype), prediction.to(dtype)
    mixture = _mixture(noisy, alphas_cumprod, timesteps, t, sigma)
    if prediction_type not in mixture.predictions:
        raise ValueError(_meaningless(prediction_type))
    signal, noise = mixture.signal, mixture.noise
    if prediction_type == "epsilon":
        _require(signal > 0, signal, "epsilon says nothing of a clean signal of which nothing is left, at a share of")
    over = [part.view(-1, *[1] * (noisy.ndim - 1)) for part in (signal, noise)]
    x0_hat = _clean(noisy, prediction, prediction_type, *over)
    return CleanAndSigma(x0_hat, noise / signal.clamp(min=torch.finfo(dtype).eps))


def _clean(noisy: Tensor, prediction: Tensor, prediction_type: str, signal: Tensor, noise: Tensor) -> Tensor:
    """x0_hat, with signal and noise ``[B, 1, ...]``."""
    if prediction_type == "epsilon":
        return (noisy - noise * prediction) / signal
    if prediction_type == "v_prediction":  # of the mixture whose squares add up to 1
        square = signal**2 + noise**2
        return (signal * noisy) / square - noise / square.sqrt() * prediction
    if prediction_type == "flow_prediction":
        return noisy - noise * prediction
    return prediction


def _mixture(
    noisy: Tensor,
    alphas_cumprod: Tensor | None,
    timesteps: Tensor | int | None,
    t: Tensor | float | None,
    sigma: Tensor | float | None,
) -> Mixture:
    """How noisy the samples are, told in one way."""
    ways = {"alphas_cumprod=": alphas_cumprod, "t=": t, "sigma=": sigma}
    told = [name for name, value in ways.items() if value is not None]
    if len(told) != 1 or (timesteps is not None and alphas_cumprod is None):
        found = ", ".join([*told, *(["timesteps="] if timesteps is not None else [])]) or "nothing"
        raise ValueError(
            f"the noise is told by alphas_cumprod= and timesteps=, by t= of a flow, or by sigma=, not by {found}."
        )
    if alphas_cumprod is not None:
        kept = _kept(alphas_cumprod, timesteps, noisy)
        return Mixture(kept.sqrt().to(noisy), (1 - kept).sqrt().to(noisy), ("epsilon", "v_prediction", "sample"))
    if t is not None:
        share = per_sample(t, noisy, "t").to(noisy)
        _require((share >= 0) & (share <= 1), share, "t of a flow lies between 0 (clean) and 1 (noise), it is")
        return Mixture(1 - share, share, ("epsilon", "sample", "flow_prediction"))
    assert sigma is not None  # the one way left
    level = noise_level(sigma, noisy).to(noisy)
    return Mixture(torch.ones_like(level), level, ("epsilon", "v_prediction", "sample"))


def _kept(alphas_cumprod: Tensor, timesteps: Tensor | int | None, noisy: Tensor) -> Tensor:
    """abar of each sample, ``[B]``, in float64 where the device has it."""
    table = torch.as_tensor(alphas_cumprod, device=noisy.device)  # of NumPy, as EDM's and ADM's loops have it
    table = table.to(torch.promote_types(table.dtype, torch.float32))
    _require((table >= 0) & (table <= 1), table, "alphas_cumprod lies between 0 and 1, it is")
    if timesteps is None:
        return per_sample(table, noisy, "alphas_cumprod without timesteps= (a table needs them)")
    if table.ndim != 1:
        raise ValueError(f"alphas_cumprod must be a table [T], not {list(table.shape)}.")
    if isinstance(timesteps, float) or (isinstance(timesteps, Tensor) and timesteps.is_floating_point()):
        raise ValueError(
            "timesteps are whole numbers, places in the table alphas_cumprod; give t= for those of a flow."
        )
    places = per_sample(timesteps, noisy, "timesteps")
    _require((places >= 0) & (places < len(table)), places, f"timesteps count from 0 to {len(table) - 1}, found")
    return table[places.long()]


def _meaningless(prediction_type: str) -> str:
    if prediction_type == "flow_prediction":
        return (
            "flow_prediction is n - x0 of a flow, noisy = (1 - t) x0 + t n: give t=, which diffusers' flow schedulers "
            "call sigmas."
        )
    return "v_prediction is of noise whose power and the signal's add up to 1: give alphas_cumprod= or sigma=, not t=."


def _require(right: Tensor, values: Tensor, what: str) -> None:
    """ValueError where a value is wrong, on the CPU alone: looking makes other devices wait."""
    if right.device.type != "cpu" or transformed() or torch.compiler.is_compiling() or bool(right.all()):
        return
    raise ValueError(f"{what} {values[~right][:3].tolist()}.")
