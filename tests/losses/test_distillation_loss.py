"""The distillation loss against Eq. 9 to 11 written out in NumPy, and what it promises besides."""

import numpy as np
import pytest
import torch

from mmspec.losses import SpectrumAwareDistillationLoss
from mmspec.losses.distillation import pairs_by_size
from mmspec.spectral.octaves import octave_edges, octaves_below_highest

CASES = {  # size of the outputs, channels (student, teacher) and size of each pair of features
    "1D": ((30,), [((4, 6), (15,)), ((2, 3), (30,))]),
    "1D, odd": ((31,), [((4, 3), (7,)), ((2, 5), (16,)), ((3, 3), (31,))]),
    "1D, padded": ((13,), [((4, 3), (8,)), ((2, 5), (16,))]),
    "2D": ((8, 12), [((3, 5), (4, 6)), ((2, 4), (8, 12))]),
    "2D, odd": ((9, 7), [((3, 5), (3, 2)), ((5, 3), (5, 4)), ((2, 2), (9, 7))]),
    "outputs alone": ((9, 7), []),
}


def build(channels, size, **options):
    torch.manual_seed(0)
    loss = SpectrumAwareDistillationLoss(channels, dims=len(size), **{"reduction": "none", **options})
    return loss.double()


def signals(size, features, batch=3):
    generator = torch.Generator().manual_seed(1)

    def noise(*shape):
        return torch.randn(batch, *shape, generator=generator, dtype=torch.float64)

    input, target, x0 = (noise(2, *size) for _ in range(3))
    ours = [noise(student, *scale) for (student, _), scale in features]
    theirs = [noise(teacher, *scale) for (_, teacher), scale in features]
    return input, target, x0, ours, theirs


