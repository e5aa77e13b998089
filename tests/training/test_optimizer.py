"""The groups of parameters: their weight decay, and their learning rates."""

import copy
import dataclasses

import pytest
import torch
from toy_training import SIZES, Session, after, assert_equal

from lnfgen.config import NAMED_MODELS
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Symbols
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.training import optimizer
from lnfgen.training.optimizer import optimizer_groups


def test_weights_decay_and_codes_keep_their_place():
    config = dataclasses.replace(SIZES, **NAMED_MODELS["af-codes"])
    model = build_model(config, Symbols(5), LengthModel.fit(torch.tensor([5])))
    before = copy.deepcopy(model.state_dict())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    torch.optim.AdamW(optimizer_groups(model, weight_decay=5.0), lr=0.1).step()
    for name, parameter in model.named_parameters():
        decays = parameter.dim() > 1 and "codebook" not in name
        left = 0.5 if decays else 1.0
        torch.testing.assert_close(parameter.detach(), before[name] * left)


FACTORS = {"prior": 4.0, "others": 1.0}


def groups_of(model: SequenceModel) -> dict[str, list[torch.nn.Parameter]]:
    """The groups of a model whose prior learns four times as fast."""
    fast = list(model.prior.parameters())
    slow = [one for one in model.parameters() if all(one is not other for other in fast)]
    return {"prior": fast, "others": slow}


@pytest.fixture
def _fast_prior(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer, "parameter_groups", groups_of)
    monkeypatch.setattr(optimizer, "RATES", FACTORS)


@pytest.mark.usefixtures("_fast_prior")
def test_groups_of_parameters_learn_at_multiples_of_the_scheduled_rate(dataset):
    session = Session(dataset, max_steps=6)
    trainer = session.trainer
    members: list[torch.nn.Parameter] = []
    for group in trainer.optimizer.param_groups:
        members += group["params"]
    assert len(members) == len(set(members)) == len(trainer.parameters)
    trainer.step = 3
    rate = trainer.learning_rate
    session.run(after(1))
    for group in trainer.optimizer.param_groups:
        assert group["lr"] == rate * FACTORS[group["name"]]
    trainer._validate(session.listener)
    assert session.listener.validations[-1]["learning_rate"] == rate


@pytest.mark.usefixtures("_fast_prior")
def test_a_run_with_groups_of_parameters_is_resumed_bit_for_bit(dataset, tmp_path):
    whole = Session(dataset, max_steps=6)
    assert whole.run()
    begun = Session(dataset, max_steps=6)
    begun.run(after(3))
    tensors, values = copy.deepcopy(begun.trainer.state())
    resumed = Session(dataset, max_steps=6)
    resumed.trainer.restore(tensors, values)
    assert resumed.run()
    assert_equal(resumed.tensors("weights"), whole.tensors("weights"))
    assert_equal(resumed.tensors("optimizer"), whole.tensors("optimizer"))
