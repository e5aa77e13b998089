"""Networks: masks and flips, what each backbone may see, positions."""

import pytest
import torch

from lnfgen.nn.lstm import BidirectionalLSTM, CausalLSTM
from lnfgen.nn.masking import flip, length_mask, shift
from lnfgen.nn.mlp import MLP
from lnfgen.nn.positions import Positions

pytestmark = pytest.mark.contract

LENGTHS = torch.tensor([7, 1, 4])
T, F = 7, 3


def batch(seed: int = 0) -> torch.Tensor:
    return torch.randn(3, T, F, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_length_mask_is_true_at_the_real_steps():
    mask = length_mask(LENGTHS, T)
    assert mask.dtype == torch.bool
    assert [row.nonzero().flatten().tolist() for row in mask] == [list(range(length)) for length in LENGTHS]


def test_flip_reverses_the_real_steps_and_leaves_the_padding():
    x = batch()
    flipped = flip(x, LENGTHS)
    for row, before, length in zip(flipped, x, LENGTHS.tolist(), strict=True):
        assert torch.equal(row[:length], before[:length].flip(0))
        assert torch.equal(row[length:], before[length:])
    assert torch.equal(flip(flipped, LENGTHS), x)


def test_shift_delays_by_one_step():
    x = batch()
    shifted = shift(x)
    assert (shifted[:, 0] == 0).all()
    assert torch.equal(shifted[:, 1:], x[:, :-1])


def dependence(network, x: torch.Tensor) -> torch.Tensor:
    """bool [T, T]: whether output step t depends on input step s, in the first sequence."""
    jacobian = torch.autograd.functional.jacobian(lambda v: network(v)[0], x)  # [T, H, B, T, F]
    assert (jacobian[:, :, 1:] == 0).all(), "a sequence sees another"
    return (jacobian[:, :, 0] != 0).any(-1).any(1)


@pytest.mark.parametrize("layers", [1, 2])
def test_causal_lstm_sees_up_to_its_step(layers):
    torch.manual_seed(0)
    lstm = CausalLSTM(F, 4, layers, 0.3).double().eval()
    assert torch.equal(dependence(lstm, batch()), torch.ones(T, T, dtype=torch.bool).tril())


def test_causal_lstm_step_by_step_is_the_whole_at_once():
    torch.manual_seed(0)
    lstm = CausalLSTM(F, 4, 2, 0.3).double().eval()
    x, state = batch(), None
    whole = lstm(x)
    for t in range(T):
        output, state = lstm.step(x[:, t], state)
        torch.testing.assert_close(output, whole[:, t], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
def test_bidirectional_lstm_sees_every_step(layers):
    torch.manual_seed(0)
    lstm = BidirectionalLSTM(F, 4, layers, 0.3).double().eval()
    assert dependence(lambda x: lstm(x, LENGTHS), batch()).all()


@pytest.mark.parametrize("layers", [1, 2])
def test_exclusive_lstm_sees_every_step_but_its_own(layers):
    torch.manual_seed(0)
    lstm = BidirectionalLSTM(F, 4, layers, 0.3, exclusive=True).double().eval()
    assert torch.equal(dependence(lambda x: lstm(x, LENGTHS), batch()), ~torch.eye(T, dtype=torch.bool))


@pytest.mark.parametrize("exclusive", [False, True])
def test_bidirectional_lstm_never_reads_padding(exclusive):
    torch.manual_seed(0)
    lstm = BidirectionalLSTM(F, 4, 2, 0.0, exclusive=exclusive).double().eval()
    x = batch()
    mask = length_mask(LENGTHS, T)[..., None]
    found = lstm(torch.where(mask, x, 1e3 * torch.ones_like(x)), LENGTHS)
    for row, alone, length in zip(found, x, LENGTHS.tolist(), strict=True):
        expected = lstm(alone[None, :length], torch.tensor([length]))[0]
        torch.testing.assert_close(row[:length], expected, rtol=1e-12, atol=1e-12)


def test_bidirectional_lstm_agrees_with_torchs_own():
    """One layer, full length: the same recurrence as nn.LSTM(bidirectional=True)."""
    torch.manual_seed(0)
    ours = BidirectionalLSTM(F, 4, 1, 0.0).double().eval()
    theirs = torch.nn.LSTM(F, 4, bidirectional=True, batch_first=True).double()
    state = dict(ours.forwards.lstm.state_dict())
    state |= {f"{name}_reverse": value for name, value in ours.backwards.lstm.state_dict().items()}
    theirs.load_state_dict(state)
    x, full = batch(), torch.full((3,), T)
    torch.testing.assert_close(ours(x, full), theirs(x)[0], rtol=1e-12, atol=1e-12)


def test_forget_gates_start_open():
    lstm = CausalLSTM(F, 4, 2, 0.0).lstm
    for layer in range(2):
        total = getattr(lstm, f"bias_ih_l{layer}") + getattr(lstm, f"bias_hh_l{layer}")
        assert total.tolist() == [0] * 4 + [1] * 4 + [0] * 8


def test_mlp_with_no_gain_is_zero_and_with_no_hidden_layer_is_linear():
    x = torch.randn(5, 3)
    assert (MLP(3, [8, 8], 2, output_gain=0.0)(x) == 0).all()
    linear = MLP(3, [], 2)
    torch.testing.assert_close(linear(2 * x), 2 * linear(x))
    assert MLP(3, [8], 2)(torch.randn(2, 5, 3)).shape == (2, 5, 2)


def test_positions_tell_where_and_how_far_from_the_end():
    torch.manual_seed(0)
    positions = Positions(8)
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


def test_positions_have_unit_scale():
    torch.manual_seed(0)
    scale = float(Positions(64)(torch.tensor([200]), 200).detach().std())
    assert 0.5 < scale < 2
