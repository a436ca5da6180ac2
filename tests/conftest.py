"""What all tests share: where the golden values and real data lie."""

import os
import signal
from pathlib import Path

import pytest
from torch import nn

from tests import plugged
from tests.references import References

SHARED = Path(os.environ.get("MMSPEC_SHARED", Path(__file__).parents[2] / "shared"))

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as shells have it in the background; tests send it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="module", autouse=True)
def _no_plug_ins_of_other_files():
    """Their names would stand in messages that other files of tests expect."""
    yield
    plugged.forget()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden values and real data; skips where it is absent."""
    if not SHARED.is_dir():
        pytest.skip(f"golden values and data are not here: {SHARED} does not exist (set MMSPEC_SHARED)")
    return SHARED


@pytest.fixture(scope="session")
def references(tmp_path_factory: pytest.TempPathFactory) -> References:
    """Golden values: the shared folder's where it is, else the small ones of ``tests/golden``."""
    return References(SHARED, tmp_path_factory.mktemp("golden"))


@pytest.fixture(scope="session")
def published(shared: Path) -> nn.Module:
    """The tiny autoencoder of FLUX.2's latents."""
    from mmspec.pretrained import load_first_stage

    return load_first_stage(shared / "data/taef2_encoder.pth")
