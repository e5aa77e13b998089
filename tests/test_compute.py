"""What commands ask of the machine: the device, the number of threads, and that freed memory is kept."""

import os
import subprocess
import sys

import pytest

from lnfgen.compute import SMALL_WORK_SIZE, prepare_machine, resolve_device
from lnfgen.config import build_config
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
    assert prepare_machine("cpu", work_size=500).type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda", "mps")
    for name in ("gpu", "cuda:99", ""):
        with pytest.raises(LnfgenError, match="expected auto") as error:
            resolve_device(name)
        assert "\n" not in str(error.value)


THREADS = """
import torch
from lnfgen.compute import SMALL_WORK_SIZE, prepare_machine
default = torch.get_num_threads()
found = []
for size in (SMALL_WORK_SIZE, SMALL_WORK_SIZE + 1, 1):
    prepare_machine("cpu", size)
    found.append(torch.get_num_threads())
print(found == [1, default, 1], found)
"""


def test_the_number_of_threads_follows_from_the_size_alone_unless_it_is_given():
    free = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True, env=free)
    assert done.stdout.startswith("True"), done.stdout
    given = {**free, "OMP_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-c", THREADS], capture_output=True, text=True, check=True, env=given)
    assert len(set(done.stdout.split("[")[1].strip("]\n").split(", "))) == 1, done.stdout


def test_the_output_that_works_on_every_key_has_more_work_than_others_of_its_size() -> None:
    tiny = build_config(preset="tiny")
    assert tiny.model.work_size <= SMALL_WORK_SIZE
    assert tiny.override({"model": {"emission": "nade"}}).model.work_size <= SMALL_WORK_SIZE
    assert tiny.override({"model": {"emission": "past"}}).model.work_size > SMALL_WORK_SIZE
