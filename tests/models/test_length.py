"""p(T): a distribution over every T >= 1, whatever it was fitted on."""

import math

import numpy as np
import pytest
import torch

from lnfgen.models.length import SPREADS, LengthModel

pytestmark = pytest.mark.contract

FITTED_ON = {
    "one": [40],
    "one of a single step": [1],
    "identical": [64] * 30,
    "bars": [64, 64, 64, 128, 128, 96] * 5,
    "scattered": np.random.default_rng(0).integers(30, 200, 100).tolist(),
    "wide": [1, 2, 3, 5, 700, 3000],
}


@pytest.fixture(params=FITTED_ON, ids=str)
def lengths(request):
    return torch.tensor(FITTED_ON[request.param])


def test_is_positive_and_sums_to_one(lengths):
    model = LengthModel.fit(lengths)
    log_probs = model.log_prob(torch.arange(1, 40_000))
    assert log_probs.dtype == torch.float64
    assert torch.isfinite(log_probs).all()
    assert float(log_probs.exp().sum()) == pytest.approx(1, abs=1e-10)


def test_tail_is_geometric(lengths):
    model = LengthModel.fit(lengths)
    width = float(model.kernel[1])
    tail = model.log_prob(int(lengths.max()) + torch.arange(1, 500))
    torch.testing.assert_close(
        tail.diff(), torch.full_like(tail[1:], -1 / width), rtol=1e-9, atol=1e-9
    )


def test_very_long_is_finite(lengths):
    assert torch.isfinite(LengthModel.fit(lengths).log_prob(torch.tensor([10**6, 10**9]))).all()


def test_is_the_mixture_that_it_says():
    model = LengthModel.fit(torch.tensor([3, 3, 7]))
    spread, width = model.kernel.tolist()
    ratio = math.exp(-1 / width)

    def kernel(at: int, centre: int) -> float:
        total = sum(ratio ** abs(t - centre) for t in range(1, 10_000))
        return (1 - spread) * (at == centre) + spread * ratio ** abs(at - centre) / total

    for at in (1, 3, 5, 7, 20):
        expected = (2 * kernel(at, 3) + kernel(at, 7)) / 3
        assert float(model.log_prob(torch.tensor([at])).exp()) == pytest.approx(expected, rel=1e-10)


def test_spread_follows_the_lengths():
    bars = LengthModel.fit(torch.tensor([64, 128, 96] * 20))
    scattered = LengthModel.fit(torch.arange(30, 200, 3))
    assert float(bars.kernel[0]) == min(SPREADS)
    assert float(scattered.kernel[0]) == max(SPREADS)


def test_order_and_type_of_lengths_do_not_matter():
    values = FITTED_ON["scattered"]
    one = LengthModel.fit(torch.tensor(values))
    other = LengthModel.fit(torch.tensor(values[::-1], dtype=torch.int32))
    at = torch.arange(1, 300)
    assert torch.equal(one.log_prob(at), other.log_prob(at))


def test_state_round_trip_and_no_loss_of_precision(lengths):
    model = LengthModel.fit(lengths)
    again = LengthModel(len(model.lengths))
    again.load_state_dict(model.state_dict())
    at = torch.arange(1, 200)
    assert torch.equal(again.log_prob(at), model.log_prob(at))
    # Half precision would not tell 2049 from 2048: the length model stays as it is when its model
    # changes type.
    container = torch.nn.ModuleList([model]).half()
    assert container[0].lengths.dtype == torch.float64
    assert torch.equal(container[0].log_prob(at), again.log_prob(at))


def test_what_samples_are_drawn_by_is_the_distribution(lengths):
    model = LengthModel.fit(lengths)
    found, expected = model._log_probs_up_to(9000), model.log_prob(torch.arange(1, 9001))
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("beyond", [0, 5, 20, 3000])
def test_samples_beyond_a_length_follow_the_distribution(beyond):
    model = LengthModel.fit(torch.tensor([3, 3, 7]))
    generator, count = torch.Generator().manual_seed(0), 1000
    draws = torch.tensor([model.sample(generator, beyond) for _ in range(count)]) - beyond
    longest = max(2 * 7, beyond) + 16 - beyond
    assert 1 <= int(draws.min()) <= int(draws.max()) <= longest
    expected = torch.softmax(model.log_prob(torch.arange(1, longest + 1) + beyond), 0)
    found = torch.bincount(draws, minlength=longest + 1)[1:] / count
    assert ((found - expected).abs() <= 4 * (expected / count).sqrt() + 1e-3).all()
