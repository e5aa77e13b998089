"""What changes in the course of a run: the KL weight, the learning rate, the averaged weights."""

import math

import pytest
import torch

from lnfgen.training.schedules import (
    DECAYS_BEFORE_STOP,
    MIN_KL_WEIGHT,
    PLATEAU_DECAY,
    AveragedModel,
    Plateau,
    annealed_kl_weight,
    cooled_share,
)


def test_kl_weight_rises_from_about_zero_to_one():
    weights = [annealed_kl_weight(step, 100, 0.2, 0.6) for step in range(101)]
    assert weights[:21] == [MIN_KL_WEIGHT] * 21
    assert weights[40] == pytest.approx(0.5)
    assert weights[60:] == [1.0] * 41
    assert weights == sorted(weights)
    assert annealed_kl_weight(0, 100, 0.0, 0.0) == 1.0
    assert annealed_kl_weight(99, 100, 1.0, 1.0) == MIN_KL_WEIGHT
    assert annealed_kl_weight(100, 100, 0.5, 1.0) == 1.0


def test_the_learning_rate_cools_down_to_zero_at_the_end():
    shares = [cooled_share(step, 100, 0.6) for step in range(101)]
    assert set(shares[:61]) == {1.0}
    assert shares[80] == pytest.approx(0.5)
    assert shares[100] == 0
    assert all(cooled_share(step, 100, 1.0) == 1 for step in range(101))


def test_plateau_decays_and_then_stops():
    plateau = Plateau(patience=2)
    assert plateau.update(5.0)
    assert plateau.update(4.0)
    assert [plateau.update(cost) for cost in (4.0, 4.1)] == [False, False]
    assert plateau.rate == pytest.approx(PLATEAU_DECAY)
    assert plateau.update(3.0)
    assert plateau.stale == 0
    for _ in range(DECAYS_BEFORE_STOP * 2):
        assert not plateau.exhausted
        assert not plateau.update(math.nan)
    assert plateau.exhausted
    assert plateau.rate == pytest.approx(PLATEAU_DECAY ** (1 + DECAYS_BEFORE_STOP))
    assert plateau.best == 3.0


def test_weight_average_tends_to_the_weights_and_forgets_its_start():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    averaged = AveragedModel(model, decay=0.9)
    expected = {name: value.detach().double() for name, value in model.named_parameters()}
    for count in range(1, 300):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(torch.randn(parameter.shape) if count < 100 else torch.ones(()))
        averaged.update(model)
        decay = min(0.9, count / (count + 9))  # the first update has a weight of nine tenths
        for name, value in model.named_parameters():
            expected[name] = decay * expected[name] + (1 - decay) * value.detach().double()
        for name, value in averaged.module.named_parameters():
            torch.testing.assert_close(
                value.detach().double(), expected[name], rtol=1e-6, atol=1e-6
            )
    assert all(torch.allclose(value, torch.ones(())) for value in averaged.module.parameters())
    assert averaged.module.state_dict().keys() == model.state_dict().keys()
