"""The perceptron, and MADE: what each feature sees, and how large its parameters can get."""

import pytest
import torch
from toy_models import randomise

from lnfgen.nn.mlp import MADE, MLP

pytestmark = pytest.mark.contract

F = 3  # features of the context

# Features and hidden units: one feature, fewer hidden units than features, as many, more, and
# evenly or not.
MADE_SIZES = [(1, 1), (1, 4), (2, 1), (7, 3), (5, 5), (3, 8), (4, 8)]


def made(num_features: int, hidden: int, inputs_per_feature: int = 1) -> MADE:
    network = MADE(num_features, F, hidden, 2, inputs_per_feature=inputs_per_feature)
    return randomise(network, 1.0).double()


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize(("num_features", "hidden"), MADE_SIZES)
def test_made_lets_a_feature_see_the_earlier_ones(num_features, hidden, inputs):
    network = made(num_features, hidden, inputs)
    # Seeded, because far below 0 a gelu has a slope of exactly 0, which is no missing path.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(inputs * num_features, dtype=torch.float64, generator=generator)
    context = torch.randn(F, dtype=torch.float64, generator=generator)
    by_x, by_context = torch.autograd.functional.jacobian(network, (x, context))
    assert network(x, context).shape == (num_features, 2)
    degrees = [unit * num_features // hidden for unit in range(hidden)]
    assert degrees[0] == 0
    for i in range(num_features):
        # Every unit of that degree sees that many features.
        seen = max(degree for degree in degrees if degree <= i)
        assert seen == i or hidden < num_features
        by_feature = by_x[i].unflatten(-1, (inputs, num_features))
        assert (by_feature[..., :seen] != 0).all()
        assert (by_feature[..., seen:] == 0).all()
        assert (by_context[i] != 0).all()


def test_made_is_bounded_in_its_features():
    network = made(3, 8)
    context = torch.randn(F, dtype=torch.float64)
    by_x = (network.last.mask * network.last.weight).abs().sum(-1)
    limit = by_x + network.output_context(context).abs()
    for size in (1e3, 1e30, 1e300):
        x = size * torch.randn(3, dtype=torch.float64)
        assert (network(x, context).flatten().abs() <= limit).all()


def test_the_output_of_a_perceptron_can_begin_at_0():
    x = torch.randn(4, 5)
    assert (MLP(5, [6, 6], 3, output_gain=0.0)(x) == 0).all()
    assert (MLP(5, [6, 6], 3)(x) != 0).all()
