"""The training objective in parts: its definition, its precision and free bits."""

import dataclasses
import warnings
from typing import Any

import pytest
import torch
from toy_config import training_config
from toy_training import SIZES, Session

from lnfgen.config import NAMED_MODELS, Config
from lnfgen.data.batches import Batch, collate
from lnfgen.errors import LnfgenWarning
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.runs.checkpoint import new_model
from lnfgen.training.objective import accumulate_gradients


def without_dropout(model: SequenceModel) -> SequenceModel:
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    return model


@pytest.fixture(params=sorted(NAMED_MODELS))
def double(request, dataset, monkeypatch):
    """A model in float64 without dropout, with blocks of one size, and what it is trained on.

    This is a padded batch, and noise for three samples.
    """
    monkeypatch.setattr("lnfgen.flows.blockwise.IN_TRAINING", (3,))
    config = Config(dataclasses.replace(SIZES, **NAMED_MODELS[request.param]), training_config())
    model = without_dropout(new_model(config, dataset)).double().train()
    batch = collate([dataset.split("train")[i] for i in (1, 4, 2)], [1, 4, 2])
    noise = model.draw_noise(3, *batch.x.shape, torch.Generator().manual_seed(1))
    if noise is not None:
        noise = noise.double()
    return model, batch, noise


def flattened(gradients: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])


def objective_and_gradients(
    model: SequenceModel, batch: Batch, noise: torch.Tensor | None, **how: Any
) -> Any:
    model.zero_grad()
    objective = accumulate_gradients(model, batch, noise, 0.3, **how)
    return objective, [parameter.grad.clone() for parameter in model.parameters()]


def test_the_gradient_is_that_of_the_whole_loss(double):
    """Against the definition, in one graph, by autograd.

    One estimate of a KL is negative.
    """
    model, batch, noise = double
    noises = [None] if noise is None else [noise, 5 * noise]
    for given in noises:
        terms = model(batch.x, batch.lengths, given)
        loss = -((terms.reconstruction - 0.3 * terms.kl) / (batch.lengths + 1)).mean()
        expected = torch.autograd.grad(loss, list(model.parameters()))
        objective, found = objective_and_gradients(model, batch, given)
        torch.testing.assert_close(objective.loss, loss, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(objective.kl, terms.kl.mean(0), rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(tuple(found), expected, rtol=1e-10, atol=1e-10)
    assert model.exact or (terms.kl < 0).any()


@pytest.mark.parametrize("name", sorted(NAMED_MODELS))
def test_bfloat16_is_near_float32_and_keeps_weights_and_figures_in_it(dataset, name):
    config = Config(dataclasses.replace(SIZES, **NAMED_MODELS[name]), training_config())
    model = without_dropout(new_model(config, dataset))
    batch = collate([dataset.split("train")[i] for i in range(4)], list(range(4)))
    noise = model.draw_noise(2, *batch.x.shape, torch.Generator().manual_seed(1))
    expected, gradients = objective_and_gradients(model, batch, noise)
    found, rounded = objective_and_gradients(model, batch, noise, precision="bfloat16")
    torch.testing.assert_close(found.loss, expected.loss, rtol=1e-2, atol=1e-2)
    assert not torch.equal(found.loss, expected.loss)
    assert {tensor.dtype for tensor in (*found, *rounded)} == {torch.float32}
    similarity = torch.cosine_similarity(flattened(gradients), flattened(rounded), 0)
    assert float(similarity) > 0.98


@pytest.mark.parametrize(("name", "updates"), [("af-scf", 24), ("lstm", 60)])
def test_it_learns_in_bfloat16(dataset, name, updates):
    schedule = {
        "max_steps": updates,
        "kl_warmup_start": 0.0,
        "kl_warmup_end": 0.1,
        "learning_rate": 1.5e-2,
    }
    session = Session(dataset, name, precision="bfloat16", **schedule)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", LnfgenWarning)  # that so few updates have taught little
        assert session.run()
    validations = session.listener.validations
    assert validations[-1]["valid_elbo"] < 0.8 * validations[0]["valid_elbo"]
    tensors, _ = session.trainer.state()
    for part in tensors.values():
        assert torch.bfloat16 not in {value.dtype for value in part.values()}


def test_bits_that_are_free_cost_nothing_in_training_and_are_still_counted(double):
    """A KL below the free bits gives the weights of the prior no gradient.

    One above them gives the usual one.
    """
    model, batch, noise = double
    kl = model(batch.x, batch.lengths, noise).kl.detach().mean(0) / (batch.lengths + 1)
    usual, expected = objective_and_gradients(model, batch, noise)
    few, found = objective_and_gradients(model, batch, noise, free_bits=float(kl.min()) - 0.1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    many, _ = objective_and_gradients(model, batch, noise, free_bits=float(kl.max()) + 0.1)
    if not model.exact:
        for parameter in model.prior.parameters():
            assert not parameter.grad.any()
    for objective in (few, many):
        assert torch.equal(objective.kl, usual.kl)
        assert torch.equal(objective.loss, usual.loss)
