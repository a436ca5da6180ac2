"""Distillation as an objective: what is compared with the teacher, what learns, and what is refused."""

import copy

import pytest
import torch

from mmspec.diffusion import Denoiser, DistillationObjective, Objective
from mmspec.diffusion.latent import LatentSpace
from mmspec.diffusion.processes import DDPM, EDM
from mmspec.errors import InputError
from mmspec.losses import FourierAmplitudeLoss, Regularizer
from mmspec.losses.weighting import EDMWeight
from mmspec.networks import AutoencoderKL, DiffWave, EDMUNet, Network, UNet

SMALL = {"num_blocks": 1, "attention_levels": (), "head_channels": 8}
WIDE = {"model_channels": 16, "channel_mult": (1, 2, 2), **SMALL}
SLIM = {"model_channels": 8, "channel_mult": (1, 2), **SMALL}


def random_weights(module, seed):
    """Every weight drawn: what begins at 0 would hide differences."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return module


def image_denoisers():
    shape = (2, 8, 12)
    teacher = Denoiser(EDMUNet(img_resolution=12, in_channels=2, model_channels=16, channel_mult=[1, 2],
                               num_blocks=1, attn_resolutions=[], dropout=0.5), EDM(0.5), shape)  # fmt: skip
    student = Denoiser(UNet(2, 2, resample="wavelet", **SLIM), DDPM(), shape)
    return random_weights(teacher, 0), random_weights(student, 1)


def audio_denoisers():
    teacher = Denoiser(UNet(1, 1, dropout=0.5, **WIDE), DDPM(), (1, 37), sample_rate=8000)
    student = Denoiser(UNet(1, 1, resample="wavelet", **SLIM), EDM(0.2), (1, 37), sample_rate=8000)
    return random_weights(teacher, 0), random_weights(student, 1)


def objective(**options):
    term = Regularizer(FourierAmplitudeLoss(reduction="none"), 0.1, balance="gradient")
    return Objective(EDM(0.5, mean=-0.5, std=0.7), regularizers={"amplitude": term}, **options)


CASES = {"images": (image_denoisers, 2), "sound": (audio_denoisers, 2)}


@pytest.mark.parametrize(("make", "scales"), CASES.values(), ids=CASES)
def test_total_is_the_objective_plus_both_terms_on_outputs_and_features(make, scales):
    teacher, student = make()
    plain, seen = objective(), {}
    distilling = DistillationObjective(plain, teacher, student, spatial=0.2, frequency=0.3)
    assert len(distilling.loss.align) == scales
    x0 = torch.randn(3, *student.signal_shape, generator=torch.Generator().manual_seed(2)) * 0.5
    draw = distilling.draw(x0.shape, torch.Generator().manual_seed(3))
    terms = distilling.train()(student, x0, draw=draw)

    def watch(name, module):
        module.register_forward_hook(lambda _, inputs, output: seen.__setitem__(name, output))

    for name, denoiser in (("teacher", teacher), ("student", student)):
        for module in denoiser.network.level_ends():
            watch((name, len(seen)), module)
            seen[name, len(seen)] = None
    noisy = x0 + draw.sigma.reshape(-1, *[1] * (x0.ndim - 1)) * draw.noise
    outputs = [denoiser.eval()(noisy, draw.sigma) for denoiser in (student, teacher)]
    student.train()
    features = {
        name: {tuple(f.shape[2:]): f for (owner, _), f in seen.items() if owner == name}
        for name in ("teacher", "student")
    }
    pairs = list(zip(features["student"].values(), list(features["teacher"].values())[-scales:], strict=True))
    sizes = [tuple(map(min, ours.shape[2:], theirs.shape[2:])) for ours, theirs in pairs]

    def cropped(x, size):
        return x[(..., *(slice(n) for n in size))]

    root = EDMWeight(0.5)(draw.sigma).sqrt().reshape(-1, *[1] * (x0.ndim - 1))
    expected = distilling.loss.terms(
        *(root * output for output in outputs),
        x0,
        [cropped(ours, size) for (ours, _), size in zip(pairs, sizes, strict=True)],
        [cropped(theirs, size) for (_, theirs), size in zip(pairs, sizes, strict=True)],
    )
    without = plain(student, x0, draw=draw)
    torch.testing.assert_close(terms.parts["distill_spatial"], expected.spatial)
    torch.testing.assert_close(terms.parts["distill_frequency"], expected.frequency)
    torch.testing.assert_close(terms.total, without.total + 0.2 * expected.spatial + 0.3 * expected.frequency)
    assert terms.grad_shares.keys() == {"amplitude"}


@pytest.mark.parametrize(("make", "scales"), CASES.values(), ids=CASES)
def test_student_and_convolutions_learn_and_the_teacher_does_not(make, scales):
    teacher, student = make()
    distilling = DistillationObjective(objective(), teacher, student)
    before = copy.deepcopy(teacher.state_dict())
    teacher.train()
    distilling.train()
    assert not any(module.training for module in teacher.modules())
    x0 = torch.randn(2, *student.signal_shape) * 0.5
    distilling(student, x0).total.mean().backward()
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in teacher.parameters())
    learning = [parameter for parameter in distilling.parameters() if parameter.requires_grad]
    assert len(learning) == 2 * scales
    for parameter in (*student.parameters(), *learning):
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all()
    assert all(torch.equal(before[name], value) for name, value in teacher.state_dict().items())
    assert not any("teacher" in name or "align" in name for name in student.state_dict())


def test_a_student_that_is_its_teacher_has_nothing_to_learn_from_outputs():
    teacher = random_weights(Denoiser(UNet(2, 2, **SLIM), EDM(0.5), (2, 8, 8)), 0)
    student = copy.deepcopy(teacher)
    x0 = torch.randn(2, 2, 8, 8)
    terms = DistillationObjective(objective(), teacher, student, features=False)(student, x0)
    assert not terms.parts["distill_spatial"].any() and not terms.parts["distill_frequency"].any()


def test_beyond_the_teachers_noise_levels_nothing_is_taught():
    teacher, student = audio_denoisers()
    distilling = DistillationObjective(objective(), teacher, student)
    x0 = torch.randn(3, 1, 37)
    draw = distilling.draw(x0.shape)._replace(sigma=torch.tensor([teacher.sigma_min / 2, 1.0, teacher.sigma_max * 2]))
    terms = distilling(student, x0, draw=draw)
    assert (terms.parts["distill_spatial"] > 0).tolist() == [False, True, False]
    assert torch.isfinite(terms.total).all()


def test_teacher_and_student_are_told_the_same_labels_dropped_alike():
    def conditional(seed, **size):
        network = UNet(1, 1, num_classes=3, **size)
        return random_weights(Denoiser(network, EDM(), (1, 16), classes=["a", "b", "c"]), seed)

    teacher, student = conditional(0, **WIDE), conditional(1, **SLIM)
    seen = []
    for denoiser in (teacher, student):
        denoiser.network.register_forward_pre_hook(
            lambda _, arguments, cond: seen.append(cond.get("labels")), with_kwargs=True
        )
    distilling = DistillationObjective(Objective(EDM(), label_dropout=0.5), teacher, student)
    seen.clear()
    labels = torch.nn.functional.one_hot(torch.arange(16) % 3, 3).float()
    distilling(student, torch.randn(16, 1, 16), labels=labels)
    assert len(seen) == 2 and torch.equal(*seen)
    assert 0 < seen[0].sum() < 16


def test_copies_of_the_student_are_not_listened_to():
    teacher, student = audio_denoisers()
    distilling = DistillationObjective(objective(), teacher, student)
    average = copy.deepcopy(student)
    average(torch.zeros(1, 1, 37), 1.0)
    with pytest.raises(ValueError, match="distil the student that was given"):
        distilling(average, torch.zeros(1, 1, 37))


def test_a_teacher_in_bfloat16_teaches_the_same_up_to_rounding():
    x0 = torch.randn(2, 1, 37, generator=torch.Generator().manual_seed(0)) * 0.3
    values = []
    for options in ({}, {"mixed_precision": "bf16"}):
        torch.manual_seed(0)
        distilling = DistillationObjective(objective(), *(pair := audio_denoisers()), **options)
        draw = distilling.draw(x0.shape, torch.Generator().manual_seed(1))
        values.append(distilling(pair[1], x0, draw=draw).parts["distill_spatial"])
    assert not torch.equal(*values)
    torch.testing.assert_close(*values, rtol=0.1, atol=1e-3)


def test_taps_work_in_compiled_networks():
    teacher, student = audio_denoisers()
    distilling = DistillationObjective(objective(), teacher, student)
    x0 = torch.randn(2, 1, 37) * 0.3
    draw = distilling.draw(x0.shape, torch.Generator().manual_seed(1))
    expected = distilling(student, x0, draw=draw).total
    student.network.compile(backend="eager")
    torch.testing.assert_close(distilling(student, x0, draw=draw).total, expected)


def test_vocoders_are_distilled_by_the_spectrograms_of_an_example():
    def vocoder(channels, seed):
        network = DiffWave(residual_channels=channels, residual_layers=2, n_mels=4)
        return random_weights(Denoiser(network, EDM(), (1, 512), sample_rate=8000), seed)

    teacher, student = vocoder(8, 0), vocoder(4, 1)
    cond = {"spectrogram": torch.rand(1, 4, 2)}
    distilling = DistillationObjective(objective(), teacher, student, (torch.zeros(1, 1, 512), cond))
    assert [tuple(align.weight.shape) for align in distilling.loss.align] == [(8, 4, 1)]
    assert torch.isfinite(distilling(student, torch.randn(1, 1, 512) * 0.1, **cond).total).all()


def latent_denoisers(scale_factor=0.5):
    def first_stage(scale):
        torch.manual_seed(0)
        return AutoencoderKL(channels=32, channel_mult=(1, 1), num_blocks=1, z_channels=4, embed_channels=4,
                             middle_attention=False, scale_factor=scale)  # fmt: skip

    made = [(WIDE, 0.5, DDPM()), (SLIM, scale_factor, EDM(1.0))]
    return [
        random_weights(Denoiser(UNet(2, 4, **size), process, (3, 16, 16), first_stage=first_stage(scale)), seed)
        for seed, (size, scale, process) in enumerate(made)
    ]


def test_denoisers_of_latents_are_distilled_in_their_latents():
    teacher, student = latent_denoisers()
    distilling = DistillationObjective(objective(), teacher, student)
    assert [tuple(align.weight.shape[:2]) for align in distilling.loss.align] == [(32, 16), (16, 8)]
    x0, cond = student.clean(torch.rand(2, 3, 16, 16) * 2 - 1), {}
    assert x0.shape == (2, 4, 8, 8)
    distilling(student, x0, **cond).total.mean().backward()
    assert all(parameter.grad is not None for parameter in student.parameters())
    with pytest.raises(InputError, match=r"the teacher has a first stage of SHA-256 [0-9a-f]{64}, the student"):
        DistillationObjective(objective(), *latent_denoisers(scale_factor=0.4))


def test_classes_of_official_weights_are_numbers_and_count_as_any_names():
    teacher, student = audio_denoisers()
    teacher.classes, student.classes = ["0", "1"], ["cat", "dog"]
    DistillationObjective(objective(), teacher, student)
    teacher.classes = ["dog", "cat"]
    with pytest.raises(InputError, match=r"the classes \['dog', 'cat'\], the student \['cat', 'dog'\]"):
        DistillationObjective(objective(), teacher, student)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latent": LatentSpace((1, 64))}, r"the teacher has signals of shape \(1, 37\), the student \(1, 64\)"),
        ({"sample_rate": 16000}, "the teacher has a sample rate of 8000, the student 16000"),
        ({"classes": ["a"]}, r"the teacher has the classes None, the student \['a'\]"),
        ({"latent": LatentSpace(None)}, "must say their signal_shape"),
    ],
)
def test_a_teacher_of_other_signals_is_refused(change, message):
    teacher, student = audio_denoisers()
    for name, value in change.items():
        setattr(student, name, value)
    with pytest.raises(InputError, match=message):
        DistillationObjective(objective(), teacher, student)


class _Pointwise(Network):
    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv1d(1, 1, 1)

    def forward(self, x, c_noise):
        return self.convolution(x)


def test_networks_without_a_common_scale_are_refused_unless_outputs_do():
    teacher = Denoiser(UNet(1, 1, **WIDE), EDM(), (1, 60))
    student = Denoiser(UNet(1, 1, patch_size=16, **SLIM), EDM(), (1, 60))
    with pytest.raises(InputError, match=r"no features of one scale \(teacher: 16, 32, 64; student: 2, 4\)"):
        DistillationObjective(objective(), teacher, student)
    DistillationObjective(objective(), teacher, student, features=False)
    for network, message in (
        (_Pointwise(), r"levels of a _Pointwise end is not known.*features=false"),
        (torch.nn.Conv1d(1, 1, 1), r"a Conv1d is no Network, which says where its levels end.*features=false"),
    ):
        with pytest.raises(InputError, match=message):
            DistillationObjective(objective(), Denoiser(network, EDM(), (1, 60)), student)
