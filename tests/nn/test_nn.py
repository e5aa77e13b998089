"""Networks: masks and flips, what each backbone may see, positions."""

import pytest
import torch
from toy_models import randomise

from lnfgen.device import Dropout
from lnfgen.nn.backbones import BACKBONES, Bidirectional
from lnfgen.nn.masking import flip, length_mask
from lnfgen.nn.mlp import MADE
from lnfgen.nn.positions import NEAR_END, Positions
from lnfgen.nn.scans import (
    KERNEL,
    CausalConvolution,
    CausalConvScan,
    CausalScan,
    gated_average,
    scan_in_blocks,
)

pytestmark = pytest.mark.contract

LENGTHS = torch.tensor([7, 1, 4])
T, F = 7, 3


def batch(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, T, F, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_flip_reverses_the_real_steps_and_leaves_the_padding():
    x = batch()
    flipped = flip(x, LENGTHS)
    for row, before, length in zip(flipped, x, LENGTHS.tolist(), strict=True):
        assert torch.equal(row[:length], before[:length].flip(0))
        assert torch.equal(row[length:], before[length:])
    assert torch.equal(flip(flipped, LENGTHS), x)


def dependence(network, x: torch.Tensor) -> torch.Tensor:
    """bool [T, T]: whether output step t depends on input step s, in the first sequence."""
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
    assert torch.equal(
        dependence(lambda x: network(x)[0], batch()), torch.ones(T, T, dtype=torch.bool).tril()
    )


@pytest.mark.parametrize("pieces", [[1] * T, [3, 1, T - 4]])
def test_causal_network_goes_on_from_its_state(backbone, pieces):
    network = BACKBONES[backbone](F, 4, 2, 0.3).double().eval()
    x, state = batch(), None
    whole, last = network(x)
    for part, expected in zip(x.split(pieces, 1), whole.split(pieces, 1), strict=True):
        output, state = network(part, state)
        torch.testing.assert_close(output, expected, rtol=1e-12, atol=1e-12)
        shapes = ([[part.shape for part in layer] for layer in each] for each in (state, last))
        assert next(shapes) == next(shapes)  # it does not grow
    torch.testing.assert_close(state, last, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("exclusive", [False, True])
@pytest.mark.parametrize("layers", [1, 2])
def test_bidirectional_network_sees_every_step_or_every_one_but_its_own(
    backbone, layers, exclusive
):
    network = Bidirectional(backbone, F, 4, layers, 0.3, exclusive=exclusive).double().eval()
    own = torch.eye(T, dtype=torch.bool)
    assert torch.equal(
        dependence(lambda x: network(x, LENGTHS), batch()), ~own if exclusive else own | True
    )


@pytest.mark.parametrize("exclusive", [False, True])
def test_bidirectional_network_never_reads_padding(backbone, exclusive):
    network = Bidirectional(backbone, F, 4, 2, 0.0, exclusive=exclusive).double().eval()
    x = batch()
    mask = length_mask(LENGTHS, T)[..., None]
    found = network(torch.where(mask, x, 1e3 * torch.ones_like(x)), LENGTHS)
    assert torch.equal(torch.where(mask, found, 0.0), torch.where(mask, network(x, LENGTHS), 0.0))
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


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 9, 17, 50])  # whole blocks and a part of one
def test_gated_average_is_the_recurrence(steps):
    generator = torch.Generator().manual_seed(steps)
    gate, x = torch.rand(2, 2, steps, 3, generator=generator, dtype=torch.float64).unbind()
    start = torch.randn(2, 3, generator=generator, dtype=torch.float64)
    gate[:, steps // 2] = 0.0  # forgets all: what comes before must not make it NaN
    state, expected = start, []
    for t in range(steps):
        state = gate[:, t] * state + (1 - gate[:, t]) * x[:, t]
        expected.append(state)
    whole = torch.stack(expected, 1)
    torch.testing.assert_close(gated_average(gate, x, start), whole, rtol=1e-13, atol=1e-13)
    torch.testing.assert_close(
        scan_in_blocks(gate, (1 - gate) * x, start), whole, rtol=1e-13, atol=1e-13
    )
    assert torch.autograd.gradcheck(
        gated_average, tuple(v.requires_grad_() for v in (gate, x, start))
    )


def test_backbones_run_in_reduced_precision(backbone):
    network = Bidirectional(backbone, 4, 4, 2, 0.0)  # as many inputs as hidden features
    x = torch.randn(3, T, 4)
    with torch.autocast("cpu", torch.bfloat16):
        output = network(x, LENGTHS)
    output.float().square().sum().backward()
    torch.testing.assert_close(output.float(), network(x, LENGTHS), rtol=0.05, atol=0.05)
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


@pytest.mark.parametrize("scan", [CausalScan, CausalConvScan])
def test_a_scan_keeps_its_state_in_full_precision_under_autocast(scan):
    torch.manual_seed(0)
    network, x = scan(4, 6, 2, 0.0), torch.randn(2, 400, 4)
    with torch.autocast("cpu", torch.bfloat16):
        output, states = network(x)
        again, _ = network(x[:, 200:], network(x[:, :200])[1])
    assert output.dtype == torch.float32
    assert all(part.dtype == torch.float32 for parts in states for part in parts)
    # bfloat16 would differ by 1e-2
    torch.testing.assert_close(again, output[:, 200:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("scan", [CausalScan, CausalConvScan])
def test_scan_is_bounded_and_finite_in_a_long_piece(scan):
    torch.manual_seed(0)
    network = scan(4, 4, 2, 0.0)  # as many inputs as hidden features
    x = (1e4 * torch.randn(1, 5000, 4)).requires_grad_()
    output, state = network(x)
    output.sum().backward()
    assert torch.isfinite(x.grad).all()
    # What a block passes on lies between -1 and 1, and a convolution adds its weights to that at
    # most.
    limit = (
        1.0
        if scan is CausalScan
        else 1 + float(network.convolutions[1].weight.detach().abs().sum(0).max())
    )
    for values in (output, *(parts[0] for parts in state)):
        assert (values.abs() <= limit).all()


def test_a_convolution_reads_its_own_step_and_three_before():
    torch.manual_seed(0)
    convolution, x = CausalConvolution(F).double(), batch()
    padded = torch.nn.functional.pad(x, (0, 0, KERNEL - 1, 0))
    windows = padded.unfold(1, KERNEL, 1)  # [B, T, F, KERNEL]
    expected = x + torch.einsum("btfk,kf->btf", windows, convolution.weight)
    torch.testing.assert_close(convolution(x, None)[0], expected, rtol=1e-12, atol=1e-12)


def test_bidirectional_lstm_agrees_with_torchs_own():
    """One layer, full length: the same recurrence as nn.LSTM(bidirectional=True)."""
    torch.manual_seed(0)
    ours = Bidirectional("lstm", F, 4, 1, 0.0).double().eval()
    theirs = torch.nn.LSTM(F, 4, bidirectional=True, batch_first=True).double()
    state = dict(ours.forwards.layers[0].state_dict())
    state |= {
        f"{name}_reverse": value for name, value in ours.backwards.layers[0].state_dict().items()
    }
    theirs.load_state_dict(state)
    x, full = batch(), torch.full((3,), T)
    torch.testing.assert_close(ours(x, full), theirs(x)[0], rtol=1e-12, atol=1e-12)


# Features, hidden units: one feature, fewer hidden units than features, as many, more, and evenly
# or not.
MADE_SIZES = [(1, 1), (1, 4), (2, 1), (7, 3), (5, 5), (3, 8), (4, 8)]


def made(num_features: int, hidden: int, inputs_per_feature: int = 1) -> MADE:
    return randomise(
        MADE(num_features, F, hidden, 2, inputs_per_feature=inputs_per_feature), 1.0
    ).double()


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize(("num_features", "hidden"), MADE_SIZES)
def test_made_gives_a_feature_what_earlier_ones_say(num_features, hidden, inputs):
    network = made(num_features, hidden, inputs)
    x, context = (
        torch.randn(inputs * num_features, dtype=torch.float64),
        torch.randn(F, dtype=torch.float64),
    )
    jacobian = torch.autograd.functional.jacobian(network, (x, context))
    assert network(x, context).shape == (num_features, 2)
    degrees = [unit * num_features // hidden for unit in range(hidden)]
    assert degrees[0] == 0
    for i in range(num_features):
        # every unit of that degree sees that many features
        seen = max(degree for degree in degrees if degree <= i)
        assert seen == i or hidden < num_features
        by_feature = jacobian[0][i].unflatten(-1, (inputs, num_features))
        assert (by_feature[..., :seen] != 0).all()
        assert (by_feature[..., seen:] == 0).all()
        assert (jacobian[1][i] != 0).all()


def test_made_is_bounded_in_its_features():
    network = made(3, 8)
    context = torch.randn(F, dtype=torch.float64)
    limit = (network.last.mask * network.last.weight).abs().sum(-1) + network.output_context(
        context
    ).abs()
    for size in (1e3, 1e30, 1e300):
        assert (
            network(size * torch.randn(3, dtype=torch.float64), context).flatten().abs() <= limit
        ).all()


@pytest.mark.parametrize("near_end", [False, True])
def test_positions_tell_where_and_how_far_from_the_end(near_end):
    torch.manual_seed(0)
    positions = Positions(8, near_end=near_end)
    together = positions(LENGTHS, T)
    assert together.shape == (3, T, 8)
    for row, length in zip(together, LENGTHS.tolist(), strict=True):
        alone = positions(torch.tensor([length]), length)[0]
        torch.testing.assert_close(row[:length], alone)
    # The same step of a longer piece looks different: the end is farther.
    assert not torch.allclose(together[0, 0], together[2, 0], atol=1e-3)


def test_positions_are_distinct_in_a_long_piece():
    torch.manual_seed(0)
    positions = Positions(16).double()
    for length in (160, 4000):
        features = positions(torch.tensor([length]), length)[0].detach()
        assert torch.isfinite(features).all()
        distance = torch.cdist(features, features, compute_mode="donot_use_mm_for_euclid_dist")
        distance.fill_diagonal_(1.0)
        assert float(distance.min()) > 1e-3


def test_near_the_end_one_feature_tells_the_last_steps_apart():
    positions = Positions(1, near_end=True)
    with torch.no_grad():
        positions.project.weight.zero_()[:, -len(NEAR_END)] = 1.0
        positions.project.bias.zero_()
    near = positions(LENGTHS, T)[..., 0]
    for row, length in zip(near, LENGTHS.tolist(), strict=True):
        torch.testing.assert_close(
            row[:length], torch.exp(-torch.arange(length).flip(0) / NEAR_END[0])
        )


def test_positions_have_unit_scale():
    torch.manual_seed(0)
    bars = torch.tensor([[12.0, 3, 2]])
    for kinds in ({}, {"near_end": True}, {"in_metre": True}, {"near_end": True, "in_metre": True}):
        scale = float(Positions(64, **kinds)(torch.tensor([200]), 200, bars).detach().std())
        assert 0.5 < scale < 2


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dropout_keeps_a_share_scales_it_and_passes_gradients_there_alone(dtype):
    torch.manual_seed(0)
    x = torch.ones(301, 333, dtype=dtype, requires_grad=True)  # an odd number of them
    dropped = Dropout(0.3)(x)
    kept = dropped != 0
    assert float(kept.double().mean()) == pytest.approx(0.7, abs=0.01)
    torch.testing.assert_close(
        dropped[kept], torch.full_like(dropped[kept], 1 / 0.7), rtol=1e-4, atol=0.01
    )
    for dim in (0, 1):  # no pattern along either axis
        assert float(kept.double().mean(dim).std()) < 0.035
    torch.testing.assert_close(torch.autograd.grad(dropped.sum(), x)[0], dropped.detach())
    assert not torch.equal(Dropout(0.3)(x) != 0, kept)
    torch.manual_seed(0)
    assert torch.equal(Dropout(0.3)(x) != 0, kept)
    assert torch.equal(Dropout(0.3).eval()(x), x)
    assert torch.equal(Dropout(1e-6)(x), x)  # rounds to none