def area_means(x, size):
    """NumPy ``[C, *spatial]`` -> ``[C, *size]``: the mean over what each new sample covers, borders included."""
    for axis, new in enumerate(size, start=1):
        old = x.shape[axis]
        edges = [(i * old // new, -(-(i + 1) * old // new)) for i in range(new)]
        x = np.stack([x.take(range(first, end), axis).mean(axis) for first, end in edges], axis)
    return x


def written_out(loss, input, target, x0, ours, theirs, alpha=-1.0, floor=0.01, mean=True):
    """The spatial and the frequency term of one sample, Eq. 10 and 11, by full complex transforms."""
    pairs = [(input, target)]
    for align, student, teacher in zip(loss.align, ours, theirs, strict=True):
        weight, bias = (p.detach().numpy() for p in (align.weight, align.bias))
        aligned = np.einsum("ts,s...->t...", weight.reshape(weight.shape[:2]), student)
        pairs.append((aligned + bias.reshape(-1, *[1] * (student.ndim - 1)), teacher))
    spatial = frequency = 0.0
    for student, teacher in pairs:
        axes = tuple(range(1, student.ndim))
        scale = 1 / student.size if mean else 1.0
        spatial += scale * np.sum((teacher - student) ** 2)
        amplitude = np.abs(np.fft.fftn(area_means(x0, student.shape[1:]), axes=axes, norm="ortho")).mean(0)
        amplitude = np.maximum(amplitude, floor * amplitude.mean())
        omega = amplitude**alpha / np.mean(amplitude**alpha)
        gap = np.fft.fftn(teacher, axes=axes, norm="ortho") - np.fft.fftn(student, axes=axes, norm="ortho")
        frequency += scale * np.sum(omega * np.abs(gap) ** 2)
    return spatial, frequency


@pytest.mark.parametrize(("size", "features"), CASES.values(), ids=CASES)
@pytest.mark.parametrize(("alpha", "floor"), [(-1.0, 0.01), (-0.5, 0.6), (1.0, 0.3)])
def test_both_terms_are_the_equations(size, features, alpha, floor):
    loss = build([channels for channels, _ in features], size, alpha=alpha, floor=floor)
    input, target, x0, ours, theirs = signals(size, features)
    terms = loss.terms(input, target, x0, ours, theirs)
    for i in range(3):
        sample = (t.numpy()[i] for t in (input, target, x0))
        pairs = ([t.numpy()[i] for t in ours], [t.numpy()[i] for t in theirs])
        spatial, frequency = written_out(loss, *sample, *pairs, alpha=alpha, floor=floor)
        assert terms.spatial[i].item() == pytest.approx(spatial, rel=1e-9)
        assert terms.frequency[i].item() == pytest.approx(frequency, rel=1e-9)


def test_weights_and_reductions_add_up_as_stated():
    size, features = CASES["2D, odd"]
    channels = [pair for pair, _ in features]
    batch = signals(size, features)
    terms = build(channels, size).terms(*batch)
    expected = 0.3 * terms.spatial + 0.7 * terms.frequency
    options = {"spatial": 0.3, "frequency": 0.7}
    torch.testing.assert_close(build(channels, size, **options)(*batch), expected)
    torch.testing.assert_close(build(channels, size, reduction="mean", **options)(*batch), expected.mean())
    summed = build(channels, size, reduction="sum", **options)
    by_hand = 0.0
    for i in range(3):
        sample = [t.numpy()[i] for t in batch[:3]]
        pairs = [[t.numpy()[i] for t in tensors] for tensors in batch[3:]]
        spatial, frequency = written_out(summed, *sample, *pairs, mean=False)
        by_hand += 0.3 * spatial + 0.7 * frequency
    assert summed(*batch).item() == pytest.approx(by_hand, rel=1e-9)
    off = build(channels, size, spatial=0.0).terms(*batch)
    assert not off.spatial.any()
    torch.testing.assert_close(off.frequency, terms.frequency)


def test_without_weights_of_frequencies_it_is_parsevals_theorem():
    for size, features in CASES.values():
        loss = build([pair for pair, _ in features], size, alpha=0.0)
        terms = loss.terms(*signals(size, features))
        torch.testing.assert_close(terms.frequency, terms.spatial)


@pytest.mark.parametrize("size", [(31,), (8, 12)])
def test_octaves_of_the_frequency_term_sum_to_the_whole_but_for_mean_values(size):
    batch = signals(size, [])
    apart = [build([], size, octaves=[octave]).terms(*batch).frequency for octave in (1, 2, 3)]
    count = len(octave_edges(size)) - 1
    assert count in (2, 3) and bool(apart[2].any()) == (count == 3)
    oscillating = [x - x.mean(tuple(range(2, x.ndim)), keepdim=True) for x in batch[:2]]
    torch.testing.assert_close(sum(apart), build([], size).terms(*oscillating, batch[2]).frequency)
    torch.testing.assert_close(sum(apart[:2]), build([], size, octaves=[1, 2]).terms(*batch).frequency)


@pytest.mark.parametrize(("size", "whole", "octave"), [((32,), (32,), 1), ((16,), (32,), 2), ((32,), (32,), 3)])
def test_an_octave_is_that_of_the_signal_in_smaller_features_too(size, whole, octave):
    numbers = octaves_below_highest(size, whole, torch.device("cpu"))
    low, high = 32 / 2 / 2**octave, 32 / 2 / 2 ** (octave - 1)
    expected = [wave for wave in range(size[0] // 2 + 1) if low < wave <= high]
    assert (numbers == octave).nonzero().flatten().tolist() == expected


def test_octaves_are_counted_from_one():
    with pytest.raises(ValueError, match="counted down from the highest, 1"):
        SpectrumAwareDistillationLoss(octaves=[0])


def test_weak_frequencies_weigh_more_and_contrast_does_not_count():
    t = torch.arange(64, dtype=torch.float64) / 64 * 2 * torch.pi
    x0 = (torch.cos(3 * t) + 0.1 * torch.cos(20 * t)).reshape(1, 1, 64)
    loss = build([], (64,))
    omega = loss.omega(x0, (64,))[0, 0]
    assert omega[20] == pytest.approx(10 * omega[3].item())
    assert omega[11] == omega[5] > omega[20]  # missing: the floor
    torch.testing.assert_close(loss.omega(100 * x0, (64,)), loss.omega(x0, (64,)))
    gap = {f: loss.terms(x0 + torch.cos(f * t), x0, x0).frequency.item() for f in (3, 20)}
    assert gap[20] == pytest.approx(10 * gap[3])


@pytest.mark.parametrize("size", [(31,), (9, 7)], ids=str)
def test_gradients_reach_the_student_and_the_convolutions_alone(size):
    loss = build([(4, 3)], size, reduction="mean")
    input, target, x0, ours, theirs = signals(size, [((4, 3), size)])
    student, others = [input, *ours], [target, x0, *theirs]
    for tensor in (*student, *others):
        tensor.requires_grad_()
    loss(input, target, x0, ours, theirs).backward()
    assert all(tensor.grad.abs().sum() > 0 for tensor in (*student, *loss.parameters()))
    assert all(tensor.grad is None for tensor in others)
    assert len(list(loss.parameters())) == 2  # one 1x1 convolution a pair of features, none for the outputs


@pytest.mark.parametrize("size", [(31,), (9, 7)], ids=str)
def test_zeros_have_finite_values_and_gradients(size):
    zeros = torch.zeros(2, 1, *size)
    for input, target, x0 in ((zeros, zeros, zeros), (zeros + 1, zeros, zeros), (zeros, zeros, zeros + 1)):
        input = input.clone().requires_grad_()
        value = SpectrumAwareDistillationLoss(dims=len(size))(input, target, x0)
        value.backward()
        assert torch.isfinite(value) and torch.isfinite(input.grad).all()
        assert value.item() == pytest.approx(0.2 * (input - target).square().mean().item())


def test_low_precision_is_computed_in_float32():
    size, features = CASES["2D"]
    batch = signals(size, features)

    def cast(dtype):
        return [[t.to(dtype) for t in part] if isinstance(part, list) else part.to(dtype) for part in batch]

    loss = build([pair for pair, _ in features], size).float()
    low = cast(torch.bfloat16)
    rounded = [[t.float() for t in part] if isinstance(part, list) else part.float() for part in low]
    expected = loss(*rounded)
    assert expected.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(loss(*low), expected, rtol=0, atol=0)


def test_pairs_are_the_last_features_of_each_common_size():
    student = [(8, 4, 4), (4, 8, 8), (2, 8, 8), (2, 16, 16)]
    teacher = [(32, 2, 2), (16, 8, 8), (16, 4, 4), (8, 32, 32)]
    assert pairs_by_size(student, teacher) == [(0, 2), (2, 1)]
    assert pairs_by_size([(8, 5)], [(8, 6)]) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dims": 3}, "dims must be 1 or 2, not 3"),
        ({"spatial": -1}, "must be 0 or more, not -1 and 0.1"),
        ({"alpha": float("nan")}, "alpha must be finite, not nan"),
        ({"floor": 0}, "floor must be above 0, not 0"),
        ({"reduction": "max"}, 'reduction must be "mean", "sum" or "none"'),
    ],
)
def test_bad_options_say_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        SpectrumAwareDistillationLoss(**options)


def test_tensors_that_do_not_fit_are_refused():
    loss = SpectrumAwareDistillationLoss([(4, 3)])
    x = torch.zeros(2, 1, 8, 8)
    with pytest.raises(ValueError, match="input and target must have one shape"):
        loss(x, x[..., :4], x, [x], [x])
    with pytest.raises(ValueError, match="expected 1 pairs of features, as in channels, not 0 of the student"):
        loss(x, x, x)
    with pytest.raises(ValueError, match=r"must have one size, not \[8, 8\] of the student and \[8, 4\]"):
        loss(x, x, x, [torch.zeros(2, 4, 8, 8)], [torch.zeros(2, 3, 8, 4)])
    with pytest.raises(TypeError, match="floating-point"):
        SpectrumAwareDistillationLoss()(x.long(), x.long(), x)
    with pytest.raises(TypeError, match="beta"):
        SpectrumAwareDistillationLoss(beta=1)


@pytest.mark.parametrize("weights", [(0.1, 0.1), (0.0, 1.0), (1.0, 0.0)])
@pytest.mark.parametrize("size", [(7,), (5, 4)], ids=str)
def test_gradients_are_those_of_the_values(size, weights):
    loss = build([(2, 3)], size, spatial=weights[0], frequency=weights[1])
    input, target, x0, ours, theirs = signals(size, [((2, 3), tuple(max(1, n // 2) for n in size))], batch=2)
    student = [input.requires_grad_(), ours[0].requires_grad_()]
    assert torch.autograd.gradcheck(lambda a, b: loss(a, target, x0, [b], theirs), student)
