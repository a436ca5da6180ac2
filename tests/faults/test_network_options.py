"""Networks that cannot be: options out of range, and classes of somebody's own that keep no promise."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from mmspec.components import Component
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.networks import AutoencoderKL, ClassContextUNet, DiffWave, EDMUNet, Network, UNet, VQModel
from mmspec.networks.network import make_network

UNET = {"model_channels": 8, "channel_mult": (1, 2), "num_blocks": 1, "attention_levels": (1,), "head_channels": 4}
STAGE = {"channels": 32, "channel_mult": (1, 1), "num_blocks": 1}
SMALL = {
    UNet: UNET,
    ClassContextUNet: {**UNET, "num_classes": 2, "context_channels": 4},
    EDMUNet: {"img_resolution": 8, "model_channels": 8, "channel_mult": (1, 2), "num_blocks": 1},
    DiffWave: {"residual_channels": 4, "residual_layers": 2, "n_mels": 4},
    AutoencoderKL: STAGE,
    VQModel: {**STAGE, "num_codes": 8},
}
COUNTS = {
    UNet: (
        *("in_channels", "out_channels", "model_channels", "num_blocks", "head_channels", "transformer_depth"),
        *("patch_size", "group_channels"),
    ),
    ClassContextUNet: ("num_classes", "context_channels", "model_channels"),
    EDMUNet: (
        *("img_resolution", "in_channels", "out_channels", "model_channels", "num_blocks"),
        *("channel_mult_emb", "channel_mult_noise"),
    ),
    DiffWave: ("residual_channels", "residual_layers", "dilation_cycle_length", "n_mels", "max_steps"),
    AutoencoderKL: ("in_channels", "channels", "num_blocks", "z_channels", "embed_channels"),
    VQModel: ("num_codes", "channels", "num_blocks", "z_channels", "embed_channels"),
}


@pytest.mark.parametrize(("made", "name"), [(made, name) for made, names in COUNTS.items() for name in names])
def test_counts_below_one_and_beyond_all_memory_are_refused_by_name(made: type, name: str) -> None:
    for value in (0, -1, 10**10, 10**30):
        with pytest.raises(ValueError, match=f"{name}.*must be .* or (more|less),") as caught:
            made(**{**SMALL[made], name: value})
        assert str(value) in str(caught.value)


@pytest.mark.parametrize("made", [UNet, ClassContextUNet, EDMUNet, AutoencoderKL, VQModel])
@pytest.mark.parametrize("widths", [(), (0,), (0, 1), (1, 0), (1, -1), (10**10, 1)], ids=str)
def test_levels_without_width_are_refused(made: type, widths: Sequence[int]) -> None:
    with pytest.raises(ValueError, match=r"channel_mult must be (1 or more|1048576 or less), not"):
        made(**{**SMALL[made], "channel_mult": widths})


@pytest.mark.parametrize("made", [UNet, ClassContextUNet, AutoencoderKL, VQModel])
@pytest.mark.parametrize("levels", [(-1,), (2,), (0, 10**30)], ids=str)
def test_attention_at_levels_that_are_not_there_is_refused(made: type, levels: Sequence[int]) -> None:
    with pytest.raises(ValueError, match="attention_levels must lie in 0 to 1, got"):
        made(**{**SMALL[made], "attention_levels": levels})


@pytest.mark.parametrize(
    ("made", "options", "said"),
    [
        (UNet, {"model_channels": 1}, "model_channels must be 2 or more"),
        (UNet, {"num_heads": -1}, "num_heads must be 0 or more"),
        (UNet, {"num_heads": 3}, "16 channels do not split into 3 heads: change num_heads"),
        (UNet, {"num_classes": -1}, "num_classes must be 0 or more"),
        (UNet, {"context_channels": -4}, "context_channels must be 0 or more"),
        (UNet, {"dropout": 1.5}, "dropout is a probability between 0 and 1, not 1.5"),
        (UNet, {"dropout": float("nan")}, "dropout is a probability"),
        (UNet, {"resample": "wavelet", "model_channels": 7, "head_channels": 14}, "divisible by 4"),
        (EDMUNet, {"label_dropout": -0.1}, "label_dropout is a probability between 0 and 1, not -0.1"),
        (EDMUNet, {"resample_filter": (1, -1)}, "whose sum is above 0"),
        (EDMUNet, {"resample_filter": (1, float("nan"))}, "whose sum is above 0"),
        (AutoencoderKL, {"scale_factor": 0.0}, "scale_factor must be a number above 0, not 0.0"),
        (VQModel, {"scale_factor": float("nan")}, "scale_factor must be a number above 0, not nan"),
        (AutoencoderKL, {"channels": 48}, "widths that 32 divides"),
    ],
)
def test_other_options_that_cannot_be(made: type, options: dict, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made(**{**SMALL[made], **options})


def test_an_option_names_its_key_where_a_configuration_has_it() -> None:
    with pytest.raises(InputError, match=r"^network: channel_mult must be 1 or more, not \[0, 1\]\.$"):
        make_network(Component("UNet", {"channel_mult": (0, 1)}), (3, 8, 8), 0)


def test_what_no_memory_holds_is_said_to_be_too_large() -> None:
    huge = {**UNET, "model_channels": 2**18, "channel_mult": (1, 2**20)}
    with pytest.raises(InputError, match="network: UNet of these options is larger than memory: make it narrower"):
        make_network(Component("UNet", huge), (3, 8, 8), 0)


# Classes of somebody's own


class OptionsWithoutInit(Network):
    def __init__(self, dims: int, in_channels: int) -> None:
        self.dims, self.in_channels, self.out_channels = dims, in_channels, in_channels
        self.layer = nn.Conv1d(1, 1, 1)

    def forward(self, x: Tensor, c_noise: Tensor) -> Tensor:
        return x


class OptionsWithoutLayers(OptionsWithoutInit):
    def __init__(self, dims: int, in_channels: int) -> None:
        self.dims, self.in_channels, self.out_channels = dims, in_channels, in_channels


class OptionsOfModules(OptionsWithoutInit):
    def __init__(self, dims: int, in_channels: int) -> None:
        nn.Module.__init__(self)
        self.dims, self.in_channels, self.out_channels = dims, in_channels, in_channels


class OptionsWithoutOutput(OptionsWithoutInit):
    def __init__(self, dims: int, in_channels: int) -> None:
        Network.__init__(self)
        self.dims, self.in_channels = dims, in_channels


class OptionsFaulty(OptionsWithoutInit):
    def __init__(self, dims: int, in_channels: int) -> None:
        Network.__init__(self)
        self.width = self.no_such_width


class OptionsWithoutParameters(OptionsWithoutInit):
    def __init__(self, dims: int, in_channels: int) -> None:
        Network.__init__(self)
        self.dims, self.in_channels, self.out_channels = dims, in_channels, in_channels


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("OptionsWithoutInit", r"must call super\(\).__init__\(\) first in its __init__"),
        ("OptionsWithoutLayers", r"must call super\(\).__init__\(\) in its __init__, with the conditions"),
        ("OptionsOfModules", r"must call super\(\).__init__\(\) in its __init__, with the conditions"),
    ],
)
def test_a_network_that_is_no_module_yet_is_told_to_become_one(name: str, said: str) -> None:
    with pytest.raises(InputError, match=f"network: {name} {said}"):
        make_network(Component(name), (1, 8), 0)


def test_a_network_that_does_not_say_what_it_puts_out() -> None:
    with pytest.raises(
        InputError, match=r"network: OptionsWithoutOutput.out_channels is None: its __init__ or its class"
    ):
        make_network(Component("OptionsWithoutOutput"), (1, 8), 0)


def test_faults_of_other_peoples_code_stay_visible() -> None:
    with pytest.raises(AttributeError, match="no_such_width"):
        make_network(Component("OptionsFaulty"), (1, 8), 0)


def test_a_network_without_parameters_works_and_is_not_trained(tmp_path, capsys) -> None:  # type: ignore[no-untyped-def]
    from mmspec.cli import main
    from tests.faults.test_other_classes import data

    x = torch.randn(2, 1, 8, generator=torch.Generator().manual_seed(0))
    denoiser = Denoiser(make_network(Component("OptionsWithoutParameters"), (1, 8), 0), EDM(0.5), (1, 8))
    torch.testing.assert_close(denoiser(x, 0.5), x)  # c_skip + c_out c_in = 1/2 + 1/2
    data(tmp_path / "data", ("a", "b"))
    given = [f"run_dir={tmp_path / 'run'}", f"data.train={tmp_path / 'data'}", "data.labels=false"]
    assert main(["train", *given, "network=OptionsWithoutParameters", "trainer.device=cpu", "trainer.max_steps=1"]) == 2
    said = capsys.readouterr().err
    assert "OptionsWithoutParameters has no parameters, so that nothing can be trained" in said
    assert "Traceback" not in said
