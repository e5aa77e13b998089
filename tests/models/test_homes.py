"""The model of homes."""

import torch

from lnfgen.models.homes import Homes
from lnfgen.nn.positions import NUM_HOMES

TRAIN = torch.tensor([0, 0, 0, 7, 7, 12, NUM_HOMES])


def test_probabilities_sum_to_1_and_follow_train() -> None:
    homes = Homes.fit(TRAIN)
    probabilities = homes.log_prob(torch.arange(NUM_HOMES + 1)).exp()
    assert float(probabilities.sum()) == 1.0
    assert (probabilities > 0).all()
    assert probabilities[0] > probabilities[7] > probabilities[12] > probabilities[1]


def test_samples_have_homes_of_train() -> None:
    homes = Homes.fit(TRAIN)
    generator = torch.Generator().manual_seed(0)
    drawn = [homes.sample(generator) for _ in range(600)]
    assert set(drawn) == {0, 7, 12}
    assert abs(drawn.count(0) / 600 - 0.5) < 0.1


def test_a_wanted_home_is_one_of_those_as_frequent_as_in_train() -> None:
    homes = Homes.fit(TRAIN)
    generator = torch.Generator().manual_seed(0)
    drawn = [homes.sample(generator, (0, 12, 5)) for _ in range(400)]
    assert set(drawn) == {0, 12}
    assert abs(drawn.count(0) / 400 - 0.75) < 0.1
    absent = [homes.sample(generator, (3, 4)) for _ in range(400)]
    assert abs(absent.count(3) / 400 - 0.5) < 0.1


def test_without_homes_in_train_a_sample_has_none() -> None:
    homes = Homes.fit(torch.full((3,), NUM_HOMES))
    assert homes.sample(torch.Generator().manual_seed(0)) == NUM_HOMES
