"""Run the benchmarks named on the command line, or all of them: `python -m benchmarks wavelet_loss gating`."""

import importlib
import pkgutil
import sys

import benchmarks
from mmspec.allocator import keep_freed_memory

NOT_BENCHMARKS = {"__main__", "timing"}


def main(names: list[str]) -> None:
    known = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name not in NOT_BENCHMARKS]
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}: choose from {', '.join(known)}")
    keep_freed_memory()  # as every command of mmspec does
    for name in names or known:
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n### {name}\n\n{(module.__doc__ or '').strip()}\n", flush=True)
        module.main()


if __name__ == "__main__":
    main(sys.argv[1:])
