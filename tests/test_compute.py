"""What commands ask of the machine: the device, and that freed memory is kept."""

import subprocess
import sys

import pytest

from lnfgen.compute import prepare_machine, resolve_device
from lnfgen.errors import LnfgenError

PROGRAM = """
import resource, torch
from lnfgen.compute import keep_freed_memory

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


def test_devices():
    assert resolve_device("cpu").type == "cpu"
    assert prepare_machine("cpu").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("gpu", "cuda:99", ""):
        with pytest.raises(LnfgenError, match="expected auto") as error:
            resolve_device(name)
        assert "\n" not in str(error.value)
