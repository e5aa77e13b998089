"""What the host would wait for if a model were on a GPU, and batches that are made ahead for one."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from lnfgen.config import NAMED_MODELS
from lnfgen.data.batches import Batch, collate
from lnfgen.flows.fixed_point import solve_triangular
from lnfgen.nn.backbones import BACKBONES
from lnfgen.training.loader import prefetched
from lnfgen.waiting import ASK_EVERY, asks

ROOT = Path(__file__).parent
CASES = [
    f"{name},{backbone},{emission},{transform}"
    for name in NAMED_MODELS
    for backbone in (("lstm",) if name == "lstm" else BACKBONES)
    for emission in ("categorical", "bernoulli", "nade", "past")
    for transform in ("nlsq", "mixture", "spline", "affine")
    if transform == "nlsq" or (emission == "categorical" and backbone == "conv-scan" and name == "af-scf")
]
FEW = [
    "lstm,lstm,categorical,nlsq",
    "af-scf,lstm,bernoulli,nlsq",
    "coupling,scan,nade,nlsq",
    "af-scf,scan,past,nlsq",
    "af-scf,conv-scan,categorical,mixture",
]


def allowed(case: str, steps: int) -> int:
    """The most waits of a sample of so many steps: the result's copy, and what loops ask that end once all settles."""
    name, _, emission, transform = case.split(",")
    keys, features, layers = 12, 6, 2
    waits = 1
    if emission == "nade":  # a frame's sweeps over its keys; with this model all frames at once, or each alone
        waits += keys // ASK_EVERY * (steps if name == "lstm" else 1)
    if name == "af-af":  # at each step the sweeps over the features of all layers together
        waits += steps * (features * layers // ASK_EVERY)
    if name == "af-codes":  # Newton steps for one feature after the other
        waits += steps * features * 3
    if transform == "mixture":  # Newton steps in each layer
        waits += steps * layers * 3
    return waits


def check(cases: list[str]) -> None:
    program = [sys.executable, str(ROOT / "count_waits.py"), *cases]
    done = subprocess.run(program, capture_output=True, text=True, cwd=ROOT.parent)
    if "cannot have a device in Python" in done.stderr:
        pytest.skip("this torch cannot have a device in Python")
    assert done.returncode == 0, done.stderr[-3000:]
    found = {case: of_case for line in done.stdout.splitlines() for case, of_case in json.loads(line).items()}
    assert list(found) == cases
    for case, waits in found.items():
        totals = {what: sum(places.values()) for what, places in waits.items()}
        assert totals.pop("update") <= 1, (case, waits["update"])
        assert totals.pop("validation") <= 1, (case, waits["validation"])
        for what, total in totals.items():
            assert total <= allowed(case, int(what.removeprefix("sample "))), (case, waits[what])


def test_the_host_waits_once_an_update_and_never_in_a_step() -> None:
    check(FEW)


@pytest.mark.slow
def test_every_model_waits_as_little() -> None:
    check(CASES)


# Loops that ask less often. -------------------------------------------------------------------------------------------


def test_a_device_is_asked_every_few_rounds_and_a_cpu_each_time() -> None:
    assert all(asks(rounds, torch.device("cpu")) for rounds in range(1, 20))
    assert [n for n in range(1, 20) if asks(n, torch.device("cuda"))] == [ASK_EVERY, 2 * ASK_EVERY]


@pytest.mark.parametrize("steps", [3, 20])
@torch.no_grad()
def test_rounds_beyond_the_last_needed_one_change_nothing(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    weight = torch.tril(torch.randn(steps, steps, generator=torch.Generator().manual_seed(0)) / steps**0.5, -1)

    def update(y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.tanh(y @ weight.t() + 1), y @ weight.t()

    start = torch.zeros(2, steps)
    each_time = solve_triangular(update, start)
    monkeypatch.setattr("lnfgen.flows.fixed_point.asks", lambda rounds, device: rounds % ASK_EVERY == 0)
    seldom = solve_triangular(update, start)
    assert torch.equal(seldom.value, each_time.value)
    assert torch.equal(seldom.log_abs_det_jacobian, each_time.log_abs_det_jacobian)
    assert each_time.sweeps <= seldom.sweeps <= steps


# Batches made ahead. --------------------------------------------------------------------------------------------------

DEVICE = torch.device("meta")  # any that is not a CPU


def batches(count: int) -> Iterator[Batch]:
    for index in range(count):
        yield collate([np.full(3, index, np.int32)], [index])


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Batch, "pinned", lambda self, device: self)


@pytest.mark.usefixtures("unpinned")
def test_batches_made_ahead_are_the_same_in_the_same_order() -> None:
    for device in (torch.device("cpu"), DEVICE):
        with prefetched(batches(9), device) as made:
            assert [batch.indices for batch in made] == [[i] for i in range(9)]


@pytest.mark.usefixtures("unpinned")
def test_the_thread_ends_with_the_loop_and_its_error_reaches_the_loop() -> None:
    before = threading.active_count()
    with prefetched(batches(10**9), DEVICE) as made:
        assert next(made).indices == [0]
    assert threading.active_count() == before

    def broken() -> Iterator[Batch]:
        yield from batches(1)
        raise OSError("the disk is gone")

    with prefetched(broken(), DEVICE) as made:
        next(made)
        with pytest.raises(OSError, match="disk is gone"):
            next(made)
    assert threading.active_count() == before
