"""Run the benchmarks named on the command line, or all of them: `python -m benchmarks wavelet_loss gating`.

What each finds is printed and kept in `benchmarks/results/NAME.json`, and the goals are printed at the end.
"""

import importlib
import pkgutil
import sys
import time
import traceback

import torch

import benchmarks
from benchmarks import goals, record
from mmspec.allocator import keep_freed_memory

NOT_BENCHMARKS = {"__main__", "timing", "record", "goals", "page", "gpu", "on_paper"}


def known() -> list[str]:
    """The names of all benchmarks."""
    return [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in NOT_BENCHMARKS]


def run(name: str) -> None:
    """Ask one question, print the answer, keep it."""
    module = importlib.import_module(f"benchmarks.{name}")
    question = (module.__doc__ or "").strip()
    print(f"\n### {name}\n\n{question}\n", flush=True)
    start = time.perf_counter()
    findings = module.main()
    if findings is not None:
        print(f"{findings}\n\n{record.keep(name, question, findings, time.perf_counter() - start)}", flush=True)


def main(names: list[str]) -> None:
    if unknown := [name for name in names if name not in known()]:
        sys.exit(f"no benchmark {', '.join(unknown)}: choose from {', '.join(known())}")
    keep_freed_memory()  # as every command of mmspec does
    torch.set_num_threads(1)
    failed = []
    for name in names or known():
        try:
            run(name)
        except Exception:  # one of many, whose figures take minutes
            traceback.print_exc()
            failed.append(name)
    print(f"\n### goals\n\n{goals.table(record.kept())}")
    if failed:
        sys.exit(f"\nfailed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
