"""Keeping freed memory changes when memory goes back to the system, and nothing else."""

import subprocess
import sys

import pytest

PROGRAM = """
import resource, torch
from lnfgen.memory import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        torch.ones(12_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
keep_freed_memory()
faults()
print(before, faults())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc, where Linux mostly has it")
def test_pages_of_freed_tensors_are_not_asked_for_again():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    if before < 1000:
        pytest.skip("this C library keeps freed memory by itself")
    assert after < before / 10
