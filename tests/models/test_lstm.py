"""The baseline: each step depends on those before it, and probabilities sum to 1."""

import pytest
import torch
from toy_models import every_sequence, random_x, toy

from lnfgen.models.observation import Frames, Symbols

pytestmark = pytest.mark.contract

STEPS = 5


def test_each_step_is_predicted_from_earlier_ones(observation, emission):
    """And, where keys depend on each other, from the lower keys of its own step."""
    model = toy("lstm", observation, emission=emission).double()
    lengths = torch.tensor([STEPS])
    x = random_x(observation, 1, STEPS)
    before = model.logits(x, lengths, model.encode(x, lengths))
    for t in range(STEPS):
        changed = x.clone()
        if isinstance(observation, Symbols):
            changed[:, t] = (x[:, t] + 1) % 4
        else:
            changed[:, t] = x[:, t] ^ 1
        after = model.logits(changed, lengths, model.encode(changed, lengths))
        # Fewer frames with voices left to draw have sums of another order.
        differs = ((after - before).abs() > 1e-12)[0, 0].any(-1)
        assert not differs[:t].any()
        assert differs[t] == (emission in ("nade", "autoregressive"))
        assert differs[t + 1 :].all()


TO_SUM = [
    (Symbols(3), "categorical", 3),
    (Frames(2, False), "bernoulli", 2),
    (Frames(2, True), "bernoulli", 2),
    (Frames(2, False), "nade", 2),
    (Frames(2, True), "nade", 2),
    (Frames(2, False), "autoregressive", 2),
    (Frames(2, True), "autoregressive", 2),
    (Frames(2, True, parts=2), "bernoulli", 1),
    (Frames(2, True, parts=2), "nade", 1),
    (Frames(2, True, parts=2), "autoregressive", 2),
]


@pytest.mark.parametrize(("toy_observation", "toy_emission", "steps"), TO_SUM)
@torch.no_grad()
def test_probabilities_of_all_sequences_sum_to_1(toy_observation, toy_emission, steps):
    model = toy("lstm", toy_observation, emission=toy_emission).double()
    x = every_sequence(toy_observation, steps)
    terms = model(x, torch.full((len(x),), steps), None)
    assert float(terms.reconstruction.exp().sum()) == pytest.approx(1, abs=1e-10)
    assert (terms.kl == 0).all()
