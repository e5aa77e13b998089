"""Updates that torch compiles. Most tests have its backend `eager`, which needs no compiler and is plain torch."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from toy_models import SIZES as MODEL_SIZES
from toy_models import noise_like, random_x, randomise
from toy_training import Session, after

from lnfgen.config import NAMED_MODELS
from lnfgen.data.batches import Batch
from lnfgen.errors import LnfgenError, RunError
from lnfgen.models import Frames, LengthModel, Observation, SequenceModel, Symbols, build_model
from lnfgen.runs.checkpoint import load_state
from lnfgen.runs.folder import RunFolder
from lnfgen.training import compiled
from lnfgen.training.compiled import Compiled, require_compiler
from lnfgen.training.faults import explained
from lnfgen.training.objective import accumulate_gradients

CPU = torch.device("cpu")
OUTPUTS: dict[str, Observation] = {
    "categorical": Symbols(6),
    "bernoulli": Frames(7, has_onsets=False),
}
CASES = [
    ("lstm", "lstm", "categorical"),
    *((name, backbone, "bernoulli") for name, backbone in (("lstm", "lstm"), ("af-scf", "scan"), ("coupling", "scan"))),
    *((name, "conv-scan", "categorical") for name in ("af-scf", "coupling", "af-codes", "iaf-scf")),
    ("af-scf", "lstm", "categorical"),
]


@pytest.fixture(autouse=True)
def plain_backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(compiled, "BACKEND", "eager")
    torch.compiler.reset()
    yield
    torch.compiler.reset()


def model_of(name: str, backbone: str, emission: str) -> SequenceModel:
    """A model without dropout, which draws other numbers when it is compiled."""
    choice = {"backbone": backbone, "emission": emission, "dropout": 0.0, "input_dropout": 0.0}
    config = dataclasses.replace(MODEL_SIZES, **(choice | NAMED_MODELS[name]))
    return randomise(build_model(config, OUTPUTS[emission], LengthModel.fit(torch.tensor([5, 2, 4]))), 0.3)


def objective(model: SequenceModel, lengths: list[int], parts: Compiled | None) -> list[torch.Tensor]:
    """The loss and the gradient of each weight for a batch of these lengths."""
    x = random_x(model.observation, len(lengths), max(lengths))
    noise = noise_like(model, 2, len(lengths), max(lengths))
    batch = Batch(x, torch.tensor(lengths), list(range(len(lengths))))
    model.zero_grad()
    found = accumulate_gradients(model, batch, noise, 0.7, num_passes=1, compiled=parts)
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in model.parameters()]
    return [found.loss, found.reconstruction, found.kl, *gradients]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "backbone", "emission"), CASES)
def test_an_update_is_the_plain_one_and_ragged_batches_compile_nothing_new(
    name: str, backbone: str, emission: str
) -> None:
    model = model_of(name, backbone, emission).train()
    names = list(model.state_dict())
    parts = Compiled(model)
    for lengths in ([9, 4, 7, 8, 3], [12, 12, 1, 5, 2, 11, 10], [13]):
        for found, expected in zip(objective(model, lengths, parts), objective(model, lengths, None), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    assert graphs > 0
    for lengths in ([14, 9, 8], [20, 3, 3, 3, 3, 3, 3, 3], [17] * 9, [11]):
        objective(model, lengths, parts)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs
    assert list(model.state_dict()) == names


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_a_compiled_run_goes_on_bit_for_bit_and_has_plain_names(dataset, name: str, tmp_path: Path) -> None:
    whole = Session(dataset, name, compiled=True, max_steps=6)
    assert whole.trainer.run()
    run = RunFolder.create(tmp_path / "run", whole.config, dataset)
    begun = Session(dataset, name, run, compiled=True, max_steps=6)
    assert not begun.trainer.run(after(4))
    resumed = Session(dataset, name, run, compiled=True, max_steps=6)
    resumed.trainer.restore(*load_state(run))
    assert resumed.trainer.run()
    for part, expected in whole.trainer.state_tensors().items():
        found = resumed.trainer.state_tensors()[part]
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], value) for key, value in expected.items()), part
    plain = Session(dataset, name, max_steps=6)
    assert list(whole.best[-1]) == list(plain.trainer.state_tensors()["weights"])
    plain.trainer.restore(*load_state(run))  # without compiling


def broken(graph: object, inputs: object) -> None:
    raise OSError("g++: not found\nand many more lines")


def test_what_cannot_be_compiled_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    require_compiler(CPU)
    monkeypatch.setattr(compiled, "BACKEND", broken)
    with pytest.raises(LnfgenError, match=r"--compile: .* g\+\+: not found.*expected a C\+\+ compiler") as caught:
        require_compiler(CPU)
    assert "\n" not in str(caught.value)
    with pytest.raises(RunError, match="go on without it: lnfgen train --resume --out run") as later:  # noqa: SIM117
        with explained(Path("run"), CPU, 4):
            compiled._compiled(torch.sin)(torch.zeros(2))
    assert "\n" not in str(later.value)


def test_several_processes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "launched", lambda: True)
    with pytest.raises(LnfgenError, match="--compile: found several processes; expected one"):
        require_compiler(CPU)
