"""A resumed run is the uninterrupted one bit for bit, or says in one line why it cannot be."""

from typing import Any

import pytest
import torch
from toy_training import Session, after

from lnfgen.config import NAMED_MODELS
from lnfgen.errors import RunError
from lnfgen.runs.folder import RunFolder
from lnfgen.training.objective import PASS_STEPS


def without_clock(metrics: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if "per_second" not in key} for line in metrics]


CASES = [(11, {"num_samples": 3}, name) for name in sorted(NAMED_MODELS)]
CASES += [
    (updates, others, name)
    for updates, others in ((1, {}), (18, {"precision": "bfloat16"}))
    for name in ("af-scf", "lstm")
]


@pytest.mark.parametrize(("updates", "several", "name"), CASES)
def test_resumed_is_uninterrupted_bit_for_bit(dataset, name, updates, several, tmp_path, monkeypatch):
    """Dropout on, in mid-epoch (of 3 updates) and at an epoch's end, through the files of a run folder; with one sample
    and with three in two passes."""
    monkeypatch.setitem(PASS_STEPS, "cpu", 150)
    whole = Session(dataset, name, **several)
    assert whole.trainer.run()

    run = RunFolder.create(tmp_path / "run", whole.config, dataset)
    begun = Session(dataset, name, run, **several)
    assert not begun.trainer.run(after(updates))
    assert begun.trainer.step == updates
    torch.rand(7)  # another process has other random numbers behind it
    resumed = Session(dataset, name, run, **several)
    resumed.trainer.restore(*RunFolder(tmp_path / "run").load_state())
    assert resumed.trainer.step == updates
    assert resumed.trainer.run()

    for part, expected in whole.trainer.state_tensors().items():
        found = resumed.trainer.state_tensors()[part]
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[key], value) for key, value in expected.items()), part
    expected_values, found_values = whole.trainer.state_values(), resumed.trainer.state_values()
    for values in (expected_values, found_values):
        values.pop("sums")
    assert found_values == expected_values
    validations = begun.listener.validations + resumed.listener.validations
    assert without_clock(validations) == without_clock(whole.listener.validations)
    assert all(torch.equal(resumed.best[-1][key], value) for key, value in whole.best[-1].items())


def test_a_run_goes_on_on_another_kind_of_device(dataset):
    """Whose generators have another form: its noise is fresh, and the rest as it was."""
    begun = Session(dataset)
    begun.trainer.run(after(5))
    tensors, values = begun.trainer.state_tensors(), begun.trainer.state_values()
    tensors["random"]["noise"] = torch.zeros(16, dtype=torch.uint8)  # as CUDA's
    tensors["random"]["dropout_cuda"] = torch.zeros(16, dtype=torch.uint8)
    resumed = Session(dataset)
    resumed.trainer.restore(tensors, {**values, "device": "cuda"})
    assert resumed.trainer.step == 5
    assert resumed.trainer.run()


def damage(tensors: dict[str, dict[str, torch.Tensor]], values: dict[str, Any], how: str) -> None:
    match how:
        case "a value is missing":
            del values["rate"]
        case "a weight is missing":
            tensors["weights"].popitem()
        case "a weight of another size":
            name, value = tensors["average"].popitem()
            tensors["average"][name] = torch.zeros(3, *value.shape)
        case "a moment of no weight":
            tensors["optimizer"]["nothing/step"] = torch.zeros(())
        case "no random state":
            tensors["random"] = {}
        case "a value of another type":
            values["sums"] = 3


@pytest.mark.parametrize(
    "how",
    [
        "a value is missing",
        "a weight is missing",
        "a weight of another size",
        "a moment of no weight",
        "no random state",
        "a value of another type",
    ],
)
def test_a_state_that_does_not_fit_is_one_clear_line(dataset, how):
    session = Session(dataset)
    session.trainer.run(after(2))
    tensors, values = session.trainer.state_tensors(), session.trainer.state_values()
    damage(tensors, values, how)
    with pytest.raises(RunError, match="last/") as error:
        Session(dataset).trainer.restore(tensors, values)
    assert "\n" not in str(error.value)
