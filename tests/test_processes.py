"""What a process is set up with."""

import subprocess
import sys

import pytest

STEPS = """
import resource, sys
import numpy as np
from pipeline import processes

def step():
    blocks = [np.ones(size, np.float32) for size in (1_000_000, 5_000_000, 12_000_000)]

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

if sys.argv[1] == "kept":
    processes.keep_freed_memory()
step()
before = faults()
for _ in range(5):
    step()
print(faults() - before)
"""


def faults(kept: str) -> int:
    done = subprocess.run([sys.executable, "-c", STEPS, kept], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="a setting of glibc")
def test_memory_that_a_step_frees_is_there_for_the_next():
    # Five times 72 MB; a page is 4 KiB, or 2 MiB where the system joins them.
    assert faults("kept") < 20
    assert faults("returned") > 100
