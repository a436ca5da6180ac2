import pytest

from mmspec.components import Component
from mmspec.data.augment import EDMAugment
from mmspec.diffusion import Denoiser
from mmspec.diffusion.processes import EDM
from mmspec.errors import InputError
from mmspec.experiment.training import make_augmentation
from mmspec.networks import Network, UNet


class _Told(Network):
    def __init__(self) -> None:
        super().__init__(augment_labels=9)

    def forward(self, x, c_noise, augment_labels=None):
        return x


def test_data_augment_needs_a_network_that_can_be_told():
    unet = UNet(dims=2, in_channels=3, model_channels=8, channel_mult=(1,), num_blocks=1, attention_levels=())
    options = Component("EDMAugment", {"probability": 0.12})
    augment = make_augmentation(options, Denoiser(_Told(), EDM(0.5), (3, 8, 8)))
    assert isinstance(augment, EDMAugment) and augment.probability == 0.12
    with pytest.raises(InputError, match=r"this UNet is not: take an EDMUNet with augment_dim=9"):
        make_augmentation(options, Denoiser(unet, EDM(0.5), (3, 8, 8)))
    assert make_augmentation(None, Denoiser(unet, EDM(0.5), (3, 8, 8))) is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"type": "EDMAugment", "probability": 3}, "data.augment: probability must be above 0 and at most 1"),
        ({"type": "EDMAugment", "chance": 0.1}, "data.augment.chance is no option of EDMAugment"),
        ({"type": "Cutout"}, "data.augment.type=Cutout is unknown: expected one of EDMAugment"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        make_augmentation(Component.read(options, "data.augment"), Denoiser(_Told(), EDM(0.5), (3, 8, 8)))
