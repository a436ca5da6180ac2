"""What all tests share: where the golden values and real data lie."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden values and real data; skips where it is absent."""
    folder = Path(os.environ.get("MMSPEC_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        pytest.skip(f"golden values and data are not here: {folder} does not exist (set MMSPEC_SHARED)")
    return folder
