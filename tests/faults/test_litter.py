"""What killed trainings left behind is tidied by the next, and nothing else is."""

from pathlib import Path

from mmspec.training.run import Run

OURS = [
    ".config.yaml.123",
    ".metrics.jsonl.4",
    "samples/.step_00000002.png.99",
    "checkpoints/.latest.1",
    "checkpoints/.writing-step_00000003/ema/model.safetensors",
    "checkpoints/.removing-step_00000001/state.json",
    "checkpoints/.writing-room",
]
OTHERS = [
    ".gitignore",
    ".metrics.jsonl.swp",
    ".evaluation.json.5",  # of `mmspec evaluate`, which may be at work
    "samples/.writing-final/new/data.npy",  # of `mmspec sample`, which goes on with it
    "checkpoints/.notes",
    "checkpoints/step_00000001/state.json",  # of which somebody removed the marker
]


def test_only_what_trainings_leave_is_removed_and_only_under_the_lock(tmp_path: Path) -> None:
    for name in (*OURS, *OTHERS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    run = Run(tmp_path)
    assert run.config_file.exists() is False and all((tmp_path / name).exists() for name in OURS)
    with run.held():
        left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*OTHERS, ".lock"}
