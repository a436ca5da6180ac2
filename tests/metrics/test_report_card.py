"""The report card names what was done to a set, in the right octaves and with the right sign, and nothing else."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from mmspec.errors import InputError
from mmspec.metrics.octaves import Describing, Description
from mmspec.metrics.report_card import ReportCard, report_card
from tests.metrics import sets
from tests.metrics.sets import Signals

COUNT, RATE = 300, 22050


def described(x: Tensor, rate: int | None = None, lengths: Tensor | None = None, at_once: int = 64) -> Description:
    describing = Describing(Signals(x, rate, lengths))  # type: ignore[arg-type]
    for batch in torch.split(x, at_once):
        describing.update(batch)
    return describing.result()


def stored(x: Tensor) -> Tensor:
    """As pictures and sound are: within full scale, in steps."""
    return (x * 127.5).round().clamp(-128, 127) / 127.5


def part(description: Description, rows: Tensor) -> Description:
    tensors = {key: getattr(description, key)[rows] for key in ("energy", "kurtosis", "coherence", "power")}
    return Description(octaves=description.octaves, frequency=description.frequency, **tensors)


@pytest.fixture(scope="module")
def real() -> Tensor:
    return sets.pictures(COUNT)


@pytest.fixture(scope="module")
def others() -> Tensor:
    return sets.pictures(COUNT, seed=1)


@pytest.fixture(scope="module")
def sound() -> tuple[Tensor, Tensor]:
    return sets.sounds(COUNT, rate=RATE), sets.sounds(COUNT, rate=RATE, seed=1)


TABLE = [  # what is done; the sign of the bias of each octave of 32 pixels: 0-2, 2-4, 4-8, 8-16 cycles per image
    pytest.param(sets.blurred, {3: -1, 2: -1}, {3}, id="blurred"),
    pytest.param(sets.sharpened, {3: 1}, {3}, id="sharpened"),
    pytest.param(sets.noised, {3: 1}, {3}, id="noised"),
    pytest.param(sets.upsampled, {3: -1, 2: -1}, {3}, id="upsampled"),
]


@pytest.mark.parametrize(("change", "signs", "structure"), TABLE)
def test_what_was_done_to_pictures_is_named_in_its_octaves_with_its_sign(
    real: Tensor, others: Tensor, change: Callable[[Tensor], Tensor], signs: dict[int, int], structure: set[int]
) -> None:
    card = report_card(described(stored(real)), described(stored(change(others))))
    assert card.differs
    found = {k: octave.bias_db for k, octave in enumerate(card.octaves) if octave.bias_differs}
    assert found.keys() >= signs.keys() and abs(card.octaves[0].bias_db) < 0.6  # where a picture is one wave
    for k, sign in signs.items():
        octave = card.octaves[k]
        assert sign * octave.bias_db > 0.5 and 0 not in octave.interval and octave.bias_db in octave.interval
    assert structure <= {k for k, octave in enumerate(card.octaves) if octave.structure_differs}


def test_scrambled_phases_are_seen_where_mean_spectra_are_alike(real: Tensor, others: Tensor) -> None:
    card = report_card(described(stored(real)), described(stored(sets.scrambled(others))))
    spectra = next(each for each in card.metrics if each.metric.name == "log_spectral_distance")
    assert spectra.metric.value < 1
    assert all(octave.structure_differs and octave.auc > 0.8 for octave in card.octaves[2:])
    for octave in card.octaves[2:]:  # fewer places hold the energy of real pictures, and the same ones in all octaves
        assert octave.kurtosis[0] > octave.kurtosis[1] and octave.coherence[0] > octave.coherence[1] + 0.1
        assert abs(octave.coherence[1]) < 0.15
    assert card.octaves[-1].kurtosis[1] == pytest.approx(3, abs=0.4)


@pytest.mark.parametrize("modality", ["pictures", "sound"])
def test_halves_of_one_set_do_not_differ(
    real: Tensor, others: Tensor, sound: tuple[Tensor, Tensor], modality: str
) -> None:
    whole = described(torch.cat([real, others])) if modality == "pictures" else described(torch.cat(sound), RATE)
    found = 0
    for seed in range(20):
        order = torch.randperm(2 * COUNT, generator=torch.Generator().manual_seed(seed))
        found += report_card(part(whole, order[:COUNT]), part(whole, order[COUNT:]), seed).differs
    assert found <= 1


def test_a_limited_band_is_named_in_hertz(sound: tuple[Tensor, Tensor]) -> None:
    card = report_card(described(sound[0], RATE), described(sets.band_limited(sound[1], 5512.5, RATE), RATE))
    edges = [(octave.low, octave.high) for octave in card.octaves]
    assert edges[-2:] == [(2756.25, 5512.5), (5512.5, 11025)] and card.octaves[0].unit == "Hz"
    assert [octave.bias_differs for octave in card.octaves] == [False] * (len(edges) - 1) + [True]
    assert card.octaves[-1].bias_db < -25
    part_of_it = report_card(described(sound[0], RATE), described(sets.band_limited(sound[1], 8000, RATE), RATE))
    assert part_of_it.octaves[-1].bias_differs and -12 < part_of_it.octaves[-1].bias_db < -1
    assert not any(octave.bias_differs for octave in part_of_it.octaves[:-1])


def test_a_known_gain_is_found_in_decibels(real: Tensor) -> None:
    halved = report_card(described(real), described(real / 2))
    assert [octave.bias_db for octave in halved.octaves] == pytest.approx([-6.02] * 4, abs=0.02)
    assert [cut.name for cut in halved.channels] == ["luma", "chroma"]
    for cut in (*halved.channels, *halved.orientations):
        assert cut.bias_db == pytest.approx([-6.02] * 4, abs=0.02)
        assert all(bias in interval for bias, interval in zip(cut.bias_db, cut.intervals, strict=True))
    distances = {each.metric.name: each.metric.value for each in halved.metrics}
    assert distances["log_spectral_distance"] == pytest.approx(6.02, abs=0.01)
    assert distances["frequency_error_low"] == pytest.approx(6.02, abs=0.01)
    assert distances["frequency_error_high"] == pytest.approx(6.02, abs=0.01)
    assert distances["spectral_slope_bias"] == pytest.approx(0, abs=1e-6)


def test_one_channel_or_orientation_alone_is_named(real: Tensor) -> None:
    grey = real.mean(1, keepdim=True).expand_as(real)
    channels = {cut.name: cut.bias_db for cut in report_card(described(real), described(grey)).channels}
    assert max(channels["chroma"]) < -40 and min(channels["luma"]) > -3
    smeared = (real + real.roll(1, -1)) / 2  # along rows: waves that run horizontally fade
    cuts = {cut.name: cut.bias_db[-1] for cut in report_card(described(real), described(smeared)).orientations}
    assert cuts["horizontal"] < -3 and cuts["vertical"] > -1


def test_steepness_and_whiteness_have_their_signs(real: Tensor) -> None:
    blurred, noisy = (report_card(described(real), described(change(real))) for change in (sets.blurred, sets.noised))
    slopes = [next(m for m in card.metrics if m.metric.name == "spectral_slope_bias") for card in (blurred, noisy)]
    assert slopes[0].interval.low > 0 > slopes[1].interval.high
    flatness = next(m for m in noisy.metrics if m.metric.name == "spectral_flatness_bias")
    assert flatness.interval.low > 0


# Descriptions


@pytest.mark.parametrize("channels", [1, 3])
def test_energies_by_orientation_sum_to_the_variance(channels: int) -> None:
    x = sets.pictures(4, size=24)[:, :channels]
    variance = (x - x.mean((2, 3), keepdim=True)).square().mean((2, 3)).sum(1)
    torch.testing.assert_close(described(x).energy[:, 0].sum((1, 2)).float(), variance, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("at_once", [1, 5])
def test_silence_behind_recordings_counts_as_nothing(at_once: int) -> None:
    x = sets.sounds(5, samples=8192)
    longer = torch.nn.functional.pad(x, (0, 8192))
    lengths = torch.full((5,), 8192)
    alone, padded = described(x, RATE), described(longer, RATE, lengths, at_once)
    torch.testing.assert_close(alone.energy, padded.energy, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(alone.power, padded.power, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(alone.kurtosis, padded.kurtosis, rtol=0.15, atol=0)


def test_white_noise_has_its_variance_in_frames() -> None:
    x = torch.randn(8, 2, 65536, generator=torch.Generator().manual_seed(0)) * 0.1
    description = described(x, 16000)
    assert description.octaves.channels == ("all", "mid", "side")
    energy = description.energy.mean(0)[..., 0].sum(-1)
    torch.testing.assert_close(energy.float(), torch.tensor([0.02, 0.005, 0.005]), rtol=0.03, atol=0)
    torch.testing.assert_close(description.kurtosis.mean(0)[-4:].float(), torch.full((4,), 3.0), rtol=0.05, atol=0)


def test_silent_and_flat_signals_are_described_by_finite_numbers() -> None:
    for x, rate in ((torch.zeros(3, 3, 16, 16), None), (torch.zeros(3, 1, 5000), 8000), (torch.ones(2, 1, 9, 7), None)):
        description = described(x, rate)
        for tensor in (description.energy, description.kurtosis, description.coherence, description.power):
            assert torch.isfinite(tensor).all()
        assert (description.kurtosis == 3).all() and not description.coherence.any()


def test_silent_signals_among_others_do_not_decide(real: Tensor, others: Tensor) -> None:
    some = others.clone()
    some[:3] = 0
    card = report_card(described(real), described(some))
    assert not any(octave.bias_differs for octave in card.octaves)


@pytest.mark.parametrize(("counts", "words"), [((19, 30), "19 real signals"), ((30, 1), "1 generated signals")])
def test_too_few_signals_are_refused_with_how_many_are_needed(counts: tuple[int, int], words: str) -> None:
    x = torch.randn(30, 1, 8, 8)
    with pytest.raises(InputError, match=f"{words} are too few to tell a difference from chance: 20 are needed"):
        report_card(*(described(x[:count]) for count in counts))


def test_a_card_is_the_same_again(real: Tensor, others: Tensor) -> None:
    cards: list[ReportCard] = [report_card(described(real[:40]), described(others[:40], at_once=7)) for _ in range(2)]
    assert cards[0].octaves == cards[1].octaves
