"""Settings of torch while a model draws."""

import json
import os
import subprocess
import sys

import pytest
import torch

from lnfgen.device.drawing import _torch_library, without_onednn


def test_onednn_is_off_until_the_last_thread_needs_it_no_more():
    before = torch.backends.mkldnn.enabled
    one, other = without_onednn(True), without_onednn(True)
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert not torch.backends.mkldnn.enabled
    other.__exit__(None, None, None)
    assert torch.backends.mkldnn.enabled == before
    with without_onednn(False):
        assert torch.backends.mkldnn.enabled == before


PROGRAM = """
import json, threading, torch
from lnfgen.device.drawing import for_drawing
from lnfgen.device.preparation import prepare_machine

usual = torch.get_num_threads()
device = prepare_machine("cpu", 500, "bernoulli")
model = torch.nn.Linear(512, 512)
found = {"usual": usual}

def note(name, num_rows):
    with for_drawing(model, num_rows, device):
        found[name] = torch.get_num_threads()

with for_drawing(model, 1, device):
    found["few"] = torch.get_num_threads()
    thread = threading.Thread(target=note, args=("many, beside few", 1000))
    thread.start()
    thread.join()
    found["few, after others"] = torch.get_num_threads()
found["after few"] = torch.get_num_threads()
note("many", 1000)
thread = threading.Thread(target=note, args=("few, in a new thread", 1))
thread.start()
thread.join()
found["at the end"] = torch.get_num_threads()
print(json.dumps(found))
"""


def threads_in_a_program(**variables: str) -> dict[str, int]:
    free = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=True,
        env=free | variables,
    )
    return json.loads(done.stdout)


@pytest.mark.skipif(_torch_library() is None, reason="this torch has no OpenMP and MKL")
def test_a_draw_of_few_rows_takes_one_thread_and_others_stay_as_they_are():
    found = threads_in_a_program()
    usual = found["usual"]
    for name, number in found.items():
        expected = 1 if name.startswith("few") else usual
        assert number == expected, name


def test_a_given_number_of_threads_is_that_of_all_draws():
    assert set(threads_in_a_program(OMP_NUM_THREADS="2").values()) == {2}
