"""Verdicts on denoisers and first stages that are sick on purpose."""

import math
from collections.abc import Sequence

import pytest
import torch

from mmspec.data import DatasetMeta, PackedDataset, write_packed
from mmspec.data.values import encode
from mmspec.diagnosis.denoising import (
    Bias,
    Energies,
    WienerDenoiser,
    bias_against,
    denoising_bias,
    measure_energies,
)
from mmspec.diagnosis.findings import Axis, Denoising, Finding, SpectrumBias, findings, verdict
from mmspec.diagnosis.round_trip import round_trip_bias
from mmspec.metrics.octaves import described
from mmspec.metrics.signals import SignalSet
from mmspec.spectral import octave_edges
from tests.stationary import SIZES, Change, best, cycles, filtered, octave, signals

SIGMAS = (0.02, 0.1, 0.4)
GAIN = 0.7


def denoising(size: Sequence[int], change: Change | None = None) -> Denoising:
    batches = [(signals(48, size), {})]
    ours, theirs = (
        [measure_energies(each, batches, sigma) for sigma in SIGMAS]
        for each in (best(size, change), WienerDenoiser(batches))
    )

    def share(level: Energies) -> torch.Tensor:
        return level.denoised.mean(0) / level.clean.mean(0)

    energy = torch.stack([torch.maximum(share(a), share(b)) for a, b in zip(ours, theirs, strict=True)])
    axis = Axis(octave_edges(size), "cycles per image")
    return Denoising(axis, SIGMAS, denoising_bias(ours), bias_against(ours, theirs), energy)


def only(found: list[Finding]) -> Finding:
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("size", SIZES)
def test_the_best_denoiser_has_nothing_to_mend(size: tuple[int, ...]) -> None:
    measured = denoising(size)
    assert findings(measured, None, None) == []
    assert verdict([], measured).startswith("Nothing to mend: the denoiser is right within ")


@pytest.mark.parametrize("size", SIZES)
def test_a_damped_octave_is_dull(size: tuple[int, ...]) -> None:
    measured = denoising(size, lambda sigma, gain: torch.where(octave(size, -1) & (sigma < 0.2), GAIN * gain, gain))
    found = only(findings(measured, None, None))
    assert (found.kind, found.octaves, found.sigmas) == ("dull", (max(size) / 4, max(size) / 2), (0.02, 0.1))
    assert 20 * math.log10(GAIN) in found.interval
    assert verdict([found], measured).startswith(f"Dull above {max(size) / 4:g} cycles per image at sigma <= 0.1 (-3.")


@pytest.mark.parametrize("size", SIZES)
def test_a_band_that_is_never_given_is_dull_though_what_is_given_is_right(size: tuple[int, ...]) -> None:
    """The best guess of one who does not look at an octave has no bias there, and no energy."""
    measured = denoising(size, lambda sigma, gain: torch.where(octave(size, -2), 0 * gain, gain))
    found = only(findings(measured, None, None))
    assert (found.kind, found.octaves) == ("dull", (max(size) / 8, max(size) / 4))
    assert "against the best linear filter" in found.sentence


@pytest.mark.parametrize("size", SIZES)
def test_noise_that_is_left_in_an_octave_is_too_noisy(size: tuple[int, ...]) -> None:
    measured = denoising(size, lambda sigma, gain: torch.where(octave(size, -1), gain.sqrt(), gain))
    found = only(findings(measured, None, None))
    assert found.kind == "noisy" and found.octaves == (max(size) / 4, max(size) / 2)
    assert verdict([found], measured).startswith("Too noisy: not trained enough, it keeps noise above ")


def test_noise_alone_in_an_octave_is_as_many_decibels_as_are_told_or_more() -> None:
    """What has nothing in common with the signal would need a gain of 0."""
    size = SIZES[0]
    measured = denoising(size, lambda sigma, gain: torch.where(octave(size, -1), -gain, gain))
    said = only(findings(measured, None, None)).sentence
    assert said.endswith(" (+60 dB or more above 8 cycles per image at sigma 0.02)")


@pytest.mark.parametrize("size", SIZES)
def test_a_first_stage_that_blurs_is_found_out(size: tuple[int, ...], tmp_path) -> None:
    blur = torch.where(octave(size, -1), 0.5, 1.0)
    real = 0.05 * signals(48, size)

    def description(name, x):
        sound = {"sample_rate": 8000} if len(size) == 1 else {}
        meta = DatasetMeta(modality="audio" if sound else "image", source="test", **sound)
        write_packed(tmp_path / name, encode(x), meta=meta)
        return SignalSet(PackedDataset(tmp_path / name)).statistic(described)

    before = description("real", real * 4)
    bias = round_trip_bias(before, description("decoded", filtered(real * 4, blur)))
    axis = Axis(before.octaves.edges, "cycles per image")
    first_stage = SpectrumBias(axis, bias, (bias.low > 0) | (bias.high < 0))
    measured = denoising(size)
    found = only(findings(measured, first_stage, None))
    assert found.kind == "first_stage" and found.octaves == tuple(axis.edges[-2:])
    assert found.bias_db == pytest.approx(20 * math.log10(0.5), abs=0.7)  # rounding to 8 bits, and windows, fill in
    assert verdict([found], measured).startswith("The first stage loses it, not the denoiser: its round trip lacks")


@pytest.mark.parametrize(
    ("octaves", "words"),
    [([0, 1, 2], "at all frequencies"), ([1, 2], "above 4 Hz"), ([0], "below 4 Hz"), ([1], "from 4 to 8 Hz")],
)
def test_octaves_have_words(octaves: list[int], words: str) -> None:
    assert Axis([0, 4, 8, 16], "Hz").where(octaves) == words


def test_samples_are_the_samplers_fault_where_nothing_else_is() -> None:
    size = SIZES[0]
    measured = denoising(size)
    loud = torch.tensor([0.0, 0.0, 0.0, 2.0])
    samples = SpectrumBias(measured.axis, Bias(loud, loud - 0.3, loud + 0.3), loud > 1)
    found = only(findings(measured, None, samples))
    assert found.sentence == (
        "samples have too much energy above 8 cycles per image (+2.0 dB, 95% +1.7 to +2.3), though the denoiser is "
        "right: take more steps, or another sampler"
    )
    noisy = denoising(size, lambda sigma, gain: torch.where(octave(size, -1), gain.sqrt(), gain))
    assert [each.kind for each in findings(noisy, None, samples)] == ["noisy", "samples"]
    assert cycles(size).max() > 16  # the corners belong to the highest octave
