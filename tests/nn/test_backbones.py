"""The backbones: what each may see, how it goes on from a state, and its precision."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from lnfgen.nn.backbones import BACKBONES, Bidirectional
from lnfgen.nn.masking import length_mask

pytestmark = pytest.mark.contract

LENGTHS = torch.tensor([7, 1, 4])
T = 7
F = 3


def batch() -> Tensor:
    """x `[3, T, F]`."""
    generator = torch.Generator().manual_seed(0)
    return torch.randn(3, T, F, generator=generator, dtype=torch.float64)


def dependence(network: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """Whether output step t depends on input step s in the first sequence: bool `[T, T]`."""
    jacobian = torch.autograd.functional.jacobian(lambda v: network(v)[0], x)  # [T, H, B, T, F]
    assert (jacobian[:, :, 1:] == 0).all(), "a sequence sees another"
    return (jacobian[:, :, 0] != 0).any(-1).any(1)


@pytest.fixture(params=sorted(BACKBONES))
def backbone(request) -> str:
    torch.manual_seed(0)
    return request.param


@pytest.mark.parametrize("layers", [1, 2])
def test_causal_network_sees_up_to_its_step(backbone, layers):
    network = BACKBONES[backbone](F, 4, layers, 0.3).double().eval()
    found = dependence(lambda x: network(x)[0], batch())
    assert torch.equal(found, torch.ones(T, T, dtype=torch.bool).tril())


def shapes(state: list[tuple[Tensor, ...]]) -> list[torch.Size]:
    return [part.shape for layer in state for part in layer]


@pytest.mark.parametrize("pieces", [[1] * T, [3, 1, T - 4]])
def test_causal_network_goes_on_from_its_state(backbone, pieces):
    network = BACKBONES[backbone](F, 4, 2, 0.3).double().eval()
    x = batch()
    state = None
    whole, last = network(x)
    for part, expected in zip(x.split(pieces, 1), whole.split(pieces, 1), strict=True):
        output, state = network(part, state)
        torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
        assert shapes(state) == shapes(last)  # it does not grow
    torch.testing.assert_close(state, last, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_bidirectional_network_sees_every_step_or_every_one_but_its_own(
    backbone, layers, exclusive
):
    network = Bidirectional(backbone, F, 4, layers, 0.3, exclusive=exclusive).double().eval()
    found = dependence(lambda x: network(x, LENGTHS), batch())
    expected = torch.ones(T, T, dtype=torch.bool)
    if exclusive:
        expected.fill_diagonal_(False)
    assert torch.equal(found, expected)


@pytest.mark.parametrize("exclusive", [False, True])
def test_bidirectional_network_never_reads_padding(backbone, exclusive):
    network = Bidirectional(backbone, F, 4, 2, 0.0, exclusive=exclusive).double().eval()
    x = batch()
    mask = length_mask(LENGTHS, T)[..., None]
    found = network(torch.where(mask, x, 1e3 * torch.ones_like(x)), LENGTHS)
    expected = network(x, LENGTHS)
    assert torch.equal(torch.where(mask, found, 0.0), torch.where(mask, expected, 0.0))
    for row, alone, length in zip(found, x, LENGTHS.tolist(), strict=True):
        expected = network(alone[None, :length], torch.tensor([length]))[0]
        torch.testing.assert_close(row[:length], expected, rtol=1e-12, atol=1e-12)


def test_dropout_is_felt_in_training_alone(backbone):
    network = BACKBONES[backbone](F, 8, 2, 0.5).double()
    x = batch()
    assert not torch.equal(network(x)[0], network(x)[0])
    assert (network(x)[0] == 0).any()  # after the last layer too
    network.eval()
    assert torch.equal(network(x)[0], network(x)[0])


def test_backbones_run_in_reduced_precision(backbone):
    network = Bidirectional(backbone, 4, 4, 2, 0.0)  # as many inputs as hidden features
    x = torch.randn(3, T, 4)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(x, LENGTHS)
    output.float().square().sum().backward()
    torch.testing.assert_close(output.float(), network(x, LENGTHS), rtol=0.05, atol=0.05)
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
