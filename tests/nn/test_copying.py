"""Attention that copies what came next where the past was most like the last steps."""

import pytest
import torch
from torch import Tensor
from toy_config import model_config

from lnfgen.models.build import build_prior
from lnfgen.nn import copying
from lnfgen.nn.copying import (
    NUM_HEADS,
    NUM_LAGS,
    SHARPNESS,
    CopyAttention,
    CopyingNetwork,
)
from lnfgen.nn.scans import CausalScan

SPAN, BLOCK, PERIODS = 12, 8, (2, 3)
"""Small ones, so that short sequences have several blocks and steps that are too far away."""


@pytest.fixture(params=[PERIODS, ()], ids=["periods", "distances alone"])
def attention(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> CopyAttention:
    monkeypatch.setattr(copying, "SPAN", SPAN)
    monkeypatch.setattr(CopyAttention, "REACH", SPAN + NUM_LAGS)
    monkeypatch.setattr(copying, "BLOCK", BLOCK)
    torch.manual_seed(0)
    attention = CopyAttention(num_compared=4, periods=request.param).double()
    with torch.no_grad():
        attention.by_distance.normal_(std=1.0)
        if attention.by_period is not None:
            attention.by_period.normal_(std=1.0)
    return attention


def frames(steps: int, keys: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(steps)
    return (torch.rand(2, steps, keys, generator=generator) < 0.25).double()


def by_definition(attention: CopyAttention, x: Tensor) -> Tensor:
    """A loop over steps, distances and lags. Silence is as before the first step: like nothing."""

    def unit(t: int) -> Tensor:
        """The compared part of a frame at length 1, or 0 in silence."""
        compared = (
            x[:, t, : attention.num_compared]
            if t >= 0
            else torch.zeros_like(x[:, 0, : attention.num_compared])
        )
        return compared / compared.norm(dim=-1, keepdim=True).clamp(min=1e-12)

    recalled = torch.zeros(*x.shape[:2], NUM_HEADS, x.shape[-1] + 1, dtype=torch.double)
    for t in range(x.shape[1]):
        distances = range(1, min(SPAN, t) + 1)
        for head in range(NUM_HEADS):
            scores = [attention.nothing[head].expand(len(x))]
            for d in distances:
                alike = [
                    (unit(t - 1 - lag) * unit(t - 1 - lag - d)).sum(-1) ** SHARPNESS
                    for lag in range(NUM_LAGS)
                ]
                score = sum(w * one for w, one in zip(attention.by_lag[head], alike, strict=True))
                distance = attention.by_distance[head, d - 1]
                if attention.by_period is not None:
                    for by_period, period in zip(attention.by_period[head], PERIODS, strict=True):
                        if d % period == 0:
                            distance = distance + by_period
                scores.append(score + distance)
            weights = torch.stack(scores).softmax(0)
            recalled[:, t, head, -1] = weights[0]
            for weight, d in zip(weights[1:], distances, strict=True):
                recalled[:, t, head, :-1] += weight[:, None] * x[:, t - d]
    return recalled


@pytest.mark.parametrize("steps", [1, 7, 8, 30])
@torch.no_grad()
def test_blocks_are_what_the_definition_says(attention, steps):
    x = frames(steps)
    torch.testing.assert_close(attention(x), by_definition(attention, x), rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_step_by_step_is_as_in_blocks(attention):
    """So no step sees itself or a later one, and the last `REACH` steps are enough."""
    x = frames(50)
    reach = SPAN + NUM_LAGS
    stepped = [attention.next(x[:, max(0, t - reach) : t]) for t in range(50)]
    torch.testing.assert_close(torch.stack(stepped, 1), attention(x), rtol=1e-9, atol=1e-12)


@torch.no_grad()
def test_what_comes_again_is_recalled_before_anything_is_learned():
    phrase = frames(40, keys=20)
    recalled = CopyAttention(20).double()(torch.cat([phrase, phrase], 1))[:, :, 0, :-1] > 0.5
    # From some steps into the second time on.
    assert torch.equal(recalled[:, 45:], phrase[:, 5:].bool())
    assert not recalled[:, :40].any()


@torch.no_grad()
def test_a_network_goes_on_from_its_state(attention):
    """In one step, in several, and beyond `REACH`.

    The value at its first step is none that can be recalled.
    """
    torch.manual_seed(0)
    network = CopyingNetwork(CausalScan(6, 8, 1, 0.0), num_values=4, size=3).double().eval()
    network.copying = attention
    x = torch.randn(2, 60, 6, dtype=torch.double)
    x[:, 0, :4] = 0
    expected, _ = network(x)
    found, state = [], None
    for part in x.split([1, 1, 5, *[1] * 53], 1):
        y, state = network(part, state)
        found.append(y)
    torch.testing.assert_close(torch.cat(found, 1), expected, rtol=1e-9, atol=1e-12)
    frames = torch.cat([x[:, 1:, :4], x[:, :1, :4]], 1)
    projected = torch.tanh(network.projection(attention(frames).flatten(-2)))
    torch.testing.assert_close(expected[..., 8:], projected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("time", "emission", "copies"),
    [
        ("af", "bernoulli", True),
        ("af", "nade", True),
        ("af", "autoregressive", False),
        ("iaf", "bernoulli", False),
        ("none", "bernoulli", False),
    ],
)
def test_the_prior_copies_where_it_is_drawn_step_by_step_and_the_output_does_not(
    time, emission, copies
):
    config = model_config(time=time, emission=emission, copy_attention=True, hidden_size=8)
    assert copies == any(
        isinstance(module, CopyingNetwork) for module in build_prior(config).modules()
    )
    plain = build_prior(model_config(time=time, emission=emission, hidden_size=8))
    assert not any(isinstance(module, CopyAttention) for module in plain.modules())
