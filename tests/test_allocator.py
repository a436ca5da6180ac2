"""Memory that is freed stays with the process."""

import subprocess
import sys

import pytest

PROGRAM = """
import numpy as np
from mmspec.allocator import keep_freed_memory
{prepare}
for _ in range(3):
    arrays = [np.ones(20 * 2**17) for _ in range(4)]  # 80 MB
    del arrays
print(int(open("/proc/self/statm").read().split()[1]) * 4096 / 2**20)
"""


def resident_megabytes(prepare):
    program = PROGRAM.format(prepare=prepare)
    return float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's malloc only")
def test_freed_memory_is_kept():
    assert resident_megabytes("keep_freed_memory()") > resident_megabytes("") + 60
