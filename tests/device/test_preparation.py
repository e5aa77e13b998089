"""What commands ask of the machine: the device, threads and freed memory."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest
import torch

from lnfgen.device.preparation import prepare_machine, resolve_device
from lnfgen.errors import LnfgenError

PROGRAM = """
import json, os, resource, torch
from lnfgen.device.preparation import SMALL_HIDDEN_SIZE, keep_freed_memory, prepare_machine

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(2):
        torch.ones(9_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
keep_freed_memory()
faults()
found = {"faults": [before, faults()], "default": torch.get_num_threads()}

small = SMALL_HIDDEN_SIZE
models = [(small, "nade"), (small + 1, "nade"), (1, "nade")]
models += [(small, "autoregressive"), (1, "autoregressive")]

def threads():
    numbers = []
    for size, emission in models:
        prepare_machine("cpu", size, emission)
        numbers.append(torch.get_num_threads())
    return numbers

found["free"] = threads()
os.environ["OMP_NUM_THREADS"] = "3"
torch.set_num_threads(3)  # as torch does by itself, if the variable is there when it is loaded
found["given"] = threads()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def fresh_process() -> dict[str, Any]:
    """What a process that has just begun finds.

    There is one for all tests, because torch takes a second or two to load.
    """
    free = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=free
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(sys.platform != "linux", reason="of glibc, where Linux mostly has it")
def test_pages_of_freed_tensors_are_not_asked_for_again(fresh_process):
    before, after = fresh_process["faults"]
    if before < 1000:
        pytest.skip("this C library keeps freed memory by itself")
    assert after < before / 10


def test_devices():
    assert resolve_device("cpu").type == "cpu"
    assert prepare_machine("cpu", 500, "bernoulli").type == "cpu"
    assert resolve_device("auto").type in ("cpu", "cuda")
    for name in ("gpu", "cuda:99", "", "meta", "hpu"):
        with pytest.raises(LnfgenError, match="expected auto") as error:
            resolve_device(name)
        message = str(error.value)
        assert "\n" not in message
        _, _, expected = message.partition("expected")
        assert ("cuda" in expected) == torch.cuda.is_available()


def test_the_number_of_threads_follows_from_the_size_and_output_unless_it_is_given(fresh_process):
    """The output `autoregressive` has more work than others of its size, as it works on every
    key."""
    assert fresh_process["free"] == [1, fresh_process["default"], 1, fresh_process["default"], 1]
    assert fresh_process["given"] == [3] * 5
