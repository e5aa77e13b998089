"""Memory that some work needs, and what is left."""

import pytest
import torch

from lnfgen.device import memory

CPU = torch.device("cpu")


def test_the_peak_is_what_is_alive_at_once():
    def work():
        first = torch.zeros(1000)
        second = first + 1
        del first
        third = second * 2
        assert third.shape == second.shape

    state = torch.get_rng_state()
    assert memory.peak_bytes(work) == 2 * 4000
    assert memory.peak_bytes(lambda: torch.rand(10)) == 40
    assert torch.equal(torch.get_rng_state(), state)


def test_a_shortage_has_the_number_that_fits(monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda device: 1000)
    assert memory.shortage(100.0, 10, CPU) is None
    assert memory.shortage(100.0, 11, CPU) == (1100, 1000, 10)
    missing = memory.shortage(5000.0, 1, CPU)
    assert missing is not None
    assert missing.fitting == 1


def test_a_process_has_some_memory_left():
    available = memory.available_bytes(CPU)
    assert 10**6 < available < 10**14


@pytest.mark.parametrize("name", ["MemTotal:", "MemAvailable:"])
def test_numbers_of_the_system(name):
    found = memory._number_after(name, "/proc/meminfo")
    assert found is None or found > 0
    assert memory._number_after(name, "/no/file") is None
