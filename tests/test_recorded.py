"""Couplings in a recorded loop, gradients of whose steps are taken together, are the couplings with plain autograd."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from lnfgen.flows import recorded
from lnfgen.flows.features import FeatureStack, build_feature_flow
from lnfgen.flows.recorded import RecordedInverse
from lnfgen.transforms import TRANSFORMS

N, T, C = 3, 8, 5


@pytest.fixture(autouse=True)
def few_rows_together(monkeypatch):
    monkeypatch.setattr(recorded, "TOGETHER", 2 * N + 1)  # two steps of the eight


class Loop(nn.Module):
    """`eps_t = inverse(z_t; c_t)`, `c_t = tanh(mix(eps_{t-1}))`, recorded in either way."""

    def __init__(self, transform: str = "nlsq", num_layers: int = 3, num_features: int = 6) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.features = build_feature_flow("scf", num_features, C, 7, num_layers, TRANSFORMS[transform]())
        self.mix = nn.Linear(num_features, C)
        for parameter in self.parameters():
            nn.init.normal_(parameter, std=0.3)
        self.double()

    def forward(self, z: Tensor, *, together: bool) -> tuple[Tensor, Tensor]:
        step = (together and self.features.recorded_inverse(z)) or plain(self.features, z)
        eps, values, ladjs = torch.zeros_like(z[:, 0]), [], []
        for t in range(z.shape[1]):
            eps, ladj = step(t, self.mix(eps).tanh())
            values.append(eps)
            ladjs.append(ladj)
        return torch.stack(values, 1), torch.stack(ladjs, 1)


def plain(features: FeatureStack, z: Tensor) -> Callable[[int, Tensor], tuple[Tensor, Tensor]]:
    return lambda t, context: features.inverse(z[:, t], context)


def latents(num_features: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(N, T, num_features, generator=generator, dtype=torch.float64).requires_grad_()


def gradients(loop: Loop, z: Tensor, steps: slice, *, together: bool) -> tuple[Tensor, ...]:
    eps, ladj = (each[:, steps] for each in loop(z, together=together))
    wanted = [z, *(parameter for parameter in loop.parameters() if parameter.requires_grad)]
    return eps, ladj, *torch.autograd.grad(eps.sin().sum() + ladj.cos().sum(), wanted, allow_unused=True)


@pytest.mark.parametrize("steps", [slice(None), slice(4, 5)], ids=["every step", "one step"])
@pytest.mark.parametrize("num_layers", [1, 3, 4])
@pytest.mark.parametrize("transform", sorted(TRANSFORMS))
def test_values_and_gradients_are_plain_autograd_s(transform, num_layers, steps):
    loop, z = Loop(transform, num_layers), latents()
    assert isinstance(loop.features.recorded_inverse(z), RecordedInverse)
    found, expected = (gradients(loop, z, steps, together=together) for together in (True, False))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_an_odd_number_of_features_has_no_halves_and_is_recorded_step_by_step():
    loop, z = Loop(num_features=5), latents(5)
    assert not isinstance(loop.features.recorded_inverse(z), RecordedInverse)
    found, expected = (gradients(loop, z, slice(None), together=together) for together in (True, False))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("frozen", ["features", "mix"])
def test_what_takes_no_gradient_is_left_out(frozen):
    loop, z = Loop(), latents().detach()
    getattr(loop, frozen).requires_grad_(False)
    found, expected = [], []
    for each, together in ((found, True), (expected, False)):
        eps, ladj = loop(z, together=together)
        wanted = [parameter for parameter in loop.parameters() if parameter.requires_grad]
        each.extend(torch.autograd.grad(eps.sin().sum() + ladj.cos().sum(), wanted))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_each_pass_through_a_graph_gives_its_own_gradient():
    """Through all steps, through the first ones alone, and through all again."""
    loop, z = Loop(), latents()
    wanted = [z, *loop.parameters()]
    (eps, ladj), (plain_eps, plain_ladj) = (loop(z, together=together) for together in (True, False))
    for steps in (slice(5, 6), slice(None), slice(2, 3), slice(None)):
        found, expected = (
            torch.autograd.grad((a[:, steps].sin() + b[:, steps, None]).sum(), wanted, retain_graph=True)
            for a, b in ((eps, ladj), (plain_eps, plain_ladj))
        )
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_under_autocast_a_flow_keeps_all_digits():
    loop, z = Loop().float(), latents().detach().float()
    step, context = loop.features.recorded_inverse(z), torch.randn(N, C)
    expected, _ = step(0, context.bfloat16().float())
    with torch.autocast("cpu", torch.bfloat16):
        found, ladj = loop.features.recorded_inverse(z)(0, context.bfloat16().requires_grad_())
    assert torch.equal(found, expected)
    assert ladj.dtype == torch.float32
    found.sum().backward()
