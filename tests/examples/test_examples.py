"""Other people's loops run with mmspec, and without the few lines marked as mmspec's, and the regularizer tells."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

EXAMPLES = Path(__file__).parents[2] / "examples"
MARK = "  # mmspec\n"
SMALL = {"steps": 3, "width": 8}
LOOPS = [
    ("diffusers_unconditional", {"prediction_type": "epsilon", "size": 8}),
    ("diffusers_unconditional", {"prediction_type": "v_prediction", "size": 8}),
    ("diffusers_flow", {"size": 8}),
    ("accelerate_loop", {"size": 8}),
    ("lightning_module", {"size": 8}),
    ("stable_audio_v", {"length": 2048}),
    ("edm_loss", {"size": 8}),
]


def lines(name: str) -> list[str]:
    return (EXAMPLES / f"{name}.py").read_text(encoding="utf-8").splitlines(keepends=True)


def trained(source: list[str], **options: object) -> list[torch.Tensor]:
    """The weights after a few steps."""
    if any("diffusers" in line and "import" in line for line in source):
        pytest.importorskip("diffusers", reason="diffusers is not installed")
    namespace: dict = {"__name__": "example"}
    exec(compile("".join(source), "example", "exec"), namespace)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [weight.detach() for weight in namespace["train"](**options).parameters()]


def test_every_example_is_run() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.py")} == {"ddp", *(name for name, _ in LOOPS)}


@pytest.mark.parametrize("name", sorted({"ddp", *(name for name, _ in LOOPS)}))
def test_mmspec_adds_five_lines_at_most(name: str) -> None:
    marked = [line for line in lines(name) if line.endswith(MARK)]
    assert 3 <= len(marked) <= 5
    imports = [line for line in lines(name) if "import" in line and "mmspec" in line.removesuffix(MARK)]
    assert len(imports) == 1 and imports[0].endswith(MARK)


@pytest.mark.parametrize(("name", "options"), LOOPS)
def test_a_loop_runs_with_and_without_what_mmspec_adds(name: str, options: dict) -> None:
    ours = trained(lines(name), **SMALL, **options)
    plain = trained([line for line in lines(name) if not line.endswith(MARK)], **SMALL, **options)
    assert all(weight.isfinite().all() for weight in (*ours, *plain))
    assert any(not torch.equal(*pair) for pair in zip(ours, plain, strict=True))


def test_processes_train_what_one_trains(tmp_path: Path) -> None:
    """Two processes of gloo, of half the batch each, against one with all of it."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(EXAMPLES.parent), "OUT": str(tmp_path / "w")}
    # Its status says little: on a busy machine torch may abort while a process that has done its work ends.
    ended = subprocess.run(
        [*command, str(EXAMPLES / "ddp.py"), "2"], check=False, env=environment, capture_output=True, text=True
    )
    assert (tmp_path / "w").is_file(), ended.stderr[-3000:]
    spec = importlib.util.spec_from_file_location("ddp", EXAMPLES / "ddp.py")
    ddp = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(ddp)
    dist.init_process_group("gloo", init_method=f"file://{tmp_path}/meet", rank=0, world_size=1)
    try:
        with torch.random.fork_rng():
            alone = ddp.train(2).state_dict()
    finally:
        dist.destroy_process_group()
    for name, weight in torch.load(tmp_path / "w", weights_only=True).items():
        torch.testing.assert_close(weight, alone[name], rtol=1e-4, atol=1e-5)
