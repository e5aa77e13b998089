"""What every named model keeps, whatever its output: padding changes nothing, weights learn."""

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad
from toy_models import LENGTHS, noise_like, random_x

from lnfgen.flows.blockwise import BlockwiseFlow
from lnfgen.models.observation import Symbols
from lnfgen.models.sequence_model import drawn_by
from lnfgen.nn.masking import length_mask

pytestmark = pytest.mark.contract


@torch.no_grad()
def test_the_content_of_padding_changes_no_bit(model):
    x = random_x(model.observation, 3, 5, seed=1)
    other = random_x(model.observation, 3, 5, seed=2)
    noise = noise_like(model, 2, 3, 5)
    mask = length_mask(LENGTHS, 5)
    is_real = mask.view(mask.shape + (1,) * (x.dim() - 2))
    changed = torch.where(is_real, x, other)
    assert not torch.equal(changed, x)
    changed_noise = noise
    if noise is not None:
        changed_noise = torch.where(mask[..., None], noise, 1e3 * torch.ones_like(noise))
    found = model(changed, LENGTHS, changed_noise)
    expected = model(x, LENGTHS, noise)
    assert torch.equal(found.reconstruction, expected.reconstruction)
    assert torch.equal(found.kl, expected.kl)
    assert (found.sounding is None) == (expected.sounding is None)
    if expected.sounding is not None:
        assert torch.equal(found.sounding, expected.sounding)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@torch.no_grad()
def test_padding_length_and_folding_change_round_off_alone(model, dtype, tolerance):
    """The terms of a sequence beside others and with several samples are those of it alone."""
    model = model.to(dtype)
    x = random_x(model.observation, 3, 5)
    noise = noise_like(model, 2, 3, 5)
    if noise is not None:
        noise = noise.to(dtype)
    together = model(x, LENGTHS, noise)
    close = {"rtol": tolerance, "atol": tolerance}
    for b, (sample, padding) in enumerate(((1, 4), (0, 0), (0, 4))):
        length = int(LENGTHS[b])
        k = 0 if model.exact else sample
        alone = torch.zeros(1, length + padding, *x.shape[2:], dtype=x.dtype)
        alone[0, :length] = x[b, :length]
        own_noise = None
        if noise is not None:
            own_noise = pad(noise[k : k + 1, b : b + 1, :length], (0, 0, 0, padding))
        terms = model(alone, torch.tensor([length]), own_noise)
        torch.testing.assert_close(
            terms.reconstruction[0, 0], together.reconstruction[k, b], **close
        )
        torch.testing.assert_close(terms.kl[0, 0], together.kl[k, b], **close)
        if together.sounding is not None:
            torch.testing.assert_close(terms.sounding[0, 0], together.sounding[k, b], **close)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@torch.no_grad()
def test_the_order_of_a_batch_changes_round_off_alone(model, dtype, tolerance):
    model = model.to(dtype)
    x = random_x(model.observation, 3, 5)
    noise = noise_like(model, 2, 3, 5)
    order = torch.tensor([2, 0, 1])
    ordered_noise = None
    if noise is not None:
        noise = noise.to(dtype)
        ordered_noise = noise[:, order]
    before = model(x, LENGTHS, noise)
    after = model(x[order], LENGTHS[order], ordered_noise)
    close = {"rtol": tolerance, "atol": tolerance}
    torch.testing.assert_close(after.reconstruction, before.reconstruction[:, order], **close)
    torch.testing.assert_close(after.kl, before.kl[:, order], **close)


def test_gradients_reach_every_parameter(model):
    prior = getattr(model, "prior", None)
    if isinstance(prior, BlockwiseFlow):
        prior.passes = 2  # a network across one block would not use its state
    model.requires_grad_(True)  # calibration moves what training leaves
    x = random_x(model.observation, 3, 5)
    terms = model(x, LENGTHS, noise_like(model, 2, 3, 5))
    (terms.reconstruction.sin() - terms.kl.sin()).sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert (parameter.grad != 0).any(), name


def test_each_sequence_has_the_numbers_of_its_own_generator(model):
    """They do not depend on the other sequences, and padding holds 0."""

    def numbers(*seeds: int) -> tuple[Tensor | None, Tensor]:
        lengths = [4 if seed == 1 else 2 for seed in seeds]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return model.random_numbers(lengths, generators)

    noise, uniform = numbers(1, 2)
    own_noise, own_uniform = numbers(2)
    num_outputs = 1 if isinstance(model.observation, Symbols) else model.observation.num_logits
    assert uniform.shape == (2, 4, num_outputs)
    assert torch.equal(uniform[1:, :2], own_uniform)
    assert not uniform[1, 2:].any()
    assert (noise is None) == model.exact
    if noise is not None:
        assert torch.equal(noise[1:, :2], own_noise)


def test_rows_of_a_sequence_are_drawn_by_its_generator():
    generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
    found = drawn_by(generators, 6, lambda count, one: torch.rand(count, 2, generator=one))
    expected = [torch.rand(3, 2, generator=torch.Generator().manual_seed(seed)) for seed in (1, 2)]
    assert torch.equal(found, torch.cat(expected))
