"""What a benchmark finds, printed and kept: tables to read, and the figures that goals are held against."""

import json
import os
import platform
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import markdown

RESULTS = Path(__file__).parent / "results"
PACKAGES = (  # whose versions a time depends on: ours and the peers'
    "mmspec", "torch", "auraloss", "pytorch_wavelets", "ptwt", "focal-frequency-loss", "diffusers", "onnxruntime",
)  # fmt: skip
Figures = dict[str, tuple[float, float | None]]  # name -> by the clock that counts, by the wall clock
UNITS = ("amx_bf16", "avx512_bf16", "avx512f", "avx2")  # of a processor, the first that it has says most


@dataclass(frozen=True)
class Table:
    """Cells as they are printed."""

    header: list[str]
    rows: list[list[str]]

    def __str__(self) -> str:
        return markdown(self.header, self.rows)


@dataclass(frozen=True)
class Findings:
    """Of one benchmark.

    Attributes:
        tables: to be read.
        figures: values by the clock that counts (processor time of one thread where nothing else is said), and by the
            wall clock where that was read along.
    """

    tables: list[Table]
    figures: Figures = field(default_factory=dict)

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.tables))


def keep(name: str, question: str, findings: Findings, seconds: float, folder: Path = RESULTS, where: str = "") -> Path:
    """Write the findings of a benchmark, and where they were made (here), into ``folder/name.json``."""
    kept = {
        "benchmark": name,
        "question": question,
        "machine": where or machine(),
        "threads": torch.get_num_threads(),
        "versions": versions(),
        "seconds": round(seconds),
        **asdict(findings),
    }
    kept["figures"] = {
        figure: {"value": value, "wall": wall} for figure, (value, wall) in sorted(findings.figures.items())
    }
    folder.mkdir(exist_ok=True)
    file = folder / f"{name}.json"
    file.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return file


def kept(folder: Path = RESULTS) -> dict[str, dict[str, Any]]:
    """What `keep` wrote, by benchmark."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.json"))}


def machine() -> str:
    """The class of this machine: what its times depend on."""
    facts = _cpuinfo()
    units = [unit for unit in UNITS if unit in facts.get("flags", "").split()]
    name = facts.get("model name", platform.processor() or platform.machine())
    return ", ".join([name, f"{os.cpu_count()} cores", *units[:1]])


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _cpuinfo() -> dict[str, str]:
    """Of the first core, as Linux tells it; empty elsewhere."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    return {name.strip(): value.strip() for name, value in pairs}
