"""The conditional densities that a picture of latents shows, against closed forms."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_models import ODD_SIZES

from lnfgen.config import NAMED_MODELS
from lnfgen.models import LengthModel, Symbols, build_model
from lnfgen.models.latent_flow import LatentFlow
from lnfgen.models.posterior import Gaussian
from lnfgen.plots import conditionals
from lnfgen.plots.conditionals import views_of
from lnfgen.plots.steps import (
    LatentStep,
)

STEPS = 5
ALONE = [name for name, values in NAMED_MODELS.items() if values.get("time") in ("af", "iaf", "blocks", "none")]
"""Those whose priors map their steps one by one."""


def toy(name: str, **changes: object) -> LatentFlow:
    torch.manual_seed(0)
    config = dataclasses.replace(ODD_SIZES, **{**NAMED_MODELS[name], **changes})  # type: ignore[arg-type]
    model = build_model(config, Symbols(4), LengthModel.fit(torch.tensor([STEPS])))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.4 * torch.randn_like(parameter))
    assert isinstance(model, LatentFlow)
    return model.double().eval()


def path(features: int, seed: int = 1) -> Tensor:
    return torch.randn(STEPS, features, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def samples(model: LatentFlow, z: Tensor, step: int, count: int = 4000) -> Tensor:
    """z_t `[count, D]`."""
    return conditionals.prior_samples(model, z, step, count, torch.Generator().manual_seed(2))


@pytest.mark.parametrize("step", [0, 3])
def test_conditional_samples_of_an_affine_flow_are_the_closed_form_normal(step):
    """`eps_t = a + b z_t` with a, b of z_<t alone: z_t is normal, its mean where eps_t is 0 and its spread 1 / b."""
    model, z = toy("af-af", features="none", transform="affine"), path(3)
    drawn = samples(model, z, step)
    # Two points of a line give it: eps_t at z_t = 0 and at z_t = 1.
    positions = model.positions(torch.tensor([STEPS]), STEPS)
    eps = []
    for value in (0.0, 1.0):
        changed = z.clone()
        changed[step] = value
        eps.append(model.prior.inverse(changed[None], positions, torch.tensor([STEPS]))[0][0, step].detach())
    slope = eps[1] - eps[0]
    error = (drawn.mean(0) + eps[0] / slope) * slope.abs() * math.sqrt(len(drawn))  # in standard errors
    assert error.abs().max() < 4
    torch.testing.assert_close(drawn.std(0) * slope.abs(), torch.ones(3, dtype=torch.float64), atol=0.05, rtol=0)


@pytest.mark.parametrize("name", ALONE)
def test_one_step_is_drawn_as_the_whole_flow_draws_it(name):
    """With the eps of z at the other steps, `forward` gives z_<t and the same z_t."""
    model, z, step = toy(name), path(3), 3
    drawn = samples(model, z, step, count=7)
    positions, lengths = model.positions(torch.tensor([STEPS]), STEPS), torch.tensor([STEPS])
    with torch.no_grad():
        eps = model.prior.inverse(z[None], positions, lengths)[0].repeat(7, 1, 1)
        eps[:, step] = torch.randn(7, 3, generator=torch.Generator().manual_seed(2)).double()
        whole, _ = model.prior(eps, positions.expand(7, -1, -1), lengths.expand(7))
    torch.testing.assert_close(drawn, whole[:, step], atol=1e-8, rtol=0)
    assert drawn.std(0).min() > 1e-3
    assert torch.allclose(whole[:, :step], z[:step].expand(7, step, 3))


def test_chunks_change_nothing(monkeypatch):
    model, z = toy("coupling"), path(3)
    whole = samples(model, z, 2, count=11)
    assert whole.shape == (11, 3)
    monkeypatch.setattr(conditionals, "MAX_ROW_STEPS", 10)
    torch.testing.assert_close(samples(model, z, 2, count=11), whole, atol=1e-9, rtol=0)


@pytest.mark.parametrize("name", ["af-af", "af-scf"])
def test_smoothed_samples_are_the_density_that_inverse_gives(name):
    """log p(z_t | z_<t, T) = log N(eps_t) + log |d eps_t / d z_t|, on a grid of cells."""
    model, z, size, step = toy(name, latent_size=2), path(2), 25, 3
    drawn = samples(model, z, step).numpy()
    centre, reach = drawn.mean(0), 8 * drawn.std(0)
    (left, bottom), (right, top) = centre - reach, centre + reach
    cell = np.prod(2 * reach / size)
    counted = conditionals.smoothed_density(drawn, (left, right, bottom, top), size, np.full(2, 1e-9)) * cell
    assert counted.sum() == pytest.approx(1, abs=0.01)
    # Four by four points in each cell, as its density changes within it.
    across, up = (torch.linspace(lo, hi, 8 * size + 1)[1::2] for lo, hi in ((left, right), (bottom, top)))
    rows = z[: step + 1].repeat((4 * size) ** 2, 1, 1)
    rows[:, step] = torch.cartesian_prod(up.double(), across.double()).flip(-1)
    positions = model.positions(torch.tensor([STEPS]), STEPS)[:, : step + 1].expand(len(rows), -1, -1)
    with torch.no_grad():
        eps, ladj = model.prior.inverse(rows, positions, torch.full((len(rows),), step + 1))
    log_density = ladj[:, step] - 0.5 * (eps[:, step] ** 2).sum(-1) - math.log(2 * math.pi)
    mass = log_density.exp().numpy().reshape(size, 4, size, 4).mean((1, 3)) * cell
    assert mass.sum() == pytest.approx(1, abs=0.01)
    assert np.abs(mass - counted).max() < 0.03
    assert np.abs(mass - counted).sum() < 0.2


def test_the_features_chosen_are_those_that_tell_candidates_apart():
    mean = torch.zeros(3, 5)
    mean[1, 3], mean[2, 1] = 4.0, -4.0
    assert conditionals.most_apart([Gaussian(mean, torch.zeros(3, 5))]) == (1, 3)
    assert conditionals.most_apart([Gaussian(mean[:1], torch.zeros(1, 5))]) == (0, 1)
    # A gap counts against the spread of what lies beside it.
    noisy = torch.zeros(3, 5)
    noisy[:, 1] = 6.0
    mean[1, 4], mean[2, 2] = 2.0, 2.0
    assert 1 not in conditionals.most_apart([Gaussian(mean, noisy)])


def test_candidates_posteriors_are_those_of_the_changed_piece():
    model, x = toy("af-scf"), np.array([1, 2, 3, 0, 1])
    found = conditionals.candidate_posteriors(model, LatentStep(x, 2, np.array([3, 0]), 0))
    own = conditionals.posterior_of(model, torch.from_numpy(x)[None])
    torch.testing.assert_close(found.mean[0], own.mean[0, 2])
    torch.testing.assert_close(found.log_variance[0], own.log_variance[0, 2])
    assert not torch.allclose(found.mean[1], found.mean[0])
    assert x.tolist() == [1, 2, 3, 0, 1]


@pytest.mark.parametrize(
    ("name", "latent", "features"), [("af-scf", 2, (1, 0)), ("af-scf", 3, None), ("coupling", 3, (0, 2))]
)
def test_a_view_is_a_density_in_a_window_that_holds_it(name, latent, features):
    model = toy(name, latent_size=latent)
    step = LatentStep(np.array([1, 2, 3, 0, 1]), 3, np.array([0, 1, 2]), 0)
    seen = views_of(model, [step], features=features)
    assert seen.given == ("T" if name == "coupling" else "z_<t, T")
    (view,) = seen.views
    left, right, bottom, top = seen.extent
    assert features is None or seen.features == features
    cell = (right - left) * (top - bottom) / view.density.size
    assert 0.9 < view.density.sum() * cell < 1.02
    assert (view.means > [left, bottom]).all()
    assert (view.means < [right, top]).all()
    again = views_of(model, [step], features=features)
    assert np.array_equal(again.views[0].density, view.density)


def test_turning_the_features_turns_the_picture():
    model = toy("af-scf", latent_size=2)
    step = LatentStep(np.array([1, 2, 3, 0, 1]), 3, np.array([0, 1, 2]), 0)
    one, other = (views_of(model, [step], features=pair).views[0] for pair in ((0, 1), (1, 0)))
    np.testing.assert_allclose(one.density, other.density.T, atol=1e-9)
