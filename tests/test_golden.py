"""What is kept of the reference values in ``tests/golden``: that of the originals, and little."""

import io

import numpy as np
import pytest
import torch

from tests.references import HERE, References, unpacked

DRAWN = [
    path.relative_to(HERE).as_posix().removesuffix(".json.xz")
    for path in sorted(HERE.rglob("*.json.xz"))
    if b"sum_of_magnitudes" in unpacked(path.relative_to(HERE).as_posix().removesuffix(".xz"))
]


def test_a_clone_stays_small():
    assert sum(path.stat().st_size for path in HERE.rglob("*") if path.is_file()) <= 1_000_000


@pytest.mark.parametrize("name", DRAWN)
def test_weights_are_drawn_as_they_were(references, name):
    weights, facts = references.weights(name), references.facts(name)
    total = sum(weight.double().abs().sum().item() for weight in weights.values() if weight.is_floating_point())
    assert total == pytest.approx(facts["sum_of_magnitudes"], rel=1e-6)


def test_arrays_are_leading_parts_of_the_originals(shared):
    for path in HERE.rglob("*.npz.xz"):
        name = path.relative_to(HERE).as_posix().removesuffix(".xz")
        if name.endswith(".pkl.npz"):
            continue
        whole = np.load(shared / "golden" / name)
        for key, part in np.load(io.BytesIO(unpacked(name))).items():
            np.testing.assert_array_equal(whole[key][tuple(slice(n) for n in part.shape)], part, f"{name} {key}")


def test_weights_and_pickles_are_the_originals(shared, tmp_path):
    golden, without = shared / "golden", References(tmp_path, tmp_path)  # so that all is made anew
    for name in DRAWN:
        if (golden / f"{name}.pkl").is_file():
            assert without.file(f"{name}.pkl").read_bytes() == (golden / f"{name}.pkl").read_bytes()
            continue
        file = {"lmnt/tiny": "lmnt/tiny_weights.pt", "ldm/ldm_uncond_vqf4": f"{name}.ckpt"}.get(name, f"{name}.pt")
        original = torch.load(golden / file, weights_only=True)
        original = original.get("state_dict", original.get("model", original))
        weights = without.weights(name)
        assert all(torch.equal(weights[key], original[key]) for key in weights), name
        left_out = {key for key in set(original) - set(weights) if "." in key}  # the rest are tables of noise levels
        assert not left_out, name
